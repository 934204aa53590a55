"""Whether sources find the same classes alike: rank correlation, its test, many at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, first_true
from ols_core.analysis._clustering import check_similarity
from ols_core.analysis._permutations import p_value, permutation_blocks
from ols_core.checks import check_integer, invalid

__all__ = ["Mantel", "agreement_matrix", "mantel_test", "rank_agreement"]

# correlations that are equal come out up to about 1e-14 apart, as sums in another order; those of
# 100 classes that are not equal differ by 2e-11 or more
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Mantel:
    """Rank correlation of two similarities, and how often chance does as well.

    Attributes
    ----------
    correlation : float
        Spearman correlation over the pairs of classes, as by `rank_agreement`; NaN where that is.
    p_value : float
        One-sided, in [1 / (1 + n_permutations), 1]; NaN without a correlation.
    n_permutations : int
    n_classes : int
        Classes that both similarities know something about; the others are left out.
    """

    correlation: float
    p_value: float
    n_permutations: int
    n_classes: int


def rank_agreement(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman correlation of two similarities over the pairs of different classes.

    Parameters
    ----------
    first, second : array-like of shape (n_classes, n_classes)
        Symmetric similarities of the same classes; pairs that are NaN in either are left out.

    Returns
    -------
    float
        In [-1, 1]; NaN with fewer than two pairs, or when one side is constant.

    Raises
    ------
    ArgumentError
        If a matrix is no similarity or the shapes differ.

    Notes
    -----
    Only ranks are compared, so sources of different scales can be set against each other. Ties
    share the mean of their ranks.

    Examples
    --------
    >>> soft = [[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]]
    >>> cosine = [[0, -0.5, 0.9], [-0.5, 0, 0.0], [0.9, 0.0, 0]]
    >>> round(rank_agreement(soft, cosine), 6)
    1.0
    """
    left, right = _check_both(first, second)
    a, b = _pairs(left), _pairs(right)
    known = ~(np.isnan(a) | np.isnan(b))
    return _correlation(_centred_ranks(a[known]), _centred_ranks(b[known]))


