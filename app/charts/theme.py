"""Colours and the frame that all figures share."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

__all__ = [
    "DIVERGING",
    "GREY",
    "RUN_COLORS",
    "SEQUENTIAL",
    "color",
    "empty",
    "fixed_margins",
    "legend_above",
    "style",
    "translucent",
]

# Okabe and Ito (2008): distinguishable under the common colour-vision deficiencies, and on white
# as on dark backgrounds.
RUN_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
GREY = "#9AA0A6"
# Perceptually uniform and readable without red-green vision (Nuñez et al. 2018).
SEQUENTIAL = "cividis"
# Okabe and Ito's blue and vermilion, darker outwards: distinguishable with every colour vision.
DIVERGING = ("#003A61", "#0072B2", "#86BBDD", "#FFFFFF", "#F2B183", "#D55E00", "#7A3300")


def color(position: int) -> str:
    """Colour of the run at this position among the chosen ones."""
    return RUN_COLORS[position % len(RUN_COLORS)]


def translucent(position: int) -> str:
    """Return the same colour for a band behind a line."""
    red, green, blue = (int(color(position)[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def style(figure: go.Figure, title: str, height: int, **layout: Any) -> go.Figure:
    """Give a figure its title, height and margins."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0, "xanchor": "left"},
        height=height,
        margin={"l": 10, "r": 10, "t": 46, "b": 10},
        **layout,
    )
    return figure


def legend_above(figure: go.Figure, lines: int = 1) -> go.Figure:
    """Put the legend between title and plot, with room for so many lines of it."""
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
    return figure.update_layout(legend=legend, margin={"t": 70 + 20 * lines})


def fixed_margins(figure: go.Figure) -> go.Figure:
    """Give axes of plain numbers their room once and for all.

    Otherwise plotly.js measures every label and lays the figure out again, up to several times:
    two figures of curves took 450 ms to draw instead of 150.
    """
    figure.update_xaxes(automargin=False)
    figure.update_yaxes(automargin=False)
    return figure.update_layout(margin={"l": 70, "b": 52})


def empty(title: str, message: str, height: int = 300) -> go.Figure:
    """Return a titled figure that says why it shows nothing."""
    figure = go.Figure()
    figure.add_annotation(text=message, showarrow=False, font={"size": 14})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return style(figure, title, height)
