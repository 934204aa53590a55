"""Colours and the frame that all figures share."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

__all__ = [
    "DIVERGING",
    "FIXED_AXIS",
    "FIXED_MARGIN",
    "GREY",
    "LEGEND_ABOVE",
    "RUN_COLORS",
    "SEQUENTIAL",
    "color",
    "empty",
    "epochs_axis",
    "fixed_figure",
    "framed",
    "line",
    "on_page",
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


@dataclass(frozen=True)
class _Page:
    """Colours of a page: letters stand out from the background by 7 : 1 at least (WCAG 2, AAA)."""

    text: str
    title: str
    line: str
    border: str
    background: str


_LIGHT = _Page("#51555F", "#2F2D2B", "#E6EAF1", "#C9CCD3", "#FFFFFF")
_DARK = _Page("#E6EAF1", "#EDEBE8", "#31333F", "#5A5D68", "#171614")
_MARGIN = {"l": 10, "r": 10, "t": 46, "b": 10}
LEGEND_ABOVE = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
# At the top of the figure, whatever is below: otherwise it moves with the lines of the legend.
_TITLE_PLACE = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "top"}
FIXED_AXIS = {"automargin": False, "tickangle": 0}
FIXED_MARGIN = {"l": 70, "b": 52}
"""Room, in pixels, for the plain numbers and titles of such axes."""
_FEW_EPOCHS = 12
_LARGE = 20_000  # numbers: as text these are more to send than to draw twice
_FONT = '"Source Sans", sans-serif'  # the one that Streamlit brings along


def color(position: int) -> str:
    """Colour of the run at this position among the chosen ones."""
    return RUN_COLORS[position % len(RUN_COLORS)]


def translucent(position: int) -> str:
    """Return the same colour for a band behind a line."""
    red, green, blue = (int(color(position)[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def style(figure: go.Figure, title: str, height: int, **layout: Any) -> go.Figure:
    """Give a figure its title, height and margins."""
    return figure.update_layout(framed(title, height, **layout))


def framed(
    title: str,
    height: int,
    *,
    legend_lines: int = 0,
    margin: Mapping[str, int] = MappingProxyType({}),
    **layout: Any,
) -> dict[str, Any]:
    """Return a layout with title and margins, and so many lines of legend above the plot."""
    legend = {"legend": LEGEND_ABOVE} if legend_lines else {}
    top = {"t": 60 + 20 * legend_lines} if legend_lines else {}
    return {
        "title": {"text": title, "font": {"size": 15}, **_TITLE_PLACE},
        "height": height,
        "margin": {**_MARGIN, **top, **margin},
        **legend,
        **layout,
    }


def fixed_figure(
    traces: Sequence[Mapping[str, Any]],
    title: str,
    height: int,
    *,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    legend_lines: int = 1,
    margin: Mapping[str, int] = MappingProxyType({}),
    **layout: Any,
) -> go.Figure:
    """Make a figure whose axes, of plain numbers, have their room once and for all.

    Otherwise plotly.js measures every label and lays the figure out again, up to several times:
    two figures of curves took 450 ms to draw instead of 150. It is built in one piece, as each
    later change of a figure checks much of it again: eight bars in three colours took 9 ms.
    """
    axes = {"xaxis": {**FIXED_AXIS, **x}, "yaxis": {**FIXED_AXIS, **y}}
    room = {**FIXED_MARGIN, **margin}
    frame = framed(title, height, legend_lines=legend_lines, margin=room, **axes, **layout)
    return go.Figure({"data": list(traces), "layout": frame})


def epochs_axis(last: int) -> dict[str, Any]:
    """Axis of the epochs up to the last one; of few, there would be ticks between two as well."""
    return {"title": "epoch", **({"dtick": 1} if last <= _FEW_EPOCHS else {})}


def line(
    x: Sequence[float] | npt.NDArray[Any],
    y: Sequence[float] | npt.NDArray[Any],
    name: str,
    position: int,
    dash: str = "solid",
    **trace: Any,
) -> dict[str, Any]:
    """Line of the run at this position; a single point is a dot."""
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "name": name,
        "mode": "lines" if len(x) > 1 else "markers",
        "line": {"color": color(position), "dash": dash, "width": 2},
        **trace,
    }


def empty(title: str, message: str, height: int = 300) -> go.Figure:
    """Return a titled figure that says why it shows nothing."""
    figure = go.Figure()
    figure.add_annotation(text=message, showarrow=False, font={"size": 14})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return style(figure, title, height)


def on_page(figure: go.Figure, *, dark: bool) -> go.Figure:
    """Return a copy in the colours of a light or a dark page, which is drawn only once.

    Streamlit gives every figure to plotly.js twice. The second time changes nothing, but plotly.js
    draws it all again if there is a template, if numbers come in binary form, or if
    `datarevision` does not tell it that they are the same. So the copy has neither of the two, and
    what the figure does not choose itself is written into it.
    """
    spec = _plain(figure.to_plotly_json())
    layout = spec["layout"]
    layout.pop("template", None)
    page = _DARK if dark else _LIGHT
    axes = {"xaxis", "yaxis"} | {name for name in layout if name.startswith(("xaxis", "yaxis"))}
    defaults = _frame(page) | {name: _axis(name, page) for name in axes}
    # Without checking all of it again, which takes as long as building the figure did.
    drawn = go.Figure({**spec, "layout": _completed(layout, defaults)}, _validate=False)
    drawn.layout.template = None  # it was born with the default one
    return drawn


def _frame(page: _Page) -> dict[str, Any]:
    font = {"family": _FONT, "size": 12, "color": page.text}
    return {
        "datarevision": 0,
        "font": font,
        "title": {"font": {"color": page.title, "weight": 600}, "pad": {"l": 4, "t": 14}},
        "legend": {"font": {"color": page.title}},
        "paper_bgcolor": page.background,
        "plot_bgcolor": page.background,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": page.background,
            "bordercolor": page.border,
            "font": font,
            "align": "left",
        },
        "margin": {"pad": 8},
    }


def _axis(name: str, page: _Page) -> dict[str, Any]:
    """Lines across the plot only, as bars and curves are read against them."""
    lines = {"showgrid": False, "zeroline": False} if name.startswith("x") else {}
    return {
        "automargin": True,
        # Hiding what overflows measures every label for every label: of a few bars and lines that
        # was a quarter of the time.
        "ticklabeloverflow": "allow",
        "gridcolor": page.line,
        "zerolinecolor": page.line,
        "title": {"font": {"size": 14}, "standoff": 20},
        **lines,
    }


def _completed(own: Any, defaults: Any) -> Any:
    """Defaults where a nested mapping says nothing itself."""
    if not isinstance(own, Mapping) or not isinstance(defaults, Mapping):
        return own
    return {**defaults, **{key: _completed(own[key], defaults.get(key)) for key in own}}


def _plain(value: Any) -> Any:
    """Plotly's binary arrays as lists, however deep they are, but for large ones."""
    if isinstance(value, dict):
        if "bdata" in value:
            flat = np.frombuffer(b64decode(value["bdata"]), dtype=value["dtype"])
            if flat.size > _LARGE:
                return value
            shape = [int(n) for n in str(value.get("shape", flat.size)).split(",")]
            return flat.reshape(shape).tolist()
        return {key: _plain(item) for key, item in value.items()}
    # Of the lists and tuples only those of traces, axes and so on hold mappings.
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value[:1]):
        return [_plain(item) for item in value]
    return value
