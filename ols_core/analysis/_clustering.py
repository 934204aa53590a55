"""Hierarchical clustering of classes from a similarity matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray, as_square, first_true
from ols_core.analysis._leaf_order import optimal_order
from ols_core.checks import check_integer, invalid

__all__ = [
    "Dendrogram",
    "Hierarchy",
    "check_similarity",
    "class_hierarchy",
    "cut_clusters",
    "cut_height",
    "dendrogram",
    "distance_from_similarity",
    "superclass_agreement",
]


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """A tree over the classes.

    Attributes
    ----------
    order : ndarray of shape (n_classes,), int64
        The leaves from left to right: ``order[i]`` is the class at position ``i``.
    linkage : ndarray of shape (n_classes - 1, 4)
        Merges from the closest pair upwards, in the form of `scipy.cluster.hierarchy.linkage`:
        two nodes, their distance, the number of classes below.
    """

    order: IntArray
    linkage: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Dendrogram:
    """How to draw a hierarchy: for each merge a bar with a leg down to either child.

    Every array has shape (n_classes - 1,), in the order of the merges. Positions run along the
    leaves: the one at place ``i`` of the order is at ``i + 0.5``, so that 0 is the edge of the
    first cell of a matrix in that order; a merge is halfway between its children.

    Attributes
    ----------
    left, right : ndarray
        Positions of the children; ``left < right``.
    left_height, right_height : ndarray
        Where the legs end: the distance of the child's own merge, 0 for a class.
    height : ndarray
        Distance of the merge, where the bar is.
    """

    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    left_height: npt.NDArray[np.float64]
    right_height: npt.NDArray[np.float64]
    height: npt.NDArray[np.float64]


def check_similarity(name: str, similarity: npt.ArrayLike) -> FloatArray:
    """Return a similarity matrix, whose diagonal is ignored, after checking that it is symmetric.

    Parameters
    ----------
    name : str
        What the matrix is called in the message.
    similarity : array-like of shape (n_classes, n_classes)
        NaN means unknown.

    Raises
    ------
    ArgumentError
        If the matrix is not square or not symmetric; the message names the first such row.
    """
    matrix = as_square(name, similarity)
    same = np.isclose(matrix, matrix.T, rtol=1e-4, atol=1e-6, equal_nan=True)
    row = first_true(~same.all(axis=1))
    if row is not None:
        column = int(same[row].argmin())
        raise invalid(
            f"{name}[{row}, {column}]",
            f"equal to {name}[{column}, {row}], {float(matrix[column, row]):.6g}",
            float(matrix[row, column]),
            "Pass a similarity, such as (S + S.T) / 2.",
        )
    return matrix


def distance_from_similarity(similarity: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Distance ``1 - similarity``, with 0 on the diagonal.

    One minus the similarity keeps the ranks (reversed) and the ratios of differences, so clusters
    do not depend on a scale that was chosen here; for cosines it is the cosine distance. A pair of
    unknown similarity (NaN) gets the largest distance that is known, or 1 if none is.

    Parameters
    ----------
    similarity : array-like of shape (n_classes, n_classes)
        Symmetric, at most 1; the diagonal is ignored.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    Raises
    ------
    ArgumentError
        If the matrix is not symmetric or has an entry above 1.

    Examples
    --------
    >>> distance_from_similarity([[np.nan, 0.25], [0.25, np.nan]]).tolist()
    [[0.0, 0.75], [0.75, 0.0]]
    """
    distance = 1.0 - check_similarity("similarity", similarity).astype(np.float64)
    np.fill_diagonal(distance, 0.0)
    row = first_true((distance < -1e-6).any(axis=1))
    if row is not None:
        raise invalid(f"similarity[{row}]", "at most 1", float(1.0 - distance[row].min()))
    unknown = np.isnan(distance)
    known = distance[~unknown & ~np.eye(len(distance), dtype=np.bool_)]
    distance[unknown] = known.max() if known.size else 1.0
    return np.maximum(distance, 0.0)


