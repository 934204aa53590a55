"""The table of runs: which are listed, and choosing them by their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app import state
from app.components.select_table import select_table
from ols_core.runs import Run

if TYPE_CHECKING:
    from streamlit.elements.lib.column_types import ColumnConfig

__all__ = ["draw_filter", "draw_runs"]

_PERCENT = {"Accuracy": "accuracy", "Top-5": "top5_accuracy", "ECE": "ece"}
_PLAIN = {"NLL": "nll", "Brier": "brier"}
_LONG_NAME = 36  # characters
_NAME_WIDTH = 260  # pixels


def draw_filter(runs: Sequence[Run]) -> list[Run]:
    """Let the user say which runs are listed, and return these."""
    words = st.text_input(
        "Filter runs",
        placeholder="Filter: words in name, method, model, data set or tags",
        type="search",
        live=True,
        label_visibility="collapsed",
        **state.in_url("filter"),
    )
    n_archived = sum(run.info.archived for run in runs)
    with_archived = n_archived > 0 and st.toggle(
        f"{n_archived} archived", **state.in_url("archived")
    )
    listed = [run for run in runs if with_archived or not run.info.archived]
    return _matching(listed, words)


def draw_runs(runs: Sequence[Run], chosen: Sequence[Run]) -> None:
    """Draw one row a run; selecting rows chooses the runs that all pages show."""
    ids = [run.id for run in runs]
    select_table(
        _table(runs),
        ids,
        {run.id for run in chosen},
        lambda selected: _choose(ids, selected),
        key="runs_table",
        column_config=_columns(runs),
        alt="Runs and their test metrics",
    )


def _matching(runs: Sequence[Run], text: str) -> list[Run]:
    """Runs that have every word of the text somewhere, in whatever case."""
    words = text.casefold().split()

    def matches(run: Run) -> bool:
        info = run.info
        known = (run.id, info.name, info.method, info.model.name, info.dataset.name, *info.tags)
        return all(word in "\n".join(known).casefold() for word in words)

    return [run for run in runs if matches(run)]


def _choose(listed: Sequence[str], selected: Sequence[str]) -> None:
    """Choose the selected runs, beside those that are chosen but not listed."""
    before = [run.id for run in state.chosen_runs()]
    kept = [run_id for run_id in before if run_id in selected or run_id not in listed]
    wanted = kept + [run_id for run_id in selected if run_id not in kept]
    if len(wanted) > state.MAX_RUNS:
        st.toast(f"Up to {state.MAX_RUNS} runs are shown at a time.", icon=":material/info:")
    state.choose("runs", wanted[: state.MAX_RUNS])


def _table(runs: Sequence[Run]) -> pd.DataFrame:
    infos = [run.info for run in runs]
    tests = [info.summary.get("test", {}) for info in infos]
    columns: dict[str, object] = {"Run": [info.name for info in infos]}
    if any(run.id != run.info.name for run in runs):
        columns["Id"] = [run.id for run in runs]
    columns |= {
        "Method": [info.method.upper() for info in infos],
        "Model": [info.model.name for info in infos],
        "Data set": [info.dataset.name for info in infos],
    }
    for title, key in (_PERCENT | _PLAIN).items():
        columns[title] = pd.array([test.get(key) for test in tests], dtype="Float64")
    columns["Epochs"] = pd.array([run.n_epochs or None for run in runs], dtype="Int64")
    if any(info.tags for info in infos):
        columns["Tags"] = [list(info.tags) for info in infos]
    columns["Status"] = [_status(run) for run in runs]
    columns["Created"] = pd.to_datetime(
        [info.created for info in infos], utc=True, format="ISO8601", errors="coerce"
    )
    return pd.DataFrame(columns)


def _status(run: Run) -> str:
    archived = ", archived" if run.info.archived else ""
    cause = f": {run.info.error}" if run.info.error is not None else ""
    return f"{run.status}{archived}{cause}"


def _columns(runs: Sequence[Run]) -> dict[str, ColumnConfig]:
    number = st.column_config.NumberColumn
    long = any(len(run.info.name) > _LONG_NAME for run in runs)
    return {
        # pinned, a column as wide as a long name would leave no room to scroll the others
        "Run": st.column_config.TextColumn("Run", pinned=True, width=_NAME_WIDTH if long else None),
        **{name: number(name, format="percent") for name in _PERCENT},
        **{name: number(name, format="%.3f") for name in _PLAIN},
        "Created": st.column_config.DatetimeColumn("Created", format="YYYY-MM-DD HH:mm"),
    }
