"""Calibration error against the bins it was measured with."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from app.charts.theme import GREY, color, style
from ols_core.analysis.calibration import BinSensitivity

__all__ = ["sensitivity_curves"]


def sensitivity_curves(
    errors: Mapping[str, tuple[BinSensitivity, float]], n_bins: int, height: int = 480
) -> go.Figure:
    """Draw the ECE of each run against the number of bins, and its smooth ECE, which has none.

    Parameters
    ----------
    errors : mapping
        Run name → (ECE by number of bins, smooth ECE), in the order of the runs' colours.
    n_bins : int
        Number of bins to mark.
    height : int
        In pixels.
    """
    figure = go.Figure()
    for position, (name, (found, smooth)) in enumerate(errors.items()):
        lines = {
            "equal-width": (found.equal_width, "solid"),
            "equal-mass": (found.equal_mass, "dash"),
            "smooth": ([smooth] * len(found.n_bins), "dot"),
        }
        for kind, (values, dash) in lines.items():
            unit = "" if kind == "smooth" else "<br>%{x} bins"
            figure.add_scatter(
                x=found.n_bins,
                y=values,
                name=name,
                legendgroup=name,
                showlegend=kind == "equal-width",
                mode="lines",
                line={"color": color(position), "dash": dash, "width": 2},
                hovertemplate=f"{name}, {kind}{unit}: %{{y:.2%}}<extra></extra>",
            )
    figure.add_vline(x=n_bins, line={"color": GREY, "width": 1})
    figure.update_xaxes(title="number of bins")
    figure.update_yaxes(title="ECE", tickformat="~%", rangemode="tozero")
    title = "ECE by number of bins: equal-width solid, equal-mass dashed, smooth ECE dotted"
    return style(figure, title, height, legend_lines=1)
