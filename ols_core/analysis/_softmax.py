"""Softmax in the precision that the input deserves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, as_logits

__all__ = ["log_softmax", "softmax"]


def softmax(logits: npt.ArrayLike) -> FloatArray:
    """Probabilities of each row of logits.

    The row's maximum is taken off first, so that no logit is too large. An input of float16 is
    computed and returned in float32; float32 and float64 keep their precision.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Unnormalised log-probabilities; -inf rules a class out.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Values in [0, 1]; rows sum to 1.

    Raises
    ------
    ArgumentError
        If the shape is not (n_samples >= 1, n_classes >= 2), or a row holds NaN, +inf or nothing
        but -inf; the message names the row.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    values, peak = as_logits("logits", logits)
    exponentials = values - peak
    np.exp(exponentials, out=exponentials)
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def log_softmax(logits: npt.ArrayLike) -> FloatArray:
    """Natural logarithm of the softmax of each row, without ever forming a probability.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Unnormalised log-probabilities; -inf rules a class out and stays -inf.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Values in [-inf, 0], float32 for an input of float16.

    Raises
    ------
    ArgumentError
        As for `softmax`.

    Examples
    --------
    >>> log_softmax([[0.0, -2000.0]]).tolist()
    [[0.0, -2000.0]]
    """
    values, peak = as_logits("logits", logits)
    shifted = values - peak
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
