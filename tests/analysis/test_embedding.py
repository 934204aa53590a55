from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.analysis.embedding import project, stratified_sample
from ols_core.errors import ArgumentError


def features(n: int, d: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) * np.linspace(4, 1, d) + 10


class TestStratifiedSample:
    def test_is_in_proportion(self):
        labels = np.repeat([0, 1, 2], [600, 300, 100])
        drawn = labels[stratified_sample(labels, 50, seed=0)]
        assert np.bincount(drawn).tolist() == [30, 15, 5]

    def test_represents_the_rarest_class(self):
        labels = np.repeat([5, 9, 11], [10_000, 1, 2])
        drawn = labels[stratified_sample(labels, 10, seed=0)]
        assert np.bincount(drawn)[[5, 9, 11]].tolist() == [8, 1, 1]

    def test_repeats_with_the_seed_only(self):
        labels = np.arange(1000) % 10
        first = stratified_sample(labels, 100, seed=1)
        np.testing.assert_array_equal(first, stratified_sample(labels, 100, seed=1))
        assert not np.array_equal(first, stratified_sample(labels, 100, seed=2))

    def test_takes_all_if_there_are_no_more(self):
        assert stratified_sample([1, 0, 1], 3, seed=0).tolist() == [0, 1, 2]
        assert stratified_sample([1, 0, 1], 99, seed=0).tolist() == [0, 1, 2]

    def test_with_fewer_than_one_a_class_does_not_prefer_the_first_classes(self):
        labels = np.arange(100)
        drawn = [labels[stratified_sample(labels, 5, seed)] for seed in range(20)]
        assert {len(set(one)) for one in drawn} == {5}
        assert np.concatenate(drawn).max() > 80

    def test_every_sample_of_a_class_can_be_drawn(self):
        labels = np.repeat([0, 1], 10)
        drawn = {int(i) for seed in range(60) for i in stratified_sample(labels, 4, seed)}
        assert drawn == set(range(20))

    @given(st.integers(1, 8), st.integers(1, 9), st.data())
    def test_of_classes_of_equal_size_a_smaller_one_is_part_of_a_larger_one(self, size, k, data):
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(k), size))
        small, large = sorted(data.draw(st.integers(1, len(labels))) for _ in range(2))
        seed = data.draw(st.integers(0, 9))
        part = stratified_sample(labels, small, seed)
        assert set(part) <= set(stratified_sample(labels, large, seed))

    def test_of_unequal_classes_each_class_keeps_its_samples(self):
        labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [500, 300, 33]))
        small, large = (stratified_sample(labels, n, seed=3) for n in (100, 400))
        for k in range(3):
            assert set(small[labels[small] == k]) <= set(large[labels[large] == k])

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.data())
    def test_is_fair(self, counts, data):
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
        n = data.draw(st.integers(1, len(labels)))
        drawn = stratified_sample(labels, n, seed=0)
        assert len(drawn) == n
        assert (np.diff(drawn) > 0).all()
        taken = np.bincount(labels[drawn], minlength=len(counts))
        assert (taken <= counts).all()
        if n >= len(counts):
            assert (taken >= 1).all()
        # a class with more samples is never given fewer than a rounding allows
        order = np.argsort(counts, kind="stable")
        assert (np.diff(taken[order]) >= -1).all()

    @pytest.mark.parametrize(
        ("labels", "n", "message"),
        [
            ([], 1, "labels must be a vector"),
            ([[0]], 1, "labels must be a vector"),
            ([0.5], 1, "labels must be a vector"),
            ([0], 0, "n must be an integer of at least 1"),
        ],
    )
    def test_refuses(self, labels, n, message):
        with pytest.raises(ArgumentError, match=message):
            stratified_sample(labels, n, seed=0)


