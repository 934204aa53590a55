from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.analysis.similarity import (
    ClassPair,
    class_hierarchy,
    class_order,
    compare_pairs,
    confusion_matrix,
    cut_clusters,
    distance_from_similarity,
    leading_pairs,
    rank_agreement,
    similar_pairs,
    similarity_from_centroids,
    similarity_from_classifier,
    similarity_from_confusion,
    similarity_from_soft_labels,
    superclass_agreement,
)
from ols_core.errors import ArgumentError

NAN = np.nan


def random_similarity(seed: int, k: int = 8) -> np.ndarray:
    soft_labels = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=k)
    return similarity_from_soft_labels(soft_labels)


class TestSources:
    def test_soft_labels_average_both_directions(self):
        result = similarity_from_soft_labels([[0.5, 0.5, 0.0], [0.1, 0.8, 0.1], [0.2, 0.0, 0.8]])
        expected = [[NAN, 0.3, 0.1], [0.3, NAN, 0.05], [0.1, 0.05, NAN]]
        np.testing.assert_allclose(result, expected)

    def test_confusion_agrees_with_scikit_learn(self):
        from sklearn.metrics import confusion_matrix as oracle

        random = np.random.default_rng(0)
        predictions, labels = random.integers(0, 6, 300), random.integers(0, 5, 300)
        ours = confusion_matrix(predictions, labels, 7)
        np.testing.assert_array_equal(ours, oracle(labels, predictions, labels=range(7)))
        assert ours.dtype == np.int64

    def test_confusion_refuses_what_does_not_fit(self):
        with pytest.raises(ArgumentError, match=r"predictions\[0\] must be a class index"):
            confusion_matrix([2], [0], n_classes=2)
        with pytest.raises(ArgumentError, match=r"predictions must be of shape \(2,\)"):
            confusion_matrix([1], [0, 1], n_classes=2)

    def test_confusion_is_divided_by_the_size_of_the_class(self):
        result = similarity_from_confusion([[5, 5], [0, 1000]])
        np.testing.assert_allclose(result, [[NAN, 0.25], [0.25, NAN]])

    def test_confusion_without_samples_of_a_class_is_unknown(self):
        result = similarity_from_confusion([[2, 1, 1], [0, 0, 0], [1, 0, 1]])
        expected = [[NAN, NAN, 0.375], [NAN, NAN, NAN], [0.375, NAN, NAN]]
        np.testing.assert_allclose(result, expected)

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_confusion_similarity_refuses_what_is_no_count(self, bad):
        with pytest.raises(ArgumentError, match=r"confusion\[1\] must be counts"):
            similarity_from_confusion([[1.0, 0.0], [bad, 1.0]])

    @pytest.mark.parametrize("dtype", [np.float16, np.float64])
    def test_centroids_agree_with_a_loop_over_classes(self, dtype):
        from sklearn.metrics.pairwise import cosine_similarity

        random = np.random.default_rng(1)
        labels = random.integers(0, 5, 200)
        features = (random.normal(size=(200, 6)) + labels[:, None] + 3).astype(dtype)
        wide = features.astype(np.float64)
        centroids = [wide[labels == index].mean(axis=0) - wide.mean(axis=0) for index in range(5)]
        expected = cosine_similarity(centroids)
        np.fill_diagonal(expected, NAN)
        np.testing.assert_allclose(similarity_from_centroids(features, labels, 5), expected)

    def test_an_absent_class_is_unknown_and_changes_nothing_else(self):
        random = np.random.default_rng(2)
        labels = random.choice([0, 2, 3], 90)
        features = random.normal(size=(90, 4)) + labels[:, None]
        result = similarity_from_centroids(features, labels, 4)
        assert np.isnan(result[1]).all()
        assert np.isnan(result[:, 1]).all()
        present = [0, 2, 3]
        _, packed = np.unique(labels, return_inverse=True)
        expected = similarity_from_centroids(features, packed, 3)
        np.testing.assert_allclose(result[np.ix_(present, present)], expected)

    def test_a_class_on_the_mean_has_no_direction(self):
        assert np.isnan(similarity_from_centroids([[1.0], [1.0]], [0, 1], 2)).all()
        # all three means are 0.2 in both features, but for the last digit
        rows = [[0.1, 0.2], [0.2, 0.2], [0.3, 0.2], [0.2, 0.3], [0.2, 0.2], [0.2, 0.1]]
        assert np.isnan(similarity_from_centroids(rows, [0, 0, 0, 1, 1, 1], 2)).all()

    def test_classifier_does_not_see_what_all_rows_share(self):
        weight = np.random.default_rng(3).normal(size=(5, 4))
        result = similarity_from_classifier(weight)
        np.testing.assert_allclose(similarity_from_classifier(weight + 7.0), result)
        centred = weight - weight.mean(axis=0)
        cosine = centred[0] @ centred[1] / np.linalg.norm(centred[0]) / np.linalg.norm(centred[1])
        assert result[0, 1] == pytest.approx(cosine)

    def test_refuse_what_is_not_finite(self):
        with pytest.raises(ArgumentError, match=r"features\[1\] must be finite"):
            similarity_from_centroids([[0.0], [np.inf]], [0, 1], 2)
        with pytest.raises(ArgumentError, match=r"weight\[0\] must be finite"):
            similarity_from_classifier([[np.nan], [0.0]])
        with pytest.raises(ArgumentError, match="weight must be of at least 2 rows"):
            similarity_from_classifier([[1.0, 2.0]])


