"""Where the classes lie among the features, and how far they spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray
from ols_core.analysis._features import working_type

__all__ = ["ClassMoments", "class_moments", "class_residuals", "gram_distances"]

# share of the squared norms below which a squared distance is their rounding
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class ClassMoments:
    """The classes that occur, in ascending order.

    Attributes
    ----------
    classes : ndarray of shape (n_present,), int64
    members : tuple of ndarray
        Samples of each class.
    means : ndarray of shape (n_present, n_features)
        Centroids.
    dispersion, scatter : ndarray of shape (n_present,)
        Mean distance, and mean squared distance, of a class's samples from their centroid.
    """

    classes: IntArray
    members: tuple[IntArray, ...]
    means: npt.NDArray[np.float64]
    dispersion: npt.NDArray[np.float64]
    scatter: npt.NDArray[np.float64]

    @property
    def counts(self) -> IntArray:
        """Samples of each class, of shape (n_present,)."""
        return np.array([rows.size for rows in self.members])


def class_moments(features: FloatArray, labels: IntArray) -> ClassMoments:
    """Summarise finite features of shape (n_samples, n_features) by class."""
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    members = tuple(np.split(order, starts[1:]))
    means = np.empty((classes.size, features.shape[1]))
    dispersion, scatter = np.empty((2, classes.size))
    for place, rows in enumerate(members):
        own = features[rows]
        means[place] = own.mean(axis=0, dtype=np.float64)
        residuals = _residuals(own, means[place])
        squared = np.einsum("nd,nd->n", residuals, residuals)
        dispersion[place] = np.sqrt(squared).mean(dtype=np.float64)
        scatter[place] = squared.mean(dtype=np.float64)
    return ClassMoments(classes, members, means, dispersion, scatter)


def class_residuals(features: FloatArray, moments: ClassMoments) -> Iterator[FloatArray]:
    """Each class's samples as seen from their centroid, in the working type, class by class."""
    for rows, mean in zip(moments.members, moments.means, strict=True):
        yield _residuals(features[rows], mean)


def gram_distances(gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Squared distances of points by their scalar products; what is only rounding is 0."""
    norms = np.diag(gram)
    sums = norms[:, None] + norms
    squared = sums - 2 * gram
    squared[squared <= _ROUNDING * sums] = 0
    return squared


def _residuals(own: FloatArray, mean: npt.NDArray[np.float64]) -> FloatArray:
    kind = working_type(own)
    return own.astype(kind) - mean.astype(kind)
