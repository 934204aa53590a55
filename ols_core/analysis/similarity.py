"""Which classes a model takes for one another: similarity from four sources, orders, maps, tests.

A similarity has shape (n_classes, n_classes), is symmetric and has NaN on the diagonal, which says
nothing about two classes. Higher is more alike; NaN elsewhere is a pair of which nothing is known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._agreement import (
    Mantel,
    agreement_matrix,
    mantel_test,
    mantel_tests,
    rank_agreement,
)
from ols_core.analysis._arrays import FloatArray, IntArray, as_matrix, as_square, first_true
from ols_core.analysis._class_map import ClassMap, class_map
from ols_core.analysis._clustering import (
    Dendrogram,
    Hierarchy,
    class_hierarchy,
    cut_clusters,
    cut_height,
    dendrogram,
    distance_from_similarity,
    superclass_agreement,
)
from ols_core.analysis._order import OrderKind, class_order
from ols_core.analysis._pairs import (
    ClassPair,
    PairComparison,
    compare_pairs,
    leading_pairs,
    similar_pairs,
)
from ols_core.analysis._taxonomy import (
    SuperclassRecovery,
    TaxonomyAgreement,
    superclass_recovery,
    taxonomy_agreement,
)
from ols_core.analysis.soft_labels import check_soft_labels
from ols_core.checks import check_integer, check_labels, invalid

__all__ = [
    "ClassMap",
    "ClassPair",
    "Dendrogram",
    "Hierarchy",
    "Mantel",
    "OrderKind",
    "PairComparison",
    "SuperclassRecovery",
    "TaxonomyAgreement",
    "agreement_matrix",
    "class_hierarchy",
    "class_map",
    "class_order",
    "compare_pairs",
    "confusion_matrix",
    "confusion_rates",
    "cut_clusters",
    "cut_height",
    "dendrogram",
    "distance_from_similarity",
    "leading_pairs",
    "mantel_test",
    "mantel_tests",
    "rank_agreement",
    "similar_pairs",
    "similarity_from_centroids",
    "similarity_from_classifier",
    "similarity_from_confusion",
    "similarity_from_soft_labels",
    "superclass_agreement",
    "superclass_recovery",
    "taxonomy_agreement",
]


def similarity_from_soft_labels(soft_labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mass that two classes give each other: ``(S[i, j] + S[j, i]) / 2``.

    Parameters
    ----------
    soft_labels : array-like of shape (n_classes, n_classes)
        Rows are target classes.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Values in [0, 1]; NaN on the diagonal.

    Raises
    ------
    ArgumentError
        If the matrix is no soft-label matrix.

    Examples
    --------
    >>> similarity_from_soft_labels([[0.75, 0.25], [0.5, 0.5]]).tolist()
    [[nan, 0.375], [0.375, nan]]
    """
    return _symmetrised(check_soft_labels(soft_labels))


def confusion_matrix(predictions: npt.ArrayLike, labels: npt.ArrayLike, n_classes: int) -> IntArray:
    """Count samples by label (row) and prediction (column).

    Parameters
    ----------
    predictions, labels : array-like of shape (n_samples,)
        Class indices in [0, n_classes).
    n_classes : int
        At least 2.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), int64

    Raises
    ------
    ArgumentError
        If the shapes differ or an index is out of range.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1], n_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    check_integer("n_classes", n_classes, 2)
    n_samples = np.size(labels)
    truth = check_labels("labels", labels, n_samples, n_classes)
    predicted = check_labels("predictions", predictions, n_samples, n_classes)
    cells = np.bincount(truth * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def confusion_rates(confusion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of each true class's samples by predicted class: rows divided by their sums.

    Parameters
    ----------
    confusion : array-like of shape (n_classes, n_classes)
        Counts, rows are labels, as made by `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Rows sum to 1; NaN for a class without samples.

    Raises
    ------
    ArgumentError
        If the matrix is not square, or an entry is NaN or negative; the message names the row.

    Examples
    --------
    >>> confusion_rates([[3, 1], [0, 0]]).tolist()
    [[0.75, 0.25], [nan, nan]]
    """
    counts = as_square("confusion", confusion).astype(np.float64)
    row = first_true(~((counts >= 0) & np.isfinite(counts)).all(axis=1))
    if row is not None:
        raise invalid(f"confusion[{row}]", "counts of at least 0", counts[row].tolist())
    totals = counts.sum(axis=1, keepdims=True)
    rates = np.full_like(counts, np.nan)
    np.divide(counts, totals, out=rates, where=totals > 0)
    return rates


