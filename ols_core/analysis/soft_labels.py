"""What a soft-label matrix says about its classes, and how it settles over the epochs.

A soft-label matrix ``S`` has shape (n_classes, n_classes); row ``y`` is the distribution that
target class ``y`` is taught, so rows sum to 1 (Zhang et al. 2021, "Delving Deep into Label
Smoothing", arXiv 2011.12562, where the columns play this part).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, IntArray, as_square, check_rows
from ols_core.checks import check_integer, check_range, invalid

__all__ = [
    "QUANTILE_LEVELS",
    "Convergence",
    "Neighbour",
    "check_soft_labels",
    "convergence",
    "effective_target",
    "hide_diagonal",
    "row_change",
    "row_entropy",
    "strongest_neighbours",
    "target_mass",
]

QUANTILE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles in `Convergence`, ascending around the median."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A class that another one shares its mass with.

    Attributes
    ----------
    class_index : int
    mass : float
        What the target's row gives to the class, in [0, 1].
    """

    class_index: int
    mass: float


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
    """

    n_rows: IntArray
    mean_change: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    target_mass: npt.NDArray[np.float64]


def check_soft_labels(soft_labels: npt.ArrayLike, name: str = "soft_labels") -> FloatArray:
    """Return a soft-label matrix of at least float32 after checking that it is one.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        At least two classes.
    name : str
        What the matrix is called in the message.

    Raises
    ------
    ArgumentError
        If the matrix is not square, or a row holds NaN or a negative entry or does not sum to 1
        within 1e-3, which is what storage as float16 needs; the message names the row.

    Examples
    --------
    >>> check_soft_labels([[0.9, 0.2], [0.5, 0.5]])
    Traceback (most recent call last):
        ...
    ols_core.errors.ArgumentError: soft_labels[0] must be finite and non-negative with a sum of 1 \
(within 0.001), got a sum of 1.1. Divide each row by its sum.
    """
    matrix = as_square(name, soft_labels)
    check_rows(name, matrix, "Divide each row by its sum.")
    return matrix


def effective_target(soft_labels: npt.ArrayLike, alpha: float) -> FloatArray:
    """Target that the loss trains towards: ``alpha * I + (1 - alpha) * S``.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        Rows are target classes.
    alpha : float
        Weight of the hard label, in [0, 1].

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Rows sum to 1.

    Raises
    ------
    ArgumentError
        If the matrix is no soft-label matrix or `alpha` is out of range.

    Notes
    -----
    Zhang et al. 2021 add two weighted cross-entropies, which is the cross-entropy with the mixture
    of their targets.

    Examples
    --------
    >>> effective_target([[0.5, 0.5], [0.0, 1.0]], alpha=0.5).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    check_range("alpha", alpha, 0.0, 1.0)
    target = (1.0 - float(alpha)) * check_soft_labels(soft_labels)
    np.fill_diagonal(target, target.diagonal() + alpha)
    return target


