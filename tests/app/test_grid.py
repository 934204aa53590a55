from __future__ import annotations

import numpy as np
import pytest
from plotly.subplots import make_subplots

from app.charts.grid import Grid


@pytest.mark.parametrize(("rows", "columns"), [([1.0], 3), ([0.74, 0.26], 1), ([0.5, 0.5], 2)])
def test_panels_are_where_plotly_puts_them(rows, columns):
    grid = Grid(columns, rows, gap_x=0.05, gap_y=0.1)
    expected = make_subplots(
        rows=len(rows),
        cols=columns,
        row_heights=rows,
        horizontal_spacing=0.05,
        vertical_spacing=0.1,
        subplot_titles=["title"] * len(rows) * columns,
    )
    for row in range(len(rows)):
        for column in range(columns):
            grid.axes(row, column)
            grid.title(row, column, "title")
    figure = grid.figure()
    for axis in (*expected.select_xaxes(), *expected.select_yaxes()):
        ours = figure.layout[axis.plotly_name]
        assert np.allclose(ours.domain, axis.domain)
        assert ours.anchor == axis.anchor
    for ours, note in zip(figure.layout.annotations, expected.layout.annotations, strict=True):
        assert (ours.x, ours.y) == pytest.approx((note.x, note.y))


def test_shared_axes_are_labelled_once_and_move_together():
    grid = Grid(2, [0.5, 0.5], share_x=True, share_y=True)
    for row in (0, 1):
        for column in (0, 1):
            grid.axes(row, column)
            grid.add(row, column, type="scatter", x=[1], y=[2])
    figure = grid.figure()
    assert [trace.xaxis for trace in figure.data] == ["x", "x2", "x3", "x4"]
    labelled = [axis.showticklabels for axis in figure.select_xaxes()]
    assert labelled == [False, False, None, None]
    assert [axis.matches for axis in figure.select_xaxes()] == ["x3", "x4", None, None]
    assert [axis.matches for axis in figure.select_yaxes()] == [None, "y", None, "y3"]