def similarity_from_confusion(confusion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Rate at which two classes are taken for each other, averaged over both directions.

    Parameters
    ----------
    confusion : array-like of shape (n_classes, n_classes)
        Counts, rows are labels, as made by `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Values in [0, 1]; NaN on the diagonal, and for every pair with a class without samples.

    Raises
    ------
    ArgumentError
        If the matrix is not square, or an entry is NaN or negative; the message names the row.

    Notes
    -----
    The `confusion_rates` of the two directions are averaged, so that a frequent class
    does not look like everything else.

    Examples
    --------
    >>> similarity_from_confusion([[3, 1], [0, 8]]).tolist()
    [[nan, 0.125], [0.125, nan]]
    """
    return _symmetrised(confusion_rates(confusion))


def similarity_from_centroids(
    features: npt.ArrayLike, labels: npt.ArrayLike, n_classes: int
) -> npt.NDArray[np.float64]:
    """Cosine of the angle between class centroids, seen from the mean of all samples.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Float16 upwards; averaged in float64.
    labels : array-like of shape (n_samples,)
        Class indices in [0, n_classes).
    n_classes : int
        At least 2.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Values in [-1, 1]; NaN on the diagonal, and for every pair with a class that has no samples
        or lies on the mean.

    Raises
    ------
    ArgumentError
        If the shapes do not fit, a feature is not finite, or an index is out of range.

    Notes
    -----
    The mean over all samples is taken off first: features after a ReLU all lie in one corner, where
    every cosine would be close to 1.

    Examples
    --------
    >>> features = [[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 4.0]]
    >>> similarity_from_centroids(features, [0, 0, 1, 1], n_classes=2).round(6).tolist()
    [[nan, -1.0], [-1.0, nan]]
    """
    check_integer("n_classes", n_classes, 2)
    values = _finite_rows("features", features)
    labels = check_labels("labels", labels, len(values), n_classes)
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=n_classes))
    centroids = np.full((n_classes, values.shape[1]), np.nan)
    for index in np.unique(labels):
        start = ends[index - 1] if index else 0
        members = values[order[start : ends[index]]]
        centroids[index] = members.mean(axis=0, dtype=np.float64)
    return _cosines(centroids, values.mean(axis=0, dtype=np.float64))


def similarity_from_classifier(weight: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Cosine of the angle between the weight rows of the last layer, seen from their mean.

    Parameters
    ----------
    weight : array-like of shape (n_classes, n_features)
        One row for each class, at least two.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Values in [-1, 1]; NaN on the diagonal, and for every pair with a row that is the mean.

    Raises
    ------
    ArgumentError
        If the shape is wrong or a weight is not finite.

    Notes
    -----
    The mean row is taken off first: it adds the same number to every logit, which the softmax does
    not see.

    Examples
    --------
    >>> similarity_from_classifier([[2.0, 1.0], [0.0, 1.0]]).tolist()
    [[nan, -1.0], [-1.0, nan]]
    """
    values = _finite_rows("weight", weight).astype(np.float64)
    if len(values) < 2:
        raise invalid("weight", "of at least 2 rows, one for each class", values.shape)
    return _cosines(values, values.mean(axis=0))


def _symmetrised(matrix: FloatArray) -> npt.NDArray[np.float64]:
    wide = matrix.astype(np.float64)
    result = (wide + wide.T) / 2
    np.fill_diagonal(result, np.nan)
    return result


def _cosines(
    points: npt.NDArray[np.float64], origin: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Cosine of the angle between each two points as seen from the origin, NaN if on it."""
    vectors = points - origin
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.full_like(vectors, np.nan)
    # what rounding leaves of a point on the origin has no direction
    smallest = 1e-12 * np.nanmax(np.linalg.norm(points, axis=1))
    np.divide(vectors, lengths, out=units, where=lengths > smallest)
    result = np.clip(units @ units.T, -1.0, 1.0)
    np.fill_diagonal(result, np.nan)
    return result


def _finite_rows(name: str, values: npt.ArrayLike) -> FloatArray:
    array = as_matrix(name, values, "n_features", min_columns=1)
    row = first_true(~np.isfinite(array).all(axis=1))
    if row is not None:
        raise invalid(f"{name}[{row}]", "finite", array[row].tolist())
    return array
