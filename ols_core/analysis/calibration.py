"""Calibration and accuracy of predictions: how far a stated confidence can be believed.

Everything here looks at logits or probabilities of shape (n_samples, n_classes) and at integer
labels. The definitions are those of Guo et al. 2017 ("On Calibration of Modern Neural Networks",
§2) with right-closed bins; equal-mass bins follow Nixon et al. 2019 ("Measuring Calibration in Deep
Learning").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray, as_logits, as_probabilities
from ols_core.analysis._binning import BinScheme, Reliability, bin_confidence, reliability
from ols_core.analysis._softmax import log_softmax, softmax
from ols_core.analysis._temperature import (
    TEMPERATURE_RANGE,
    TemperatureScaling,
    fit_temperature,
    temperature_scaled,
)
from ols_core.checks import check_integer, check_labels

__all__ = [
    "TEMPERATURE_RANGE",
    "BinScheme",
    "PredictionSummary",
    "Reliability",
    "TemperatureScaling",
    "brier_score",
    "expected_calibration_error",
    "fit_temperature",
    "log_softmax",
    "negative_log_likelihood",
    "reliability",
    "softmax",
    "summarize_predictions",
    "temperature_scaled",
    "top_k_accuracy",
    "top_label",
]


@dataclass(frozen=True, slots=True)
class PredictionSummary:
    """The numbers that sum up one set of predictions, as stored with a run.

    Attributes
    ----------
    n_samples : int
    accuracy, top5_accuracy : float
        In [0, 1]; with fewer than 5 classes the second is 1.
    nll : float
        Mean negative log-likelihood in nats; infinite if a label's own logit is -inf.
    brier : float
        Summed over classes, mean over samples, in [0, 2].
    ece : float
        Top-label, equal-width bins, in [0, 1].
    signed_gap : float
        Mean confidence minus accuracy, in [-1, 1]; positive means overconfident.
    mean_confidence : float
        In [1 / n_classes, 1].
    """

    n_samples: int
    accuracy: float
    top5_accuracy: float
    nll: float
    brier: float
    ece: float
    signed_gap: float
    mean_confidence: float


def top_label(probabilities: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    """Confidence and class of each sample's most probable class.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_classes)
        Rows sum to 1 (within 1e-3).

    Returns
    -------
    confidence : ndarray of shape (n_samples,)
        The largest probability, in the precision of the input.
    prediction : ndarray of shape (n_samples,), int64
        Its class; of tied classes the lowest index.

    Raises
    ------
    ArgumentError
        If a row is not a probability distribution; the message names the row.

    Examples
    --------
    >>> confidence, prediction = top_label([[0.2, 0.8], [0.5, 0.5]])
    >>> confidence.tolist(), prediction.tolist()
    ([0.8, 0.5], [1, 0])
    """
    values = as_probabilities("probabilities", probabilities)
    prediction = values.argmax(axis=1)
    # a sum within the tolerance can still leave one entry a hair above 1
    confidence = np.minimum(values.max(axis=1), values.dtype.type(1))
    return confidence, prediction


def expected_calibration_error(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    n_bins: int = 15,
    scheme: BinScheme = "equal-width",
) -> float:
    """Top-label expected calibration error, in [0, 1].

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_classes)
        Rows sum to 1 (within 1e-3).
    labels : array-like of shape (n_samples,)
        Class indices.
    n_bins : int
        Number of bins, at least 1.
    scheme : {"equal-width", "equal-mass"}
        As for `reliability`; equal-mass bins give the adaptive ECE.

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Notes
    -----
    Guo et al. 2017, equation 3; equal-mass: Nixon et al. 2019.

    Examples
    --------
    >>> round(expected_calibration_error([[0.9, 0.1], [0.3, 0.7]], [0, 0]), 3)
    0.4
    """
    confidence, prediction = top_label(probabilities)
    n_classes = np.shape(probabilities)[1]
    labels = check_labels("labels", labels, confidence.size, n_classes)
    return reliability(confidence, prediction == labels, n_bins, scheme).ece


def negative_log_likelihood(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    Computed from logits by log-sum-exp, so that a confident mistake costs what it costs instead of
    what a clipped probability would show; averaged in float64.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Unnormalised log-probabilities; -inf rules a class out.
    labels : array-like of shape (n_samples,)
        Class indices.

    Returns
    -------
    float
        In [0, inf]; infinite if a label's class was ruled out.

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Examples
    --------
    >>> negative_log_likelihood([[0.0, -2000.0]], [1])
    2000.0
    """
    log_probabilities = log_softmax(logits)
    labels = check_labels("labels", labels, *log_probabilities.shape)
    own = log_probabilities[np.arange(labels.size), labels]
    return _without_sign(-own.mean(dtype=np.float64))


