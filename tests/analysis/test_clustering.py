from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import cut_tree, fcluster, leaves_list, linkage
from scipy.cluster.hierarchy import dendrogram as scipy_dendrogram

from ols_core.analysis._leaf_order import optimal_order
from ols_core.analysis.similarity import (
    Hierarchy,
    class_hierarchy,
    cut_clusters,
    cut_height,
    dendrogram,
    distance_from_similarity,
    similarity_from_classifier,
    similarity_from_soft_labels,
    superclass_agreement,
)
from ols_core.errors import ArgumentError


def distances(seed: int, k: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(k, 3))
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def length(order: np.ndarray, distance: np.ndarray) -> float:
    return float(distance[order[:-1], order[1:]].sum())


def all_orders(tree: np.ndarray, k: int) -> list[list[int]]:
    """Every order that the tree allows: each branch in each of its orders, on either side."""
    orders = [[[leaf]] for leaf in range(k)]
    for left, right in tree[:, :2].astype(int):
        pairs = [(a, b) for a in orders[left] for b in orders[right]]
        orders.append([a + b for a, b in pairs] + [b + a for a, b in pairs])
    return orders[-1]


def random_similarity(seed: int, k: int) -> np.ndarray:
    soft_labels = np.random.default_rng(seed).dirichlet(np.full(k, 0.2), size=k)
    return similarity_from_soft_labels(soft_labels)


def random_hierarchy(seed: int, k: int) -> Hierarchy:
    return class_hierarchy(random_similarity(seed, k))


def bars(hierarchy: Hierarchy) -> np.ndarray:
    """One row a merge: positions of both feet, their heights, and that of the bar."""
    found = dendrogram(hierarchy)
    legs = [found.left, found.right, found.left_height, found.right_height]
    return np.column_stack([*legs, found.height])


class TestLeafOrder:
    @pytest.mark.parametrize("method", ["average", "single"])  # bushy and chained trees
    @pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 7, 9])
    def test_no_order_that_the_tree_allows_is_shorter(self, k, method):
        for seed in range(10):
            distance = distances(seed, k)
            tree = linkage(distance[np.triu_indices(k, 1)], method)
            order = optimal_order(tree, leaves_list(tree), distance)
            allowed = all_orders(tree, k)
            assert order.tolist() in allowed
            shortest = min(length(np.array(one), distance) for one in allowed)
            assert length(order, distance) == pytest.approx(shortest)

    def test_does_not_depend_on_the_order_that_it_starts_from(self):
        distance = distances(0, 40)
        tree = linkage(distance[np.triu_indices(40, 1)], "average")
        leaves = leaves_list(tree)
        order = optimal_order(tree, leaves, distance)
        np.testing.assert_array_equal(optimal_order(tree, leaves[::-1].copy(), distance), order)
        assert order[0] < order[-1]

    def test_a_chain_may_be_deeper_than_the_recursion_limit(self):
        # each leaf is farther from all before it than those are from each other
        k = 1200
        position = np.cumsum(np.arange(k, dtype=np.float64))
        distance = np.abs(position[:, None] - position[None])
        tree = linkage(distance[np.triu_indices(k, 1)], "single")
        order = optimal_order(tree, leaves_list(tree), distance)
        np.testing.assert_array_equal(order, np.arange(k))


class TestHierarchy:
    def test_puts_groups_side_by_side(self):
        random = np.random.default_rng(0)
        groups = np.arange(24) % 4
        weight = 5 * random.normal(size=(4, 16))[groups] + random.normal(size=(24, 16))
        hierarchy = class_hierarchy(similarity_from_classifier(weight))
        assert np.count_nonzero(np.diff(groups[hierarchy.order])) == 3
        assert superclass_agreement(cut_clusters(hierarchy, 4), groups) == 1.0

    @pytest.mark.parametrize("optimal_ordering", [True, False])
    def test_tree_is_average_linkage_with_its_leaves_in_order(self, optimal_ordering):
        soft_labels = np.random.default_rng(1).dirichlet(np.full(30, 0.2), size=30)
        similarity = similarity_from_soft_labels(soft_labels)
        hierarchy = class_hierarchy(similarity, optimal_ordering=optimal_ordering)
        np.testing.assert_array_equal(leaves_list(hierarchy.linkage), hierarchy.order)
        condensed = distance_from_similarity(similarity)[np.triu_indices(30, 1)]
        plain = linkage(condensed, "average")
        np.testing.assert_array_equal(hierarchy.linkage[:, 2:], plain[:, 2:])
        np.testing.assert_array_equal(
            np.sort(hierarchy.linkage[:, :2]), np.sort(plain[:, :2], axis=1)
        )

    def test_of_two_classes(self):
        hierarchy = class_hierarchy([[np.nan, 0.25], [0.25, np.nan]])
        assert hierarchy.order.tolist() == [0, 1]
        assert hierarchy.linkage.tolist() == [[0.0, 1.0, 0.75, 2.0]]

    def test_of_classes_that_nothing_is_known_about(self):
        hierarchy = class_hierarchy(np.full((5, 5), np.nan))
        assert sorted(hierarchy.order.tolist()) == [0, 1, 2, 3, 4]