class TestPairs:
    def test_come_once_each_most_similar_first(self):
        similarity = [[9, 0.1, 0.4], [0.1, 9, 0.2], [0.4, 0.2, 9]]
        expected = (ClassPair(0, 2, 0.4), ClassPair(1, 2, 0.2), ClassPair(0, 1, 0.1))
        assert similar_pairs(similarity) == expected
        assert similar_pairs(similarity, 2) == expected[:2]

    def test_leave_out_what_is_unknown(self):
        similarity = [[NAN, NAN, 0.4], [NAN, NAN, NAN], [0.4, NAN, NAN]]
        assert similar_pairs(similarity) == (ClassPair(0, 2, 0.4),)

    def test_ties_go_to_the_lower_classes(self):
        pairs = similar_pairs(np.ones((3, 3)))
        assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]

    def test_refuse_what_is_not_symmetric(self):
        with pytest.raises(ArgumentError, match=r"similarity\[0, 1\] must be equal to .*\[1, 0\]"):
            similar_pairs([[1.0, 0.2], [0.3, 1.0]])

    def test_leading_ones_rank_highest_in_either_similarity(self):
        first, second = (random_similarity(seed, 30) for seed in range(2))
        kept = leading_pairs([first, second], 100)
        assert kept.tolist() == sorted(kept.tolist())
        drawn = np.zeros((30, 30), dtype=bool)
        drawn[tuple(kept.T)] = True
        assert drawn.sum() == 100
        upper = np.triu_indices(30, 1)
        ranks = [np.argsort(np.argsort(-matrix[upper])) for matrix in (first, second)]
        best = np.zeros((30, 30))
        best[upper] = np.minimum(*ranks)
        assert best[np.triu(~drawn, 1)].min() >= best[drawn].max()

    def test_leading_ones_are_all_where_there_are_few_and_known_ones_first(self):
        assert leading_pairs([np.ones((3, 3))], 3).tolist() == [[0, 1], [0, 2], [1, 2]]
        holes = [[NAN, NAN, 0.4], [NAN, NAN, NAN], [0.4, NAN, NAN]]
        assert leading_pairs([holes], 1).tolist() == [[0, 2]]

    def test_compared_ones_are_looked_up_and_subtracted(self):
        matrices = [random_similarity(seed, 6) for seed in range(3)]
        found = compare_pairs(matrices, [[5, 1], [0, 3]])
        assert (found.first.tolist(), found.second.tolist()) == ([5, 0], [1, 3])
        expected = np.array([[matrix[5, 1], matrix[0, 3]] for matrix in matrices])
        np.testing.assert_array_equal(found.similarity, expected)
        np.testing.assert_array_equal(found.difference, expected - expected[0])

    def test_comparisons_refuse_what_does_not_fit(self):
        good = random_similarity(0, 4)
        with pytest.raises(ArgumentError, match="similarities must be at least one"):
            leading_pairs([], 3)
        with pytest.raises(ArgumentError, match=r"similarities\[1\] must be of shape \(4, 4\)"):
            leading_pairs([good, random_similarity(0, 3)], 3)
        with pytest.raises(ArgumentError, match="n must be an integer of at least 1"):
            leading_pairs([good], 0)
        for pairs in ([[0, 4]], [[-1, 0]], [[0, 1, 2]], [0], []):
            with pytest.raises(ArgumentError, match="pairs must be of shape"):
                compare_pairs([good], pairs)


