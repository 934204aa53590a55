"""What every module of the room asks of its arrays, checked in one place with one wording."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ols_core.checks import invalid

__all__ = [
    "ROW_SUM_TOLERANCE",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "as_floats",
    "as_logits",
    "as_matrix",
    "as_probabilities",
    "as_square",
    "check_rows",
    "first_true",
]

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.int64]

ROW_SUM_TOLERANCE = 1e-3
"""How far a row may be from summing to 1: float16 storage alone moves the sum by up to 4.9e-4."""


def as_floats(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return `values` as floats, in their own precision where they have one (float64 otherwise)."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise invalid(name, "an array of real numbers", str(array.dtype))
    if array.dtype in (np.float16, np.float32, np.float64):
        return array
    return array.astype(np.float64)


def as_matrix(name: str, values: npt.ArrayLike, columns: str, min_columns: int = 2) -> FloatArray:
    """Return `values` as a float matrix with at least one row and `min_columns` columns."""
    array = as_floats(name, values)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < min_columns:
        raise invalid(
            name,
            f"of shape (n_samples, {columns}) with n_samples >= 1 and {columns} >= {min_columns}",
            array.shape,
        )
    return array


def as_logits(name: str, logits: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return logits of at least float32 with the maximum of each row, shape (n_samples, 1).

    The maximum shows every way in which a row can be unusable: it is NaN if any entry is, +inf if
    any entry is, and -inf only if all are. A single -inf rules a class out and is allowed.
    """
    values = as_matrix(name, logits, "n_classes")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    peak = values.max(axis=1, keepdims=True)
    row = first_true(~np.isfinite(peak[:, 0]))
    if row is not None:
        raise invalid(
            f"{name}[{row}]",
            "free of NaN and +inf, with at least one finite entry",
            values[row].tolist(),
            "Look for a diverged or overflowing forward pass.",
        )
    return values, peak


def as_probabilities(name: str, probabilities: npt.ArrayLike) -> FloatArray:
    """Return probabilities in their own precision; each row must be a distribution."""
    values = as_matrix(name, probabilities, "n_classes")
    check_rows(name, values, "Pass probabilities, not logits: softmax(logits) makes them.")
    return values


def check_rows(name: str, values: FloatArray, remedy: str) -> None:
    """Refuse a row that holds NaN or a negative entry, or does not sum to 1."""
    sums = values.sum(axis=1, dtype=np.float64)
    # written as "not good", so that a NaN counts as bad
    good = (values.min(axis=1) >= 0) & (np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE)
    row = first_true(~good)
    if row is None:
        return
    low = float(values[row].min())
    got: Any = f"a sum of {sums[row]:.6g}" if low >= 0 else f"an entry of {low:.6g}"
    raise invalid(
        f"{name}[{row}]",
        f"finite and non-negative with a sum of 1 (within {ROW_SUM_TOLERANCE:g})",
        _Verbatim("NaN" if np.isnan(low) else got),
        remedy,
    )


def as_square(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return a (K, K) matrix, K >= 2, of at least float32."""
    matrix = as_matrix(name, values, "n_classes")
    if matrix.shape[0] != matrix.shape[1]:
        raise invalid(name, "square, of shape (n_classes, n_classes)", matrix.shape)
    return matrix.astype(np.promote_types(matrix.dtype, np.float32), copy=False)


def first_true(mask: BoolArray | np.bool_) -> int | None:
    """Index of the first True of a one-dimensional mask, or None."""
    found = np.flatnonzero(mask)
    return int(found[0]) if found.size else None


class _Verbatim(str):
    """Words shown without quotation marks in an error message."""

    def __repr__(self) -> str:
        return str(self)
