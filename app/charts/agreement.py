"""How well several similarities agree, each two of them in a cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import DIVERGING, GREY, style
from ols_core.analysis.similarity import Mantel

__all__ = ["agreement_figure"]

_DARK = 0.7  # correlation from which the colours are so dark that text is white


def agreement_figure(
    tests: Mapping[tuple[str, str], Mantel], title: str, height: int = 400
) -> go.Figure:
    """Draw the rank correlation of each two similarities, with its p-value.

    Parameters
    ----------
    tests : mapping
        Names of two similarities → their test; each two once, at least one.
    title : str
    height : int
        In pixels.
    """
    names = list(dict.fromkeys(name for pair in tests for name in pair))
    correlations = np.full((len(names), len(names)), np.nan)
    hover = np.full(correlations.shape, "", dtype=object)
    notes = []
    for pair, found in tests.items():
        for row, column in (pair, pair[::-1]):
            cell = names.index(row), names.index(column)
            correlations[cell] = found.correlation
            hover[cell] = _details(found)
            notes.append(
                {
                    "x": column,
                    "y": row,
                    "text": _text(found),
                    "showarrow": False,
                    "font": {"size": 12, "color": _text_color(found)},
                }
            )
    heatmap = go.Heatmap(
        z=correlations,
        x=names,
        y=names,
        text=hover,
        zmin=-1,
        zmax=1,
        colorscale=DIVERGING,
        colorbar={"title": {"text": "ρ", "side": "top"}, "thickness": 14},
        hovertemplate="%{y} and %{x}<br>%{text}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    figure = go.Figure(heatmap)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return style(figure, title, height, annotations=notes)


def _text(found: Mantel) -> str:
    if math.isnan(found.correlation):
        return "none"
    return f"{found.correlation:z.2f}<br>p {found.p_value:.3f}"


def _details(found: Mantel) -> str:
    return (
        f"ρ {found.correlation:.4f}<br>"
        f"p {found.p_value:.3f} ({found.n_permutations} permutations of {found.n_classes} classes)"
    )


def _text_color(found: Mantel) -> str:
    if math.isnan(found.correlation):
        return GREY
    return "#FFFFFF" if abs(found.correlation) >= _DARK else "#000000"
