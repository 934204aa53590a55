"""Pairs of classes: the most similar ones, and what several similarities say about the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray
from ols_core.analysis._clustering import check_similarity
from ols_core.checks import check_integer, invalid

__all__ = ["ClassPair", "PairComparison", "compare_pairs", "leading_pairs", "similar_pairs"]


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Two classes and how alike they are; `first` is the lower index.

    Attributes
    ----------
    first, second : int
    similarity : float
    """

    first: int
    second: int
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class PairComparison:
    """The same pairs of classes in several similarities.

    Attributes
    ----------
    first, second : ndarray of shape (n_pairs,), int64
        The classes of each pair.
    similarity : ndarray of shape (n_similarities, n_pairs)
    difference : ndarray of shape (n_similarities, n_pairs)
        From the first of the similarities, which is subtracted.
    """

    first: IntArray
    second: IntArray
    similarity: npt.NDArray[np.float64]
    difference: npt.NDArray[np.float64]


def similar_pairs(similarity: npt.ArrayLike, n: int = 10) -> tuple[ClassPair, ...]:
    """Most similar pairs of classes, each pair once, most similar first.

    Parameters
    ----------
    similarity : array-like of shape (n_classes, n_classes)
        Symmetric; the diagonal and NaN are ignored.
    n : int
        How many at most, at least 1. Of equally similar pairs the lower indices go first.

    Raises
    ------
    ArgumentError
        If the matrix is no similarity or `n` is below 1.

    Examples
    --------
    >>> similar_pairs([[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]], n=1)
    (ClassPair(first=0, second=2, similarity=0.4),)
    """
    check_integer("n", n, 1)
    matrix = check_similarity("similarity", similarity).astype(np.float64)
    first, second = np.triu_indices(len(matrix), 1)
    values = matrix[first, second]
    # NaN sorts to the end
    best = np.argsort(-values, kind="stable")[:n]
    best = best[~np.isnan(values[best])]
    return tuple(ClassPair(int(first[b]), int(second[b]), float(values[b])) for b in best)


def leading_pairs(similarities: Sequence[npt.ArrayLike], n: int) -> IntArray:
    """Pairs of classes that rank highest in any of several similarities.

    Parameters
    ----------
    similarities : sequence of array-like of shape (n_classes, n_classes)
        Symmetric, of the same classes, at least one; the diagonal is ignored, NaN ranks last.
    n : int
        How many at most, at least 1.

    Returns
    -------
    ndarray of shape (n_pairs, 2), int64
        In the order of the class indices, the lower one first.

    Raises
    ------
    ArgumentError
        If a matrix is no similarity, the shapes differ, or `n` is below 1.

    Examples
    --------
    >>> soft = [[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]]
    >>> cosine = [[0, 0.9, 0.2], [0.9, 0, 0.1], [0.2, 0.1, 0]]
    >>> leading_pairs([soft, cosine], 2).tolist()
    [[0, 1], [0, 2]]
    """
    check_integer("n", n, 1)
    checked = _same_classes(similarities)
    pairs = np.triu_indices(len(checked[0]), 1)
    both = np.column_stack(pairs)
    if len(both) <= n:
        return both
    best = np.min([_places(matrix[pairs]) for matrix in checked], axis=0)
    return both[np.sort(np.argsort(best, kind="stable")[:n])]


def compare_pairs(similarities: Sequence[npt.ArrayLike], pairs: npt.ArrayLike) -> PairComparison:
    """Look up pairs of classes in several similarities.

    Parameters
    ----------
    similarities : sequence of array-like of shape (n_classes, n_classes)
        Symmetric, of the same classes, at least one.
    pairs : array-like of shape (n_pairs, 2)
        Class indices.

    Returns
    -------
    PairComparison
        Its pairs in the order as given.

    Raises
    ------
    ArgumentError
        If a matrix is no similarity, the shapes differ, or the pairs are not pairs of indices.

    Examples
    --------
    >>> soft = [[0, 0.125, 0.5], [0.125, 0, 0.25], [0.5, 0.25, 0]]
    >>> other = [[0, 0.25, 0.25], [0.25, 0, 0.25], [0.25, 0.25, 0]]
    >>> found = compare_pairs([soft, other], [[2, 0], [0, 1]])
    >>> found.similarity.tolist(), found.difference.tolist()
    ([[0.5, 0.125], [0.25, 0.25]], [[0.0, 0.0], [-0.25, 0.125]])
    """
    checked = _same_classes(similarities)
    indices = np.asarray(pairs, dtype=np.int64)
    n_classes = len(checked[0])
    shaped = indices.ndim == 2 and indices.shape[1] == 2
    if not shaped or ((indices < 0) | (indices >= n_classes)).any():
        raise invalid("pairs", f"of shape (n_pairs, 2), with indices below {n_classes}", pairs)
    first, second = indices.T
    similarity = np.stack([matrix[first, second].astype(np.float64) for matrix in checked])
    return PairComparison(first, second, similarity, similarity - similarity[0])


def _same_classes(similarities: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    if not similarities:
        raise invalid("similarities", "at least one similarity", "none")
    checked: list[FloatArray] = []
    for place, similarity in enumerate(similarities):
        name = f"similarities[{place}]"
        checked.append(check_similarity(name, similarity))
        if checked[-1].shape != checked[0].shape:
            raise invalid(name, f"of shape {checked[0].shape}, like the first", checked[-1].shape)
    return checked


def _places(values: FloatArray) -> IntArray:
    """Place of each value from the largest, at 0, to the smallest; NaN comes last."""
    places = np.empty(values.size, dtype=np.int64)
    places[np.argsort(-values, kind="stable")] = np.arange(values.size)
    return places
