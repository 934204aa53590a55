"""What is gained by refusing the least confident predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import fixed_figure, line
from ols_core.analysis.calibration import RiskCoverage

__all__ = ["risk_coverage_curves"]

_MAX_POINTS = 500  # of a curve: about one for every second pixel
_DASHES = ("solid", "dash", "dot")


def risk_coverage_curves(
    curves: Mapping[str, Mapping[str, RiskCoverage]], height: int = 480
) -> go.Figure:
    """Draw the error rate among the accepted predictions of several runs.

    Parameters
    ----------
    curves : mapping
        Run name → score → curve, in the order of the runs' colours; of some runs perhaps only the
        first score.
    height : int
        In pixels.
    """
    lines = []
    for position, (name, by_score) in enumerate(curves.items()):
        for dash, (score, curve) in zip(_DASHES, by_score.items(), strict=False):
            # Points of the curve itself, the first and the last among them.
            n_points = min(_MAX_POINTS, curve.n_samples)
            drawn = np.linspace(0, curve.n_samples - 1, n_points).round().astype(int)
            trace = line(
                curve.coverage[drawn],
                curve.risk[drawn],
                name,
                position,
                dash,
                legendgroup=name,
                showlegend=dash == _DASHES[0],
                hovertemplate=(
                    f"{name}, {score}<br>%{{x:.1%}} accepted: %{{y:.2%}} wrong<extra></extra>"
                ),
            )
            lines.append(trace)
    scores = max(curves.values(), key=len)
    styles = ", ".join(
        f"{score} {'solid' if dash == 'solid' else 'dashed'}"
        for dash, score in zip(_DASHES, scores, strict=False)
    )
    return fixed_figure(
        lines,
        f"Risk by coverage: {styles}",
        height,
        x={
            "title": "coverage: share of images accepted",
            "tickformat": ".0%",
            "range": [0, 1],
        },
        y={
            "title": "risk: share of these that is wrong",
            "tickformat": "~%",
            "rangemode": "tozero",
        },
        margin={"r": 28},  # room for half of the last "100%"
    )
