from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

from ols_core.analysis.embedding import (
    faithfulness,
    nearest_neighbours,
    project,
    project_aligned,
)

GROUPS, SIZE = 5, 14


@pytest.fixture(scope="module", autouse=True)
def _interpret_what_runs_once():
    """Compile the loops over epochs only: the rest takes seconds to compile and none to run."""
    from umap import umap_

    with pytest.MonkeyPatch.context() as patch:
        for name in ("smooth_knn_dist", "compute_membership_strengths"):
            patch.setattr(umap_, name, getattr(umap_, name).py_func)
        yield


def grouped(d: int, seed: int = 0) -> np.ndarray:
    """Synthetic samples, one group after the other."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(GROUPS, d)) * 4, SIZE, axis=0)
    return centres + random.normal(size=(GROUPS * SIZE, d))


class TestAlone:
    @pytest.mark.filterwarnings("ignore:precomputed_knn:UserWarning")
    @pytest.mark.parametrize("n_components", [2, 3])
    def test_is_the_layout_of_the_library(self, n_components):
        from umap import UMAP

        values = grouped(5).astype(np.float16)
        settings = {"n_neighbors": 5, "min_dist": 0.2}
        flat = project(values, "umap", 1, n_components, **settings)
        assert flat.parameters == {"seed": 1, "n_components": n_components, **settings}
        wide = values.astype(np.float32)
        # the library counts a sample as its own first neighbour
        found = nearest_neighbours(wide, 4)
        index = np.hstack([np.arange(len(wide))[:, None], found.indices]).astype(np.int32)
        distance = np.hstack([np.zeros((len(wide), 1), np.float32), found.distances])
        oracle = UMAP(
            n_components=n_components,
            random_state=1,
            n_jobs=1,
            precomputed_knn=(index, distance),
            **settings,
        )
        assert flat.coordinates.dtype == np.float32
        np.testing.assert_array_equal(flat.coordinates, oracle.fit_transform(wide))

    def test_keeps_groups_apart_and_tells_of_its_epochs(self):
        shares: list[float] = []
        flat = project(grouped(5), "umap", n_neighbors=5, progress=shares.append)
        nearest = nearest_neighbours(flat.coordinates, 1).indices[:, 0]
        assert (nearest // SIZE == np.arange(GROUPS * SIZE) // SIZE).mean() > 0.9
        assert shares == sorted(shares)
        assert shares[0] < 0.1
        assert shares[-1] == 1.0

    def test_takes_as_many_neighbours_as_there_are(self):
        flat = project(np.eye(6), "umap", n_neighbors=50)
        assert flat.parameters["n_neighbors"] == 5
        assert np.isfinite(flat.coordinates).all()


class TestAligned:
    @pytest.fixture(scope="class")
    @classmethod
    def laid_out(cls, _interpret_what_runs_once):
        values = grouped(6)
        turned = values @ ortho_group.rvs(6, random_state=0) + 3
        entries = [values, turned, grouped(9, seed=1)]
        shares: list[float] = []
        settings = {"n_neighbors": 8, "min_dist": 0.3}
        found = project_aligned(entries, "umap", seed=1, **settings, progress=shares.append)
        return entries, found, shares

    def test_the_same_sample_is_in_about_the_same_place(self, laid_out):
        first, other, third = (projection.coordinates for projection in laid_out[1])
        extent = np.sqrt(np.square(first - first.mean(axis=0)).sum(axis=1).mean())
        assert np.median(np.linalg.norm(other - first, axis=1)) < 0.15 * extent
        # groups that another network has elsewhere are drawn to their places as well
        centres = [points.reshape(GROUPS, SIZE, 2).mean(axis=1) for points in (first, third)]
        assert np.linalg.norm(centres[1] - centres[0], axis=1).mean() < 0.6 * extent

    def test_min_dist_is_used_as_alone(self, monkeypatch):
        from umap import layouts, umap_

        used = {}

        def kept(start, *_, **settings):
            used.update(settings)
            return start

        monkeypatch.setattr(layouts, "optimize_layout_aligned_euclidean", kept)
        project_aligned([grouped(4)] * 2, "umap", n_neighbors=5, min_dist=0.7)
        assert (used["a"], used["b"]) == umap_.find_ab_params(1.0, 0.7)

    def test_each_layout_is_still_that_of_its_features(self, laid_out):
        for values, projection in zip(*laid_out[:2], strict=True):
            assert projection.coordinates.shape == (GROUPS * SIZE, 2)
            assert projection.coordinates.dtype == np.float32
            assert faithfulness(values, projection.coordinates, k=8).trustworthiness > 0.85

    def test_records_what_was_used_and_tells_of_its_epochs(self, laid_out):
        _, found, shares = laid_out
        expected = {"seed": 1, "n_components": 2, "n_neighbors": 8, "min_dist": 0.3}
        assert [projection.parameters for projection in found] == [expected] * 3
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
