from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from ols_core.analysis._permutations import permutation_blocks
from ols_core.analysis.similarity import (
    similarity_from_confusion,
    similarity_from_soft_labels,
    superclass_agreement,
    superclass_recovery,
    taxonomy_agreement,
)
from ols_core.errors import ArgumentError

NAN = np.nan


def random_similarity(seed: int, k: int = 8) -> np.ndarray:
    soft_labels = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=k)
    return similarity_from_soft_labels(soft_labels)


def groups(seed: int, k: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, k)


class TestPermutations:
    def test_are_the_same_however_they_are_cut(self, monkeypatch):
        whole = np.concatenate(list(permutation_blocks(50, 7, seed=3)))
        monkeypatch.setattr("ols_core.analysis._permutations._BLOCK", 20)
        blocks = list(permutation_blocks(50, 7, seed=3))
        assert [len(block) for block in blocks] == [2] * 25
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
        np.testing.assert_array_equal(np.sort(whole, axis=1), np.tile(np.arange(7), (50, 1)))
        np.testing.assert_array_equal(np.concatenate(list(permutation_blocks(9, 7, 3))), whole[:9])

    def test_draw_every_order_equally_often(self):
        drawn = np.concatenate(list(permutation_blocks(6000, 3, seed=0)))
        _, counts = np.unique(drawn, axis=0, return_counts=True)
        assert counts.size == 6
        assert abs(counts - 1000).max() < 120


class TestAgreement:
    def test_by_hand(self):
        found = taxonomy_agreement([0, 0, 0, 1, 1, 1], list("aabbbb"), n_permutations=99)
        # clusters of 2 a + 1 b and of 3 b: (4 - 6 * 7 / 15) / ((6 + 7) / 2 - 6 * 7 / 15)
        assert found.ari == pytest.approx(1.2 / 3.7)
        assert found.purity == pytest.approx(5 / 6)
        first, second = math.log(2), math.log(3) - 2 / 3 * math.log(2)
        joint = math.log(6) - math.log(2) / 3 - math.log(3) / 2
        assert found.nmi == pytest.approx(2 * (first + second - joint) / (first + second))
        assert (found.n_permutations, found.n_clusters) == (99, 2)
        # a cluster of three holds both a or not: 2 of 5 hold them, and all of those score alike
        many = taxonomy_agreement([0, 0, 0, 1, 1, 1], list("aabbbb"), n_permutations=20_000)
        assert many.p_value == pytest.approx(0.4, abs=0.02)

    @pytest.mark.parametrize("n_clusters", [1, 2, 5, 30])
    @pytest.mark.parametrize("n_groups", [1, 4, 30])
    def test_agrees_with_scikit_learn(self, n_clusters, n_groups):
        first, second = groups(n_clusters, 30, n_clusters), groups(n_groups + 9, 30, n_groups)
        found = taxonomy_agreement(first, second, n_permutations=1)
        assert found.ari == pytest.approx(adjusted_rand_score(second, first))
        assert found.nmi == pytest.approx(normalized_mutual_info_score(second, first))
        largest = [np.bincount(second[first == cluster]).max() for cluster in set(first)]
        assert found.purity == pytest.approx(sum(largest) / 30)
        assert found.n_clusters == len(set(first))

    @pytest.mark.parametrize("seed", range(5))
    def test_p_value_agrees_with_a_loop_over_permutations(self, seed):
        first, second = groups(seed, 12, 3), groups(seed + 50, 12, 4)
        found = taxonomy_agreement(first, second, n_permutations=200, seed=seed)
        indices = [
            superclass_agreement(first, second[order])
            for block in permutation_blocks(200, 12, seed)
            for order in block
        ]
        reached = sum(index >= found.ari - 1e-9 for index in indices)
        assert found.p_value == (1 + reached) / 201

    def test_finds_what_is_there_and_does_not_find_what_is_not(self):
        superclasses = np.arange(100) % 20
        noisy = np.where(np.arange(100) < 40, superclasses, groups(0, 100, 20))
        assert taxonomy_agreement(noisy, superclasses).p_value == 0.001
        values = [taxonomy_agreement(groups(s, 100, 20), superclasses).p_value for s in range(40)]
        assert 0.35 < np.mean(values) < 0.65

    def test_where_nothing_can_be_permuted_every_permutation_is_as_good(self):
        assert taxonomy_agreement([0, 0, 0], [1, 1, 1]).p_value == 1.0
        assert taxonomy_agreement([0, 1, 2], ["c", "a", "b"]).p_value == 1.0

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ArgumentError, match="superclasses must be of shape"):
            taxonomy_agreement([0, 1], [0, 1, 2])
        with pytest.raises(ArgumentError, match="n_permutations must be an integer of at least 1"):
            taxonomy_agreement([0, 1], [0, 1], n_permutations=0)
        with pytest.raises(ArgumentError, match="seed must be an integer of at least 0"):
            taxonomy_agreement([0, 1], [0, 1], seed=-1)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 20), st.integers(1, 20), st.integers(1, 20))
    def test_invariants(self, seed, k, n_clusters, n_groups):
        first, second = groups(seed, k, n_clusters), groups(seed + 1, k, n_groups)
        found = taxonomy_agreement(first, second, 30, seed)
        assert -0.5 <= found.ari <= 1
        assert 0 <= found.nmi <= 1
        assert 0 < found.purity <= 1
        assert 1 / 31 <= found.p_value <= 1
        # neither the names of the groups nor the order of the classes count
        names = np.random.default_rng(seed).permutation(k)
        renamed = taxonomy_agreement(20 - first[names], second[names].astype(str), 30, seed)
        assert renamed.ari == pytest.approx(found.ari)
        assert renamed.nmi == pytest.approx(found.nmi)
        assert renamed.purity == pytest.approx(found.purity)
        assert taxonomy_agreement(20 - first, second.astype(str), 30, seed).n_clusters == (
            found.n_clusters
        )


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else NAN


