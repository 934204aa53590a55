"""Reliability diagrams, side by side on the same axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.theme import GREY, color, style
from ols_core.analysis.calibration import Reliability

__all__ = ["reliability_diagrams"]


def reliability_diagrams(
    diagrams: Mapping[str, Reliability], first: int = 0, height: int = 520
) -> go.Figure:
    """Accuracy against confidence by bin, one panel a run, with the number of images below.

    Parameters
    ----------
    diagrams : mapping
        Run name → diagram.
    first : int
        Position of the first one among the chosen runs, for its colour.
    height : int
        In pixels.
    """
    n = len(diagrams)
    figure = make_subplots(
        rows=2,
        cols=n,
        row_heights=[0.74, 0.26],
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.05,
        horizontal_spacing=0.05,
        subplot_titles=[f"{name}<br>ECE {d.ece:.2%}" for name, d in diagrams.items()],
    )
    for position, diagram in enumerate(diagrams.values()):
        _panel(figure, diagram, position, first)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_xaxes(title="confidence", row=2)
    figure.update_yaxes(range=[0, 1], tickformat=".0%", row=1)
    figure.update_yaxes(title="accuracy", row=1, col=1)
    most = max(int(d.counts.max()) for d in diagrams.values())
    figure.update_yaxes(range=[0, 1.05 * most], nticks=4, row=2)
    figure.update_yaxes(title="images", row=2, col=1)
    figure.update_annotations(font_size=13)
    style(figure, "", height, showlegend=False, bargap=0, barmode="overlay")
    return figure.update_layout(title=None, margin={"t": 60})


def _panel(figure: go.Figure, diagram: Reliability, position: int, first: int) -> None:
    at = {"col": position + 1}
    widths = np.diff(diagram.edges)
    centres = diagram.edges[:-1] + widths / 2
    gap = diagram.confidence - diagram.accuracy
    hover = (
        "confidence %{customdata[0]:.1%}<br>accuracy %{customdata[1]:.1%}<br>"
        "gap %{customdata[2]:+.1%}<br>%{customdata[3]} images<extra></extra>"
    )
    data = np.stack([diagram.confidence, diagram.accuracy, gap, diagram.counts], axis=1)
    shared = {"x": centres, "width": widths, "customdata": data, "hovertemplate": hover}
    solid = {"color": color(first + position), "line": {"width": 0.5, "color": GREY}}
    hatched = {
        "color": "rgba(0,0,0,0)",
        "line": {"width": 0},
        "pattern": {"shape": "/", "fgcolor": GREY, "size": 6, "solidity": 0.3},
    }
    figure.add_bar(y=diagram.accuracy, marker=solid, row=1, **at, **shared)
    # From accuracy to mean confidence: hatched, so that it needs no second colour.
    figure.add_bar(y=gap, base=diagram.accuracy, marker=hatched, row=1, **at, **shared)
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1},
        hoverinfo="skip",
        row=1,
        **at,
    )
    figure.add_bar(y=diagram.counts, marker=solid, row=2, **at, **shared)
