"""Differences between runs with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from app.charts.grid import Grid
from app.charts.theme import color
from ols_core.analysis.calibration import RunDifference

__all__ = ["METRIC_TITLES", "interval_plot"]

METRIC_TITLES = {
    "nll": "NLL",
    "brier": "Brier score",
    "squared_l2": "squared L2 error",
    "ece": "ECE",
}


def interval_plot(
    differences: Sequence[RunDifference], colors: Sequence[int], baseline: str
) -> go.Figure:
    """One panel a metric, one row a run: its difference to the baseline, with a 95 % interval.

    Parameters
    ----------
    differences : sequence of RunDifference
        All with an interval, those of a metric in the same order of runs.
    colors : sequence of int
        Position of each run's colour, in that order.
    baseline : str
    """
    metrics = list(dict.fromkeys(found.metric for found in differences))
    grid = Grid(len(metrics), gap_x=0.06, share_y=True)
    for column, metric in enumerate(metrics):
        grid.title(0, column, f"Δ {METRIC_TITLES[metric]}")
        shown = [found for found in differences if found.metric == metric]
        for found, position in zip(shown, colors, strict=True):
            grid.add(0, column, **_point(found, position))
        across = {"title": f"minus {baseline}: left is better", "nticks": 5}
        grid.axes(0, column, across, {"autorange": "reversed", "type": "category"})
        grid.line(0, column, (0, 0))
    return grid.figure(
        height=130 + 36 * (len(differences) // len(metrics)),
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        showlegend=False,
    )


def _point(found: RunDifference, position: int) -> dict[str, Any]:
    assert found.low is not None
    assert found.high is not None
    return {
        "type": "scatter",
        "x": [found.difference],
        "y": [found.run],
        "mode": "markers",
        "marker": {"size": 10, "color": color(position)},
        "error_x": {
            "array": [found.high - found.difference],
            "arrayminus": [found.difference - found.low],
            "color": color(position),
            "width": 6,
        },
        "hovertemplate": (
            f"{found.run}<br>{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            f"<br>adjusted p {found.adjusted_p:.3g}<extra></extra>"
        ),
    }