def row_entropy(soft_labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Entropy of each row in nats: 0 for a hard label, ln(n_classes) for a uniform one.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        Rows are target classes.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ArgumentError
        If the matrix is no soft-label matrix.

    Examples
    --------
    >>> row_entropy([[1.0, 0.0], [0.5, 0.5]]).round(4).tolist()
    [0.0, 0.6931]
    """
    return _entropy(check_soft_labels(soft_labels))


def target_mass(soft_labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mass that each row leaves on its own class: the diagonal.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        Rows are target classes.

    Returns
    -------
    ndarray of shape (n_classes,)
        Values in [0, 1].

    Raises
    ------
    ArgumentError
        If the matrix is no soft-label matrix.

    Examples
    --------
    >>> target_mass([[0.9, 0.1], [0.25, 0.75]]).tolist()
    [0.9, 0.75]
    """
    return check_soft_labels(soft_labels).diagonal().astype(np.float64)


def hide_diagonal(matrix: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Copy of a square matrix with NaN on the diagonal, for display.

    The diagonal of a trained matrix is so much larger than the rest that it would use up the whole
    colour scale.

    Parameters
    ----------
    matrix : array-like of shape (n_classes, n_classes)
        Any square matrix.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), float32

    Raises
    ------
    ArgumentError
        If the matrix is not square.

    Examples
    --------
    >>> hide_diagonal([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [[nan, 2.0], [3.0, nan]]
    """
    copy = as_square("matrix", matrix).astype(np.float32)
    np.fill_diagonal(copy, np.nan)
    return copy


def strongest_neighbours(
    soft_labels: npt.ArrayLike, target: int, n: int = 5
) -> tuple[Neighbour, ...]:
    """Classes that a target class shares most of its mass with, strongest first.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        Rows are target classes.
    target : int
        The class whose row is read; it is left out of the answer.
    n : int
        How many at most, at least 1. Of equal masses the lower class index goes first.

    Raises
    ------
    ArgumentError
        If the matrix is no soft-label matrix, or an index is out of range.

    Examples
    --------
    >>> strongest_neighbours([[0.7, 0.1, 0.2], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], target=0, n=1)
    (Neighbour(class_index=2, mass=0.2),)
    """
    check_integer("n", n, 1)
    matrix = check_soft_labels(soft_labels)
    check_integer("target", target, 0)
    if target >= len(matrix):
        raise invalid("target", f"a class index in [0, {len(matrix) - 1}]", target)
    order = np.argsort(-matrix[target], kind="stable")
    order = order[order != target][:n]
    return tuple(Neighbour(int(index), float(matrix[target, index])) for index in order)


def row_change(before: npt.ArrayLike, after: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Total variation of each row between two matrices: half of the summed absolute difference.

    Parameters
    ----------
    before, after : array-like of shape (n_classes, n_classes)
        Soft-label matrices of the same classes.

    Returns
    -------
    ndarray of shape (n_classes,)
        Mass that moved, in [0, 1].

    Raises
    ------
    ArgumentError
        If a matrix is no soft-label matrix or the shapes differ.

    Examples
    --------
    >>> row_change([[1.0, 0.0], [0.5, 0.5]], [[0.75, 0.25], [0.5, 0.5]]).tolist()
    [0.25, 0.0]
    """
    first = check_soft_labels(before, "before")
    second = check_soft_labels(after, "after")
    if first.shape != second.shape:
        raise invalid("after", f"of shape {first.shape}, like before", second.shape)
    return _total_variation(first, second)


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
        observed: it is left out of the epoch's statistics. Without counts all rows are used.

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
    change: list[float] = []
    entropy: list[npt.NDArray[np.float64]] = []
    mass: list[npt.NDArray[np.float64]] = []
    previous: tuple[FloatArray, BoolArray] | None = None
    for epoch, item in enumerate(matrices):
        matrix = check_soft_labels(item, f"matrices[{epoch}]")
        seen = _seen(counts, epoch, len(matrix))
        rows.append(int(np.count_nonzero(seen)))
        entropy.append(_quantiles(_entropy(matrix)[seen]))
        mass.append(_quantiles(matrix.diagonal()[seen]))
        change.append(math.nan if previous is None else _mean_change(*previous, matrix, seen))
        previous = (matrix, seen)
    if not rows:
        raise invalid("matrices", "at least one matrix", "none")
    if counts is not None and len(rows) != len(counts):
        raise invalid("counts", f"of {len(rows)} epochs, one for each matrix", len(counts))
    return Convergence(np.array(rows), np.array(change), np.array(entropy), np.array(mass))


def _seen(counts: npt.NDArray[np.integer] | None, epoch: int, n_classes: int) -> BoolArray:
    """Mark the rows of one epoch that stand on at least one sample."""
    if counts is None:
        return np.ones(n_classes, dtype=np.bool_)
    if epoch >= len(counts):
        raise invalid("counts", "as many epochs as matrices", f"{len(counts)} epochs")
    row = np.asarray(counts[epoch])
    if row.shape != (n_classes,):
        raise invalid(f"counts[{epoch}]", f"of shape ({n_classes},)", row.shape)
    return np.asarray(row > 0, dtype=np.bool_)


def _mean_change(
    before: FloatArray, seen_before: BoolArray, after: FloatArray, seen_after: BoolArray
) -> float:
    """Mean total variation over the rows that were observed both times."""
    if before.shape != after.shape:
        raise invalid("matrices", f"all of shape {before.shape}", after.shape)
    both = seen_before & seen_after
    return float(_total_variation(before, after)[both].mean()) if both.any() else math.nan


def _total_variation(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float64]:
    moved: npt.NDArray[np.float64] = np.abs(first - second).sum(axis=1, dtype=np.float64)
    return moved / 2


def _entropy(matrix: FloatArray) -> npt.NDArray[np.float64]:
    # ln 1 = 0 in place of ln 0, so that a class without mass adds nothing
    logarithm = np.log(np.where(matrix > 0, matrix, 1.0))
    negative: npt.NDArray[np.float64] = np.einsum("yk,yk->y", matrix, logarithm, dtype=np.float64)
    return np.maximum(-negative, 0.0)


def _quantiles(values: FloatArray) -> npt.NDArray[np.float64]:
    if values.size == 0:
        return np.full(len(QUANTILE_LEVELS), np.nan)
    return np.quantile(values.astype(np.float64), QUANTILE_LEVELS)
