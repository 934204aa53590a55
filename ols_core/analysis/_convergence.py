"""How soft labels settle over the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, IntArray
from ols_core.analysis._rows import check_soft_labels, entropy, total_variation
from ols_core.checks import check_range, invalid

__all__ = ["QUANTILE_LEVELS", "Convergence", "convergence", "settled_epoch"]

QUANTILE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles in `Convergence`, ascending around the median."""


@dataclass(frozen=True, slots=True, eq=False)
class Convergence:
    """How a sequence of soft-label matrices settles; entry ``t`` is the matrix after epoch ``t``.

    Attributes
    ----------
    n_rows : ndarray of shape (n_epochs,), int64
        Rows that the entropy and mass of an epoch describe.
    mean_change : ndarray of shape (n_epochs,)
        Mean total variation from the epoch before, in [0, 1]; NaN for the first matrix, and where
        no row was observed in both epochs.
    entropy : ndarray of shape (n_epochs, len(QUANTILE_LEVELS))
        Quantiles over rows of the entropy in nats, in [0, ln n_classes]; NaN without a row.
    target_mass : ndarray of shape (n_epochs, len(QUANTILE_LEVELS))
        Quantiles over rows of the mass on the target class, in [0, 1]; NaN without a row.
    max_change : ndarray of shape (n_epochs,)
        Total variation of the row that moved farthest, in [0, 1]; NaN where `mean_change` is.
    """

    n_rows: IntArray
    mean_change: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    target_mass: npt.NDArray[np.float64]
    max_change: npt.NDArray[np.float64]


def convergence(
    matrices: Iterable[npt.ArrayLike], counts: npt.NDArray[np.integer] | None = None
) -> Convergence:
    """Follow entropy, target mass and change through a sequence of soft-label matrices.

    Parameters
    ----------
    matrices : iterable of array-like of shape (n_classes, n_classes)
        In the order of the epochs; a stack, or a generator that reads one matrix at a time.
    counts : ndarray of shape (n_epochs, n_classes), optional
        Correct samples behind each row. A row of count 0 is a fallback and nothing that was
        observed: it is left out of the epoch's statistics. Without counts all rows are used, and
        so are those with a negative one, which nobody has counted.

    Returns
    -------
    Convergence

    Raises
    ------
    ArgumentError
        If there is no matrix, one is no soft-label matrix, or shapes do not fit; the message names
        the epoch.

    Examples
    --------
    >>> uniform, learned = np.full((2, 2), 0.5), np.eye(2)
    >>> settled = convergence([uniform, learned, learned], np.array([[4, 4], [4, 4], [4, 0]]))
    >>> settled.mean_change.tolist(), settled.n_rows.tolist()
    ([nan, 0.5, 0.0], [2, 2, 1])
    """
    rows: list[int] = []
    mean_change: list[float] = []
    max_change: list[float] = []
    spread: list[npt.NDArray[np.float64]] = []
    mass: list[npt.NDArray[np.float64]] = []
    previous: tuple[FloatArray, BoolArray] | None = None
    for epoch, item in enumerate(matrices):
        matrix = check_soft_labels(item, f"matrices[{epoch}]")
        seen = _seen(counts, epoch, len(matrix))
        rows.append(int(np.count_nonzero(seen)))
        spread.append(_quantiles(entropy(matrix)[seen]))
        mass.append(_quantiles(matrix.diagonal()[seen]))
        moved = np.empty(0) if previous is None else _moved(*previous, matrix, seen)
        mean_change.append(float(moved.mean()) if moved.size else math.nan)
        max_change.append(float(moved.max()) if moved.size else math.nan)
        previous = (matrix, seen)
    if not rows:
        raise invalid("matrices", "at least one matrix", "none")
    if counts is not None and len(rows) != len(counts):
        raise invalid("counts", f"of {len(rows)} epochs, one for each matrix", len(counts))
    return Convergence(
        np.array(rows),
        np.array(mean_change),
        np.array(spread),
        np.array(mass),
        np.array(max_change),
    )


def settled_epoch(course: Convergence, threshold: float) -> int | None:
    """First epoch after which no row moves by more than a threshold from one epoch to the next.

    Parameters
    ----------
    course : Convergence
        Of one run, as made by `convergence`, which leaves out rows without samples.
    threshold : float
        Total variation of a row, in [0, 1]: the mass that may still move.

    Returns
    -------
    int or None
        An index into the epochs of `course`; None if a row moves to the end, or if no row was
        observed in two epochs running.

    Raises
    ------
    ArgumentError
        If `threshold` is out of range.

    Notes
    -----
    The last epoch is never the answer: nothing after it shows that rows stay. What happened before
    the first change that could be measured is unknown, so the answer is not earlier either. Steps
    below the threshold may add up to more.

    Examples
    --------
    >>> course = convergence([np.full((2, 2), 0.5), np.eye(2), np.eye(2)])
    >>> settled_epoch(course, threshold=0.1), settled_epoch(course, threshold=0.5)
    (1, 0)
    """
    check_range("threshold", threshold, 0.0, 1.0)
    measured = np.flatnonzero(~np.isnan(course.max_change))
    if measured.size == 0:
        return None
    moved = np.flatnonzero(course.max_change > threshold)
    epoch = int(moved[-1]) if moved.size else int(measured[0]) - 1
    return epoch if epoch < measured[-1] else None


def _seen(counts: npt.NDArray[np.integer] | None, epoch: int, n_classes: int) -> BoolArray:
    """Mark the rows of one epoch that stand on at least one sample."""
    if counts is None:
        return np.ones(n_classes, dtype=np.bool_)
    if epoch >= len(counts):
        raise invalid("counts", "as many epochs as matrices", f"{len(counts)} epochs")
    row = np.asarray(counts[epoch])
    if row.shape != (n_classes,):
        raise invalid(f"counts[{epoch}]", f"of shape ({n_classes},)", row.shape)
    return np.asarray(row != 0, dtype=np.bool_)


def _moved(
    before: FloatArray, seen_before: BoolArray, after: FloatArray, seen_after: BoolArray
) -> npt.NDArray[np.float64]:
    """Total variation of the rows that were observed both times."""
    if before.shape != after.shape:
        raise invalid("matrices", f"all of shape {before.shape}", after.shape)
    return total_variation(before, after)[seen_before & seen_after]


def _quantiles(values: FloatArray) -> npt.NDArray[np.float64]:
    if values.size == 0:
        return np.full(len(QUANTILE_LEVELS), np.nan)
    return np.quantile(values.astype(np.float64), QUANTILE_LEVELS)
