from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from ols_core.analysis._permutations import permutation_blocks
from ols_core.analysis.similarity import (
    agreement_matrix,
    mantel_test,
    mantel_tests,
    rank_agreement,
    similarity_from_soft_labels,
)
from ols_core.errors import ArgumentError

NAN = np.nan


def random_similarity(seed: int, k: int = 8) -> np.ndarray:
    soft_labels = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=k)
    return similarity_from_soft_labels(soft_labels)


def without(similarity: np.ndarray, *classes: int) -> np.ndarray:
    result = similarity.copy()
    result[list(classes)] = NAN
    result[:, list(classes)] = NAN
    return result


def p_by_loop(first: np.ndarray, second: np.ndarray, n: int, seed: int) -> float:
    k = len(first)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    values = [first[pair] for pair in pairs]
    observed = spearmanr(values, [second[pair] for pair in pairs]).statistic
    reached = 0
    for block in permutation_blocks(n, k, seed):
        for order in block:
            moved = [second[order[i], order[j]] for i, j in pairs]
            reached += spearmanr(values, moved).statistic >= observed - 1e-9
    return (1 + reached) / (1 + n)


class TestMantel:
    def test_by_hand(self):
        first = [[0, 3, 2], [3, 0, 1], [2, 1, 0]]
        found = mantel_test(first, [[0, 30, 20], [30, 0, 10], [20, 10, 0]], 6000)
        assert found.correlation == pytest.approx(1.0)
        # of the six orders of three classes one has these ranks
        assert found.p_value == pytest.approx(1 / 6, abs=0.02)
        assert (found.n_permutations, found.n_classes) == (6000, 3)

    def test_p_value_comes_close_to_that_of_all_orders(self):
        first, second = random_similarity(0, 5), random_similarity(1, 5)
        observed = rank_agreement(first, second)
        reached = [
            rank_agreement(first, second[np.ix_(order, order)]) >= observed - 1e-9
            for order in permutations(range(5))
        ]
        found = mantel_test(first, second, 10_000)
        assert found.p_value == pytest.approx(np.mean(reached), abs=0.02)

    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_a_loop_over_the_same_permutations(self, seed):
        # few decimals, so that there are ties
        first, second = (random_similarity(s, 7).round(1) for s in (seed, seed + 10))
        found = mantel_test(first, second, 60, seed)
        upper = np.triu_indices(7, 1)
        expected = spearmanr(first[upper], second[upper]).statistic
        assert found.correlation == pytest.approx(expected)
        assert found.p_value == p_by_loop(first, second, 60, seed)

    def test_is_one_sided(self):
        similarity = random_similarity(0, 12)
        assert mantel_test(similarity, similarity).p_value == 0.001
        assert mantel_test(similarity, -similarity).p_value == 1.0

    def test_finds_no_agreement_in_noise(self):
        values = [
            mantel_test(random_similarity(s, 10), random_similarity(s + 500, 10), 99).p_value
            for s in range(60)
        ]
        assert 0.35 < np.mean(values) < 0.65
        assert np.mean(np.array(values) <= 0.1) < 0.25

    def test_permutations_that_are_equally_good_are_counted(self):
        # one class is near to all others, which are not near to each other
        star = np.zeros((4, 4))
        star[0, 1:] = star[1:, 0] = 1.0
        moved = np.roll(np.roll(star, 1, axis=0), 1, axis=1)
        found = mantel_test(star, moved, 4000)
        # the centres differ, as after 3 of 4 permutations; after the others they are the same
        assert found.correlation == pytest.approx(-1 / 3)
        assert found.p_value == 1.0

    def test_leaves_out_classes_that_either_does_not_know(self):
        first, second = random_similarity(0, 9), random_similarity(1, 9)
        rest = np.ix_([0, 1, 3, 4, 6, 7, 8], [0, 1, 3, 4, 6, 7, 8])
        found = mantel_test(without(first, 2), without(second, 2, 5), 99, seed=4)
        assert found == mantel_test(first[rest], second[rest], 99, seed=4)
        assert found.n_classes == 7
        assert found.correlation == rank_agreement(without(first, 2), without(second, 2, 5))

    def test_refuses_a_single_pair_that_is_unknown(self):
        holes = random_similarity(0, 5)
        holes[1, 3] = holes[3, 1] = NAN
        with pytest.raises(ArgumentError, match=r"second\[1, 3\] must be known, .* got nan"):
            mantel_test(random_similarity(1, 5), holes)
        # it does not matter where its class is left out anyway
        assert mantel_test(without(random_similarity(1, 5), 3), holes, 9).n_classes == 4

    @pytest.mark.parametrize(
        ("first", "second", "n_classes"),
        [
            (np.ones((4, 4)), random_similarity(0, 4), 4),
            (random_similarity(0, 2), random_similarity(1, 2), 2),
            (np.full((3, 3), NAN), random_similarity(1, 3), 0),
        ],
    )
    def test_is_nan_where_ranks_do_not_exist(self, first, second, n_classes):
        found = mantel_test(first, second)
        assert math.isnan(found.correlation)
        assert math.isnan(found.p_value)
        assert found.n_classes == n_classes

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ArgumentError, match=r"second must be of shape \(3, 3\), like first"):
            mantel_test(random_similarity(0, 3), random_similarity(0, 4))
        with pytest.raises(ArgumentError, match="n_permutations must be an integer of at least 1"):
            mantel_test(random_similarity(0), random_similarity(1), 0)
        with pytest.raises(ArgumentError, match="seed must be an integer of at least 0"):
            mantel_test(random_similarity(0), random_similarity(1), seed=-1)

    def test_many_at_once_are_the_same_as_one_by_one(self):
        sources = {
            "soft labels": random_similarity(0, 9),
            "some": without(random_similarity(1, 9), 2),
            "features": random_similarity(2, 9).round(1),
            "flat": np.ones((9, 9)),
        }
        found = mantel_tests(sources, 60, seed=3)
        expected = {
            (a, b): mantel_test(sources[a], sources[b], 60, seed=3)
            for a, b in combinations(sources, 2)
        }
        assert list(found) == list(expected)
        assert repr(found) == repr(expected)  # in which NaN is like NaN

    def test_of_more_classes_than_are_permuted_at_once_agrees_with_a_product(self):
        first, second = random_similarity(0, 230), random_similarity(1, 230)
        upper = np.triu_indices(230, 1)
        ranks = [np.zeros((230, 230)) for _ in range(2)]
        for square, matrix in zip(ranks, (first, second), strict=True):
            square[upper] = rankdata(matrix[upper])
        fixed, moving = (square + square.T for square in ranks)
        products = [
            np.vdot(fixed, moving[np.ix_(order, order)])
            for block in permutation_blocks(99, 230, 0)
            for order in block
        ]
        reached = np.count_nonzero(np.array(products) >= np.vdot(fixed, moving))
        assert mantel_test(first, second, 99).p_value == (1 + reached) / 100

    def test_many_say_which_one_does_not_fit(self):
        with pytest.raises(ArgumentError, match="matrices must be at least one similarity"):
            mantel_tests({})
        with pytest.raises(ArgumentError, match=r"matrices\['b'\] must be of as many classes as"):
            mantel_tests({"a": random_similarity(0, 4), "b": random_similarity(0, 3)})

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(3, 12))
    def test_invariants(self, seed, k):
        first, second = random_similarity(seed, k), random_similarity(seed + 1, k)
        found = mantel_test(first, second, 30, seed)
        assert found == mantel_test(first, second, 30, seed)
        assert found.correlation == pytest.approx(rank_agreement(first, second))
        assert 1 / 31 <= found.p_value <= 1
        # only ranks count
        assert mantel_test(first, np.exp(second), 30, seed) == found
        names = np.random.default_rng(seed).permutation(k)
        cells = np.ix_(names, names)
        renamed = mantel_test(first[cells], second[cells], 30, seed)
        assert renamed.correlation == pytest.approx(found.correlation)


