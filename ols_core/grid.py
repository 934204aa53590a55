"""Tables of texts as Markdown or LaTeX source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Grid", "render"]

_WORD = re.compile(r"[^\w]*[^\W\d_]")  # a letter before any digit


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first column names the rows."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def render(grid: Grid, kind: Literal["markdown", "latex"]) -> str:
    """Return a grid as source text, columns of numbers to the right.

    Examples
    --------
    >>> print(render(Grid("", ("run", "ECE %"), (("a_b", "1.00 ± 0.10"),)), "markdown"))
    | run | ECE % |
    |---|--:|
    | a_b | 1.00 ± 0.10 |
    """
    return _SOURCES[kind](grid)


def _are_numbers(grid: Grid) -> list[bool]:
    """Tell of each column whether its cells begin with a number, but for signs, or hold none."""
    columns = zip(*grid.rows, strict=True)
    next(columns, None)
    found = [all(not _WORD.match(cell) for cell in column) for column in columns]
    return [False, *(found or [True] * (len(grid.header) - 1))]


def _markdown(grid: Grid) -> str:
    lines = [grid.header, *grid.rows]
    shown = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    rule = "|" + "|".join("--:" if number else "---" for number in _are_numbers(grid)) + "|"
    caption = [f"{grid.caption}:", ""] if grid.caption else []
    return "\n".join([*caption, shown[0], rule, *shown[1:]])


_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "<": "$<$",
        ">": "$>$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def _latex(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return "  " + " & ".join(cell.translate(_ESCAPES) for cell in cells) + r" \\"

    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{grid.caption.translate(_ESCAPES)}}}",
            rf"  \begin{{tabular}}{{{''.join('lr'[number] for number in _are_numbers(grid))}}}",
            r"  \toprule",
            line(grid.header),
            r"  \midrule",
            *map(line, grid.rows),
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


_SOURCES: Mapping[str, Callable[[Grid], str]] = {"markdown": _markdown, "latex": _latex}
