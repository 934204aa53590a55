"""Matrices over epochs as small images of codes: what the matrix viewer sends to the browser.

A code is one byte: 0 to 254 are positions on the colour scale, 255 is a blank cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.charts.scale import Scale, ScaleKind

__all__ = [
    "BLANK",
    "TOP",
    "Frames",
    "Window",
    "cut_detail",
    "detail_side",
    "encode",
    "encode_counts",
    "max_side",
    "pool",
    "pool_counts",
    "prepare_frames",
]

TOP = 254
BLANK = 255
# Bytes of the frames, counts and exact values of all panels: with what else travels when a page is
# opened (the viewer's module, the names, other figures), below 1.5 MB.
_BUDGET = 1_100_000
_DETAIL_CELLS = 256**2  # exact values of all panels in one frame: 262 kB of float32
_SMALLEST_SIDE = 32  # fewer cells a side no longer show the groups of a thousand classes


@dataclass(frozen=True)
class Window:
    """Square part of a matrix, counted in classes of the shown order."""

    row: int
    column: int
    side: int


@dataclass(frozen=True)
class Frames:
    """Codes of all frames.

    Attributes
    ----------
    codes : ndarray of shape (n_frames, side, side), uint8
        Rows and columns in `order`, pooled when `side` is less than the number of classes.
    order : ndarray of shape (n_classes,), int64
        The class at each position.
    scale : Scale
    """

    codes: npt.NDArray[np.uint8]
    order: npt.NDArray[np.int64]
    scale: Scale


def encode(values: npt.NDArray[np.floating], scale: Scale) -> npt.NDArray[np.uint8]:
    """Turn values into codes: the nearest of 255 positions, or `BLANK` for NaN."""
    clipped = np.clip(values, scale.low, scale.high)
    low, high = scale.low, scale.high
    if scale.kind == "log":
        clipped, low, high = np.log10(clipped), float(np.log10(low)), float(np.log10(high))
    positions = np.rint((clipped - low) * (TOP / (high - low)))
    return np.where(np.isnan(positions), BLANK, np.nan_to_num(positions)).astype(np.uint8)


def encode_counts(counts: npt.NDArray[np.integer], most: int) -> npt.NDArray[np.uint8]:
    """Turn counts into codes from 1 for one to 254 for `most`; 0 is kept for none at all."""
    codes: npt.NDArray[np.uint8] = np.ceil(counts * (TOP / max(most, 1))).astype(np.uint8)
    return codes


def pool_counts(counts: npt.NDArray[np.integer], side: int) -> npt.NDArray[np.integer]:
    """Shrink counts (n_frames, n_classes) to the fewest of each cell: no row without is lost."""
    starts = np.arange(side) * counts.shape[1] // side
    return np.minimum.reduceat(counts, starts, axis=1)


def detail_side(n_panels: int) -> int:
    """Return the most exact values a side that each of the panels sends: 256 of a single one."""
    return int(np.sqrt(_DETAIL_CELLS / n_panels))


def max_side(n_classes: int, n_frames: int, n_panels: int = 1) -> int:
    """Return the most cells a side with which all that the panels send stays within bounds.

    Frames that are not pooled may take the room of the exact values, too. A side is at least 32
    cells, whatever they then send.
    """

    def affordable(budget: float) -> int:
        # The counts of a frame add one more byte a cell of its side.
        return int(np.sqrt(budget / (n_frames * n_panels))) - 1

    if affordable(_BUDGET) >= n_classes:
        return n_classes
    return min(n_classes, max(_SMALLEST_SIDE, affordable(_BUDGET - 4 * _DETAIL_CELLS)))


def pool(
    matrix: npt.NDArray[np.floating],
    side: int,
    kind: ScaleKind,
    order: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.floating]:
    """Put the classes in order and shrink a square matrix to `side` cells a side.

    A cell is the extreme of those it covers: the largest value, on a diverging scale the one
    farthest from 0. NaN counts only where a cell covers nothing else. Cell `i` covers from
    `i * n // side` on.
    """
    n = len(matrix)
    places = np.arange(n) if order is None else order
    if side >= n:
        return matrix[np.ix_(places, places)]
    starts = np.arange(side + 1) * n // side

    def reduce(extreme: np.ufunc) -> npt.NDArray[np.floating]:
        rows = _extreme_rows(matrix, places, starts, extreme)
        return _extreme_rows(rows.T, places, starts, extreme).T

    largest = reduce(np.fmax)
    if kind != "diverging":
        return largest
    smallest = reduce(np.fmin)
    return np.where(-smallest > largest, smallest, largest)


def _extreme_rows(
    matrix: npt.NDArray[np.floating],
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    extreme: np.ufunc,
) -> npt.NDArray[np.floating]:
    """Extreme of each block of rows; whole rows at a time, five times as fast as `reduceat`."""
    first, last = starts[:-1], starts[1:] - 1
    result = matrix[order[first]]
    for step in range(1, int((last - first).max()) + 1):
        extreme(result, matrix[order[np.minimum(first + step, last)]], out=result)
    return result


def prepare_frames(
    matrices: Iterable[npt.NDArray[np.floating]],
    order: npt.NDArray[np.int64],
    scale: Scale,
    side: int,
) -> Frames:
    """Order, pool and encode matrices, one at a time.

    Parameters
    ----------
    matrices : iterable of ndarray of shape (n_classes, n_classes)
        One a frame, in the classes' own order; NaN cells stay blank.
    order : ndarray of shape (n_classes,)
        The class to show at each position.
    scale : Scale
        Shared by all frames, so that what changes colour has changed.
    side : int
        Most cells a side, see `max_side`.
    """
    pooled = np.stack([pool(matrix, side, scale.kind, order) for matrix in matrices])
    return Frames(encode(pooled, scale), order, scale)


def cut_detail(
    matrix: npt.NDArray[np.floating],
    order: npt.NDArray[np.int64],
    window: Window,
    kind: ScaleKind,
    side: int,
) -> npt.NDArray[np.float32]:
    """Values in a window of the ordered matrix, pooled if it is wider than `side`."""
    rows = order[window.row : window.row + window.side]
    columns = order[window.column : window.column + window.side]
    return pool(matrix[np.ix_(rows, columns)], side, kind).astype(np.float32)