class TestPCA:
    @pytest.mark.parametrize("shape", [(60, 8), (8, 60), (8, 8)])
    def test_agrees_with_scikit_learn(self, shape):
        from sklearn.decomposition import PCA

        values = features(*shape)
        ours = project(values, n_components=3)
        oracle = PCA(n_components=3, svd_solver="full").fit(values)
        expected = oracle.transform(values)
        turned = np.sign((expected * ours.coordinates).sum(axis=0))
        np.testing.assert_allclose(ours.coordinates, expected * turned, atol=1e-4)
        np.testing.assert_allclose(ours.explained_variance_ratio, oracle.explained_variance_ratio_)

    @pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
    def test_the_largest_loading_is_positive(self, shape):
        values = features(*shape)
        for turned in (values, -values):
            flat = project(turned).coordinates.astype(np.float64)
            loadings = (turned - turned.mean(axis=0)).T @ flat
            largest = np.abs(loadings).argmax(axis=0)
            assert (loadings[largest, [0, 1]] > 0).all()

    def test_float16_is_computed_in_float64(self):
        stored = (features(50, 6) * 1000).astype(np.float16)
        flat = project(stored)
        assert flat.coordinates.dtype == np.float32
        expected = project(stored.astype(np.float64))
        np.testing.assert_array_equal(flat.coordinates, expected.coordinates)

    def test_records_what_it_was_made_with(self):
        shares: list[float] = []
        flat = project(features(10, 4), "pca", seed=3, progress=shares.append)
        assert shares == [1.0]
        assert flat.method == "pca"
        assert flat.parameters == {"seed": 3, "n_components": 2}

    def test_of_identical_samples_is_the_origin(self):
        flat = project(np.ones((4, 3)))
        assert not flat.coordinates.any()
        assert flat.explained_variance_ratio.tolist() == [0.0, 0.0]

    def test_of_one_sample(self):
        assert project([[1.0, 2.0]], n_components=1).coordinates.tolist() == [[0.0]]

    def test_all_components_have_all_of_the_variance(self):
        ratio = project(features(30, 5), n_components=5).explained_variance_ratio
        assert ratio.sum() == pytest.approx(1)
        assert (np.diff(ratio) <= 0).all()


class TestTSNE:
    def test_repeats_with_the_seed_and_records_what_was_used(self):
        values = features(16, 4)
        flat = project(values, "tsne", seed=1)
        assert flat.coordinates.shape == (16, 2)
        assert flat.coordinates.dtype == np.float32
        assert np.isfinite(flat.coordinates).all()
        assert flat.parameters == {"seed": 1, "n_components": 2, "perplexity": 5.0}
        assert flat.explained_variance_ratio is None
        np.testing.assert_array_equal(flat.coordinates, project(values, "tsne", seed=1).coordinates)

    def test_tells_of_its_iterations_and_changes_neither_the_layout_nor_what_others_print(
        self, capsys
    ):
        values = features(16, 4)
        shares: list[float] = []

        def progress(share: float) -> None:
            shares.append(share)
            print("at", share)

        told = project(values, "tsne", seed=1, progress=progress)
        assert shares == sorted(shares)
        assert 0 < shares[0] < 0.1
        assert shares[-1] == 1.0
        assert len(shares) > 5
        assert capsys.readouterr().out == "".join(f"at {share}\n" for share in shares)
        np.testing.assert_array_equal(told.coordinates, project(values, "tsne", seed=1).coordinates)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lda"}, "method must be one of 'pca', 'umap', 'tsne'"),
        ({"n_components": 4}, "n_components must be at most 3 for pca"),
        ({"n_components": 0}, "n_components must be an integer"),
        ({"seed": -1}, "seed"),
        ({"n_neighbors": 1}, "n_neighbors"),
        ({"min_dist": 2.0}, "min_dist"),
        ({"perplexity": 0.0}, "perplexity"),
        ({"method": "umap"}, "at least 5 samples for umap, got 4"),
        ({"method": "tsne"}, "at least 5 samples for tsne, got 4"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        project(features(4, 3), **arguments)


def test_refuses_a_feature_that_is_not_finite_and_says_where():
    values = features(4, 3)
    values[2, 1] = np.nan
    with pytest.raises(ArgumentError, match=r"features\[2\] must be finite"):
        project(values)
