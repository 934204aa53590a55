"""In how many directions the features vary."""

from __future__ import annotations

import math

import numpy as np

from ols_core.analysis._arrays import FloatArray
from ols_core.analysis._features import feature_chunks, feature_mean
from ols_core.analysis._uncertainty import Interval, mean_interval

__all__ = ["participation_ratio"]


def participation_ratio(features: FloatArray) -> Interval:
    """Participation ratio of the features' covariance, (Σλ)² / Σλ², with its 95 % interval.

    From 1, if all variance lies in one direction, to n_features, if it is the same in all (Gao et
    al. 2017, "A theory of multineuronal dimensionality, dynamics and measurement"). NaN if there is
    no variance; the interval takes at least 2 samples.

    The standard error is that of the mean of the samples' influence (Efron 1982, "The Jackknife,
    the Bootstrap and Other Resampling Plans", §6), what the bootstrap tends to. On few samples the
    ratio is too small because noise adds to Σλ²; by how much is known, and the interval spans the
    ratio with and without it.
    """
    mean = feature_mean(features)
    n, n_features = features.shape
    covariance = np.zeros((n_features, n_features))
    for _, centred in feature_chunks(features, mean):
        covariance += centred.T @ centred
    covariance /= n
    trace, squares = float(np.trace(covariance)), float(np.vdot(covariance, covariance))
    if squares == 0:
        return Interval(math.nan, math.nan, math.nan)
    ratio = trace**2 / squares
    if n < 2:
        return Interval(ratio, math.nan, math.nan)

    lengths, spread = np.empty((2, n))  # of each sample: |x|², and x Σ x
    for rows, centred in feature_chunks(features, mean):
        lengths[rows] = np.einsum("nd,nd->n", centred, centred)
        turned = centred @ covariance.astype(centred.dtype)
        spread[rows] = np.einsum("nd,nd->n", turned, centred)
    influence = ratio * (1 + 2 * (lengths / trace - spread / squares))
    around = mean_interval(influence)
    noise = (float((lengths**2).mean()) - squares) / (n - 1)
    without = trace**2 / max(squares - noise, trace**2 / n_features)
    return Interval(
        ratio,
        max(1.0, around.low),
        min(float(n_features), around.high + without - ratio),
    )