def brier_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Squared distance from the one-hot label, summed over classes, mean over samples.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_classes)
        Rows sum to 1 (within 1e-3).
    labels : array-like of shape (n_samples,)
        Class indices.

    Returns
    -------
    float
        In [0, 2].

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Notes
    -----
    Brier 1950, the original form for several classes. For two classes it is twice the form that
    looks at the positive class only.

    Examples
    --------
    >>> brier_score([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    0.25
    """
    values = as_probabilities("probabilities", probabilities)
    labels = check_labels("labels", labels, *values.shape)
    return _brier(values.astype(np.promote_types(values.dtype, np.float32)), labels)


def top_k_accuracy(logits: npt.ArrayLike, labels: npt.ArrayLike, k: int) -> float:
    """Share of samples whose label is among the `k` highest logits, in [0, 1].

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Or any score that is higher for the better class, such as probabilities.
    labels : array-like of shape (n_samples,)
        Class indices.
    k : int
        At least 1; with `k` >= n_classes every sample counts.

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Notes
    -----
    Of tied classes the lower index goes first, as in ``argmax``, so that k = 1 is the accuracy and
    a constant output gets no credit for every class at once.

    Examples
    --------
    >>> top_k_accuracy([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]], [1, 2], k=2)
    0.5
    """
    check_integer("k", k, 1)
    values, _ = as_logits("logits", logits)
    labels = check_labels("labels", labels, *values.shape)
    return float((_rank(values, labels) < k).mean())


def summarize_predictions(
    logits: npt.ArrayLike, labels: npt.ArrayLike, n_bins: int = 15
) -> PredictionSummary:
    """All summary numbers of a set of predictions from a single softmax.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Unnormalised log-probabilities, float16 upwards; -inf rules a class out.
    labels : array-like of shape (n_samples,)
        Class indices.
    n_bins : int
        Number of equal-width bins of the calibration error, at least 1.

    Returns
    -------
    PredictionSummary
        Each number agrees with the function of this module that computes it alone.

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Examples
    --------
    >>> summary = summarize_predictions([[2.0, 0.0], [0.0, 0.0]], [0, 1])
    >>> summary.accuracy, round(summary.mean_confidence, 3), round(summary.nll, 3)
    (0.5, 0.69, 0.41)
    """
    check_integer("n_bins", n_bins, 1)
    values, peak = as_logits("logits", logits)
    labels = check_labels("labels", labels, *values.shape)
    rank = _rank(values, labels)

    work = values - peak
    own = work[np.arange(labels.size), labels]
    np.exp(work, out=work)
    total = work.sum(axis=1, keepdims=True)
    work /= total
    confidence = work.max(axis=1)
    bins = bin_confidence(confidence, rank == 0, n_bins, "equal-width")
    return PredictionSummary(
        n_samples=labels.size,
        accuracy=float((rank == 0).mean()),
        top5_accuracy=float((rank < 5).mean()),
        nll=_without_sign((np.log(total[:, 0]) - own).mean(dtype=np.float64)),
        brier=_brier(work, labels),
        ece=bins.ece,
        signed_gap=bins.signed_gap,
        mean_confidence=float(confidence.mean(dtype=np.float64)),
    )


def _rank(values: FloatArray, labels: IntArray) -> IntArray:
    """Classes ahead of the label: higher logits, and equal ones of a lower index."""
    own = np.take_along_axis(values, labels[:, None], axis=1)
    rank: IntArray = np.count_nonzero(values > own, axis=1).astype(np.int64)
    row, column = np.nonzero(values == own)
    rank += np.bincount(row[column < labels[row]], minlength=labels.size)
    return rank


def _brier(own_copy: FloatArray, labels: IntArray) -> float:
    own_copy[np.arange(labels.size), labels] -= 1
    return float(np.einsum("nk,nk->n", own_copy, own_copy).mean(dtype=np.float64))


def _without_sign(loss: np.floating) -> float:
    # -0.0 for a perfect prediction reads like a mistake
    return float(loss) + 0.0
