"""Reliability diagrams: side by side as bars, or several runs on common axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.grid import Grid
from app.charts.theme import FIXED_MARGIN, GREY, color, framed
from ols_core.analysis.calibration import CalibratedBand, Reliability, wilson_interval

__all__ = ["reliability_overlay", "reliability_panels"]

FloatArray = npt.NDArray[np.float64]

_MOST_WHISKERS = 30  # more of them merge into one mass
_ROWS = (0.74, 0.26)  # of the height: accuracy, number of images
_BAND = "rgba(128,134,139,0.3)"
_SMALLEST_P = 0.001
_RIGHT = 28  # pixels of margin: half of the last "100%" needs them
_NAMES_IN_LINE = 3  # of a legend that also tells the ECE
_HOVER = (
    "confidence %{customdata[0]:.1%}<br>accuracy %{customdata[1]:.1%} "
    "(95% %{customdata[2]:.1%} to %{customdata[3]:.1%})<br>gap %{customdata[4]:+.1%}<br>"
    "if calibrated %{customdata[5]:.1%} to %{customdata[6]:.1%}<br>"
    "%{customdata[7]:.0f} images"
)


def reliability_panels(
    bands: Mapping[str, CalibratedBand], first: int = 0, columns: int = 1, height: int = 540
) -> go.Figure:
    """Accuracy against confidence by bin, one panel a run, with the number of images below.

    Parameters
    ----------
    bands : mapping
        Run name → diagram, and where it would lie under perfect calibration.
    first : int
        Position of the first one among the chosen runs, for its colour.
    columns : int
        Panels that have room; those beyond the runs stay empty.
    height : int
        In pixels.
    """
    grid = Grid(max(columns, len(bands)), _ROWS, share_x=True, share_y=True, fixed=True)
    most = max(int(band.bins.counts.max()) for band in bands.values())
    for column, (name, band) in enumerate(bands.items()):
        grid.title(0, column, _heading(name, band))
        _panel(grid, band, column, first + column)
        _label(grid, column, most)
    return grid.figure(
        height=height,
        margin={"r": _RIGHT, "t": 76},
        showlegend=False,
        bargap=0,
        barmode="overlay",
        hovermode="x",
    )


def reliability_overlay(bands: Mapping[str, CalibratedBand], height: int = 620) -> go.Figure:
    """Accuracy against mean confidence of each bin, all runs on the same axes.

    Parameters
    ----------
    bands : mapping
        Run name → diagram, in the order of the runs' colours.
    height : int
        In pixels.
    """
    grid = Grid(1, _ROWS, share_x=True, fixed=True)
    grid.line(0, 0, (0, 1), (0, 1))
    for position, (name, band) in enumerate(bands.items()):
        bins = band.bins
        shade = color(position)
        grid.add(
            0,
            0,
            type="scatter",
            x=bins.confidence,
            y=bins.accuracy,
            error_y=_whiskers(bins, shade),
            connectgaps=True,
            name=f"{name}, ECE {bins.ece:.2%}",
            legendgroup=name,
            mode="lines+markers",
            line={"color": shade, "width": 2},
            marker={"size": 7},
            customdata=_details(band),
            hovertemplate=f"{name}<br>{_HOVER}<extra></extra>",
        )
        grid.add(
            1,
            0,
            type="scatter",
            x=bins.edges,
            y=np.append(bins.counts, bins.counts[-1]),
            name=name,
            legendgroup=name,
            showlegend=False,
            mode="lines",
            line={"color": shade, "width": 2, "shape": "hv"},
            hovertemplate=f"{name}<br>from %{{x:.1%}}: %{{y}} images<extra></extra>",
        )
    _label(grid, 0, max(int(band.bins.counts.max()) for band in bands.values()))
    frame = framed(
        "Accuracy by confidence",
        height,
        legend_lines=-(-len(bands) // _NAMES_IN_LINE),
        margin=FIXED_MARGIN | {"r": _RIGHT},
    )
    return grid.figure(**frame)


def _heading(name: str, band: CalibratedBand) -> str:
    p = f"p < {_SMALLEST_P}" if band.p_value < _SMALLEST_P else f"p = {band.p_value:.3f}"
    return (
        f"<b>{name}</b><br>ECE {band.bins.ece:.2%}<br>"
        f"perfect calibration would give {band.expected_ece:.2%}, {p}"
    )


def _label(grid: Grid, column: int, most: int) -> None:
    """Give all panels the same axes; `most` is the number of images of the fullest bin."""
    shares = {"range": [0, 1], "tickformat": ".0%"}
    across = shares | {"tickvals": [0, 0.25, 0.5, 0.75, 1]}
    images = {"range": [0, 1.05 * most], "nticks": 4}
    first = column == 0
    grid.axes(0, column, across, shares | ({"title": "accuracy"} if first else {}))
    grid.axes(
        1,
        column,
        across | {"title": "confidence"},
        images | ({"title": "images"} if first else {}),
    )


def _panel(grid: Grid, band: CalibratedBand, column: int, position: int) -> None:
    bins = band.bins
    widths = np.diff(bins.edges)
    shade = color(position)
    shared = {"type": "bar", "x": bins.edges[:-1] + widths / 2, "width": widths}
    # Everything about a bin is told by one of its bars, wherever above or below the pointer is.
    hover = {"customdata": _details(band), "hovertemplate": f"{_HOVER}<extra></extra>"}
    # Translucent, so that the whiskers in the same colour can be seen on them.
    solid = {"color": shade, "opacity": 0.5, "line": {"width": 0.5, "color": GREY}}
    whiskers = _whiskers(bins, shade)
    grid.add(0, column, y=bins.accuracy, marker=solid, error_y=whiskers, **shared, **hover)
    # From accuracy to mean confidence: hatched, so that it needs no second colour.
    hatches = {"shape": "/", "fgcolor": GREY, "size": 8, "solidity": 0.2}
    gap = {"mode": "none", "fillcolor": "rgba(0,0,0,0)", "fillpattern": hatches}
    grid.add(0, column, **_boxes(bins.edges, bins.accuracy, bins.confidence), **gap)
    expected = {"mode": "lines", "fillcolor": _BAND, "line": {"width": 1.5, "color": GREY}}
    grid.add(0, column, **_boxes(bins.edges, band.low, band.high), **expected)
    grid.line(0, column, (0, 1), (0, 1))
    images = {"hovertemplate": "%{y} images<extra></extra>"}
    grid.add(1, column, y=bins.counts, marker=solid, **shared, **images)


def _boxes(edges: FloatArray, low: FloatArray, high: FloatArray) -> dict[str, object]:
    """Rectangles over the bins as one trace, which is drawn in half the time of as many bars."""
    left, right, gap = edges[:-1], edges[1:], np.full(len(low), np.nan)
    return {
        "type": "scatter",
        "x": np.stack([left, right, right, left, left, gap], axis=1).ravel(),
        "y": np.stack([low, low, high, high, low, gap], axis=1).ravel(),
        "fill": "toself",
        "hoverinfo": "skip",
    }


def _whiskers(bins: Reliability, shade: str) -> dict[str, object]:
    """Wilson's interval of the accuracy of each bin; none where there is no image."""
    low, high = wilson_interval(bins.accuracy, bins.counts)
    return {
        "array": high - bins.accuracy,
        "arrayminus": bins.accuracy - low,
        "color": shade,
        "thickness": 2,
        "width": 3,
        "visible": len(bins.counts) <= _MOST_WHISKERS,
    }


def _details(band: CalibratedBand) -> FloatArray:
    """What hovering tells of each bin, (n_bins, 8)."""
    bins = band.bins
    low, high = wilson_interval(bins.accuracy, bins.counts)
    shown = (bins.confidence, bins.accuracy, low, high, bins.gap, band.low, band.high, bins.counts)
    return np.stack(shown, axis=1)
