"""Quantities of several runs with their intervals, one small panel each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go

from app.charts.grid import Grid
from app.charts.theme import color
from ols_core.analysis.calibration import Interval

__all__ = ["interval_panels"]

_COLUMNS = 5


def interval_panels(quantities: Mapping[str, Mapping[str, Interval]]) -> go.Figure:
    """One panel a quantity, one row a run: its value and 95 % interval.

    Parameters
    ----------
    quantities : mapping
        Title → run name → interval, the runs in the order of their colours. A quantity that no
        run has, NaN in all, is left out.
    """
    known = {
        title: by_run
        for title, by_run in quantities.items()
        if any(i.estimate == i.estimate for i in by_run.values())
    }
    columns = min(_COLUMNS, len(known))
    rows = -(-len(known) // columns)
    grid = Grid(columns, [1 / rows] * rows, gap_x=0.03, gap_y=0.36 / rows, share_y=True)
    for place, (title, by_run) in enumerate(known.items()):
        row, column = divmod(place, columns)
        grid.title(row, column, title)
        grid.axes(
            row,
            column,
            {"zeroline": False} | _end_ticks(by_run.values()),
            {"autorange": "reversed", "type": "category"},
        )
        for position, (name, interval) in enumerate(by_run.items()):
            grid.add(row, column, **_point(name, interval, position))
    n_runs = max(len(by_run) for by_run in known.values())
    return grid.figure(
        height=70 + rows * (90 + 24 * n_runs),
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        showlegend=False,
    )


def _end_ticks(intervals: Iterable[Interval]) -> dict[str, Any]:
    """Label the lowest and the highest value: a small panel has room for no more."""
    ends = [end for i in intervals for end in (i.low, i.estimate, i.high) if end == end]
    ticks = sorted({min(ends), max(ends)})
    return {"tickvals": ticks, "ticktext": [f"{tick:.3g}" for tick in ticks]}


def _point(name: str, interval: Interval, position: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [interval.estimate],
        "y": [name],
        "mode": "markers",
        "marker": {"size": 8, "color": color(position)},
        "error_x": {
            "array": [interval.high - interval.estimate],
            "arrayminus": [interval.estimate - interval.low],
            "color": color(position),
            "width": 4,
        },
        "hovertemplate": f"{name}<br>{_text(interval)}<extra></extra>",
    }


def _text(interval: Interval) -> str:
    if interval.low != interval.low:  # there is none
        return f"{interval.estimate:.4f}"
    return f"{interval.estimate:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
