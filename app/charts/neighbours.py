"""What one class resembles: bars for several runs, lines over the epochs of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.theme import color, empty, epochs_axis, fixed_figure, line

__all__ = ["neighbour_bars", "neighbour_lines"]

_LETTER = 7  # pixels, on average
_SYMBOL = 45  # pixels, with the gaps around it
_NARROW = 300  # pixels: a plot in a third of a small screen
_MAX_LETTERS = 24
_SHADE = "rgba(128,134,139,0.25)"


def neighbour_bars(
    masses: Mapping[str, Sequence[float]], classes: Sequence[str], title: str, height: int
) -> go.Figure:
    """Mass that a class's soft label gives to other classes.

    Parameters
    ----------
    masses : mapping
        Run name → mass of each of `classes`, in the order of the runs' colours.
    classes : sequence of str
        The other classes, strongest first.
    title : str
    height : int
        In pixels.
    """
    if not masses:
        return empty(title, "No chosen run stores soft labels.", height)
    bars = [
        {
            "type": "bar",
            "x": list(values),
            "y": list(classes),
            "name": name,
            "orientation": "h",
            "marker": {"color": color(position)},
            "hovertemplate": f"{name}<br>%{{y}}: %{{x:.4f}}<extra></extra>",
        }
        for position, (name, values) in enumerate(masses.items())
    ]
    short = [n if len(n) <= _MAX_LETTERS else f"{n[: _MAX_LETTERS - 1]}…" for n in classes]
    # Names are as wide as they are long: measuring them would lay the figure out several times.
    widest = _LETTER * max(map(len, short), default=0)
    return fixed_figure(
        bars,
        title,
        height,
        x={"title": "mass in the soft label", "rangemode": "tozero"},
        y={
            "autorange": "reversed",
            "type": "category",
            "tickvals": list(classes),
            "ticktext": short,
        },
        legend_lines=len(masses),
        margin={"l": 16 + widest},
        barmode="group",
        bargap=0.25,
    )


def neighbour_lines(
    epochs: Sequence[int],
    rows: npt.NDArray[np.floating],
    classes: Sequence[str],
    fallback: npt.NDArray[np.bool_],
    title: str,
    height: int,
) -> go.Figure:
    """Mass that a class's soft label gives to other classes, epoch by epoch.

    Parameters
    ----------
    epochs : sequence of int, length T
    rows : ndarray of shape (T, n)
        Mass of each of `classes`.
    classes : sequence of str, length n
    fallback : ndarray of shape (T,), bool
        Where the row rests on no sample: shaded.
    title : str
    height : int
        In pixels.
    """
    lines = [
        line(
            list(epochs),
            rows[:, position].tolist(),
            name,
            position,
            hovertemplate=f"{name}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
        for position, name in enumerate(classes)
    ]
    return fixed_figure(
        lines,
        title,
        height,
        x=epochs_axis(max(epochs)),
        y={"title": "mass", "rangemode": "tozero"},
        legend_lines=_lines_of(classes),
        shapes=[_shade(epoch) for epoch in np.asarray(epochs)[fallback].tolist()],
    )


def _shade(epoch: int) -> dict[str, object]:
    return {
        "type": "rect",
        "x0": epoch - 0.5,
        "x1": epoch + 0.5,
        "y0": 0,
        "y1": 1,
        "yref": "y domain",
        "fillcolor": _SHADE,
        "line": {"width": 0},
        "layer": "below",
    }


def _lines_of(names: Sequence[str]) -> int:
    """Lines that the names take in the legend of a narrow figure, at most."""
    widest = _SYMBOL + _LETTER * max(map(len, names), default=0)
    return ceil(len(names) / max(1, _NARROW // widest))
