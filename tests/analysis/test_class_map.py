from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.analysis._class_map import _classical_scaling
from ols_core.analysis.similarity import (
    class_map,
    distance_from_similarity,
    similarity_from_classifier,
    similarity_from_soft_labels,
)
from ols_core.errors import ArgumentError

NAN = np.nan


def random_similarity(seed: int, k: int = 8) -> np.ndarray:
    soft_labels = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=k)
    return similarity_from_soft_labels(soft_labels)


def distances(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, None] - positions[None], axis=2)


def in_the_plane(seed: int, k: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(k, 2))
    return 1 - distances(points)


def stress_by_hand(similarity: np.ndarray, positions: np.ndarray) -> float:
    wanted, shown = distance_from_similarity(similarity), distances(positions)
    return float(np.sqrt(((wanted - shown) ** 2).sum() / (wanted**2).sum()))


class TestByHand:
    def test_two_classes_lie_on_a_line(self):
        found = class_map([[NAN, 0.25], [0.25, NAN]])
        np.testing.assert_allclose(found.positions, [[0.375, 0.0], [-0.375, 0.0]], atol=1e-12)
        assert found.stress == pytest.approx(0, abs=1e-12)

    def test_three_classes_make_their_triangle(self):
        # sides of 3, 4 and 5, scaled
        similarity = 1 - np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]]) / 10
        found = class_map(similarity)
        np.testing.assert_allclose(distances(found.positions), 1 - similarity, atol=1e-6)
        assert found.stress < 1e-6

    def test_three_classes_that_no_triangle_fits_lie_on_a_line(self):
        # legs of a: 2 * (0.25 - a) ** 2 + (1 - 2 * a) ** 2 is least at a = 5 / 12
        similarity = 1 - np.array([[0, 0.25, 1], [0.25, 0, 0.25], [1, 0.25, 0]])
        found = class_map(similarity)
        np.testing.assert_allclose(found.positions[:, 1], 0, atol=0.01)
        np.testing.assert_allclose(np.abs(found.positions[:, 0]), [5 / 12, 0, 5 / 12], atol=0.01)

    def test_classes_that_are_all_the_same_lie_on_one_spot(self):
        found = class_map(np.ones((4, 4)))
        assert found.positions.tolist() == [[0.0, 0.0]] * 4
        assert found.stress == 0.0

    def test_two_of_three_that_are_the_same_share_a_spot(self):
        found = class_map([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])
        np.testing.assert_allclose(found.positions[0], found.positions[1], atol=1e-3)
        assert distances(found.positions)[0, 2] == pytest.approx(0.5, abs=1e-3)

    @pytest.mark.parametrize("k", [2, 3, 4, 6, 60])
    def test_classes_that_are_equally_unlike_do_not_fall_on_one_spot(self, k):
        found = class_map(np.full((k, k), NAN))
        spread = distances(found.positions)[np.triu_indices(k, 1)]
        assert np.isfinite(found.positions).all()
        assert spread.min() > 0.05
        assert found.stress < 0.42

    def test_groups_are_seen(self):
        member = np.arange(30) % 3
        similarity = np.where(member[:, None] == member, 0.8, 0.1)
        shown = distances(class_map(similarity).positions)
        same = member[:, None] == member
        assert shown[same].max() < shown[~same].min()

    def test_refuses_what_is_no_similarity(self):
        with pytest.raises(ArgumentError, match=r"similarity\[0, 1\] must be equal"):
            class_map([[1.0, 0.2], [0.3, 1.0]])
        with pytest.raises(ArgumentError, match=r"similarity\[0\] must be at most 1"):
            class_map([[0.0, 3.0], [3.0, 0.0]])
        with pytest.raises(ArgumentError, match="seed must be an integer of at least 0"):
            class_map(np.zeros((3, 3)), seed=-1)


class TestOracles:
    @pytest.mark.parametrize("seed", range(4))
    def test_is_as_good_as_the_best_of_scikit_learn(self, seed):
        from sklearn.manifold import smacof

        weight = np.random.default_rng(seed).normal(size=(25, 4))
        similarity = similarity_from_classifier(weight)
        starts = [
            smacof(
                distance_from_similarity(similarity),
                init=np.random.default_rng(s).normal(size=(25, 2)),
                n_init=1,
                max_iter=2000,
                eps=1e-9,
                normalized_stress=False,
            )[0]
            for s in range(8)
        ]
        best = min(stress_by_hand(similarity, positions) for positions in starts)
        assert class_map(similarity).stress < 1.05 * best

    @pytest.mark.parametrize("seed", range(4))
    def test_is_better_than_its_start(self, seed):
        similarity = random_similarity(seed, 40)
        start = _classical_scaling(distance_from_similarity(similarity))
        assert class_map(similarity).stress < 0.7 * stress_by_hand(similarity, start)

    def test_starts_with_the_exact_solution_if_there_is_one(self):
        similarity = in_the_plane(0, 12)
        start = _classical_scaling(1 - similarity)
        np.testing.assert_allclose(distances(start), 1 - similarity, atol=1e-9)


class TestInvariants:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 10_000), st.integers(2, 15), st.integers(0, 5))
    def test_of_every_map(self, seed, k, map_seed):
        similarity = random_similarity(seed, k)
        found = class_map(similarity, map_seed)
        assert found.positions.shape == (k, 2)
        assert found.positions.dtype == np.float64
        np.testing.assert_array_equal(found.positions, class_map(similarity, map_seed).positions)
        np.testing.assert_allclose(found.positions.mean(axis=0), 0, atol=1e-12)
        spread = found.positions.T @ found.positions
        assert spread[0, 0] >= spread[1, 1]
        assert spread[0, 1] == pytest.approx(0, abs=1e-9)
        assert (found.positions.max(axis=0) >= (1 - 1e-5) * -found.positions.min(axis=0)).all()
        assert 0 <= found.stress <= 1
        assert found.stress == pytest.approx(stress_by_hand(similarity, found.positions), abs=1e-7)

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 10_000), st.integers(3, 15))
    def test_renaming_classes_moves_no_class_of_a_map_that_fits(self, seed, k):
        similarity = in_the_plane(seed, k)
        names = np.random.default_rng(seed).permutation(k)
        found = class_map(similarity)
        renamed = class_map(similarity[np.ix_(names, names)])
        assert found.stress < 1e-3
        first, second = distances(found.positions), distances(renamed.positions)
        np.testing.assert_allclose(first, 1 - similarity, atol=0.01)
        np.testing.assert_allclose(second, first[np.ix_(names, names)], atol=0.01)
