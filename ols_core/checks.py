"""Argument checks, so that every refusal in the package is worded the same way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.errors import ArgumentError

__all__ = ["check_choice", "check_integer", "check_labels", "check_range", "invalid"]


def invalid(name: str, expected: str, got: Any, remedy: str = "") -> ArgumentError:
    """Build the error for a refused argument; the caller raises it.

    Parameters
    ----------
    name : str
        The argument as the user typed it.
    expected : str
        What is allowed, completing "must be …".
    got : Any
        What came; shown with `repr`, shortened to 80 characters.
    remedy : str
        A sentence that says what to do, if there is more to say.

    Examples
    --------
    >>> str(invalid("alpha", "a number in [0, 1]", 1.5))
    'alpha must be a number in [0, 1], got 1.5.'
    """
    shown = repr(got)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    message = f"{name} must be {expected}, got {shown}."
    return ArgumentError(f"{message} {remedy}" if remedy else message)


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Refuse a value that is not one of `allowed`.

    Raises
    ------
    ArgumentError
        If `value` is not among `allowed`.

    Examples
    --------
    >>> check_choice("reduction", "max", ("mean", "sum"))
    Traceback (most recent call last):
    ols_core.errors.ArgumentError: reduction must be one of 'mean', 'sum', got 'max'.
    """
    allowed = list(allowed)
    if value not in allowed:
        raise invalid(name, "one of " + ", ".join(map(repr, allowed)), value)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside the closed interval [`low`, `high`] (and NaN).

    Raises
    ------
    ArgumentError
        If `value` is no number, NaN, or outside the interval.

    Examples
    --------
    >>> check_range("alpha", -0.5, 0.0, 1.0)
    Traceback (most recent call last):
    ols_core.errors.ArgumentError: alpha must be a number in [0, 1], got -0.5.
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise invalid(name, f"a number in [{low:g}, {high:g}]", value)


def check_integer(name: str, value: int, low: int) -> None:
    """Refuse anything but an integer of at least `low`.

    Raises
    ------
    ArgumentError
        If `value` is no integer or below `low`.

    Examples
    --------
    >>> check_integer("n_classes", 2.0, 2)
    Traceback (most recent call last):
    ols_core.errors.ArgumentError: n_classes must be an integer of at least 2, got 2.0.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < low:
        raise invalid(name, f"an integer of at least {low}", value)


def check_labels(
    name: str, labels: npt.ArrayLike, n_samples: int, n_classes: int
) -> npt.NDArray[np.int64]:
    """Return `labels` as int64 after checking shape, type and range.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    labels : array-like of shape (n_samples,)
        Class indices in [0, `n_classes`).
    n_samples, n_classes : int
        What the labels must fit.

    Raises
    ------
    ArgumentError
        If the shape differs, the type is not an integer, or an index is out of range; the
        message says where.

    Examples
    --------
    >>> check_labels("labels", [0, 2], n_samples=2, n_classes=3)
    array([0, 2])
    >>> check_labels("labels", [0, 3], n_samples=2, n_classes=3)
    Traceback (most recent call last):
    ols_core.errors.ArgumentError: labels[1] must be a class index in [0, 2], got 3.
    """
    array = np.asarray(labels)
    if array.shape != (n_samples,):
        raise invalid(name, f"of shape ({n_samples},)", array.shape)
    if not np.issubdtype(array.dtype, np.integer):
        raise invalid(name, "integers", str(array.dtype), "Pass class indices, not names.")
    outside = np.flatnonzero((array < 0) | (array >= n_classes))
    if outside.size:
        row = int(outside[0])
        raise invalid(f"{name}[{row}]", f"a class index in [0, {n_classes - 1}]", int(array[row]))
    return array.astype(np.int64, copy=False)