def agreement_matrix(
    matrices: Mapping[str, npt.ArrayLike],
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Compare every source of similarity with every other one by `rank_agreement`.

    Parameters
    ----------
    matrices : mapping of str to array-like of shape (n_classes, n_classes)
        Symmetric similarities of the same classes by the name of their source, at least one.

    Returns
    -------
    names : tuple of str
        In the order of the mapping.
    correlations : ndarray of shape (n_sources, n_sources)
        Symmetric, in [-1, 1], 1 on the diagonal; NaN where there is no correlation, which a
        constant similarity does not even have with itself.

    Raises
    ------
    ArgumentError
        If there is no matrix, one is no similarity, or the shapes differ; the message says which.

    Examples
    --------
    >>> soft = np.array([[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]])
    >>> names, correlations = agreement_matrix({"soft labels": soft, "opposite": -soft})
    >>> names, correlations.round(6).tolist()
    (('soft labels', 'opposite'), [[1.0, -1.0], [-1.0, 1.0]])
    """
    if not matrices:
        raise invalid("matrices", "at least one similarity", "none")
    names = tuple(matrices)
    values: list[FloatArray] = []
    for name in names:
        matrix = check_similarity(f"matrices[{name!r}]", matrices[name])
        pairs = _pairs(matrix)
        if values and pairs.size != values[0].size:
            raise invalid(
                f"matrices[{name!r}]", f"of as many classes as matrices[{names[0]!r}]", matrix.shape
            )
        values.append(pairs)
    known = [~np.isnan(pairs) for pairs in values]
    whole = [_centred_ranks(pairs[mask]) for pairs, mask in zip(values, known, strict=True)]
    correlations = np.empty((len(names), len(names)))
    for a, b in combinations_with_replacement(range(len(names)), 2):
        both = known[a] & known[b]
        # ranking is what takes the time: done again only where the other source knows less
        ranks = (
            whole[one] if both.sum() == whole[one].size else _centred_ranks(values[one][both])
            for one in (a, b)
        )
        correlations[a, b] = correlations[b, a] = _correlation(*ranks)
    return names, correlations


def mantel_test(
    first: npt.ArrayLike, second: npt.ArrayLike, n_permutations: int = 999, seed: int = 0
) -> Mantel:
    """Test whether two similarities agree in their ranks by more than chance.

    The pairs of classes are not independent, since each class is in many of them; the classes are.
    So the classes of `second` are permuted, all its pairs with them.

    Parameters
    ----------
    first, second : array-like of shape (n_classes, n_classes)
        Symmetric similarities of the same classes. A class without any known pair in either is
        left out; of the others every pair must be known.
    n_permutations : int
        At least 1. The time grows with n_permutations * n_classes ** 2.
    seed : int
        The same seed draws the same permutations.

    Returns
    -------
    Mantel

    Raises
    ------
    ArgumentError
        If a matrix is no similarity, the shapes differ, only some pairs of a class are unknown, or
        a number is out of range.

    Notes
    -----
    Mantel 1967, "The detection of disease clustering and a generalized regression approach", with
    Spearman's correlation. One-sided as in R's vegan and in the comparison of representational
    dissimilarity matrices (Kriegeskorte et al. 2008): the p-value is the share of permutations
    with at least the observed correlation, the observed one among them. Opposite similarities
    thus have a p-value near 1. Few classes have few permutations: with 3 a p-value much below
    1 / 6 cannot come out.

    Examples
    --------
    >>> alike = 1 - np.abs(np.subtract.outer(np.arange(8), np.arange(8))) / 8
    >>> found = mantel_test(alike, alike**2)
    >>> round(found.correlation, 6), found.p_value, found.n_classes
    (1.0, 0.001, 8)
    """
    left, right = _check_both(first, second)
    check_integer("n_permutations", n_permutations, 1)
    check_integer("seed", seed, 0)
    known = _known_classes(left) & _known_classes(right)
    n_classes = int(np.count_nonzero(known))
    a = _centred_ranks(_known_pairs("first", left, known))
    b = _centred_ranks(_known_pairs("second", right, known))
    correlation = _correlation(a, b)
    if math.isnan(correlation):
        return Mantel(correlation, math.nan, n_permutations, n_classes)
    fixed, moving = _square(a, n_classes), _square(b, n_classes)
    # ranks keep their mean and their scale, so that the products alone decide
    products = np.array(
        [
            np.vdot(fixed, moving.take(order, axis=0).take(order, axis=1))
            for block in permutation_blocks(n_permutations, n_classes, seed)
            for order in block
        ]
    )
    slack = _ROUNDING * math.sqrt(np.vdot(fixed, fixed) * np.vdot(moving, moving))
    reached = np.count_nonzero(products >= np.vdot(fixed, moving) - slack)
    return Mantel(correlation, p_value(int(reached), n_permutations), n_permutations, n_classes)


def _check_both(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    left = check_similarity("first", first)
    right = check_similarity("second", second)
    if left.shape != right.shape:
        raise invalid("second", f"of shape {left.shape}, like first", right.shape)
    return left, right


def _pairs(matrix: FloatArray) -> FloatArray:
    """Entries above the diagonal, row by row."""
    pairs: FloatArray = matrix[np.triu_indices(len(matrix), 1)]
    return pairs


def _square(pairs: npt.NDArray[np.float64], n_classes: int) -> npt.NDArray[np.float64]:
    """Symmetric matrix of the values of pairs, 0 on the diagonal."""
    matrix = np.zeros((n_classes, n_classes))
    matrix[np.triu_indices(n_classes, 1)] = pairs
    return matrix + matrix.T


def _known_classes(matrix: FloatArray) -> BoolArray:
    """Mark the classes with at least one known pair."""
    known = ~np.isnan(matrix)
    np.fill_diagonal(known, False)
    return np.asarray(known.any(axis=1), dtype=np.bool_)


def _known_pairs(name: str, matrix: FloatArray, known: BoolArray) -> FloatArray:
    """Pairs of the known classes, in the order of `_pairs`."""
    classes = np.flatnonzero(known)
    pairs = _pairs(matrix[np.ix_(classes, classes)])
    gap = first_true(np.isnan(pairs))
    if gap is not None:
        row, column = (int(classes[side][gap]) for side in np.triu_indices(classes.size, 1))
        raise invalid(
            f"{name}[{row}, {column}]",
            "known, like other pairs of these classes",
            math.nan,
            "Make all pairs of a class NaN to leave it out.",
        )
    return pairs


def _correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Correlation of centred ranks, NaN if one side is constant."""
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else math.nan


def _centred_ranks(values: FloatArray) -> npt.NDArray[np.float64]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    # ties share the mean of the places that they take up
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return ranks - ranks.mean() if ranks.size else ranks
