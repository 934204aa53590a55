"""Colours and symbols of groups, in scatter plots of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["DIMMED", "TOP_CODE", "Legend", "Swatch", "palette", "swatch"]

TOP_CODE = 254
"""Code of a point's colour that stands for the high end of a scale; 0 is the low one."""
DIMMED = 255
"""Code of a point that is drawn small and grey behind the others."""

# Ten hues apart in lightness too (Okabe-Ito and Tol's muted); a second round takes other symbols.
_HUES = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#882255",
    "#B8A800",
    "#44AA99",
    "#7A5CC2",
)
_SYMBOLS = ("circle", "diamond", "cross", "triangle-up", "square")


@dataclass(frozen=True)
class Legend:
    """What the colours mean: names of groups, or a scale with a value at each end."""

    title: str
    names: Sequence[str] = ()
    low: float | None = None
    high: float | None = None


class Swatch(NamedTuple):
    """How a group is drawn: a colour as "#rrggbb", and a symbol by Plotly's name."""

    color: str
    symbol: str


def swatch(group: int) -> Swatch:
    """Swatch of the group at a place of the legend; from 50 on they repeat.

    Examples
    --------
    >>> swatch(0), swatch(10)
    (Swatch(color='#0072B2', symbol='circle'), Swatch(color='#0072B2', symbol='diamond'))
    """
    return Swatch(_HUES[group % len(_HUES)], _SYMBOLS[group // len(_HUES) % len(_SYMBOLS)])


def palette(n: int) -> list[Swatch]:
    """Swatches of `n` groups."""
    return [swatch(group) for group in range(n)]
