"""Neural collapse: how far the classes have shrunk to points.

NC1 and NC4 of Papyan, Han and Donoho 2020, "Prevalence of neural collapse during the terminal phase
of deep learning training"; NC2 and NC3 depend on the centroids alone (`_centroid_statistics`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, IntArray
from ols_core.analysis._class_moments import ClassMoments, class_residuals
from ols_core.analysis._features import feature_chunks

__all__ = ["nearest_centroid_agreement", "within_between"]

# share of the largest eigenvalue below which one is rounding of features in half precision
_RANK_TOLERANCE = 1e-10


def within_between(features: FloatArray, moments: ClassMoments) -> float:
    """NC1, ``tr(Σ_W Σ_B^†) / K``: variance within the classes relative to that between them.

    Σ_W is the covariance of all samples around their class means, Σ_B that of the K means around
    their own mean, in which every class counts the same, and † the pseudo-inverse. NaN if all
    means are the same.
    """
    root = _between_root(moments.means - moments.means.mean(axis=0))
    if not root.size:
        return math.nan
    # tr(Σ_W F Fᵀ) is the mean of |Fᵀ z|² over the residuals z
    total = sum(
        float(np.square(residuals @ root).sum()) for residuals in class_residuals(features, moments)
    )
    return total / len(features) / len(moments.means)


def nearest_centroid_agreement(
    features: FloatArray, moments: ClassMoments, labels: IntArray, predicted: IntArray
) -> tuple[BoolArray, BoolArray]:
    """NC4: for each sample, whether the class of the nearest centroid is the predicted one.

    The second answer is of a centroid of the sample's own class that was made without the sample,
    as it would be for a new one. Of centroids equally near, that of the lower class counts.
    """
    origin = moments.means.mean(axis=0)
    centroids = moments.means - origin
    norms = np.einsum("kd,kd->k", centroids, centroids)
    own = np.searchsorted(moments.classes, labels)
    with np.errstate(divide="ignore"):  # the only sample of a class is infinitely far from the rest
        farther = np.square(moments.counts / (moments.counts - 1))[own]
    agrees, agrees_anew = np.empty((2, len(features)), dtype=np.bool_)
    for rows, centred in feature_chunks(features, origin):
        squared = norms - 2 * (centred @ centroids.T)
        squared += np.einsum("nd,nd->n", centred, centred)[:, None]
        agrees[rows] = moments.classes[squared.argmin(axis=1)] == predicted[rows]
        squared[np.arange(len(squared)), own[rows]] *= farther[rows]
        agrees_anew[rows] = moments.classes[squared.argmin(axis=1)] == predicted[rows]
    return agrees, agrees_anew


def _between_root(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Matrix F of shape (n_features, rank) with ``F @ F.T`` the pseudo-inverse of Σ_B."""
    n_classes, n_features = means.shape
    # the smaller of the two products has all of the eigenvalues above 0
    wide = n_classes <= n_features
    values, vectors = np.linalg.eigh((means @ means.T if wide else means.T @ means) / n_classes)
    kept = values > max(0.0, _RANK_TOLERANCE * values[-1])
    values, vectors = values[kept], vectors[:, kept]
    if wide:
        vectors = means.T @ (vectors / np.sqrt(values * n_classes))
    root: npt.NDArray[np.float64] = vectors / np.sqrt(values)
    return root
