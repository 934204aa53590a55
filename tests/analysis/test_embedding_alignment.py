from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes as scipy_procrustes
from scipy.stats import ortho_group

from ols_core.analysis.embedding import procrustes, project, project_aligned
from ols_core.errors import ArgumentError


def turned(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Turn or mirror around the origin, and move."""
    return points @ ortho_group.rvs(points.shape[1], random_state=seed) + 3


def groups(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Synthetic samples of 5 groups, n of each."""
    random = np.random.default_rng(seed)
    return np.repeat(random.normal(size=(5, d)) * 4, n, axis=0) + random.normal(size=(5 * n, d))


class TestProcrustes:
    @given(st.integers(1, 4), st.integers(0, 99))
    def test_undoes_any_turn_and_move(self, d, seed):
        reference = np.random.default_rng(seed).normal(size=(12, d)) if d > 1 else np.eye(12)[:, :1]
        points = turned(reference, seed) if d > 1 else 5 - reference
        np.testing.assert_allclose(procrustes(points, reference), reference, atol=1e-9)

    def test_agrees_with_scipy_up_to_scale(self):
        random = np.random.default_rng(0)
        reference, points = random.normal(size=(2, 30, 3))
        ours = procrustes(points, reference)
        fixed, scaled, _ = scipy_procrustes(reference, points)
        np.testing.assert_allclose(ours.mean(axis=0), reference.mean(axis=0))
        ours = ours - ours.mean(axis=0)
        np.testing.assert_allclose(ours / np.linalg.norm(ours), scaled / np.linalg.norm(scaled))
        assert np.linalg.norm(fixed) == pytest.approx(1)

    def test_keeps_all_distances(self):
        random = np.random.default_rng(0)
        reference, points = random.normal(size=(2, 10, 2))
        moved = procrustes(points * 7, reference)
        before, after = (np.linalg.norm(p[:, None] - p, axis=2) for p in (points * 7, moved))
        np.testing.assert_allclose(after, before)

    @pytest.mark.parametrize(
        ("points", "message"),
        [
            (np.zeros((3, 2)), r"points must be of shape \(4, 2\), like reference"),
            (np.full((4, 2), np.nan), r"points\[0\] must be finite"),
            (np.zeros(4), "points must be of shape"),
        ],
    )
    def test_refuses(self, points, message):
        with pytest.raises(ArgumentError, match=message):
            procrustes(points, np.zeros((4, 2)))


class TestOneEntry:
    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_is_projected_as_alone(self, method):
        values = groups(4, 6)
        (found,) = project_aligned([values], method, 2, 3, perplexity=4.0)
        alone = project(values, method, 2, 3, perplexity=4.0)
        np.testing.assert_array_equal(found.coordinates, alone.coordinates)
        assert found.parameters == alone.parameters


class TestPCA:
    def test_turned_features_lie_on_the_first(self):
        values = groups(10, 6)
        first, other = project_aligned([values, turned(values)], "pca")
        np.testing.assert_allclose(other.coordinates, first.coordinates, atol=1e-4)
        np.testing.assert_allclose(
            other.explained_variance_ratio, first.explained_variance_ratio, rtol=1e-4
        )

    def test_the_variance_along_the_turned_axes_is_theirs(self):
        values, others = groups(10, 6), groups(10, 4, seed=1)
        _, other = project_aligned([values, others], "pca", n_components=2)
        expected = other.coordinates.var(axis=0, dtype=float) / others.var(axis=0).sum()
        np.testing.assert_allclose(other.explained_variance_ratio, expected, rtol=1e-4)
        alone = project(others, "pca")
        kept = other.explained_variance_ratio.sum()
        assert kept == pytest.approx(alone.explained_variance_ratio.sum())
        np.testing.assert_allclose(
            procrustes(alone.coordinates, other.coordinates), other.coordinates, atol=1e-4
        )

    def test_tells_of_each_entry(self):
        shares: list[float] = []
        project_aligned([groups(4, 6)] * 4, "pca", progress=shares.append)
        assert shares == [0.25, 0.5, 0.75, 1.0]


def test_tsne_lies_nearer_than_alone_and_tells_of_each_entry():
    values = groups(6, 6)
    others = turned(values)
    shares: list[float] = []
    entries = [values, others]
    first, other = project_aligned(entries, "tsne", perplexity=5.0, progress=shares.append)
    alone = project(others, "tsne", perplexity=5.0).coordinates

    def apart(points: np.ndarray) -> float:
        return float(np.linalg.norm(points - first.coordinates))

    assert apart(other.coordinates) <= apart(alone) + 1e-3
    np.testing.assert_allclose(procrustes(alone, first.coordinates), other.coordinates, atol=1e-3)
    assert shares == sorted(shares)
    assert 0.5 in shares
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("entries", "method", "message"),
    [
        ([], "pca", "features must be at least one array"),
        ([np.ones((6, 2)), np.ones((5, 2))], "pca", r"features\[1\] must be of 6 samples"),
        ([np.ones((4, 2))] * 2, "umap", "at least 5 samples for umap, got 4"),
        ([np.ones((6, 2)), np.full((6, 2), np.inf)], "pca", r"features\[0\] must be finite"),
    ],
)
def test_refuses(entries, method, message):
    with pytest.raises(ArgumentError, match=message):
        project_aligned(entries, method)
