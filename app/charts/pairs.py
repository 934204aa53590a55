"""Pairs of classes, as two sources of similarity see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app.charts.theme import color, style

__all__ = ["pair_scatter"]

_MOST_PAIRS = 20_000


def pair_scatter(
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    class_names: Sequence[str],
    across: str,
    up: str,
    height: int = 460,
) -> go.Figure:
    """One point a pair of classes.

    Parameters
    ----------
    first, second : ndarray of shape (K, K)
        Symmetric similarities. Of more than 20,000 pairs, those most similar in either are drawn.
    class_names : sequence of str
    across, up : str
        What the sources are called.
    height : int
        In pixels.
    """
    rows, columns = np.triu_indices(len(first), 1)
    x, y = first[rows, columns], second[rows, columns]
    if len(x) > _MOST_PAIRS:
        best = np.minimum(np.argsort(np.argsort(-x)), np.argsort(np.argsort(-y)))
        kept = np.sort(np.argsort(best, kind="stable")[:_MOST_PAIRS])
        rows, columns, x, y = rows[kept], columns[kept], x[kept], y[kept]
    names = np.asarray(class_names)
    figure = go.Figure(
        go.Scattergl(
            x=x.astype(np.float32),
            y=y.astype(np.float32),
            mode="markers",
            marker={"size": 4, "opacity": 0.5, "color": color(0)},
            text=np.char.add(np.char.add(names[rows], " and "), names[columns]),
            hovertemplate=f"%{{text}}<br>{across}: %{{x:.4f}}<br>{up}: %{{y:.4f}}<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"similarity by {across}")
    figure.update_yaxes(title=f"similarity by {up}")
    return style(figure, f"Pairs of classes: {up} against {across}", height)
