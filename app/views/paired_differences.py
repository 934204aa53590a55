"""Differences between runs on the same test samples, to a chosen baseline."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import predictions, state
from app.charts.differences import METRIC_TITLES, interval_plot
from app.components.figure import show_figure
from app.predictions import Choices
from app.views.common import tell_left_out
from ols_core.analysis.calibration import RunDifference, against
from ols_core.runs import Run

__all__ = ["comparable", "draw_differences"]

_LEVEL = 0.05


def comparable(runs: Sequence[Run]) -> list[Run]:
    """Runs that were tested on the labels of the first one; says which were not."""
    peers = predictions.comparable(runs)
    if peers:
        why = f"their test labels are not those of {peers[0].id} (the recorded fingerprints differ)"
        tell_left_out(runs, peers, f"Not compared, since {why}")
    return peers


def draw_differences(runs: Sequence[Run], choices: Choices) -> None:
    """Let the user pick a baseline, and draw the paired differences to it.

    Parameters
    ----------
    runs : sequence of Run
        At least two, tested on the same labels.
    choices : Choices
    """
    ids = [run.id for run in runs]
    first = ids.index(predictions.first_baseline(runs).id)
    baseline = st.selectbox("Baseline", ids, index=first, width=360, **state.in_url("baseline"))
    found = against(predictions.differences(tuple(runs), choices), baseline)
    tested = [difference for difference in found if difference.low is not None]
    others = [ids.index(d.run) for d in tested if d.metric == tested[0].metric]
    if tested:
        show_figure(
            interval_plot(tested, others, baseline),
            key="differences",
            alt=f"Differences to {baseline} with 95% intervals",
            name=f"differences-to-{baseline}",
            data=lambda: _difference_table(found),
        )
    small = st.column_config.NumberColumn(format="%.2g")
    signed = st.column_config.NumberColumn(format="%+.4f")
    st.dataframe(
        _difference_table(found),
        hide_index=True,
        column_config={
            "Difference": signed,
            "Low": signed,
            "High": signed,
            "p": small,
            "Adjusted p": small,
        },
        alt="Differences between runs",
    )
    st.caption(
        "On the same test images, run minus baseline; 95% intervals. The p-values of all pairs of "
        "the chosen runs and all tested metrics are adjusted together (Holm). This is about these "
        "trained networks: whether a method is better needs several seeds of it."
    )


def _difference_table(differences: Sequence[RunDifference]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Metric": METRIC_TITLES[found.metric],
                "Run": found.run,
                "Difference": found.difference,
                "Low": found.low,
                "High": found.high,
                "p": found.p,
                "Adjusted p": found.adjusted_p,
                "Verdict": _verdict(found),
            }
            for found in differences
        ]
    )


def _verdict(found: RunDifference) -> str:
    if found.adjusted_p is None:
        return "no test: its bias differs" if found.metric == "ece" else f"none: {found.reason}"
    if found.adjusted_p >= _LEVEL:
        return "no difference shown"
    return "better" if found.difference < 0 else "worse"
