"""Bins of confidence: the one computation behind reliability diagrams and calibration errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, IntArray, as_floats, first_true
from ols_core.checks import check_choice, check_integer, invalid

__all__ = ["BinScheme", "Reliability", "bin_confidence", "reliability"]

BinScheme = Literal["equal-width", "equal-mass"]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Confidence against accuracy, bin by bin: the numbers of a reliability diagram.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Ascending from 0 to 1; bin ``b`` is ``(edges[b], edges[b + 1]]`` and the first one also
        holds 0. These are the very values that were compared, after rounding to the confidences'
        precision.
    counts : ndarray of shape (n_bins,), int64
        Samples in each bin.
    confidence, accuracy : ndarray of shape (n_bins,)
        Mean confidence and share of correct samples, in [0, 1]; NaN where a bin is empty.
    n_samples : int
        All samples, the sum of `counts`.
    """

    edges: npt.NDArray[np.float64]
    counts: IntArray
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    n_samples: int

    @property
    def ece(self) -> float:
        """Expected calibration error: |accuracy - confidence| averaged over samples, in [0, 1]."""
        filled = self.counts > 0
        gap = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float(gap @ self.counts[filled]) / self.n_samples

    @property
    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a bin that holds a sample, in [0, 1]."""
        return float(np.nanmax(np.abs(self.accuracy - self.confidence)))

    @property
    def signed_gap(self) -> float:
        """Mean confidence minus accuracy over all samples, in [-1, 1]; positive: overconfident."""
        filled = self.counts > 0
        gap = self.confidence[filled] - self.accuracy[filled]
        return float(gap @ self.counts[filled]) / self.n_samples


def reliability(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    n_bins: int = 15,
    scheme: BinScheme = "equal-width",
) -> Reliability:
    """Bin confidences and compare each bin's mean confidence with its accuracy.

    Parameters
    ----------
    confidence : array-like of shape (n_samples,)
        Values in [0, 1].
    correct : array-like of shape (n_samples,)
        True (or 1) where the prediction was right.
    n_bins : int
        Number of bins, at least 1.
    scheme : {"equal-width", "equal-mass"}
        Bins of one width, or bins of one number of samples. Equal-mass bins never part samples of
        one confidence: with ties, or fewer samples than bins, there are fewer than `n_bins`.

    Returns
    -------
    Reliability

    Raises
    ------
    ArgumentError
        If the arrays are empty or their shapes differ, or a value is out of range.

    Notes
    -----
    Bins are right-closed, ``(lo, hi]``, with 0 in the first one (Guo et al. 2017, §2). The edges
    are rounded to the precision of the confidences: a confidence of 0.2 sits on the edge 0.2 in
    float32 as it does in float64. Equal-mass bins are those of the adaptive error of Nixon et
    al. 2019.

    Examples
    --------
    >>> bins = reliability([0.6, 0.9, 1.0], [False, True, True], n_bins=2)
    >>> bins.counts.tolist(), round(bins.ece, 3), round(bins.signed_gap, 3)
    ([0, 3], 0.167, 0.167)
    """
    check_integer("n_bins", n_bins, 1)
    check_choice("scheme", scheme, ("equal-width", "equal-mass"))
    values = _check_confidence(confidence)
    return bin_confidence(values, _check_correct(correct, values.size), n_bins, scheme)


def _check_confidence(confidence: npt.ArrayLike) -> FloatArray:
    values = as_floats("confidence", confidence)
    if values.ndim != 1 or values.size == 0:
        raise invalid("confidence", "of shape (n_samples,) with n_samples >= 1", values.shape)
    row = first_true(~((values >= 0) & (values <= 1)))
    if row is not None:
        raise invalid(f"confidence[{row}]", "a number in [0, 1]", float(values[row]))
    return values


def _check_correct(correct: npt.ArrayLike, n_samples: int) -> BoolArray:
    values = np.asarray(correct)
    if values.shape != (n_samples,):
        raise invalid("correct", f"of shape ({n_samples},), like confidence", values.shape)
    hits = values == 1
    row = first_true(~(hits | (values == 0)))
    if row is not None:
        raise invalid(
            f"correct[{row}]", "True or False", values[row].item(), "Pass prediction == labels."
        )
    return np.asarray(hits, dtype=np.bool_)


def bin_confidence(
    confidence: FloatArray, correct: BoolArray, n_bins: int, scheme: BinScheme
) -> Reliability:
    edges = _equal_width(n_bins) if scheme == "equal-width" else _equal_mass(confidence, n_bins)
    edges = edges.astype(confidence.dtype)
    # the inner edges only: whatever is left of the first or right of the last one has its bin
    index = np.searchsorted(edges[1:-1], confidence, side="left")
    size = edges.size - 1
    counts = np.bincount(index, minlength=size)

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        result = np.full(size, np.nan)
        sums = np.bincount(index, weights=values.astype(np.float64), minlength=size)
        np.divide(sums, counts, out=result, where=counts > 0)
        return result

    return Reliability(
        edges=edges.astype(np.float64),
        counts=counts,
        confidence=mean(confidence),
        accuracy=mean(correct),
        n_samples=confidence.size,
    )


def _equal_width(n_bins: int) -> FloatArray:
    # a division rounds each edge correctly; multiples of a rounded step do not
    return np.arange(n_bins + 1) / n_bins


def _equal_mass(confidence: FloatArray, n_bins: int) -> FloatArray:
    ordered = np.sort(confidence)
    last = -(-np.arange(1, n_bins) * ordered.size // n_bins) - 1
    inner = ordered[last]
    # an edge at the maximum would only cut off an empty bin
    inner = inner[inner < ordered[-1]]
    return np.unique(np.concatenate(([0.0], inner, [1.0])).astype(confidence.dtype))
