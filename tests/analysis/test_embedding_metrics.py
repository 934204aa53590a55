from __future__ import annotations

import math
from dataclasses import astuple, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import davies_bouldin_score, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from ols_core.analysis import _embedding_metrics
from ols_core.analysis._participation import participation_ratio
from ols_core.analysis._separation import silhouette_influence
from ols_core.analysis.calibration import Interval
from ols_core.analysis.embedding import EmbeddingMetrics, embedding_metrics, nearest_neighbours
from ols_core.errors import ArgumentError

INTERVALS = [field.name for field in fields(EmbeddingMetrics) if not field.name.startswith("n_")]


def samples(
    counts: list[int], d: int, seed: int = 0, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic classes around means of norm about 2, shuffled."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    means = np.random.default_rng(99).normal(size=(len(counts), d)) * 2 / math.sqrt(d)
    noise = random.normal(size=(labels.size, d)) * spread / math.sqrt(d)
    return means[labels] + noise + 3, labels


def centred_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    means = np.array([values[labels == k].mean(axis=0) for k in np.unique(labels)])
    return means - means.mean(axis=0)


class TestNeighbours:
    def test_accuracies_agree_with_scikit_learn(self):
        values, labels = samples([40, 30, 20, 30], 6, spread=2.5)
        found = embedding_metrics(values, labels, 4)
        for k, interval in ((1, found.knn_accuracy_1), (20, found.knn_accuracy_20)):
            votes = KNeighborsClassifier(k).fit(values, labels).predict(None)
            assert interval.estimate == pytest.approx((votes == labels).mean())
            assert interval.low < interval.estimate < interval.high
        assert found.knn_accuracy_1.estimate != found.knn_accuracy_20.estimate

    def test_neighbours_that_are_known_are_used(self):
        values, labels = samples([40, 30, 20], 6)
        expected = embedding_metrics(values, labels, 3)
        neighbours = nearest_neighbours(values, 25)
        found = embedding_metrics(values, labels, 3, neighbours=neighbours)
        assert found.knn_accuracy_1 == expected.knn_accuracy_1
        assert found.knn_accuracy_20 == expected.knn_accuracy_20

    def test_all_others_vote_where_they_are_few(self):
        values, labels = samples([6, 5], 3)
        found = embedding_metrics(values, labels, 2)
        votes = KNeighborsClassifier(10).fit(values, labels).predict(None)
        assert found.knn_accuracy_20.estimate == pytest.approx((votes == labels).mean())


class TestSilhouette:
    @pytest.mark.parametrize("dtype", [np.float16, np.float64])
    def test_agrees_with_scikit_learn(self, dtype):
        values, labels = samples([30, 20, 1, 9], 5)
        values = values.astype(dtype)
        found = embedding_metrics(values, labels, 4).silhouette
        oracle = silhouette_score(values.astype(float), labels)
        assert found.estimate == pytest.approx(oracle, abs=1e-5)
        assert found.low < found.estimate < found.high

    def test_influence_is_the_derivative_by_a_samples_weight(self):
        values, labels = samples([7, 5, 4, 1], 3)
        order = np.argsort(labels, kind="stable")
        values, labels = values[order], labels[order]
        distance = np.linalg.norm(values[:, None] - values, axis=2)

        def weighted(weight: np.ndarray) -> float:
            total = 0.0
            for i, label in enumerate(labels):
                others = (labels == label) & (np.arange(labels.size) != i)
                if not others.any():
                    continue
                a = np.average(distance[i, others], weights=weight[others])
                b = min(
                    np.average(distance[i, labels == k], weights=weight[labels == k])
                    for k in set(labels) - {label}
                )
                total += weight[i] * (b - a) / max(a, b)
            return total

        step = 1e-5 * np.eye(labels.size)
        expected = [(weighted(1 + s) - weighted(1 - s)) / 2e-5 for s in step]
        np.testing.assert_allclose(silhouette_influence(values, labels), expected, atol=1e-7)

    def test_of_samples_at_one_point_is_zero(self):
        assert embedding_metrics(np.ones((4, 2)), [0, 0, 1, 1], 2).silhouette.estimate == 0


class TestClassMeans:
    """Against the formulas of the papers in float64, term by term."""

    # more features than classes, and fewer
    @pytest.fixture(params=[7, 3], ids=["wide", "narrow"])
    def case(self, request):
        values, labels = samples([30, 20, 25, 10, 15], request.param, spread=2.5)
        weight = np.random.default_rng(3).normal(size=(5, request.param))
        return values, labels, weight

    def test_davies_bouldin_agrees_with_scikit_learn(self, case):
        values, labels, _ = case
        found = embedding_metrics(values, labels, 5).davies_bouldin.estimate
        assert found == pytest.approx(davies_bouldin_score(values, labels))

    def test_nc1_and_the_trace_ratio(self, case):
        values, labels, _ = case
        means = centred_means(values, labels)
        between = means.T @ means / 5
        within = np.zeros_like(between)
        for k in range(5):
            within += len(values[labels == k]) * np.cov(values[labels == k].T, bias=True)
        within /= len(values)
        found = embedding_metrics(values, labels, 5)
        inverse = np.linalg.pinv(between, rcond=1e-10)
        assert found.within_between.estimate == pytest.approx(np.trace(within @ inverse) / 5)
        assert math.isnan(found.within_between.low)
        assert math.isnan(found.within_between.high)
        assert found.trace_ratio.estimate == pytest.approx(np.trace(within) / np.trace(between))

    def test_nc2(self, case):
        values, labels, _ = case
        means = centred_means(values, labels)
        norms = np.linalg.norm(means, axis=1)
        found = embedding_metrics(values, labels, 5)
        assert found.nc2_equinorm.estimate == pytest.approx(norms.std() / norms.mean())
        off = [
            abs(means[i] @ means[j] / norms[i] / norms[j] + 1 / 4)
            for i in range(5)
            for j in range(i)
        ]
        assert found.nc2_equiangular.estimate == pytest.approx(np.mean(off))

    def test_nc3(self, case):
        values, labels, weight = case
        means = centred_means(values, labels)
        apart = weight / np.linalg.norm(weight) - means / np.linalg.norm(means)
        found = embedding_metrics(values, labels, 5, classifier=weight).nc3_self_duality
        assert found.estimate == pytest.approx(np.square(apart).sum())
        assert found.low < found.estimate < found.high

    def test_nc4(self, case):
        values, labels, _ = case
        guess = np.random.default_rng(1).integers(0, 5, labels.size)
        guess = np.where(np.arange(labels.size) % 3 == 0, guess, labels)
        means = np.array([values[labels == k].mean(axis=0) for k in range(5)])
        nearest = np.linalg.norm(values[:, None] - means, axis=2).argmin(axis=1)
        found = embedding_metrics(values, labels, 5, predicted=guess).nc4_agreement
        assert found.estimate == pytest.approx((nearest == guess).mean())

    def test_nc4_without_the_sample_itself_widens_the_interval(self, case):
        values, labels, _ = case
        anew = []
        for i in range(labels.size):
            kept = np.arange(labels.size) != i
            means = [values[kept & (labels == k)].mean(axis=0) for k in range(5)]
            anew.append(np.linalg.norm(values[i] - means, axis=1).argmin() == labels[i])
        found = embedding_metrics(values, labels, 5, predicted=labels).nc4_agreement
        assert np.mean(anew) < found.estimate
        share, n, z = np.mean(anew), labels.size, 1.959964
        low = (share + z**2 / 2 / n - z * math.sqrt(share * (1 - share) / n + z**2 / 4 / n**2)) / (
            1 + z**2 / n
        )
        assert found.low == pytest.approx(low)

    def test_stored_features_give_about_the_same(self, case):
        values, labels, weight = case
        exact = embedding_metrics(values, labels, 5, classifier=weight, predicted=labels)
        stored = embedding_metrics(
            values.astype(np.float16), labels, 5, classifier=weight, predicted=labels
        )
        for name in INTERVALS:
            ours, theirs = getattr(stored, name), getattr(exact, name)
            for bound in ("estimate", "low", "high"):
                expected = pytest.approx(getattr(theirs, bound), rel=0.05, abs=0.02, nan_ok=True)
                assert getattr(ours, bound) == expected


def test_participation_ratio_is_that_of_the_eigenvalues():
    values, labels = samples([50, 50], 6)
    values *= [3, 2, 1, 1, 0.1, 0]
    eigenvalues = np.linalg.eigvalsh(np.cov(values.T))
    found = embedding_metrics(values, labels, 2).participation_ratio
    assert found.estimate == pytest.approx(eigenvalues.sum() ** 2 / np.square(eigenvalues).sum())
    assert 1 <= found.low < found.estimate < found.high <= 6


def test_participation_ratio_of_few_samples_is_covered_all_the_same():
    scale = np.linspace(1, 3, 40)
    truth = np.square(scale).sum() ** 2 / (scale**4).sum()
    random = np.random.default_rng(0)
    found = [participation_ratio(random.normal(size=(100, 40)) * scale) for _ in range(60)]
    assert np.mean([one.estimate for one in found]) < 0.8 * truth
    # of 60 draws, an interval of 95 % covers less than 50 in one test of 1,000
    assert sum(one.low <= truth <= one.high for one in found) >= 50


class TestCollapse:
    """Classes that are points, at the corners of a simplex."""

    def test_is_complete(self):
        corners = np.eye(4) - 1 / 4
        labels = np.repeat(np.arange(4), 12)
        found = embedding_metrics(
            corners[labels], labels, 4, classifier=7 * corners, predicted=labels
        )
        for name in ("knn_accuracy_1", "knn_accuracy_20", "nc4_agreement"):
            assert getattr(found, name).estimate == 1.0
        assert found.silhouette.estimate == pytest.approx(1.0, abs=1e-6)
        for name in (
            "davies_bouldin",
            "within_between",
            "trace_ratio",
            "nc2_equinorm",
            "nc2_equiangular",
            "nc3_self_duality",
        ):
            assert getattr(found, name).estimate == pytest.approx(0.0, abs=1e-6)
        assert found.participation_ratio.estimate == pytest.approx(3.0)

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 99), st.floats(0.1, 50))
    def test_neither_scale_nor_place_nor_direction_matters(self, seed, scale):
        values, labels = samples([12, 12, 12], 4, seed)
        weight = np.random.default_rng(seed).normal(size=(3, 4))
        turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(4, 4)))[0]
        arguments = {"predicted": labels, "resamples": 5}
        first = embedding_metrics(values, labels, 3, classifier=weight, **arguments)
        moved = scale * values @ turn + 1
        second = embedding_metrics(moved, labels, 3, classifier=weight @ turn, **arguments)
        for name in INTERVALS:
            one, other = getattr(first, name), getattr(second, name)
            for bound in ("estimate", "low", "high"):
                expected = pytest.approx(getattr(one, bound), rel=1e-3, abs=1e-4, nan_ok=True)
                assert getattr(other, bound) == expected


