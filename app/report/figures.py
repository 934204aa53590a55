"""Figures of the pages made fit for narrow columns and for names that may hold anything."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from app.charts.theme import LEGEND_ABOVE
from ols_core.runs import DatasetInfo

__all__ = ["in_column", "plain_names"]

_TITLE = 46  # pixels that it takes
_LINE = 20  # of the legend


def in_column(figure: go.Figure, n_runs: int) -> go.Figure:
    """Give the legend of a figure a line for each run, as long ids need it in a narrow column."""
    room = _LINE * n_runs
    return figure.update_layout(
        legend=LEGEND_ABOVE,
        title={"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 16}},
        margin={"t": _TITLE + room},
        height=figure.layout.height + room - _LINE,
    )


def plain_names(dataset: DatasetInfo) -> DatasetInfo:
    """Return a data set whose names Plotly shows as they are: it reads some tags in texts."""
    superclasses = dataset.superclasses
    plain = {
        "class_names": [_escaped(name) for name in dataset.class_names],
        "superclasses": None if superclasses is None else [_escaped(name) for name in superclasses],
    }
    return dataset.model_copy(update=plain)


def _escaped(name: str) -> str:
    return html.escape(name, quote=False)