def recovery_by_loops(similarity: np.ndarray, superclasses: np.ndarray) -> dict[str, tuple]:
    k = len(similarity)
    result = {}
    for name in set(superclasses):
        members = [i for i in range(k) if superclasses[i] == name]
        inner, outer, shares = [], [], []
        for i in members:
            row = {j: similarity[i, j] for j in range(k) if j != i}
            row = {j: value for j, value in row.items() if not math.isnan(value)}
            inner += [value for j, value in row.items() if j in members]
            outer += [value for j, value in row.items() if j not in members]
            nearest = [j for j, value in row.items() if value == max(row.values())]
            if nearest:
                shares.append(mean([j in members for j in nearest]))
        share = mean(shares) if len(members) > 1 else NAN
        result[str(name)] = (len(members), mean(inner), mean(outer), share)
    return result


class TestRecovery:
    SIMILARITY = np.array(
        [
            [9.0, 0.5, 0.25, 0.0, 0.0],
            [0.5, 9.0, 0.25, 0.0, 0.0],
            [0.25, 0.25, 9.0, 0.125, 0.125],
            [0.0, 0.0, 0.125, 9.0, 0.25],
            [0.0, 0.0, 0.125, 0.25, 9.0],
        ]
    )

    def test_by_hand(self):
        found = superclass_recovery(self.SIMILARITY, ["sea", "sea", "air", "air", "land"])
        assert [(one.name, one.size) for one in found] == [("sea", 2), ("air", 2), ("land", 1)]
        sea, air, land = found
        assert (sea.within, sea.between, sea.neighbour_share) == (0.5, 0.5 / 6, 1.0)
        # class 2 is nearest to both of the sea, class 3 to the land
        assert (air.within, air.between) == (0.125, pytest.approx(0.875 / 6))
        assert air.neighbour_share == 0.0
        assert math.isnan(land.within)
        assert land.between == pytest.approx(0.375 / 4)
        assert math.isnan(land.neighbour_share)

    def test_nearest_neighbours_that_are_tied_share_their_class(self):
        found = superclass_recovery(np.full((3, 3), 0.1), [0, 0, 1])
        assert found[0].neighbour_share == 0.5
        assert found[0].name == "0"

    def test_equal_shares_are_ordered_by_the_gap_and_then_by_name(self):
        similarity = np.zeros((6, 6))
        for first, second, value in [(0, 1, 0.25), (2, 3, 0.5), (4, 5, 0.25)]:
            similarity[first, second] = similarity[second, first] = value
        found = superclass_recovery(similarity, ["b", "b", "c", "c", "a", "a"])
        assert [one.name for one in found] == ["c", "a", "b"]

    def test_of_one_superclass_alone(self):
        (only,) = superclass_recovery(self.SIMILARITY, ["all"] * 5)
        assert math.isnan(only.between)
        assert only.neighbour_share == 1.0

    def test_leaves_out_classes_that_nothing_is_known_about(self):
        counts = np.array([[3, 1, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [1, 0, 0, 3]])
        found = superclass_recovery(similarity_from_confusion(counts), ["a", "a", "b", "b"])
        assert found[0].name == "a"
        assert found[0].neighbour_share == 1.0
        # class 2 has no samples, so class 3 has no partner
        assert math.isnan(found[1].within)
        assert found[1].between == pytest.approx(0.0625)
        assert found[1].neighbour_share == 0.0
        unknown = superclass_recovery(np.full((2, 2), NAN), ["a", "a"])
        assert math.isnan(unknown[0].neighbour_share)

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ArgumentError, match=r"superclasses must be of shape \(5,\), got \(2,"):
            superclass_recovery(self.SIMILARITY, ["a", "b"])
        with pytest.raises(ArgumentError, match=r"similarity\[0, 1\] must be equal"):
            superclass_recovery([[1.0, 0.2], [0.3, 1.0]], ["a", "b"])

    def test_leaves_the_similarity_alone(self):
        before = self.SIMILARITY.copy()
        superclass_recovery(self.SIMILARITY, [0, 0, 0, 1, 1])
        np.testing.assert_array_equal(self.SIMILARITY, before)

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 6), st.booleans())
    def test_agrees_with_loops_and_does_not_depend_on_the_order(self, seed, k, n, gaps):
        similarity = random_similarity(seed, k).round(1)
        if gaps:
            similarity[seed % k], similarity[:, seed % k] = NAN, NAN
        superclasses = groups(seed, k, n)
        found = superclass_recovery(similarity, superclasses)
        expected = recovery_by_loops(similarity, superclasses)
        assert {one.name for one in found} == set(expected)
        for one in found:
            values = (one.size, one.within, one.between, one.neighbour_share)
            np.testing.assert_allclose(values, expected[one.name], atol=1e-12)
        shares = [one.neighbour_share for one in found if not math.isnan(one.neighbour_share)]
        assert all(0 <= share <= 1 for share in shares)
        assert shares == pytest.approx(sorted(shares, reverse=True))
        names = np.random.default_rng(seed).permutation(k)
        renamed = superclass_recovery(similarity[np.ix_(names, names)], superclasses[names])
        assert [one.name for one in renamed] == [one.name for one in found]