class TestIntervals:
    def test_are_repeated_with_the_seed_only(self):
        values, labels = samples([20, 20, 20], 4)
        first = embedding_metrics(values, labels, 3, seed=1)
        assert embedding_metrics(values, labels, 3, seed=1).davies_bouldin == first.davies_bouldin
        assert embedding_metrics(values, labels, 3, seed=2).davies_bouldin != first.davies_bouldin

    @pytest.mark.parametrize("n", [20, 60])
    def test_cover_the_value_of_endless_samples(self, n):
        """Of 60 draws, one of 95 % covers less than 50 in one test of 1,000."""
        k = 8
        weight = centred_means(*samples([4000] * k, 10, spread=0.01))
        values, labels = samples([10_000] * k, 10, seed=5, spread=2.0)
        names = ("davies_bouldin", "trace_ratio", "nc2_equinorm", "nc2_equiangular")
        names = (*names, "nc3_self_duality", "participation_ratio")
        truth = _endless(values, labels, weight)
        covered = dict.fromkeys(names, 0)
        for seed in range(60):
            drawn, theirs = samples([n] * k, 10, seed=100 + seed, spread=2.0)
            found = embedding_metrics(drawn, theirs, k, classifier=weight, resamples=40)
            for name in names:
                interval: Interval = getattr(found, name)
                covered[name] += interval.low <= truth[name] <= interval.high
        assert min(covered.values()) >= 50, covered

    def test_there_are_none_where_a_class_has_too_few_samples(self):
        values, labels = samples([20, 9], 4)
        found = embedding_metrics(values, labels, 2, classifier=np.eye(2, 4))
        for name in ("davies_bouldin", "trace_ratio", "nc3_self_duality"):
            interval = getattr(found, name)
            assert math.isfinite(interval.estimate)
            assert math.isnan(interval.low)
            assert math.isnan(interval.high)

    def test_resampling_in_parts_changes_nothing(self, monkeypatch):
        from ols_core.analysis import _centroid_statistics

        values, labels = samples([20, 20, 20], 4)
        whole = embedding_metrics(values, labels, 3, resamples=7)
        monkeypatch.setattr(_centroid_statistics, "_ENTRIES", 25)
        parts = embedding_metrics(values, labels, 3, resamples=7)
        for name in INTERVALS:
            expected = pytest.approx(astuple(getattr(whole, name)), rel=1e-6, nan_ok=True)
            assert astuple(getattr(parts, name)) == expected


