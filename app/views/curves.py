"""What runs recorded after every epoch, as curves to be taken along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, get_args

import pandas as pd
import streamlit as st

from app import state
from app.charts.curves import CURVES, Along, elapsed, training_curves
from app.components.figure import show_figure
from ols_core.runs import Run

__all__ = ["draw_curves", "draw_training"]

_ALONG_NAMES = {"epoch": "By epoch", "time": "By time"}


def draw_training(runs: Sequence[Run]) -> None:
    """Draw the accuracy of the runs beside another recorded quantity, by epoch or by time."""
    choices: tuple[Along, ...] = get_args(Along)
    others = [title for title in CURVES if title != "Accuracy"]
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        along = st.segmented_control(
            "Aligned",
            choices,
            default=choices[0],
            required=True,
            format_func=_ALONG_NAMES.__getitem__,
            label_visibility="collapsed",
            **state.in_url("along"),
        )
        second = st.segmented_control(
            "Second curve",
            others,
            default=others[0],
            required=True,
            label_visibility="collapsed",
            **state.in_url("curve"),
        )
    histories = {run.id: run.history for run in runs}
    left, right = st.columns(2)
    with left:
        draw_curves(histories, "Accuracy", 360, "curve_accuracy", along)
    with right:
        draw_curves(histories, second, 360, "curve_second", along)
    if along == "time":
        _tell_times(histories)


def _tell_times(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    st.caption("Time in training steps, summed over the epochs; evaluations are not in it.")
    without = [name for name, records in histories.items() if records and not elapsed(records)]
    if without:
        st.info(
            f"Left out, since their history has no `seconds` of each epoch: {', '.join(without)}.",
            icon=":material/info:",
        )


def draw_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    title: str,
    height: int,
    key: str,
    along: Along = "epoch",
) -> None:
    """Draw one quantity of several runs, with what was recorded as its table."""
    show_figure(
        training_curves(histories, title, height, along),
        key=key,
        alt=f"{title} by {along}",
        name=f"training-{title.lower()}",
        data=lambda: _curve_table(histories, title, along),
    )


def _curve_table(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], title: str, along: Along
) -> pd.DataFrame:
    _, curves = CURVES[title]
    keys = [key for key, _, _ in curves]
    rows = [
        {"run": name, "epoch": record["epoch"], "seconds": passed}
        | {key: record.get(key) for key in keys}
        for name, records in histories.items()
        for record, passed in zip_longest(records, elapsed(records))
    ]
    time = ["seconds"] if along == "time" else []
    table = pd.DataFrame(rows, columns=["run", "epoch", *time, *keys])
    return table.dropna(subset=keys, how="all")
