"""Classes in the plane, those of a superclass in one colour and symbol."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.theme import RUN_COLORS, color, style
from ols_core.analysis.similarity import ClassMap

__all__ = ["N_LOOKS", "class_map_figure"]

# Seven, which has no divisor in common with the six colours: neighbours in the legend differ in
# both, and 42 superclasses have a look of their own.
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
N_LOOKS = math.lcm(len(RUN_COLORS), len(_SYMBOLS))
"""Superclasses that differ from each other in colour or symbol."""
_MOST_NAMES = 120  # more of them cover each other wherever they are put
_SIDES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}
# In pixels, of the font and the markers below; letters differ, so their width is a mean.
_LETTER, _LINE, _MARKER, _SMALL_MARKER = 6, 13, 9, 5
_MARGIN = 0.07  # beside the outermost points, as a share of the map's width
_PLOT_WIDTH, _AROUND = 850, 130  # at 1280 pixels with a legend; title and axis above and below


def class_map_figure(
    found: ClassMap,
    class_names: Sequence[str],
    superclasses: Sequence[str] | None,
    title: str,
    height: int = 760,
) -> go.Figure:
    """One point a class; a click on a superclass in the legend shows it alone.

    Parameters
    ----------
    found : ClassMap
    class_names : sequence of str
        Written beside the points, unless there are more than 120.
    superclasses : sequence of str or None
        The superclass of each class, where known.
    title : str
    height : int
        In pixels.
    """
    names = np.asarray(class_names)
    groups = np.asarray(superclasses if superclasses is not None else [""] * len(names))
    named = len(names) <= _MOST_NAMES
    sides = np.full(len(names), "top center")
    if named:
        sides = _name_sides(found.positions, class_names, height)
    traces = []
    for place, group in enumerate(np.unique(groups).tolist()):
        inside = groups == group
        traces.append(
            {
                "type": "scatter",
                "x": found.positions[inside, 0],
                "y": found.positions[inside, 1],
                "name": group,
                "mode": "markers+text" if named else "markers",
                "marker": {
                    "size": _MARKER if named else _SMALL_MARKER,
                    "color": color(place),
                    "symbol": _SYMBOLS[place % len(_SYMBOLS)],
                },
                "text": names[inside],
                "textposition": sides[inside],
                "textfont": {"size": 11},
                "hovertemplate": f"<b>%{{text}}</b><br>{group}<extra></extra>",
            }
        )
    figure = go.Figure(traces)
    bare = {"zeroline": False, "showgrid": False}
    # Ranges are fixed, so that a superclass shown alone stays where it is among the others.
    low, high = found.positions.min(axis=0), found.positions.max(axis=0)
    margin = _MARGIN * float((high - low).max()) or 1.0
    across, up = np.column_stack([low - margin, high + margin]).tolist()
    figure.update_xaxes(title="MDS axis 1, in units of dissimilarity", range=across, **bare)
    figure.update_yaxes(
        title="MDS axis 2, in units of dissimilarity", range=up, scaleanchor="x", **bare
    )
    legend = {"title": "superclass", "itemclick": "toggleothers", "itemdoubleclick": "toggle"}
    return style(figure, title, height, legend=legend, showlegend=superclasses is not None)


def _name_sides(
    positions: npt.NDArray[np.float64], names: Sequence[str], height: int
) -> npt.NDArray[np.str_]:
    """Put each name on that side of its point where it covers least of the points and names.

    Names are placed one after the other; of equally good sides the first one is taken.
    """
    extent = np.maximum(np.ptp(positions, axis=0), 1e-9)
    points = positions * min(_PLOT_WIDTH / extent[0], (height - _AROUND) / extent[1])
    # boxes as centres and half sizes: first the markers, then the names that have their place
    centres = np.concatenate([points, np.full_like(points, np.inf)])
    halves = np.full_like(centres, _MARKER / 2)
    halves[len(names) :] = np.array([(len(name) * _LETTER, _LINE) for name in names]) / 2
    directions = np.array(list(_SIDES.values()))
    chosen = []
    for index, point in enumerate(points):
        half = halves[len(names) + index]
        candidates = point + directions * (half + _MARKER / 2 + 1)
        apart = np.abs(candidates[:, None] - centres)
        covered = np.maximum(half + halves - apart, 0).prod(axis=2).sum(axis=1)
        best = int(covered.argmin())
        centres[len(names) + index] = candidates[best]
        chosen.append(list(_SIDES)[best])
    return np.array(chosen)
