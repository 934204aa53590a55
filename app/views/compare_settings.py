"""What the chosen runs were trained with and on, and in what they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from app import state
from ols_core.config import TrainConfig
from ols_core.runs import Run, RunInfo
from ols_core.sweep import concerns

__all__ = ["draw_settings"]

Setting = tuple[str, str]
"""Part of the run that a setting belongs to, and its name."""


def draw_settings(runs: Sequence[Run]) -> None:
    """Draw a table of settings, one column a run; only those that differ unless asked for."""
    everything = len(runs) == 1 or st.toggle("Show what is equal too", **state.in_url("equal"))
    settings = {run.id: dict(_settings(run.info)) for run in runs}
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


def _settings(info: RunInfo) -> Iterator[tuple[Setting, str]]:
    """Everything that is recorded of how a run came about, as texts."""
    dataset, model = info.dataset, info.model
    parts: dict[str, Mapping[str, Any]] = {
        "Run": {"source": info.source, "method": info.method},
        "Training": _options(info),
        "Data set": {
            "name": dataset.name,
            "classes": len(dataset.class_names),
            "images": dataset.splits,
            "labels": dataset.fingerprints,
        },
        "Model": {
            "name": model.name,
            "parameters": model.n_parameters,
            "features": model.n_features,
        },
        "Environment": info.environment,
    }
    for part, values in parts.items():
        for name, value in _flat(values):
            yield (part, name), _text(value)


def _options(info: RunInfo) -> dict[str, Any]:
    """Options of the training that concern its method."""
    options = dict(info.config)
    if info.source == "trained":
        with suppress(ValidationError):  # of another version, which had other options
            options = TrainConfig.model_validate(options).model_dump()
    # Name and method are the run's, not options among others.
    return {
        name: value
        for name, value in options.items()
        if name not in ("name", "method") and concerns(info.method, name)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        elif value is not None:
            yield prefix + name, value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
