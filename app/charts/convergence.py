"""How soft labels settle over the epochs, for several runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import empty, epochs_axis, fixed_figure, line, translucent
from ols_core.analysis.soft_labels import QUANTILE_LEVELS, Convergence

__all__ = ["QUANTITIES", "convergence_curves"]

QUANTITIES = {
    "Change": "mean total variation",
    "Row entropy": "nats",
    "Own mass": "mass on the target class",
}
"""Title → unit."""


def convergence_curves(
    results: Mapping[str, Convergence], title: str, height: int = 340
) -> go.Figure:
    """Draw one quantity of several runs by epoch; where it has quantiles, median and a band.

    Parameters
    ----------
    results : mapping
        Run name → its convergence, in the order of the runs' colours.
    title : str
        A key of `QUANTITIES`.
    height : int
        In pixels.
    """
    traces: list[dict[str, Any]] = []
    for position, (name, found) in enumerate(results.items()):
        if title == "Change":
            middle, band = found.mean_change, None
        else:
            quantiles = found.entropy if title == "Row entropy" else found.target_mass
            middle, band = quantiles[:, len(QUANTILE_LEVELS) // 2], quantiles[:, [0, -1]]
        # Before the first epoch no row was observed.
        epochs = np.flatnonzero(np.isfinite(middle))
        middle = middle[epochs]
        if band is not None:
            band = band[epochs]
            around = {
                "type": "scatter",
                "x": np.concatenate([epochs, epochs[::-1]]),
                "y": np.concatenate([band[:, 0], band[::-1, 1]]),
                "mode": "lines",
                "fill": "toself",
                "fillcolor": translucent(position),
                "line": {"width": 0},
                "legendgroup": name,
                "showlegend": False,
                "hoverinfo": "skip",
            }
            traces.append(around)
        curve = line(
            epochs,
            middle,
            name,
            position,
            legendgroup=name,
            hovertemplate=f"{name}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
        traces.append(curve)
    if not traces:
        return empty(title, "No soft labels are stored for these runs.", height)
    heading = "Change of a row since the epoch before"
    if title != "Change":
        low, high = (f"{level:.0%}" for level in (QUANTILE_LEVELS[0], QUANTILE_LEVELS[-1]))
        heading = f"{title}: median over classes, and {low} to {high}"
    last = max(len(found.n_rows) for found in results.values()) - 1
    up = {"title": QUANTITIES[title], "rangemode": "tozero"}
    return fixed_figure(traces, heading, height, x=epochs_axis(last), y=up)
