"""Heatmaps of class-by-class matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.theme import DIVERGING, GREY, SEQUENTIAL, style

__all__ = ["Axis", "heatmap", "make_axis"]

# More names than this overlap on a figure of 600 pixels.
_MAX_NAMES = 40
_MAX_GROUPS = 30
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
    log: bool = False,
    diverging: bool = False,
    scale_of: npt.NDArray[np.floating] | None = None,
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
    log : bool
        Colour by the decimal logarithm.
    diverging : bool
        Colour by the distance from 0, in two hues.
    scale_of : ndarray, optional
        The matrix whose values span the colours, so that figures can share them; by default
        `matrix` itself.
    height : int
        In pixels.
    """
    values = matrix.astype(np.float32)
    spanned = values if scale_of is None else scale_of
    low, high = _symmetric_span(spanned) if diverging else _span(spanned, log)
    shown = np.log10(np.maximum(values, _SMALLEST)) if log else values
    # Beside the bar a title would cover the minus signs.
    side = "top" if diverging else "right"
    bar = {"title": {"text": quantity, "side": side}, "thickness": 14} | (
        _decades(low, high) if log else {}
    )
    sign = "+" if diverging else ""
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=axis.names,
            y=axis.names,
            customdata=values,
            colorscale=DIVERGING if diverging else SEQUENTIAL,
            zmin=low,
            zmax=high,
            colorbar=bar,
            hovertemplate=(
                f"{row}: <b>%{{y}}</b><br>{column}: <b>%{{x}}</b><br>"
                f"{quantity}: %{{customdata:{sign}.4f}}<extra></extra>"
            ),
        )
    )
    ticks = _ticks(axis)
    figure.update_xaxes(title=column, type="category", **ticks)
    figure.update_yaxes(title=row, type="category", autorange="reversed", **ticks)
    for edge in np.cumsum([size for _, size in axis.groups])[:-1].tolist():
        line = {"width": 0.6, "color": GREY}
        figure.add_shape(
            type="line", x0=edge - 0.5, x1=edge - 0.5, y0=0, y1=1, yref="paper", line=line
        )
        figure.add_shape(
            type="line", y0=edge - 0.5, y1=edge - 0.5, x0=0, x1=1, xref="paper", line=line
        )
    return style(figure, title, height)


def _span(values: npt.NDArray[np.floating], log: bool) -> tuple[float, float]:
    """Ends of the colour scale; logarithmic ones leave out the smallest twentieth."""
    finite = values[np.isfinite(values)]
    if not log:
        return 0.0, float(finite.max(initial=0.0)) or 1.0
    positive = np.log10(finite[finite > _SMALLEST])
    if not positive.size:
        return -6.0, 0.0
    low, high = np.quantile(positive, [0.05, 1.0]).tolist()
    return (low, high) if high - low > 0.1 else (high - 1.0, high)


def _symmetric_span(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Ends of a colour scale with 0 in the middle; beyond the 99.5 % quantile it saturates."""
    finite = np.abs(values[np.isfinite(values)])
    reach = float(np.quantile(finite, 0.995)) if finite.size else 0.0
    reach = reach or float(finite.max(initial=0.0)) or 1.0
    return -reach, reach


def _decades(low: float, high: float) -> dict[str, object]:
    """Ticks at 1, 2 and 5 of each decade, labelled with the values themselves."""
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    marks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    inside = [mark for mark in marks if low <= np.log10(mark) <= high]
    return {"tickvals": np.log10(inside).tolist(), "ticktext": [f"{m:g}" for m in inside]}


def _ticks(axis: Axis) -> dict[str, object]:
    """Group names at the groups' centres; else class names while they fit; else none."""
    if axis.groups and len(axis.groups) <= _MAX_GROUPS:
        sizes = np.array([size for _, size in axis.groups])
        # A category axis takes a number for a position unless a class has that name.
        centres = np.cumsum(sizes) - (sizes + 1) / 2 + 1e-3
        text = [name for name, _ in axis.groups]
        return {"tickvals": centres.tolist(), "ticktext": text, "tickfont": {"size": 11}}
    if len(axis.names) <= _MAX_NAMES:
        return {"tickmode": "linear", "dtick": 1, "tickfont": {"size": 11}}
    return {"showticklabels": False}
