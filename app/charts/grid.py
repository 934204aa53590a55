"""Panels of one figure in rows and columns, built in one piece.

`plotly.subplots.make_subplots` gives the same, but each later change of a figure checks all of it
again: six panels took 90 ms to build, in one piece 20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from app.charts.theme import FIXED_AXIS, FIXED_MARGIN, GREY

__all__ = ["Grid"]

_TITLE_SIZE = 13


class Grid:
    """Rows and columns of panels that share the horizontal axis of a column.

    Parameters
    ----------
    columns : int
    row_heights : sequence of float
        Share of each row, from the top; their sum is 1.
    gap_x, gap_y : float
        Between panels, as shares of the figure.
    share_x, share_y : bool
        Whether the panels of a column have one horizontal axis, and those of a row one vertical
        axis; only the outermost one has labels then.
    fixed : bool
        Whether axes, of plain numbers, have their room once and for all; see `fixed_figure`.
    """

    def __init__(
        self,
        columns: int,
        row_heights: Sequence[float] = (1.0,),
        *,
        gap_x: float = 0.05,
        gap_y: float = 0.05,
        share_x: bool = False,
        share_y: bool = False,
        fixed: bool = False,
    ) -> None:
        self._columns = columns
        self._across = _domains([1 / columns] * columns, gap_x)
        # From the top, while shares of a figure count from the bottom.
        self._up = [(1 - high, 1 - low) for low, high in _domains(row_heights, gap_y)]
        self._share = share_x, share_y
        self._axis, self._margin = (FIXED_AXIS, FIXED_MARGIN) if fixed else ({}, {})
        self._traces: list[dict[str, Any]] = []
        self._axes: dict[str, dict[str, Any]] = {}
        self._notes: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def add(self, row: int, column: int, **trace: Any) -> None:
        """Put a trace into a panel, both counted from 0."""
        number = self._number(row, column)
        spatial = f"scene{number}" in self._axes
        place = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        self._traces.append({**trace, **({"scene": f"scene{number}"} if spatial else place)})

    def axes(
        self, row: int, column: int, x: Mapping[str, Any] = {}, y: Mapping[str, Any] = {}
    ) -> None:
        """Make a panel with the settings of its axes; once for each panel that is used."""
        number = self._number(row, column)
        place_x: dict[str, Any] = {"domain": self._across[column], "anchor": f"y{number}"}
        place_y: dict[str, Any] = {"domain": self._up[row], "anchor": f"x{number}"}
        share_x, share_y = self._share
        if share_x and row < len(self._up) - 1:
            bottom = self._number(len(self._up) - 1, column)
            place_x |= {"matches": f"x{bottom}", "showticklabels": False}
        if share_y and column:
            place_y |= {"matches": f"y{self._number(row, 0)}", "showticklabels": False}
        self._axes[f"xaxis{number}"] = self._axis | place_x | dict(x)
        self._axes[f"yaxis{number}"] = self._axis | place_y | dict(y)

    def scene(self, row: int, column: int, axes: Sequence[Mapping[str, Any]]) -> None:
        """Make a panel in space instead, with the settings of its three axes."""
        place = {"x": self._across[column], "y": self._up[row]}
        settings = {f"{letter}axis": dict(axis) for letter, axis in zip("xyz", axes, strict=True)}
        name = f"scene{self._number(row, column)}"
        self._axes[name] = {"domain": place, "aspectmode": "data", **settings}

    def title(self, row: int, column: int, text: str) -> None:
        """Write a title above a panel."""
        self._notes.append(
            {
                "text": text,
                "x": sum(self._across[column]) / 2,
                "y": self._up[row][1],
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": _TITLE_SIZE},
            }
        )

    def line(
        self, row: int, column: int, x: tuple[float, float], y: tuple[float, float] | None = None
    ) -> None:
        """Draw a dashed line from end to end, across the whole height unless `y` is given."""
        number = self._number(row, column)
        ends = {"x0": x[0], "x1": x[1]} | dict(zip(("y0", "y1"), y or (0, 1), strict=True))
        place = {"xref": f"x{number}", "yref": f"y{number}" + ("" if y else " domain")}
        dashes = {"color": GREY, "dash": "dash", "width": 1.5}
        self._lines.append({"type": "line", **ends, **place, "line": dashes})

    def figure(self, *, margin: Mapping[str, int] = {}, **layout: Any) -> go.Figure:
        """Build the figure; `layout` goes beside the axes, titles and lines."""
        everything = {
            **self._axes,
            "annotations": self._notes,
            "shapes": self._lines,
            "margin": {**self._margin, **margin},
            **layout,
        }
        return go.Figure({"data": self._traces, "layout": everything})

    def _number(self, row: int, column: int) -> str:
        number = row * self._columns + column + 1
        return "" if number == 1 else str(number)


def _domains(shares: Sequence[float], gap: float) -> list[tuple[float, float]]:
    """Ends of neighbours that share a length of 1, with gaps between them."""
    room = 1 - gap * (len(shares) - 1)
    ends: list[tuple[float, float]] = []
    start = 0.0
    for share in shares:
        ends.append((start, min(start + share * room, 1.0)))
        start = ends[-1][1] + gap
    return ends