class TestCut:
    def test_agrees_with_scipy_at_every_height(self):
        soft_labels = np.random.default_rng(2).dirichlet(np.full(25, 0.2), size=25)
        hierarchy = class_hierarchy(similarity_from_soft_labels(soft_labels))
        condensed = distance_from_similarity(similarity_from_soft_labels(soft_labels))
        plain = linkage(condensed[np.triu_indices(25, 1)], "average")
        for n_clusters in range(1, 26):
            clusters = cut_clusters(hierarchy, n_clusters)
            expected = cut_tree(plain, n_clusters)[:, 0]
            assert superclass_agreement(clusters, expected) == pytest.approx(1.0)
            # numbered from left to right, none left out
            shown = clusters[hierarchy.order]
            assert set(np.diff(shown)) <= {0, 1}
            assert (shown[0], shown[-1]) == (0, n_clusters - 1)

    def test_gives_the_exact_number_where_all_are_equally_alike(self):
        hierarchy = class_hierarchy(np.full((6, 6), 0.1))
        assert [len(set(cut_clusters(hierarchy, n))) for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]

    @pytest.mark.parametrize("cut", [cut_clusters, cut_height])
    @pytest.mark.parametrize("n_clusters", [0, 7])
    def test_refuses_a_number_out_of_range(self, cut, n_clusters):
        with pytest.raises(ArgumentError, match="n_clusters must be"):
            cut(class_hierarchy(np.full((6, 6), 0.1)), n_clusters)

    @pytest.mark.parametrize("k", [2, 3, 25])
    def test_at_its_height_gives_the_same_clusters_in_scipy(self, k):
        hierarchy = random_hierarchy(3, k)
        for n_clusters in range(1, k + 1):
            height = cut_height(hierarchy, n_clusters)
            expected = fcluster(hierarchy.linkage, height, "distance")
            assert len(set(expected)) == n_clusters
            clusters = cut_clusters(hierarchy, n_clusters)
            assert superclass_agreement(clusters, expected) == pytest.approx(1.0)

    def test_between_ties_is_at_their_height(self):
        # two pairs, each of distance 0.5, and 1 between them
        similarity = np.kron(np.eye(2), np.full((2, 2), 0.5))
        hierarchy = class_hierarchy(similarity)
        assert [cut_height(hierarchy, n) for n in (1, 2, 3, 4)] == [1.0, 0.75, 0.5, 0.25]


class TestDendrogram:
    @pytest.mark.parametrize("k", [2, 3, 4, 7, 40])
    def test_has_the_bars_and_legs_of_scipy(self, k):
        hierarchy = random_hierarchy(k, k)
        plain = scipy_dendrogram(hierarchy.linkage, no_plot=True)
        assert plain["leaves"] == hierarchy.order.tolist()
        # scipy draws each merge from foot to foot, leaves 10 apart, in the order of its walk
        across, up = np.array(plain["icoord"]) / 10, np.array(plain["dcoord"])
        expected = np.column_stack([across[:, [0, 3]], up[:, [0, 3, 1]]])
        np.testing.assert_allclose(sorted(bars(hierarchy).tolist()), sorted(expected.tolist()))

    def test_comes_in_the_order_of_the_merges(self):
        hierarchy = random_hierarchy(5, 30)
        found = dendrogram(hierarchy)
        np.testing.assert_array_equal(found.height, hierarchy.linkage[:, 2])
        assert (found.left < found.right).all()

    def test_of_classes_that_are_all_the_same_is_flat(self):
        found = dendrogram(class_hierarchy(np.ones((5, 5))))
        assert found.height.tolist() == [0.0] * 4
        assert {0.5, 1.5, 2.5, 3.5, 4.5} <= {*found.left, *found.right}

    def test_renaming_classes_changes_nothing_but_the_side_it_is_seen_from(self):
        similarity = random_similarity(6, 20)
        names = np.random.default_rng(6).permutation(20)
        hierarchy = class_hierarchy(similarity)
        renamed = class_hierarchy(similarity[np.ix_(names, names)])
        expected = bars(hierarchy)
        if names[renamed.order[0]] != hierarchy.order[0]:
            expected = np.column_stack([20 - expected[:, [1, 0]], expected[:, [3, 2, 4]]])
        np.testing.assert_allclose(bars(renamed), expected)
