"""Tables of texts as source."""

from __future__ import annotations

import pytest

from ols_core.grid import Grid, render

GRID = Grid(
    "Pairs",
    ("run", "most like", "share %", "p", "minus ce"),
    (("a_b", "cat", "12.5 ± 0.1", "< 0.001", "-0.5"), ("c", "–", "", "0.5", "+1,000")),
)


def test_numbers_stand_to_the_right_and_words_to_the_left():
    assert r"\begin{tabular}{llrrr}" in render(GRID, "latex")
    assert "|---|---|--:|--:|--:|" in render(GRID, "markdown")


@pytest.mark.parametrize("kind", ["latex", "markdown"])
def test_a_table_without_rows_has_its_header(kind):
    assert "share" in render(Grid("None", GRID.header, ()), kind)
