"""Whether sources find the same classes alike: rank correlation, its test, many at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, combinations_with_replacement

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, FloatArray, IntArray, first_true
from ols_core.analysis._clustering import check_similarity
from ols_core.analysis._permutations import p_value, permutation_blocks
from ols_core.checks import check_integer, invalid

__all__ = ["Mantel", "agreement_matrix", "mantel_test", "mantel_tests", "rank_agreement"]

# correlations that are equal come out up to about 1e-14 apart, as sums in another order; those of
# 100 classes that are not equal differ by 2e-11 or more
_ROUNDING = 1e-12
_ROWS = 100  # of a matrix that are permuted at once: few enough for the processor's cache


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
    names = tuple(matrices)
    values = [_pairs(matrix) for matrix in _checked(matrices).values()]
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
    (found,) = _tests({"first": left, "second": right}, n_permutations, seed).values()
    return found


def mantel_tests(
    matrices: Mapping[str, npt.ArrayLike], n_permutations: int = 999, seed: int = 0
) -> dict[tuple[str, str], Mantel]:
    """Test every two of several similarities by `mantel_test`, in less time than one by one.

    Parameters
    ----------
    matrices : mapping of str to array-like of shape (n_classes, n_classes)
        Symmetric similarities of the same classes, under the condition of `mantel_test`.
    n_permutations : int
        Of each test, at least 1.
    seed : int
        The same seed draws the same permutations.

    Returns
    -------
    dict of (str, str) to Mantel
        Each pair once, in the order of the mapping; the classes of its second one are permuted.

    Raises
    ------
    ArgumentError
        As `mantel_test`; the message says which matrix.

    Examples
    --------
    >>> alike = 1 - np.abs(np.subtract.outer(np.arange(8), np.arange(8))) / 8
    >>> found = mantel_tests({"soft labels": alike, "features": alike**2, "opposite": -alike})
    >>> [(pair, round(test.correlation, 6)) for pair, test in found.items()][:2]
    [(('soft labels', 'features'), 1.0), (('soft labels', 'opposite'), -1.0)]
    """
    tests = _tests(_checked(matrices), n_permutations, seed)
    return dict(zip(combinations(matrices, 2), tests.values(), strict=True))


def _tests(
    matrices: Mapping[str, FloatArray], n_permutations: int, seed: int
) -> dict[tuple[str, str], Mantel]:
    """Test every two of the matrices, whose keys are what a message calls them."""
    check_integer("n_permutations", n_permutations, 1)
    check_integer("seed", seed, 0)

    @cache
    def ranks(name: str, classes: bytes) -> npt.NDArray[np.float64]:
        known = np.frombuffer(classes, dtype=np.bool_)
        return _centred_ranks(_known_pairs(name, matrices[name], known))

    known = {name: _known_classes(matrix) for name, matrix in matrices.items()}
    # what is permuted is so once for all that it is compared with, over the same known classes
    groups: dict[tuple[str, bytes], list[str]] = defaultdict(list)
    for first, second in combinations(matrices, 2):
        groups[second, (known[first] & known[second]).tobytes()].append(first)
    found: dict[tuple[str, str], Mantel] = {}
    for (second, classes), firsts in groups.items():
        fixed, moving = [ranks(first, classes) for first in firsts], ranks(second, classes)
        tests = _permuted_tests(fixed, moving, n_permutations, seed, classes.count(1))
        found |= {(first, second): test for first, test in zip(firsts, tests, strict=True)}
    return {pair: found[pair] for pair in combinations(matrices, 2)}


def _permuted_tests(
    fixed: Sequence[npt.NDArray[np.float64]],
    moving: npt.NDArray[np.float64],
    n_permutations: int,
    seed: int,
    n_classes: int,
) -> list[Mantel]:
    """Test the ranks of pairs in several similarities against those in one that is permuted."""
    correlations = [_correlation(ranks, moving) for ranks in fixed]
    if all(map(math.isnan, correlations)):
        return [Mantel(math.nan, math.nan, n_permutations, n_classes)] * len(fixed)
    # ranks keep their mean and their scale, so that their products alone decide
    products = _products([_square(ranks, n_classes) for ranks in fixed], _square(moving, n_classes))
    slack = _ROUNDING * np.linalg.norm(fixed, axis=1) * np.linalg.norm(moving)
    lowest = products(np.arange(n_classes)) - slack
    reached = np.zeros(len(fixed), dtype=np.int64)
    for block in permutation_blocks(n_permutations, n_classes, seed):
        for order in block:
            reached += products(order) >= lowest
    return [
        Mantel(
            correlation,
            math.nan if math.isnan(correlation) else p_value(count, n_permutations),
            n_permutations,
            n_classes,
        )
        for correlation, count in zip(correlations, reached.tolist(), strict=True)
    ]


def _products(
    fixed: Sequence[npt.NDArray[np.float64]], moving: npt.NDArray[np.float64]
) -> Callable[[IntArray], npt.NDArray[np.float64]]:
    """Make a function of the order of `moving`: its product with each fixed matrix, by pairs."""
    # centred ranks are halves of whole numbers, which float32 holds exactly up to 5793 classes
    narrow = moving.astype(np.float32)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(moving), _ROWS)]
    lower = np.tril(fixed, -1)
    below = [np.ascontiguousarray(lower[:, block, : block.stop]) for block in blocks]

    def products(order: IntArray) -> npt.NDArray[np.float64]:
        total = np.zeros(len(fixed))
        for block, parts in zip(blocks, below, strict=True):
            moved = narrow.take(order[block], axis=0).take(order[: block.stop], axis=1)
            total += np.tensordot(parts, moved.astype(np.float64), 2)
        return total

    return products


def _checked(matrices: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    """Similarities of the same classes by what a message calls them, at least one."""
    if not matrices:
        raise invalid("matrices", "at least one similarity", "none")
    checked: dict[str, FloatArray] = {}
    for name, matrix in matrices.items():
        label = f"matrices[{name!r}]"
        checked[label] = check_similarity(label, matrix)
        first = next(iter(checked))
        if checked[label].shape != checked[first].shape:
            raise invalid(label, f"of as many classes as {first}", checked[label].shape)
    return checked


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
