from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage

from ols_core.analysis._leaf_order import optimal_order
from ols_core.analysis.similarity import (
    class_hierarchy,
    cut_clusters,
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

    def test_tree_is_average_linkage_with_its_leaves_in_order(self):
        soft_labels = np.random.default_rng(1).dirichlet(np.full(30, 0.2), size=30)
        similarity = similarity_from_soft_labels(soft_labels)
        hierarchy = class_hierarchy(similarity)
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

    @pytest.mark.parametrize("n_clusters", [0, 7])
    def test_refuses_a_number_out_of_range(self, n_clusters):
        with pytest.raises(ArgumentError, match="n_clusters must be"):
            cut_clusters(class_hierarchy(np.full((6, 6), 0.1)), n_clusters)
