"""What a report is made of, before it is a page, a picture or a file of numbers."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import datetime

import plotly.graph_objects as go

from ols_core.analysis.calibration import Interval
from ols_core.grid import Grid

__all__ = [
    "Block",
    "Cell",
    "Chart",
    "Heading",
    "Missing",
    "Number",
    "Range",
    "Report",
    "Section",
    "Table",
    "Text",
    "cell_text",
]

_ABSENT = "–"


@dataclass(frozen=True)
class Number:
    """A number and the format that shows it; NaN or None is a value that there is not."""

    value: float | None
    form: str = ".4f"


@dataclass(frozen=True)
class Range:
    """A number with its 95 % interval, and the format of all three."""

    interval: Interval
    form: str = ".4f"


Cell = str | Number | Range


@dataclass(frozen=True)
class Table:
    """Numbers by row and column.

    Attributes
    ----------
    name : str
        Of its file, without an ending.
    title : str
    header : tuple of str
    rows : tuple of tuple of Cell
        The first cell of each names the row.
    note : str
        What a reader must know to read it.
    folded : bool
        Whether a page shows it only when asked to.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False

    def grid(self) -> Grid:
        """Return it as texts, for LaTeX."""
        rows = tuple(tuple(map(cell_text, row)) for row in self.rows)
        return Grid(self.title, self.header, rows)

    def csv(self) -> str:
        """Return it at full precision; a number with an interval takes three columns."""
        wide = [
            any(isinstance(row[place], Range) for row in self.rows)
            for place in range(len(self.header))
        ]
        titles = [
            name
            for title, three in zip(self.header, wide, strict=True)
            for name in ([title, f"{title} low", f"{title} high"] if three else [title])
        ]
        rows = [
            [value for cell, three in zip(row, wide, strict=True) for value in _raw(cell, three)]
            for row in self.rows
        ]
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([titles, *rows])
        return stream.getvalue()


@dataclass(frozen=True)
class Chart:
    """A figure with its caption.

    Attributes
    ----------
    name : str
        Of its file, without an ending.
    figure : plotly.graph_objects.Figure
    caption : str
    narrow : bool
        Whether one column of a paper, or half of a page, is wide enough for it.
    most_width : int or None
        Pixels of which it makes use on a page.
    """

    name: str
    figure: go.Figure
    caption: str
    narrow: bool = False
    most_width: int | None = None


@dataclass(frozen=True)
class Heading:
    """The title of what follows in a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Missing:
    """What the report would show if the runs held it, and how to get it."""

    text: str


Block = Heading | Text | Missing | Table | Chart


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """Everything that was found on some runs.

    Attributes
    ----------
    created : datetime
        With its time zone.
    run_ids : tuple of str
    versions : tuple of (str, str)
        Packages that it was made with.
    sections : tuple of Section
    """

    created: datetime
    run_ids: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def charts(self) -> list[Chart]:
        """All figures, in order."""
        return [block for block in self._blocks() if isinstance(block, Chart)]

    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [block for block in self._blocks() if isinstance(block, Table)]

    def missing(self) -> list[str]:
        """All sentences on what the runs do not hold, each once."""
        found = (block.text for block in self._blocks() if isinstance(block, Missing))
        return list(dict.fromkeys(found))

    def _blocks(self) -> list[Block]:
        return [block for section in self.sections for block in section.blocks]


def cell_text(cell: Cell) -> str:
    """Show a cell as a reader sees it.

    Examples
    --------
    >>> cell_text(Number(0.18624, ".2%")), cell_text(Number(None))
    ('18.62%', '–')
    >>> cell_text(Range(Interval(2.258, 2.22, 2.3), ".2f"))
    '2.26 [2.22, 2.30]'
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Number):
        return _shown(cell.value, cell.form)
    found = cell.interval
    middle = _shown(found.estimate, cell.form)
    if math.isnan(found.low):
        return middle
    return f"{middle} [{found.low:{cell.form}}, {found.high:{cell.form}}]"


def _raw(cell: Cell, three: bool) -> list[str | float]:
    """Fields of a cell in a column of one or three."""
    if isinstance(cell, Range):
        found = cell.interval
        return [_known(value) for value in (found.estimate, found.low, found.high)]
    field = cell if isinstance(cell, str) else _known(cell.value)
    return [field, "", ""] if three else [field]


def _known(value: float | None) -> str | float:
    return "" if value is None or math.isnan(value) else value


def _shown(value: float | None, form: str) -> str:
    return _ABSENT if value is None or math.isnan(value) else f"{value:{form}}"
