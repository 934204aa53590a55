"""Whether scores are logits or probabilities, told by their values, and whether they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ols_core.errors import DataError

__all__ = ["check_confidence", "check_scores"]

Declared = Literal["logits", "probabilities"]

_TOLERANCE = 1e-3  # what float16 and four decimals need


def check_scores(
    scores: npt.NDArray[Any],
    said: str | None,
    place: Callable[[int], str],
    column: Callable[[int], str],
) -> tuple[Declared, str]:
    """Tell logits from probabilities and refuse what is neither.

    Parameters
    ----------
    scores : ndarray of shape (N, K)
        Numbers.
    said : {"logits", "probabilities"} or None
        What the user or the file says they are.
    place, column : callable
        Say where a row is, and what a class is called.

    Returns
    -------
    kind : {"logits", "probabilities"}
    reason : str
        How it was recognised, as a sentence.

    Raises
    ------
    DataError
        If a value is not finite, or rows are no distributions though they should be.
    """
    _refuse_unusable(scores, place, column)
    sums = scores.sum(axis=1, dtype=np.float64)
    low, high = float(scores.min()), float(scores.max())
    distributions = low >= 0 and bool((np.abs(sums - 1) <= _TOLERANCE).all())
    if said == "logits":
        also = ", though every row sums to 1 as probabilities do" if distributions else ""
        return "logits", f"Logits, as they are called{also}."
    if distributions:
        why = "as they are called" if said else "since every row sums to 1"
        return "probabilities", f"Probabilities, {why}."
    if said is None and (low < 0 or high > 1) and not _are_percents(sums, low):
        return "logits", f"Logits, since values go from {low:.4g} to {high:.4g}."
    raise _no_distributions(scores, sums, place, column)


def check_confidence(confidence: npt.NDArray[np.floating], place: Callable[[int], str]) -> None:
    """Refuse confidences outside of [0, 1].

    Raises
    ------
    DataError
        The message says where.
    """
    wrong = np.flatnonzero(~((confidence >= 0) & (confidence <= 1)))
    if wrong.size:
        got = confidence[wrong[0]]
        percent = " Divide percentages by 100." if 1 < got <= 100 else ""
        raise DataError(
            f"{place(int(wrong[0]))}: the confidence must be in [0, 1], got {got:g}.{percent}"
        )


def _refuse_unusable(
    scores: npt.NDArray[Any], place: Callable[[int], str], column: Callable[[int], str]
) -> None:
    # -inf rules a class out; +inf, NaN and rows of nothing but -inf say nothing
    bad = np.isnan(scores) | (scores == np.inf)
    bad[(scores == -np.inf).all(axis=1)] = True
    if bad.any():
        row, position = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{place(row)}, {column(position)}: expected a finite number, got "
            f"{scores[row, position]:g}. Correct it, or leave the row out."
        )


def _are_percents(sums: npt.NDArray[np.float64], low: float) -> bool:
    return low >= 0 and bool((np.abs(sums - 100) <= 100 * _TOLERANCE).all())


def _no_distributions(
    scores: npt.NDArray[Any],
    sums: npt.NDArray[np.float64],
    place: Callable[[int], str],
    column: Callable[[int], str],
) -> DataError:
    if _are_percents(sums, float(scores.min())):
        return DataError(f"{place(0)}: the row sums to 100. Divide the percentages by 100.")
    wrong = (scores.min(axis=1) < 0) | (np.abs(sums - 1) > _TOLERANCE)
    row = int(np.flatnonzero(wrong)[0])
    negative = np.flatnonzero(scores[row] < 0)
    if negative.size:
        position = int(negative[0])
        what = f"{column(position)} is {scores[row, position]:g}, below 0"
    else:
        what = f"the row sums to {sums[row]:.6g}"
    return DataError(
        f"{place(row)}: probabilities must be at least 0 and sum to 1 (within {_TOLERANCE:g}), but "
        f"{what}. If these are logits, say --logits; if digits were cut, write more of them."
    )
