"""Every Plotly figure of the dashboard, and what it can be taken along as: picture, page, table."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

from app.charts.theme import on_page

__all__ = ["show_figure"]

_HTML = """
<div class="pictures">
  <button type="button" value="png">PNG picture</button>
  <button type="button" value="svg">SVG picture</button>
  <output></output>
</div>
"""
# Streamlit gives every figure its template at birth: time for nothing, as it is not drawn with it.
pio.templates.default = None

_FOLDER = Path(__file__).parent
_JS = (_FOLDER / "figure.js").read_text(encoding="utf-8")
_CSS = (_FOLDER / "figure.css").read_text(encoding="utf-8")
_PICTURES = st.components.v2.component("figure_pictures", html=_HTML, css=_CSS, js=_JS)


def show_figure(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    name: str,
    data: Callable[[], pd.DataFrame],
    **chart: Any,
) -> Any:
    """Draw a figure, and below it a small menu of downloads.

    The pictures are made in the browser from the chart as it is shown there: zoomed, in the theme
    of the page. The HTML page and the CSV table are made on the server, when they are asked for.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    key, alt : str
        As `st.plotly_chart` takes them.
    name : str
        Name of the files, without an ending; what does not belong into one becomes a hyphen.
    data : callable
        Returns what the figure shows, tidy and unrounded.
    **chart
        Further arguments of `st.plotly_chart`, such as `on_select`.

    Returns
    -------
    DeltaGenerator or PlotlyState
        What `st.plotly_chart` returns: with `on_select`, the selection.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    with st.container(gap=None):
        drawn = on_page(figure, dark=st.context.theme.type == "dark")
        result = st.plotly_chart(drawn, key=key, alt=alt, theme=None, **chart)
        with (
            st.container(horizontal=True, horizontal_alignment="right"),
            st.popover(
                ":small[Download]",
                type="tertiary",
                icon=":material/download:",
                key=f"{key}-download",
            ),
        ):
            _PICTURES(key=f"{key}-pictures", data={"chart": _css_class(key), "stem": stem})
            st.download_button(
                "HTML page",
                lambda: _page(figure, alt),
                f"{stem}.html",
                "text/html",
                key=f"{key}-html",
                on_click="ignore",
                width="stretch",
            )
            st.download_button(
                "CSV table",
                lambda: data().to_csv(index=False),
                f"{stem}.csv",
                "text/csv",
                key=f"{key}-csv",
                on_click="ignore",
                width="stretch",
            )
    return result


def _css_class(key: str) -> str:
    """Class that Streamlit gives to the element of a key."""
    return "st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())


def _page(figure: go.Figure, title: str) -> str:
    """A page of its own that needs no network: plotly.js is in it."""
    chart = go.Figure(figure).update_layout(template="plotly_white")
    body = chart.to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False})
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title></head>\n<body>{body}</body></html>\n"
    )
