"""Clusters and similarities of classes against superclasses that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray
from ols_core.analysis._clustering import check_similarity, superclass_agreement
from ols_core.analysis._permutations import p_value, permutation_blocks
from ols_core.checks import check_integer, invalid

__all__ = ["SuperclassRecovery", "TaxonomyAgreement", "superclass_recovery", "taxonomy_agreement"]


@dataclass(frozen=True, slots=True)
class TaxonomyAgreement:
    """How well clusters of the classes match their superclasses.

    Attributes
    ----------
    ari : float
        Adjusted Rand index, in [-0.5, 1]; about 0 by chance.
    nmi : float
        Normalised mutual information, in [0, 1]; not adjusted for chance, so that many small
        clusters raise it.
    purity : float
        Share of the classes that belong to the most frequent superclass of their cluster, in
        (0, 1]; 1 as soon as every class is a cluster of its own.
    p_value : float
        Of the adjusted Rand index, one-sided, in [1 / (1 + n_permutations), 1].
    n_permutations : int
    n_clusters : int
    """

    ari: float
    nmi: float
    purity: float
    p_value: float
    n_permutations: int
    n_clusters: int


@dataclass(frozen=True, slots=True)
class SuperclassRecovery:
    """How well a similarity holds the classes of one superclass together.

    Attributes
    ----------
    name : str
    size : int
        Its classes.
    within : float
        Mean similarity of its classes to each other; NaN if no such pair is known.
    between : float
        Mean similarity of its classes to those of other superclasses; NaN if none is known.
    neighbour_share : float
        Share of its classes' nearest neighbours that belong to it too, in [0, 1]; NaN for a
        superclass of one class and where no neighbour is known.
    """

    name: str
    size: int
    within: float
    between: float
    neighbour_share: float


def taxonomy_agreement(
    clusters: npt.ArrayLike, superclasses: npt.ArrayLike, n_permutations: int = 999, seed: int = 0
) -> TaxonomyAgreement:
    """Compare clusters of the classes with their superclasses, and both with chance.

    Parameters
    ----------
    clusters, superclasses : array-like of shape (n_classes,)
        The group of each class, as integers or names; clusters as made by `cut_clusters`.
    n_permutations : int
        At least 1.
    seed : int
        The same seed draws the same permutations.

    Returns
    -------
    TaxonomyAgreement

    Raises
    ------
    ArgumentError
        If the shapes differ, there are fewer than two classes, or a number is out of range.

    Notes
    -----
    The index is that of `superclass_agreement`. The mutual information is divided by the mean of
    both entropies, as in scikit-learn; two groupings of one group each agree by 1. The p-value is
    the share of permutations of the superclasses with at least the observed index, the observed
    one among them.

    Examples
    --------
    >>> found = taxonomy_agreement([0, 0, 1, 1], ["fish", "fish", "tree", "tree"])
    >>> found.ari, round(found.nmi, 6), found.purity, found.n_clusters
    (1.0, 1.0, 1.0, 2)
    """
    ari = superclass_agreement(clusters, superclasses)
    check_integer("n_permutations", n_permutations, 1)
    check_integer("seed", seed, 0)
    _, row = np.unique(np.asarray(clusters), return_inverse=True)
    _, column = np.unique(np.asarray(superclasses), return_inverse=True)
    n_clusters, n_groups = int(row.max()) + 1, int(column.max()) + 1
    table = np.bincount(row * n_groups + column, minlength=n_clusters * n_groups)
    table = table.reshape(n_clusters, n_groups)
    # the index grows with the pairs that are together in both; all else in it stays as it is
    observed = _pairs_together(row, column[None])
    reached = sum(
        int(np.count_nonzero(_pairs_together(row, column[orders]) >= observed))
        for orders in permutation_blocks(n_permutations, row.size, seed)
    )
    return TaxonomyAgreement(
        ari=ari,
        nmi=_normalised_information(table),
        purity=float(table.max(axis=1).sum() / row.size),
        p_value=p_value(reached, n_permutations),
        n_permutations=n_permutations,
        n_clusters=n_clusters,
    )


def superclass_recovery(
    similarity: npt.ArrayLike, superclasses: npt.ArrayLike
) -> tuple[SuperclassRecovery, ...]:
    """Measure for each superclass how well a similarity holds its classes together, best first.

    Parameters
    ----------
    similarity : array-like of shape (n_classes, n_classes)
        Symmetric; the diagonal and NaN are ignored.
    superclasses : array-like of shape (n_classes,)
        The superclass of each class, as names or integers.

    Returns
    -------
    tuple of SuperclassRecovery
        By `neighbour_share`, then by ``within - between``, both descending with NaN last, then by
        name.

    Raises
    ------
    ArgumentError
        If the matrix is no similarity or the shapes do not fit.

    Notes
    -----
    A class whose nearest neighbours are tied counts each of them in equal parts. By chance the
    share is ``(size - 1) / (n_classes - 1)``, so it is higher for a larger superclass.

    Examples
    --------
    >>> similarity = np.array([[0, 0.5, 0.25], [0.5, 0, 0.25], [0.25, 0.25, 0]])
    >>> for found in superclass_recovery(similarity, ["fish", "fish", "tree"]):
    ...     print(found.name, found.size, found.within, found.between, found.neighbour_share)
    fish 2 0.5 0.25 1.0
    tree 1 nan 0.25 nan
    """
    matrix = check_similarity("similarity", similarity).astype(np.float64)
    groups = np.asarray(superclasses)
    if groups.shape != (len(matrix),):
        raise invalid("superclasses", f"of shape ({len(matrix)},)", groups.shape)
    names, member = np.unique(groups, return_inverse=True)
    np.fill_diagonal(matrix, np.nan)
    known = ~np.isnan(matrix)
    same = member[:, None] == member
    within, between = (_group_means(matrix, known & pairs, member) for pairs in (same, ~same))
    sizes = np.bincount(member)
    share = np.where(sizes > 1, _neighbour_shares(matrix, known, same, member), np.nan)
    found = [
        SuperclassRecovery(str(name), int(size), float(inner), float(outer), float(near))
        for name, size, inner, outer, near in zip(names, sizes, within, between, share, strict=True)
    ]
    return tuple(sorted(found, key=_worst_last))


def _pairs_together(first: IntArray, second: IntArray) -> IntArray:
    """Count pairs of classes that share a group both in `first` (K,) and in each row of `second`.

    Sorted by cell of the contingency table, each class counts those before it in its cell; this
    takes no memory for the table itself, which can have as many as K * K cells.
    """
    cells = np.sort(first * (second.max() + 1) + second, axis=1)
    place = np.arange(first.size)
    begins = np.ones(cells.shape, dtype=np.bool_)
    begins[:, 1:] = cells[:, 1:] != cells[:, :-1]
    start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    return np.asarray((place - start).sum(axis=1), dtype=np.int64)


def _normalised_information(table: IntArray) -> float:
    """Mutual information of rows and columns over the mean of their entropies, in [0, 1]."""
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropies = _entropy(rows) + _entropy(columns)
    if entropies <= 0:
        return 1.0
    return float(np.clip(2 * (1 - _entropy(joint.ravel()) / entropies), 0.0, 1.0))


def _entropy(shares: FloatArray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _group_means(
    matrix: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_], member: IntArray
) -> npt.NDArray[np.float64]:
    """Mean of the chosen entries over the rows of each group, NaN without one."""
    totals = np.bincount(member, np.where(chosen, matrix, 0.0).sum(axis=1))
    counts = np.bincount(member, chosen.sum(axis=1))
    return _ratio(totals, counts)


def _neighbour_shares(
    matrix: npt.NDArray[np.float64],
    known: npt.NDArray[np.bool_],
    same: npt.NDArray[np.bool_],
    member: IntArray,
) -> npt.NDArray[np.float64]:
    """Mean over the classes of each group of the share of their nearest ones that are in it."""
    filled = np.where(known, matrix, -np.inf)
    nearest = known & (filled == filled.max(axis=1, keepdims=True))
    share = _ratio((nearest & same).sum(axis=1), nearest.sum(axis=1))
    seen = ~np.isnan(share)
    return _ratio(np.bincount(member, np.where(seen, share, 0.0)), np.bincount(member, seen))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Quotient of counts or sums, NaN over 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _worst_last(found: SuperclassRecovery) -> tuple[float, float, str]:
    # rounded, so that what is equal but for the order of a sum is a tie
    keys = (found.neighbour_share, found.within - found.between)
    share, gap = (math.inf if math.isnan(key) else -round(key, 12) for key in keys)
    return share, gap, found.name