class TestAgreement:
    def test_agrees_with_scipy_with_ties(self):
        from scipy.stats import spearmanr

        first, second = (random_similarity(seed, 12).round(1) for seed in (0, 1))
        upper = np.triu_indices(12, 1)
        expected = spearmanr(first[upper], second[upper]).statistic
        assert rank_agreement(first, second) == pytest.approx(expected)

    def test_leaves_out_pairs_that_are_unknown_to_either(self):
        from scipy.stats import spearmanr

        first, second = random_similarity(2), random_similarity(3)
        first[2], first[:, 2] = NAN, NAN
        second[5], second[:, 5] = NAN, NAN
        rest = np.ix_([0, 1, 3, 4, 6, 7], [0, 1, 3, 4, 6, 7])
        upper = np.triu_indices(6, 1)
        expected = spearmanr(first[rest][upper], second[rest][upper]).statistic
        # pairs such as (2, 5) are gone with both of their classes
        assert rank_agreement(first, second) == pytest.approx(expected)

    def test_compares_ranks_only(self):
        similarity = random_similarity(4)
        assert rank_agreement(similarity, np.exp(3 * similarity)) == pytest.approx(1)
        assert rank_agreement(similarity, -similarity) == pytest.approx(-1)

    def test_is_nan_where_ranks_do_not_exist(self):
        assert np.isnan(rank_agreement(np.ones((4, 4)), random_similarity(0, 4)))
        assert np.isnan(rank_agreement(random_similarity(0, 2), random_similarity(1, 2)))
        assert np.isnan(rank_agreement(np.full((3, 3), NAN), random_similarity(1, 3)))

    def test_refuses_other_classes(self):
        with pytest.raises(ArgumentError, match=r"second must be of shape \(3, 3\)"):
            rank_agreement(random_similarity(0, 3), random_similarity(0, 4))

    @pytest.mark.parametrize("groups", [1, 2, 5, 30])
    def test_of_groups_agrees_with_scikit_learn(self, groups):
        from sklearn.metrics import adjusted_rand_score

        random = np.random.default_rng(groups)
        first, second = random.integers(0, groups, 30), random.integers(0, 4, 30)
        ours = superclass_agreement(first, second)
        assert ours == pytest.approx(adjusted_rand_score(second, first))

    def test_of_groups_does_not_look_at_their_names(self):
        assert superclass_agreement([0, 0, 1, 2], ["b", "b", "c", "a"]) == 1.0
        assert superclass_agreement([0, 0, 0], [1, 1, 1]) == 1.0
        assert superclass_agreement([0, 1, 2], [2, 1, 0]) == 1.0
        assert superclass_agreement([0, 1, 0, 1], [0, 0, 1, 1]) == pytest.approx(-0.5)

    def test_of_groups_refuses_shapes_that_differ(self):
        with pytest.raises(ArgumentError, match="superclasses must be of shape"):
            superclass_agreement([0, 1], [0, 1, 2])


