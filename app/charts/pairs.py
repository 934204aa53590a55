"""Pairs of classes, as two sources of similarity see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import color, style
from ols_core.analysis.similarity import PairComparison

__all__ = ["pair_scatter"]


def pair_scatter(
    pairs: PairComparison,
    class_names: Sequence[str],
    across: str,
    up: str,
    height: int = 460,
) -> go.Figure:
    """One point a pair of classes.

    Parameters
    ----------
    pairs : PairComparison
        In two similarities: the first lies across, the second up.
    class_names : sequence of str
    across, up : str
        What the sources are called.
    height : int
        In pixels.
    """
    names = np.asarray(class_names)
    x, y = pairs.similarity.astype(np.float32)
    figure = go.Figure(
        go.Scattergl(
            x=x,
            y=y,
            mode="markers",
            marker={"size": 5, "opacity": 0.6, "color": color(0)},
            text=np.char.add(np.char.add(names[pairs.first], " and "), names[pairs.second]),
            hovertemplate=f"%{{text}}<br>{across}: %{{x:.4f}}<br>{up}: %{{y:.4f}}<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"similarity by {across}")
    figure.update_yaxes(title=f"similarity by {up}")
    return style(figure, f"Pairs of classes: {up} against {across}", height)
