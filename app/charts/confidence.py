"""How confident right and wrong predictions are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from app.charts.grid import Grid
from app.charts.theme import GREY, color
from ols_core.analysis.calibration import Reliability

__all__ = ["confidence_histograms"]

_MAX_COLUMNS = 3
_ROW_HEIGHT = 270


def confidence_histograms(diagrams: Mapping[str, Reliability]) -> go.Figure:
    """Share of images that are right and wrong at each confidence, one panel a run.

    Parameters
    ----------
    diagrams : mapping
        Run name → its bins of one width, in the order of the runs' colours.
    """
    columns = min(_MAX_COLUMNS, len(diagrams))
    rows = -(-len(diagrams) // columns)
    grid = Grid(columns, [1 / rows] * rows, gap_x=0.04, gap_y=0.36 / rows, fixed=True)
    across = {
        "title": "confidence",
        "range": [0, 1],
        "tickformat": ".0%",
        "tickvals": [0, 0.25, 0.5, 0.75, 1],
    }
    for position, (name, bins) in enumerate(diagrams.items()):
        row, column = divmod(position, columns)
        grid.title(row, column, name)
        up: dict[str, object] = {"tickformat": "~%", "rangemode": "tozero"}
        up |= {"title": "share of images"} if column == 0 else {"showticklabels": False}
        grid.axes(row, column, across, up | ({"matches": "y"} if position else {}))
        _histogram(grid, row, column, bins, color(position))
    return grid.figure(
        height=60 + _ROW_HEIGHT * rows,
        margin={"r": 28, "t": 30},
        showlegend=False,
        bargap=0,
        barmode="overlay",
    )


def _histogram(grid: Grid, row: int, column: int, bins: Reliability, shade: str) -> None:
    solid = {"color": shade, "line": {"width": 0}}
    hatched = {
        "color": "rgba(0,0,0,0)",
        "line": {"width": 1, "color": GREY},
        "pattern": {"shape": "/", "fgcolor": GREY, "size": 6, "solidity": 0.4},
    }
    sides = (("right", bins.correct_counts, solid), ("wrong", bins.wrong_counts, hatched))
    for kind, counts, marker in sides:
        grid.add(
            row,
            column,
            type="bar",
            x=(bins.edges[:-1] + bins.edges[1:]) / 2,
            width=np.diff(bins.edges),
            y=counts / bins.n_samples,
            marker=marker,
            customdata=np.stack([bins.edges[:-1], bins.edges[1:], counts], axis=1),
            hovertemplate=(
                f"{kind}, confidence %{{customdata[0]:.1%}} to %{{customdata[1]:.1%}}<br>"
                "%{y:.2%} of images (%{customdata[2]})<extra></extra>"
            ),
        )