def class_hierarchy(similarity: npt.ArrayLike, *, optimal_ordering: bool = True) -> Hierarchy:
    """Cluster classes by average linkage, with similar leaves side by side.

    Parameters
    ----------
    similarity : array-like of shape (n_classes, n_classes)
        Symmetric; the diagonal is ignored and NaN is as far as the farthest known pair.
    optimal_ordering : bool
        Without, the leaves come in any order that the tree allows, and a thousand classes are
        clustered in a fifth of the time. The tree is the same.

    Returns
    -------
    Hierarchy

    Raises
    ------
    ArgumentError
        If the matrix is no similarity.

    Notes
    -----
    Distances are those of `distance_from_similarity`. Of the orders that the tree allows, the one
    with the smallest sum of distances between neighbours is taken (Bar-Joseph et al. 2001).

    Examples
    --------
    >>> hierarchy = class_hierarchy([[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]])
    >>> hierarchy.order.tolist()
    [0, 2, 1]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    distance = distance_from_similarity(similarity)
    condensed = distance[np.triu_indices(len(distance), 1)]
    tree = np.asarray(linkage(condensed, method="average"))
    order = np.asarray(leaves_list(tree), dtype=np.int64)
    if optimal_ordering:
        order = optimal_order(tree, order, distance)
    return Hierarchy(order, _with_leaves_in(order, tree))


def cut_clusters(hierarchy: Hierarchy, n_clusters: int) -> IntArray:
    """Cut the tree into exactly `n_clusters` clusters by undoing its last merges.

    Parameters
    ----------
    hierarchy : Hierarchy
        As made by `class_hierarchy`.
    n_clusters : int
        In [1, n_classes].

    Returns
    -------
    ndarray of shape (n_classes,), int64
        The cluster of each class, numbered from 0 in the order of the leaves.

    Raises
    ------
    ArgumentError
        If `n_clusters` is out of range.

    Examples
    --------
    >>> hierarchy = class_hierarchy([[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]])
    >>> cut_clusters(hierarchy, 2).tolist()
    [0, 1, 0]
    """
    _check_clusters(hierarchy, n_clusters)
    n_classes = hierarchy.order.size
    node = np.arange(n_classes)
    merges = hierarchy.linkage[: n_classes - n_clusters, :2].astype(np.int64)
    for step, (left, right) in enumerate(merges):
        node[(node == left) | (node == right)] = n_classes + step
    _, first, cluster = np.unique(node[hierarchy.order], return_index=True, return_inverse=True)
    result = np.empty(n_classes, dtype=np.int64)
    result[hierarchy.order] = np.argsort(np.argsort(first))[cluster]
    return result


def cut_height(hierarchy: Hierarchy, n_clusters: int) -> float:
    """Find the distance at which a line across the tree cuts it into `n_clusters` clusters.

    Parameters
    ----------
    hierarchy : Hierarchy
        As made by `class_hierarchy`.
    n_clusters : int
        In [1, n_classes].

    Returns
    -------
    float
        Halfway between the last merge that is kept and the first one that is undone, where a class
        by itself counts as kept at 0. For one cluster nothing is undone, and it is the distance of
        the last merge.

    Raises
    ------
    ArgumentError
        If `n_clusters` is out of range.

    Notes
    -----
    If the two merges are tied, no height gives exactly so many clusters: `cut_clusters` undoes some
    of the tied merges, and the height is the one that they share.

    Examples
    --------
    >>> hierarchy = class_hierarchy([[0, 0.125, 0.5], [0.125, 0, 0.125], [0.5, 0.125, 0]])
    >>> [cut_height(hierarchy, n_clusters) for n_clusters in (1, 2, 3)]
    [0.875, 0.6875, 0.25]
    """
    _check_clusters(hierarchy, n_clusters)
    heights = [0.0, *hierarchy.linkage[:, 2].tolist()]
    n_kept = hierarchy.order.size - n_clusters
    return float(np.mean(heights[n_kept : n_kept + 2]))


def dendrogram(hierarchy: Hierarchy) -> Dendrogram:
    """Lay a hierarchy out as a dendrogram.

    Parameters
    ----------
    hierarchy : Hierarchy
        As made by `class_hierarchy`.

    Returns
    -------
    Dendrogram

    Examples
    --------
    >>> hierarchy = class_hierarchy([[0, 0.125, 0.5], [0.125, 0, 0.125], [0.5, 0.125, 0]])
    >>> found = dendrogram(hierarchy)
    >>> hierarchy.order.tolist(), found.left.tolist(), found.right.tolist()
    ([0, 2, 1], [0.5, 1.0], [1.5, 2.5])
    >>> found.left_height.tolist(), found.right_height.tolist(), found.height.tolist()
    ([0.0, 0.5], [0.0, 0.0], [0.5, 0.875])
    """
    children = hierarchy.linkage[:, :2].astype(np.int64)
    # a merge needs the positions of earlier ones: one by one, in plain numbers
    position = (np.argsort(hierarchy.order) + 0.5).tolist()
    for left, right in children.tolist():
        position.append((position[left] + position[right]) / 2)
    merged = hierarchy.linkage[:, 2].copy()
    height = np.concatenate([np.zeros(hierarchy.order.size), merged])
    left_leg, right_leg = np.asarray(position)[children.T]
    left_height, right_height = height[children.T]
    return Dendrogram(left_leg, right_leg, left_height, right_height, merged)


def superclass_agreement(clusters: npt.ArrayLike, superclasses: npt.ArrayLike) -> float:
    """Compare two groupings of the classes by the adjusted Rand index.

    Parameters
    ----------
    clusters, superclasses : array-like of shape (n_classes,)
        The group of each class, as integers or names.

    Returns
    -------
    float
        1 for the same grouping, about 0 for unrelated ones, in [-0.5, 1].

    Raises
    ------
    ArgumentError
        If the shapes differ or there are fewer than two classes.

    Notes
    -----
    Hubert and Arabie 1985, "Comparing partitions".

    Examples
    --------
    >>> superclass_agreement([0, 0, 1, 1], ["fish", "fish", "tree", "tree"])
    1.0
    """
    first, second = np.asarray(clusters), np.asarray(superclasses)
    if first.ndim != 1 or first.size < 2:
        raise invalid("clusters", "of shape (n_classes,) with n_classes >= 2", first.shape)
    if second.shape != first.shape:
        raise invalid("superclasses", f"of shape {first.shape}, like clusters", second.shape)
    _, row = np.unique(first, return_inverse=True)
    _, column = np.unique(second, return_inverse=True)
    table = np.bincount(row * (column.max() + 1) + column)
    together = _pairs(table)
    in_first, in_second = _pairs(np.bincount(row)), _pairs(np.bincount(column))
    expected = in_first * in_second / _pairs(np.array([first.size]))
    largest = (in_first + in_second) / 2
    # both are one single group, or both all singletons
    return 1.0 if largest == expected else (together - expected) / (largest - expected)


def _check_clusters(hierarchy: Hierarchy, n_clusters: int) -> None:
    check_integer("n_clusters", n_clusters, 1)
    n_classes = hierarchy.order.size
    if n_clusters > n_classes:
        raise invalid("n_clusters", f"at most {n_classes}, the number of classes", n_clusters)


def _with_leaves_in(order: IntArray, tree: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Swap children so that the tree, read from left to right, has its leaves in that order."""
    start = np.argsort(order).tolist()
    ordered = tree.copy()
    for step, (left, right) in enumerate(tree[:, :2].astype(np.int64)):
        if start[left] > start[right]:
            ordered[step, :2] = right, left
        start.append(min(start[left], start[right]))
    return ordered


def _pairs(sizes: IntArray) -> float:
    return float((sizes * (sizes - 1)).sum()) / 2
