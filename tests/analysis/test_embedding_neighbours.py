from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.manifold import trustworthiness
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.neighbors import NearestNeighbors

from ols_core.analysis import _distances
from ols_core.analysis._neighbours import most_common
from ols_core.analysis.embedding import (
    Neighbours,
    faithfulness,
    nearest_neighbours,
    suspect_detection,
    suspects,
)
from ols_core.errors import ArgumentError


def features(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(3, 1, d) + 20


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows and columns, as if there were very many samples."""
    monkeypatch.setattr(_distances, "_ENTRIES", 200)


class TestNearestNeighbours:
    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_agrees_with_scikit_learn(self, dtype):
        values = features(90, 7).astype(dtype)
        found = nearest_neighbours(values, 12)
        wide = values.astype(np.float64)
        distance, index = NearestNeighbors(n_neighbors=12, algorithm="brute").fit(wide).kneighbors()
        np.testing.assert_array_equal(found.indices, index)
        np.testing.assert_allclose(found.distances, distance, rtol=1e-5)
        assert found.indices.dtype == np.int64
        assert found.distances.dtype == np.float32

    def test_far_from_the_origin_rounding_does_not_matter(self):
        values = features(50, 4)
        expected = nearest_neighbours(values, 5).indices
        moved = (values + 5000).astype(np.float32)
        assert (nearest_neighbours(moved, 5).indices == expected).mean() > 0.95

    def test_blocks_change_nothing(self, monkeypatch):
        values = features(60, 5).astype(np.float16)
        whole = nearest_neighbours(values, 6)
        monkeypatch.setattr(_distances, "_ENTRIES", 1)
        parts = nearest_neighbours(values, 6)
        np.testing.assert_array_equal(parts.indices, whole.indices)
        np.testing.assert_array_equal(parts.distances, whole.distances)

    def test_reads_a_memory_map(self, tmp_path):
        np.save(tmp_path / "features.npy", features(30, 5).astype(np.float16))
        mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
        found, expected = nearest_neighbours(mapped, 4), nearest_neighbours(np.array(mapped), 4)
        np.testing.assert_array_equal(found.indices, expected.indices)

    def test_of_equal_distances_the_lower_index_goes_first(self):
        found = nearest_neighbours([[0.0, 1.0]] * 4, 3)
        assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
        assert not found.distances.any()

    @settings(deadline=None)
    @given(arrays(np.float32, (9, 3), elements=st.integers(-4, 4)), st.integers(1, 8))
    def test_nobody_else_is_nearer(self, values, k):
        found = nearest_neighbours(values, k)
        distance = np.linalg.norm(values[:, None] - values, axis=2)
        np.testing.assert_allclose(
            found.distances, np.take_along_axis(distance, found.indices, axis=1), rtol=1e-6
        )
        np.fill_diagonal(distance, np.inf)
        np.testing.assert_allclose(found.distances, np.sort(distance, axis=1)[:, :k], rtol=1e-6)
        assert all(len(set(row)) == k for row in found.indices.tolist())

    @pytest.mark.parametrize(
        ("values", "k", "message"),
        [
            (np.ones((3, 2)), 3, "k must be at most 2, the number of other samples, got 3"),
            (np.ones((3, 2)), 0, "k must be an integer of at least 1"),
            ([[0.0], [np.inf]], 1, r"features\[1\] must be finite"),
            (np.ones(3), 1, "features must be of shape"),
        ],
    )
    def test_refuses(self, values, k, message):
        with pytest.raises(ArgumentError, match=message):
            nearest_neighbours(values, k)


@given(
    arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=st.integers(0, 4))
)
def test_most_common_is_the_lowest_of_the_most_frequent(votes):
    assert most_common(votes).tolist() == [int(np.bincount(row).argmax()) for row in votes]


class TestFaithfulness:
    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize("k", [1, 5, 20])
    def test_agrees_with_scikit_learn(self, k):
        values = features(80, 6)
        layout = values[:, :2] + features(80, 2, seed=1) / 5
        found = faithfulness(values, layout, k)
        oracle = trustworthiness(values, layout, n_neighbors=k)
        assert found.trustworthiness == pytest.approx(oracle, abs=1e-9)
        assert found.continuity == pytest.approx(trustworthiness(layout, values, n_neighbors=k))
        assert found.k == k
        assert found.trustworthiness < 1

    def test_of_stored_features_is_about_that_of_the_exact_ones(self):
        values, layout = features(200, 6), features(200, 6)[:, :2]
        stored = faithfulness(values.astype(np.float16), layout.astype(np.float32))
        exact = faithfulness(values, layout)
        assert stored.trustworthiness == pytest.approx(exact.trustworthiness, abs=0.01)
        assert stored.continuity == pytest.approx(exact.continuity, abs=0.01)

    def test_neighbours_of_a_far_spread_layout_are_told_apart(self):
        # in float32 the places of the second group would be one and the same
        place = np.concatenate([np.arange(10.0) * 1e-4, 1e3 + np.arange(10.0) * 1e-4])[:, None]
        found = faithfulness(np.arange(20.0)[:, None] + 100 * (place > 1), place, k=2)
        assert found.trustworthiness == found.continuity == 1.0

    def test_exchanging_the_spaces_exchanges_the_numbers(self):
        values, layout = features(40, 5), features(40, 2, seed=1)
        one, other = faithfulness(values, layout), faithfulness(layout, values)
        assert one.trustworthiness == other.continuity
        assert one.continuity == other.trustworthiness

    @pytest.mark.parametrize(
        ("layout", "k", "message"),
        [
            (np.ones((9, 2)), 3, "coordinates must be of 10 samples, like features, got 9"),
            (np.ones((10, 2)), 5, "k must be below half of the 10 samples, got 5"),
            (np.ones((10, 2)), 0, "k must be an integer"),
            (np.full((10, 2), np.nan), 3, r"coordinates\[0\] must be finite"),
        ],
    )
    def test_refuses(self, layout, k, message):
        with pytest.raises(ArgumentError, match=message):
            faithfulness(features(10, 3), layout, k)


class TestSuspects:
    def test_counts_the_neighbours_of_other_labels(self):
        labels = np.random.default_rng(0).integers(0, 3, 50)
        neighbours = nearest_neighbours(features(50, 4), 7)
        found = suspects(neighbours, labels, 3)
        for i, row in enumerate(neighbours.indices):
            votes = np.bincount(labels[row], minlength=3)
            assert found.score[i] == pytest.approx(1 - votes[labels[i]] / 7)
            assert found.majority[i] == votes.argmax()
            assert found.agreement[i] == pytest.approx(votes.max() / 7)
        ranked = [(-found.score[i], -found.agreement[i]) for i in found.order]
        assert ranked == sorted(ranked)
        assert sorted(found.order) == list(range(50))

    def test_finds_a_flipped_label_and_the_true_one(self):
        labels = np.repeat([0, 1], 10)
        values = labels[:, None] * 50 + features(20, 4)
        labels[3] = 1
        found = suspects(nearest_neighbours(values, 5), labels, 2)
        assert found.score.argmax() == 3
        assert found.score[3] == 1.0
        assert found.majority[3] == 0

    def test_refuses_labels_of_other_samples(self):
        neighbours = Neighbours(np.zeros((3, 1), dtype=np.int64), np.zeros((3, 1), np.float32))
        with pytest.raises(ArgumentError, match=r"labels must be of shape \(3,\)"):
            suspects(neighbours, [0, 1], 2)


class TestSuspectDetection:
    @given(
        st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40).filter(
            lambda rows: any(flipped for _, flipped in rows)
        )
    )
    def test_agrees_with_scikit_learn_ties_included(self, rows):
        score = np.array([score for score, _ in rows]) / 6
        flipped = np.array([flipped for _, flipped in rows])
        found = suspect_detection(score, flipped)
        precision, recall, thresholds = precision_recall_curve(flipped, score)
        np.testing.assert_allclose(found.precision, precision[:-1][::-1])
        np.testing.assert_allclose(found.recall, recall[:-1][::-1])
        expected = [np.count_nonzero(score >= least) for least in thresholds[::-1]]
        assert found.n_checked.tolist() == expected
        assert found.average_precision == pytest.approx(average_precision_score(flipped, score))
        assert found.chance == flipped.mean()

    def test_without_a_flipped_label_there_is_nothing_to_find(self):
        found = suspect_detection([0.5, 0.1], np.zeros(2, dtype=bool))
        assert found.precision.tolist() == [0.0, 0.0]
        assert np.isnan(found.recall).all()
        assert np.isnan(found.average_precision)
        assert found.chance == 0.0

    @pytest.mark.parametrize(
        ("score", "flipped", "message"),
        [
            ([0.5], [0], "flipped must be booleans of shape"),
            ([0.5], [True, False], "flipped must be booleans of shape"),
            ([np.nan], [True], "score must be a vector"),
            ([], np.zeros(0, dtype=bool), "score must be a vector"),
        ],
    )
    def test_refuses(self, score, flipped, message):
        with pytest.raises(ArgumentError, match=message):
            suspect_detection(score, flipped)