class TestMatrix:
    def test_holds_every_pair_of_sources(self):
        sources = {name: random_similarity(seed) for seed, name in enumerate("abcd")}
        names, correlations = agreement_matrix(sources)
        assert names == ("a", "b", "c", "d")
        expected = [[rank_agreement(x, y) for y in sources.values()] for x in sources.values()]
        np.testing.assert_allclose(correlations, expected)
        np.testing.assert_array_equal(correlations, correlations.T)
        assert correlations.diagonal().tolist() == [1.0] * 4

    def test_compares_two_sources_over_what_both_know(self):
        sources = {
            "all": random_similarity(0),
            "some": without(random_similarity(1), 2),
            "others": without(random_similarity(2), 5, 6),
        }
        _, correlations = agreement_matrix(sources)
        expected = [[rank_agreement(x, y) for y in sources.values()] for x in sources.values()]
        np.testing.assert_allclose(correlations, expected)

    def test_of_one_source_and_of_a_constant_one(self):
        names, correlations = agreement_matrix({"only": random_similarity(0)})
        assert (names, correlations.tolist()) == (("only",), [[1.0]])
        _, correlations = agreement_matrix({"flat": np.ones((4, 4)), "b": random_similarity(0, 4)})
        np.testing.assert_array_equal(correlations, [[NAN, NAN], [NAN, 1.0]])

    def test_says_which_matrix_does_not_fit(self):
        good = random_similarity(0)
        with pytest.raises(ArgumentError, match="matrices must be at least one similarity"):
            agreement_matrix({})
        with pytest.raises(ArgumentError, match=r"matrices\['b'\] must be of as many classes as"):
            agreement_matrix({"a": good, "b": random_similarity(0, 3)})
        with pytest.raises(ArgumentError, match=r"matrices\['b'\]\[0, 1\] must be equal to"):
            agreement_matrix({"a": good[:2, :2], "b": [[1.0, 0.2], [0.3, 1.0]]})

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(3, 10))
    def test_renaming_classes_changes_nothing(self, seed, k):
        names = np.random.default_rng(seed).permutation(k)
        sources = {str(s): random_similarity(seed + s, k) for s in range(3)}
        renamed = {name: matrix[np.ix_(names, names)] for name, matrix in sources.items()}
        _, first = agreement_matrix(sources)
        _, second = agreement_matrix(renamed)
        np.testing.assert_allclose(first, second, atol=1e-12)
        assert (np.abs(first) <= 1).all()