def _endless(values: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """The statistics of very many samples, by formulas of their own."""
    means = centred_means(values, labels)
    norms = np.linalg.norm(means, axis=1)
    cosines = (means @ means.T / norms / norms[:, None])[np.triu_indices(len(means), 1)]
    residuals = values - values.mean(axis=0) - means[labels]
    eigenvalues = np.linalg.eigvalsh(np.cov(values.T))
    apart = weight / np.linalg.norm(weight) - means / np.linalg.norm(means)
    return {
        "davies_bouldin": davies_bouldin_score(values, labels),
        "trace_ratio": np.square(residuals).sum(axis=1).mean() / np.square(norms).mean(),
        "nc2_equinorm": norms.std() / norms.mean(),
        "nc2_equiangular": np.abs(cosines + 1 / (len(means) - 1)).mean(),
        "nc3_self_duality": np.square(apart).sum(),
        "participation_ratio": eigenvalues.sum() ** 2 / np.square(eigenvalues).sum(),
    }


class TestWhatIsMissing:
    def test_a_class_without_samples_is_left_out(self):
        values, labels = samples([15, 12, 18], 4)
        weight = np.random.default_rng(0).normal(size=(5, 4))
        names = np.array([0, 2, 4])
        found = embedding_metrics(
            values, names[labels], 5, classifier=weight, predicted=names[labels]
        )
        expected = embedding_metrics(values, labels, 3, classifier=weight[names], predicted=labels)
        assert repr(found) == repr(expected)

    def test_without_classifier_and_predictions(self):
        values, labels = samples([15, 12], 4)
        found = embedding_metrics(values, labels, 2)
        for interval in (found.nc3_self_duality, found.nc4_agreement):
            assert np.isnan([interval.estimate, interval.low, interval.high]).all()

    def test_of_a_single_class(self):
        values, labels = samples([15], 4)
        found = embedding_metrics(values, labels, 2)
        for name in ("silhouette", "davies_bouldin", "within_between", "nc2_equinorm"):
            assert math.isnan(getattr(found, name).estimate)
        assert found.knn_accuracy_1.estimate == 1.0

    def test_of_a_single_sample(self):
        found = embedding_metrics([[1.0, 2.0]], [0], 2)
        assert found.n_samples == found.n_neighbour_samples == found.n_knn_samples == 1
        assert all(math.isnan(getattr(found, name).estimate) for name in INTERVALS)


def test_above_the_limit_pairs_are_those_of_a_stratified_sample(monkeypatch):
    values, labels = samples([80, 40], 4)
    monkeypatch.setattr(_embedding_metrics, "_MOST_FOR_PAIRS", 60)
    found = embedding_metrics(values, labels, 2)
    assert (found.n_samples, found.n_neighbour_samples, found.n_knn_samples) == (120, 60, 60)
    assert found.davies_bouldin.estimate == pytest.approx(davies_bouldin_score(values, labels))
    neighbours = nearest_neighbours(values, 20)
    known = embedding_metrics(values, labels, 2, neighbours=neighbours)
    assert (known.n_neighbour_samples, known.n_knn_samples) == (60, 120)
    assert known.silhouette == found.silhouette
    votes = KNeighborsClassifier(1).fit(values, labels).predict(None)
    assert known.knn_accuracy_1.estimate == pytest.approx((votes == labels).mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0] * 29}, r"labels must be of shape \(30,\)"),
        ({"labels": [3] * 30}, r"labels\[0\] must be a class index in \[0, 2\]"),
        ({"n_classes": 1}, "n_classes must be an integer of at least 2"),
        ({"classifier": np.zeros((3, 5))}, r"classifier must be of shape \(3, 4\)"),
        ({"classifier": np.full((3, 4), np.nan)}, r"classifier\[0\] must be finite"),
        ({"predicted": [0] * 29}, r"predicted must be of shape \(30,\)"),
        ({"resamples": 1}, "resamples must be an integer of at least 2"),
        ({"seed": -1}, "seed must be an integer"),
        ({"features": np.full((30, 4), np.inf)}, r"features\[0\] must be finite"),
        (
            {"neighbours": nearest_neighbours(np.eye(30), 19)},
            r"neighbours.indices must be of shape \(30, k\) with k >= 20, got \(30, 19\)",
        ),
        ({"neighbours": nearest_neighbours(np.eye(29), 20)}, r"neighbours.indices must be of"),
    ],
)
def test_refuses(arguments, message):
    values, labels = samples([10, 10, 10], 4)
    given_ = {"features": values, "labels": labels, "n_classes": 3, **arguments}
    with pytest.raises(ArgumentError, match=message):
        embedding_metrics(**given_)
