from __future__ import annotations

import numpy as np
import pytest

from ols_core.errors import ArgumentError, RunError
from ols_core.projections import compute_projection, load_projection
from tests.synthetic import synthetic_run


def test_a_layout_is_stored_and_read_back(tmp_path):
    run = synthetic_run(tmp_path, "one", n_classes=4)
    assert load_projection(run, "pca") is None

    made = compute_projection(run, "pca", samples=100, seed=3)
    read = load_projection(run, "pca")

    np.testing.assert_array_equal(read.coordinates, made.coordinates)
    np.testing.assert_array_equal(read.indices, made.indices)
    assert read.coordinates.shape == (100, 2)
    assert np.bincount(run.labels()[read.indices]).tolist() == [25] * 4
    assert read.parameters["method"] == "pca"
    assert read.parameters["seed"] == 3


def test_it_needs_features_and_a_known_method(tmp_path):
    with pytest.raises(RunError, match="no labels of the test split"):
        compute_projection(synthetic_run(tmp_path, "bare", finished=False), "pca")
    with pytest.raises(ArgumentError, match="method must be one of 'umap', 'tsne', 'pca'"):
        compute_projection(synthetic_run(tmp_path, "one"), "lda")


def test_a_damaged_layout_is_named(tmp_path):
    run = synthetic_run(tmp_path, "one")
    (run.path / "projections").mkdir()
    (run.path / "projections" / "umap.npz").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"umap\.npz is damaged"):
        load_projection(run, "umap")
