"""Class by class: how tight it is, which one is nearest, and whether its soft labels know that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray
from ols_core.analysis._class_moments import class_moments, gram_distances
from ols_core.analysis._features import check_features
from ols_core.analysis._rows import check_soft_labels
from ols_core.checks import check_integer, check_labels, invalid

__all__ = ["ClassGeometry", "class_geometry"]

_NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class ClassGeometry:
    """How each class lies among the others, in the space of the features.

    Attributes
    ----------
    tightness : ndarray of shape (n_classes,)
        Mean distance of a class's samples from their centroid, divided by the mean distance of two
        centroids, over all pairs of classes that occur: one scale for all classes of a network,
        and comparable between networks. 0 if all samples of the class are one point; NaN for a
        class without samples, and for all if the centroids are one point or there is only one.
    nearest : ndarray of shape (n_classes,), int64
        The other class with the nearest centroid, of those equally near the lowest; -1 where there
        is none.
    nearest_distance : ndarray of shape (n_classes,)
        Euclidean distance to that centroid, in units of the features; NaN where there is none.
    soft_label_agreement : ndarray of shape (n_classes,)
        Spearman's correlation, over the other classes, of the mass that a class's soft label gives
        them and of how near their centroids are, in [-1, 1]. NaN without soft labels, for a class
        without samples or with a uniform row, such as a fallback, and with fewer than 3 classes.
    """

    tightness: npt.NDArray[np.float64]
    nearest: IntArray
    nearest_distance: npt.NDArray[np.float64]
    soft_label_agreement: npt.NDArray[np.float64]


def class_geometry(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    n_classes: int,
    soft_labels: npt.ArrayLike | None = None,
) -> ClassGeometry:
    """Describe how tight each class is and how it lies to the others.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Float16 upwards; may be memory-mapped, and is never copied as a whole.
    labels : array-like of shape (n_samples,)
        Class indices in [0, n_classes).
    n_classes : int
        At least 2.
    soft_labels : array-like of shape (n_classes, n_classes), optional
        Rows are target classes.

    Returns
    -------
    ClassGeometry

    Raises
    ------
    ArgumentError
        If an argument is not as described; the message names the place.

    Notes
    -----
    Classes without a sample have no centroid and are left out of the distances and ranks of the
    others.

    Examples
    --------
    >>> features = [[0.0], [2.0], [4.0], [4.0], [8.0], [8.0]]
    >>> soft_labels = [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]]
    >>> found = class_geometry(features, [0, 0, 1, 1, 2, 2], 3, soft_labels)
    >>> found.tightness.round(3).tolist(), found.nearest.tolist()
    ([0.214, 0.0, 0.0], [1, 0, 1])
    >>> found.nearest_distance.tolist(), found.soft_label_agreement.tolist()
    ([3.0, 3.0, 4.0], [1.0, 1.0, 1.0])
    """
    check_integer("n_classes", n_classes, 2)
    values = check_features("features", features)
    labels = check_labels("labels", labels, len(values), n_classes)
    moments = class_moments(values, labels)
    centred = moments.means - moments.means.mean(axis=0)
    distance = np.sqrt(gram_distances(centred @ centred.T))
    pairs = distance[np.triu_indices(len(distance), 1)]
    scale = float(pairs.mean()) if pairs.any() else math.nan
    agreement = np.full(len(distance), math.nan)
    if soft_labels is not None:
        mass = _check_mass(soft_labels, n_classes)
        agreement = _agreement(distance, mass[np.ix_(moments.classes, moments.classes)])
    np.fill_diagonal(distance, np.inf)
    near = distance.min(axis=1)
    alone = np.isinf(near)
    neighbour = np.where(alone, _NOBODY, moments.classes[distance.argmin(axis=1)])

    def of_all(present: npt.NDArray[Any], absent: float) -> npt.NDArray[Any]:
        """Put the values of the classes that occur in their places among all."""
        values = np.full(n_classes, absent, dtype=present.dtype)
        values[moments.classes] = present
        return values

    return ClassGeometry(
        tightness=of_all(moments.dispersion / scale, math.nan),
        nearest=of_all(neighbour, _NOBODY),
        nearest_distance=of_all(np.where(alone, math.nan, near), math.nan),
        soft_label_agreement=of_all(agreement, math.nan),
    )


def _check_mass(soft_labels: npt.ArrayLike, n_classes: int) -> FloatArray:
    mass = check_soft_labels(soft_labels)
    if len(mass) != n_classes:
        raise invalid("soft_labels", f"of shape ({n_classes}, {n_classes})", mass.shape)
    return mass


def _agreement(
    distance: npt.NDArray[np.float64], soft_labels: FloatArray
) -> npt.NDArray[np.float64]:
    """Spearman's correlation of each row's mass and nearness, without the diagonal."""
    n = len(distance)
    others = ~np.eye(n, dtype=np.bool_)
    mass = _centred_ranks(soft_labels[others].reshape(n, n - 1))
    nearness = -_centred_ranks(distance[others].reshape(n, n - 1))
    product = np.einsum("yk,yk->y", mass, nearness)
    scale = np.sqrt(np.square(mass).sum(axis=1) * np.square(nearness).sum(axis=1))
    found = np.full(n, math.nan)
    np.divide(product, scale, out=found, where=scale > 0)
    return found


def _centred_ranks(rows: FloatArray) -> npt.NDArray[np.float64]:
    """Twice the rank of each entry in its row, ties sharing the mean, around 0."""
    ranks = np.empty(rows.shape)
    for row, ordered, ranked in zip(rows, np.sort(rows, axis=1), ranks, strict=True):
        ranked[:] = ordered.searchsorted(row) + ordered.searchsorted(row, "right") - row.size
    return ranks