class TestInvariants:
    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 10))
    def test_renaming_classes_permutes_every_similarity(self, seed, k):
        random = np.random.default_rng(seed)
        names = random.permutation(k)
        cells = np.ix_(names, names)
        where = np.argsort(names)
        soft_labels = random.dirichlet(np.ones(k), size=k)
        counts = random.integers(0, 9, (k, k))
        labels, features = random.integers(0, k, 50), random.normal(size=(50, 3))
        weight = random.normal(size=(k, 3))
        for original, renamed in [
            (
                similarity_from_soft_labels(soft_labels),
                similarity_from_soft_labels(soft_labels[cells]),
            ),
            (similarity_from_confusion(counts), similarity_from_confusion(counts[cells])),
            (
                similarity_from_centroids(features, labels, k),
                similarity_from_centroids(features, where[labels], k),
            ),
            (similarity_from_classifier(weight), similarity_from_classifier(weight[names])),
        ]:
            np.testing.assert_allclose(renamed, original[cells], atol=1e-12)
            np.testing.assert_array_equal(renamed, renamed.T)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 10))
    def test_renaming_classes_renames_pairs_and_clusters(self, seed, k):
        similarity = random_similarity(seed, k)
        names = np.random.default_rng(seed).permutation(k)
        renamed = similarity[np.ix_(names, names)]
        found = [{int(names[p.first]), int(names[p.second])} for p in similar_pairs(renamed)]
        assert found == [{p.first, p.second} for p in similar_pairs(similarity)]
        n_clusters = 1 + seed % k
        clusters = cut_clusters(class_hierarchy(similarity), n_clusters)
        same = cut_clusters(class_hierarchy(renamed), n_clusters)
        assert superclass_agreement(same, clusters[names]) == pytest.approx(1.0)


class TestDistance:
    def test_is_one_minus_the_similarity(self):
        np.testing.assert_allclose(
            distance_from_similarity([[NAN, -1.0], [-1.0, NAN]]), [[0.0, 2.0], [2.0, 0.0]]
        )

    def test_what_is_unknown_is_as_far_as_the_farthest(self):
        similarity = [[NAN, 0.5, NAN], [0.5, NAN, 0.25], [NAN, 0.25, NAN]]
        assert distance_from_similarity(similarity)[0, 2] == 0.75
        assert distance_from_similarity(np.full((2, 2), NAN))[0, 1] == 1.0

    def test_refuses_more_than_one(self):
        with pytest.raises(ArgumentError, match=r"similarity\[0\] must be at most 1, got 3\.0"):
            distance_from_similarity([[0.0, 3.0], [3.0, 0.0]])


class TestOrder:
    SUPERCLASSES = ("tree", "fish", "tree", "fish")

    def test_given(self):
        assert class_order("given", 3).tolist() == [0, 1, 2]

    def test_alphabetical_does_not_look_at_case(self):
        names = ["pear", "Zebra", "apple", "Oak"]
        assert class_order("alphabetical", 4, names=names).tolist() == [2, 3, 0, 1]

    @pytest.mark.parametrize("superclasses", [SUPERCLASSES, [7, 3, 7, 3]])
    def test_superclass_keeps_the_class_index_within_one(self, superclasses):
        order = class_order("superclass", 4, superclasses=superclasses)
        assert order.tolist() == [1, 3, 0, 2]

    def test_ties_keep_the_class_index(self):
        order = class_order("superclass", 60, superclasses=np.arange(60) % 2)
        assert order.tolist() == [*range(0, 60, 2), *range(1, 60, 2)]

    def test_entropy_starts_with_the_most_certain_class(self):
        soft_labels = [[0.4, 0.3, 0.3], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]]
        assert class_order("entropy", 3, soft_labels=soft_labels).tolist() == [1, 2, 0]

    def test_clustered_is_that_of_the_hierarchy(self):
        similarity = random_similarity(0, 20)
        order = class_order("clustered", 20, similarity=similarity)
        assert order.tolist() == class_hierarchy(similarity).order.tolist()

    @pytest.mark.parametrize(
        ("kind", "argument"),
        [
            ("alphabetical", "names"),
            ("superclass", "superclasses"),
            ("clustered", "similarity"),
            ("entropy", "soft_labels"),
        ],
    )
    def test_says_what_is_missing_or_of_other_classes(self, kind, argument):
        with pytest.raises(ArgumentError, match=f"{argument} must be given for 3 classes .* None"):
            class_order(kind, 3)
        with pytest.raises(ArgumentError, match=rf"{argument} must be given .* got \(2,"):
            class_order(kind, 3, **{argument: np.eye(2)})

    def test_refuses_an_order_that_does_not_exist(self):
        with pytest.raises(ArgumentError, match="kind must be one of 'given', "):
            class_order("random", 3)  # type: ignore[arg-type]
