"""What the chosen runs were trained with and on, and in what they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from app import state
from app.run_settings import Setting, settings_of
from ols_core.runs import Run

__all__ = ["draw_settings"]


def draw_settings(runs: Sequence[Run]) -> None:
    """Draw a table of settings, one column a run; only those that differ unless asked for."""
    everything = len(runs) == 1 or st.toggle("Show what is equal too", **state.in_url("equal"))
    settings = {run.id: settings_of(run.info) for run in runs}
    rows = dict.fromkeys(setting for values in settings.values() for setting in values)
    shown = [row for row in rows if everything or _differs(row, settings)]
    if not shown:
        st.info("The chosen runs differ in nothing that was recorded.", icon=":material/info:")
        return
    st.dataframe(
        _table(shown, settings),
        hide_index=True,
        column_config={
            "Part": st.column_config.TextColumn(pinned=True, width=120),
            "Setting": st.column_config.TextColumn(pinned=True, width=160),
        },
        height="content",
        alt="Settings of the chosen runs",
    )
    st.caption(
        f"{len(shown)} of {len(rows)} settings. “–”: not recorded, or without effect on the run’s "
        "method. An option that did not exist yet when a run was trained has its default."
    )


def _differs(row: Setting, settings: Mapping[str, Mapping[Setting, str]]) -> bool:
    return len({values.get(row) for values in settings.values()}) > 1


def _table(rows: Sequence[Setting], settings: Mapping[str, Mapping[Setting, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["Part", "Setting"])
    for run_id, values in settings.items():
        table[run_id] = [values.get(row, "–") for row in rows]
    return table
