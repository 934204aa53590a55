"""Heatmaps of class-by-class matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.scale import Scale, ScaleKind
from app.charts.theme import DIVERGING, GREY, SEQUENTIAL, style
from app.charts.tree import scaled_merges, tree_path
from ols_core.analysis.similarity import Dendrogram

__all__ = ["Axis", "heatmap", "make_axis"]

# More names than this overlap on a figure of 600 pixels.
_MAX_NAMES = 40
_MAX_GROUPS = 30
_TREE_WIDTH = 0.12  # of the figure
_SMALLEST = 1e-6  # what a logarithmic scale takes for zero


@dataclass(frozen=True)
class Axis:
    """Classes along an axis: their names in order, and groups of neighbours as (name, size)."""

    names: list[str]
    groups: list[tuple[str, int]]


def make_axis(
    class_names: Sequence[str],
    order: npt.NDArray[np.int64],
    superclasses: Sequence[str] | None = None,
) -> Axis:
    """Put classes in order; with `superclasses`, runs of equal ones become groups."""
    names = [class_names[i] for i in order]
    groups: list[tuple[str, int]] = []
    for index in order if superclasses is not None else ():
        group = superclasses[index] if superclasses is not None else ""
        if groups and groups[-1][0] == group:
            groups[-1] = (group, groups[-1][1] + 1)
        else:
            groups.append((group, 1))
    return Axis(names, groups)


def heatmap(
    matrix: npt.NDArray[np.floating],
    axis: Axis,
    *,
    title: str,
    quantity: str,
    row: str,
    column: str,
    scale: Scale,
    tree: Dendrogram | None = None,
    height: int = 640,
) -> go.Figure:
    """Draw a matrix with its rows and columns in the axis's order.

    Parameters
    ----------
    matrix : ndarray of shape (K, K)
        Already in the axis's order; NaN cells stay blank.
    axis : Axis
    title, quantity, row, column : str
        The figure's title, what a cell's value is, and what rows and columns are.
    scale : Scale
        How values become colours.
    tree : Dendrogram, optional
        Of the classes in this order, to be drawn beside the rows.
    height : int
        In pixels.
    """
    values = matrix.astype(np.float32)
    sign = "+" if scale.kind == "diverging" else ""
    # What is coloured by its logarithm carries the values themselves along.
    log = scale.kind == "log"
    figure = go.Figure(
        go.Heatmap(
            **_colors(values, scale, quantity),
            x=axis.names,
            y=axis.names,
            customdata=values if log else None,
            hovertemplate=(
                f"{row}: <b>%{{y}}</b><br>{column}: <b>%{{x}}</b><br>"
                f"{quantity}: %{{{'customdata' if log else 'z'}:{sign}.4f}}<extra></extra>"
            ),
        )
    )
    ticks = _ticks(axis)
    figure.update_xaxes(title=column, type="category", **ticks)
    figure.update_yaxes(title=row, type="category", autorange="reversed", **ticks)
    figure.update_yaxes(scaleanchor="x", constrain="domain")
    figure.update_xaxes(constrain="domain")
    for edge in np.cumsum([size for _, size in axis.groups])[:-1].tolist():
        line = {"width": 0.6, "color": GREY}
        figure.add_shape(
            type="line", x0=edge - 0.5, x1=edge - 0.5, y0=0, y1=1, yref="y domain", line=line
        )
        figure.add_shape(
            type="line", y0=edge - 0.5, y1=edge - 0.5, x0=0, x1=1, xref="x domain", line=line
        )
    if tree is not None:
        _add_tree(figure, tree, scale.kind, len(matrix))
    return style(figure, title, height)


def _add_tree(figure: go.Figure, tree: Dendrogram, kind: ScaleKind, n_cells: int) -> None:
    """Draw the tree between the matrix and its colour bar."""
    merges, _ = scaled_merges(tree, None, kind)
    path = tree_path(merges, 1.01, _TREE_WIDTH, n_cells / (len(merges) + 1))
    shape = {"type": "path", "path": path, "xref": "x domain", "yref": "y"}
    figure.add_shape(**shape, line={"width": 0.8, "color": GREY})
    figure.update_xaxes(domain=[0, 1 - _TREE_WIDTH], constraintoward="right")


def _colors(values: npt.NDArray[np.float32], scale: Scale, quantity: str) -> dict[str, object]:
    """What a heatmap colours, between which ends, and its colour bar."""
    kind = scale.kind
    # Beside the bar, the title of a diverging one would cover its minus signs.
    side = "top" if kind == "diverging" else "right"
    bar = {"title": {"text": quantity, "side": side}, "thickness": 14}
    if kind != "log":
        colors = DIVERGING if kind == "diverging" else SEQUENTIAL
        ends = {"zmin": scale.low, "zmax": scale.high}
        return {"z": values, "colorscale": colors, "colorbar": bar, **ends}
    low, high = np.log10([scale.low, scale.high]).tolist()
    return {
        "z": np.log10(np.maximum(values, _SMALLEST)),
        "colorscale": SEQUENTIAL,
        "colorbar": bar | _decades(low, high),
        "zmin": low,
        "zmax": high,
    }


def _decades(low: float, high: float) -> dict[str, object]:
    """Ticks at 1, 2 and 5 of each decade, labelled with the values themselves."""
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    marks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    inside = [mark for mark in marks if low <= np.log10(mark) <= high]
    return {"tickvals": np.log10(inside).tolist(), "ticktext": [f"{m:g}" for m in inside]}


def _ticks(axis: Axis) -> dict[str, object]:
    """Class names while they fit; else group names at the groups' centres; else some names."""
    if len(axis.names) <= _MAX_NAMES:
        return {"tickmode": "linear", "dtick": 1, "tickfont": {"size": 11}}
    if axis.groups and len(axis.groups) <= _MAX_GROUPS:
        sizes = np.array([size for _, size in axis.groups])
        # A category axis takes a number for a position unless a class has that name.
        centres = np.cumsum(sizes) - (sizes + 1) / 2 + 1e-3
        text = [name for name, _ in axis.groups]
        return {"tickvals": centres.tolist(), "ticktext": text, "tickfont": {"size": 11}}
    return {"nticks": _MAX_NAMES, "tickfont": {"size": 10}}
