"""Rows of a soft-label matrix: their check, their entropy, and how far two of them are apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, as_square, check_rows
from ols_core.checks import invalid

__all__ = ["check_pair", "check_soft_labels", "entropy", "total_variation"]


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


def check_pair(before: npt.ArrayLike, after: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return two soft-label matrices after checking that they are of the same classes."""
    first = check_soft_labels(before, "before")
    second = check_soft_labels(after, "after")
    if first.shape != second.shape:
        raise invalid("after", f"of shape {first.shape}, like before", second.shape)
    return first, second


def total_variation(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float64]:
    """Half of the summed absolute difference of each row, in [0, 1]."""
    moved: npt.NDArray[np.float64] = np.abs(first - second).sum(axis=1, dtype=np.float64)
    return moved / 2


def entropy(matrix: FloatArray) -> npt.NDArray[np.float64]:
    """Entropy of each row in nats."""
    # ln 1 = 0 in place of ln 0, so that a class without mass adds nothing
    logarithm = np.log(np.where(matrix > 0, matrix, 1.0))
    negative: npt.NDArray[np.float64] = np.einsum("yk,yk->y", matrix, logarithm, dtype=np.float64)
    return np.maximum(-negative, 0.0)
