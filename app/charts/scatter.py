"""Maps of samples in the plane or in space, coloured by group or by a quantity, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.grid import Grid
from app.charts.palettes import DIMMED, TOP_CODE, Legend, swatch
from app.charts.theme import GREY, SEQUENTIAL

__all__ = ["ScatterPanel", "scatter_panels"]

_HEIGHT = 560
_AXES = ("first dimension", "second dimension", "third dimension")
_BARE = {"showticklabels": False, "showgrid": False, "zeroline": False}
# Markers of space come in fewer shapes than those of the plane.
_SPATIAL_SYMBOLS = {"triangle-up": "diamond-open"}


@dataclass(frozen=True, eq=False)
class ScatterPanel:
    """Points of one map.

    Attributes
    ----------
    title : str
    points : ndarray of shape (n, 2) or (n, 3)
    codes : ndarray of shape (n,), uint8
        Place in the legend's names, or from 0 to `TOP_CODE` along its scale, or `DIMMED`.
    """

    title: str
    points: npt.NDArray[np.floating]
    codes: npt.NDArray[np.uint8]


def scatter_panels(panels: Sequence[ScatterPanel], legend: Legend) -> go.Figure:
    """Draw maps side by side, with one legend.

    Parameters
    ----------
    panels : sequence of ScatterPanel
        At least one, all in the plane or all in space.
    legend : Legend
        What the codes mean.
    """
    spatial = panels[0].points.shape[1] == 3
    grid = Grid(len(panels), gap_x=0.03)
    for column, panel in enumerate(panels):
        grid.title(0, column, panel.title)
        if spatial:
            grid.scene(0, column, [{"title": title, "showticklabels": False} for title in _AXES])
        else:
            first = {"title": _AXES[1]} if column == 0 else {}
            line = {"showline": True, "linecolor": GREY, **_BARE}
            grid.axes(0, column, {"title": _AXES[0], **line}, {**first, **line})
        for trace in _traces(panel, legend, named=column == 0):
            grid.add(0, column, **trace)
    return grid.figure(
        height=_HEIGHT,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={
            "title": legend.title,
            "itemsizing": "constant",
            "orientation": "h",
            "y": -0.1,
        },
    )


def _traces(panel: ScatterPanel, legend: Legend, named: bool) -> Iterator[dict[str, Any]]:
    """One trace for what is dimmed, and one a group, or one for all on a scale."""
    spatial = panel.points.shape[1] == 3
    plain: dict[str, Any] = {"color": GREY, "size": 2 if spatial else 3, "opacity": 0.3}
    dimmed = panel.codes == DIMMED
    if dimmed.any():
        yield _trace(panel, dimmed, "others", plain, named) | {"legendrank": 1001}
    if not legend.names:
        yield _trace(panel, ~dimmed, legend.title, _scaled(panel, ~dimmed, legend, named), False)
        return
    for group, name in enumerate(legend.names):
        color, symbol = swatch(group)
        if spatial:
            symbol = _SPATIAL_SYMBOLS.get(symbol, symbol)
        marker = {"size": 3 if spatial else 5, "color": color, "symbol": symbol, "opacity": 0.85}
        yield _trace(panel, panel.codes == group, name, marker, named)


def _trace(
    panel: ScatterPanel,
    inside: npt.NDArray[np.bool_],
    name: str,
    marker: dict[str, Any],
    named: bool,
) -> dict[str, Any]:
    kind = "scatter3d" if panel.points.shape[1] == 3 else "scattergl"
    places = zip("xyz", panel.points[inside].T, strict=False)
    return {
        "type": kind,
        **dict(places),
        "name": name,
        "legendgroup": name,
        "showlegend": named,
        "mode": "markers",
        "marker": marker,
        "hovertemplate": f"{name}<extra></extra>",
    }


def _scaled(
    panel: ScatterPanel, inside: npt.NDArray[np.bool_], legend: Legend, named: bool
) -> dict[str, Any]:
    low, high = legend.low or 0.0, legend.high if legend.high is not None else 1.0
    values = low + (high - low) * panel.codes[inside].astype(np.float32) / TOP_CODE
    return {
        "size": 3 if panel.points.shape[1] == 3 else 5,
        "color": values,
        "cmin": low,
        "cmax": high,
        "colorscale": SEQUENTIAL,
        "showscale": named,
        "colorbar": {"title": {"text": legend.title, "side": "right"}, "thickness": 14},
    }
