"""Numbers on features, against scikit-learn, scipy and formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness
from sklearn.metrics import (
    average_precision_score,
    davies_bouldin_score,
    precision_recall_curve,
    silhouette_score,
)
from sklearn.neighbors import NearestNeighbors

from ols_core.analysis.embedding import (
    class_geometry,
    embedding_metrics,
    faithfulness,
    inside_polygon,
    nearest_neighbours,
    procrustes,
    project_aligned,
    suspect_detection,
    suspects,
    three_class_plane,
)
from ols_core.errors import ArgumentError

N, D, K = 300, 7, 5


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).permutation(np.arange(N) % K)


@pytest.fixture(scope="module")
def features(labels):
    random = np.random.default_rng(0)
    centres = random.normal(size=(K, D)) * 2
    return centres[labels] + random.normal(size=(N, D))


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(2).normal(size=(K, D))


@pytest.fixture(scope="module")
def predicted(labels):
    random = np.random.default_rng(3)
    return np.where(random.random(N) < 0.8, labels, random.integers(0, K, N))


@pytest.fixture(scope="module")
def metrics(features, labels, weights, predicted):
    return embedding_metrics(features, labels, K, classifier=weights, predicted=predicted)


def _means(features, labels):
    means = np.stack([features[labels == k].mean(axis=0) for k in range(K)])
    return means, means - means.mean(axis=0)


class TestNeighbours:
    def test_are_those_of_scikit_learn(self, features):
        found = nearest_neighbours(features, 10)
        distances, indices = NearestNeighbors(n_neighbors=10).fit(features).kneighbors()
        np.testing.assert_array_equal(found.indices, indices)
        np.testing.assert_allclose(found.distances, distances, rtol=1e-5)

    def test_of_half_precision_on_disk_are_those_of_its_values(self, features, tmp_path):
        np.save(tmp_path / "f.npy", features.astype(np.float16))
        mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
        found = nearest_neighbours(mapped, 5)
        indices = NearestNeighbors(n_neighbors=5).fit(mapped.astype(np.float64)).kneighbors()[1]
        assert (found.indices == indices).mean() > 0.99  # float32 tells near ties apart by chance

    def test_a_sample_is_never_its_own(self):
        found = nearest_neighbours(np.zeros((6, 2)), 3)
        assert not (found.indices == np.arange(6)[:, None]).any()

    @pytest.mark.parametrize("k", [0, 6])
    def test_as_many_as_there_are_samples_is_refused(self, k):
        with pytest.raises(ArgumentError, match="k must be"):
            nearest_neighbours(np.zeros((6, 2)), k)


class TestMetrics:
    @pytest.mark.parametrize("k", [1, 20])
    def test_knn_accuracy_is_that_of_leaving_one_out(self, metrics, features, labels, k):
        nearest = NearestNeighbors(n_neighbors=k).fit(features).kneighbors(return_distance=False)
        right = [np.bincount(labels[row], minlength=K).argmax() for row in nearest] == labels
        found = getattr(metrics, f"knn_accuracy_{k}")
        assert found.estimate == pytest.approx(np.mean(right))
        assert found.low < found.estimate < found.high

    def test_silhouette_and_davies_bouldin(self, metrics, features, labels):
        assert metrics.silhouette.estimate == pytest.approx(
            silhouette_score(features, labels), rel=1e-4
        )
        assert metrics.davies_bouldin.estimate == pytest.approx(
            davies_bouldin_score(features, labels), rel=1e-4
        )

    def test_within_against_between_is_nc1(self, metrics, features, labels):
        means, centred = _means(features, labels)
        within = np.cov((features - means[labels]).T, bias=True)
        between = centred.T @ centred / K
        expected = np.trace(within @ np.linalg.pinv(between)) / K
        assert metrics.within_between.estimate == pytest.approx(expected, rel=1e-4)

    def test_equal_norms_and_angles_are_nc2(self, metrics, features, labels):
        _, centred = _means(features, labels)
        norms = np.linalg.norm(centred, axis=1)
        cosines = (centred / norms[:, None]) @ (centred / norms[:, None]).T
        pairs = cosines[~np.eye(K, dtype=bool)]
        assert metrics.nc2_equinorm.estimate == pytest.approx(norms.std() / norms.mean(), rel=1e-4)
        expected = np.abs(pairs + 1 / (K - 1)).mean()
        assert metrics.nc2_equiangular.estimate == pytest.approx(expected, rel=1e-4)

    def test_self_duality_and_nearest_mean_are_nc3_and_nc4(
        self, metrics, features, labels, weights, predicted
    ):
        means, centred = _means(features, labels)
        distance = weights / np.linalg.norm(weights) - centred / np.linalg.norm(centred)
        assert metrics.nc3_self_duality.estimate == pytest.approx((distance**2).sum(), rel=1e-4)
        nearest = np.linalg.norm(features[:, None] - means, axis=2).argmin(axis=1)
        assert metrics.nc4_agreement.estimate == pytest.approx((nearest == predicted).mean())

    def test_participation_ratio(self, metrics, features):
        variances = np.linalg.eigvalsh(np.cov(features.T))
        expected = variances.sum() ** 2 / (variances**2).sum()
        assert metrics.participation_ratio.estimate == pytest.approx(expected, rel=1e-4)

    def test_intervals_hold_their_estimates(self, metrics):
        names = ["silhouette", "davies_bouldin", "nc2_equinorm", "nc3_self_duality"]
        for name in [*names, "nc2_equiangular", "nc4_agreement", "participation_ratio"]:
            found = getattr(metrics, name)
            if not np.isnan(found.low):
                assert found.low <= found.high, name

    def test_collapsed_classes_are_at_the_limits(self):
        labels = np.arange(40) % 4
        simplex = np.eye(4) - 1 / 4
        found = embedding_metrics(simplex[labels] * 3, labels, 4, classifier=simplex)
        assert found.within_between.estimate == pytest.approx(0, abs=1e-9)
        assert found.nc2_equinorm.estimate == pytest.approx(0, abs=1e-6)
        assert found.nc2_equiangular.estimate == pytest.approx(0, abs=1e-6)
        assert found.nc3_self_duality.estimate == pytest.approx(0, abs=1e-6)
        assert found.silhouette.estimate == pytest.approx(1)

    def test_what_was_not_given_is_not_known(self, features, labels):
        found = embedding_metrics(features, labels, K)
        assert np.isnan(found.nc3_self_duality.estimate)
        assert np.isnan(found.nc4_agreement.estimate)


class TestClasses:
    def test_nearest_tightness_and_agreement(self, features, labels):
        soft = np.random.default_rng(4).dirichlet(np.ones(K), K)
        found = class_geometry(features, labels, K, soft)
        means, _ = _means(features, labels)
        between = np.linalg.norm(means[:, None] - means, axis=2)
        off = ~np.eye(K, dtype=bool)
        hidden = np.where(off, between, np.inf)
        np.testing.assert_array_equal(found.nearest, hidden.argmin(axis=1))
        np.testing.assert_allclose(found.nearest_distance, hidden.min(axis=1), rtol=1e-4)
        spread = [np.linalg.norm(features[labels == k] - means[k], axis=1).mean() for k in range(K)]
        np.testing.assert_allclose(found.tightness, spread / between[off].mean(), rtol=1e-4)
        expected = [spearmanr(soft[k, off[k]], -between[k, off[k]]).statistic for k in range(K)]
        np.testing.assert_allclose(found.soft_label_agreement, expected, atol=1e-9)

    def test_a_class_without_samples_is_unknown(self, features, labels):
        found = class_geometry(features, labels, K + 1)
        assert np.isnan(found.tightness[K])
        assert found.nearest[K] == -1
        assert (found.nearest[:K] != K).all()


class TestFaithfulness:
    def test_is_that_of_scikit_learn_both_ways(self, features):
        flat = features[:, :2]
        found = faithfulness(features, flat, k=8)
        assert found.trustworthiness == pytest.approx(
            trustworthiness(features, flat, n_neighbors=8), abs=1e-6
        )
        assert found.continuity == pytest.approx(
            trustworthiness(flat, features, n_neighbors=8), abs=1e-6
        )

    def test_a_turned_copy_is_believed(self, features):
        turn = np.linalg.qr(np.random.default_rng(5).normal(size=(D, D)))[0]
        found = faithfulness(features, features @ turn, k=8)
        assert found.trustworthiness == pytest.approx(1)
        assert found.continuity == pytest.approx(1)


class TestSuspects:
    def test_score_is_the_share_that_disagrees(self, features, labels):
        neighbours = nearest_neighbours(features, 9)
        found = suspects(neighbours, labels, K)
        votes = labels[neighbours.indices]
        np.testing.assert_allclose(found.score, (votes != labels[:, None]).mean(axis=1))
        expected = [np.bincount(row, minlength=K).argmax() for row in votes]
        np.testing.assert_array_equal(found.majority, expected)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 4))
    def test_detection_is_that_of_scikit_learn(self, seed, levels):
        random = np.random.default_rng(seed)
        score = random.integers(0, levels + 1, 30) / levels
        flipped = random.random(30) < 0.4
        flipped[0] = True
        found = suspect_detection(score, flipped)
        precision, recall, thresholds = precision_recall_curve(flipped, score)
        n = len(found.n_checked)
        assert n == len(thresholds)
        np.testing.assert_allclose(found.precision, precision[:-1][::-1])
        np.testing.assert_allclose(found.recall, recall[:-1][::-1])
        assert found.average_precision == pytest.approx(average_precision_score(flipped, score))
        assert found.chance == flipped.mean()


class TestThreeClasses:
    def test_points_are_orthogonal_projections(self, features, weights):
        three = weights[:3]
        plane = three_class_plane(features, three)
        # By least squares: the point of the plane that is nearest to each sample.
        basis = np.stack([three[1] - three[0], three[2] - three[0]], axis=1)
        flat = three[0] + (basis @ np.linalg.lstsq(basis, (features - three[0]).T)[0]).T
        expected = np.linalg.norm(flat[:, None] - three, axis=2)
        found = np.linalg.norm(plane.points[:, None] - plane.templates, axis=2)
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_templates_stand_alike_whatever_the_run(self, weights):
        for turned in (weights[:3], -weights[:3], weights[2:5] @ np.diag(np.arange(1, D + 1))):
            templates = three_class_plane(np.zeros((1, D)), turned).templates
            np.testing.assert_allclose(templates.sum(axis=0), 0, atol=1e-9)
            assert templates[0, 0] == pytest.approx(0, abs=1e-9)
            assert templates[0, 1] > 0 > templates[1, 0]

    def test_templates_on_a_line_are_refused(self):
        line = np.outer([0.0, 1.0, 2.0], np.ones(D))
        with pytest.raises(ArgumentError, match="on a line"):
            three_class_plane(np.zeros((1, D)), line)


def _is_inside(point, polygon):
    """Even-odd rule, edge by edge."""
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            inside = not inside
    return inside


class TestPolygon:
    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 2**32 - 1), st.integers(3, 40))
    def test_is_the_rule_edge_by_edge(self, seed, corners):
        random = np.random.default_rng(seed)
        polygon, points = random.normal(size=(corners, 2)), random.normal(size=(60, 2))
        expected = [_is_inside(point, polygon) for point in points]
        assert inside_polygon(points, polygon).tolist() == expected

    def test_two_corners_hold_nothing(self):
        assert not inside_polygon([[0.5, 0.5]], [[0, 0], [1, 1]]).any()


class TestAlignment:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 3))
    def test_the_same_data_turned_mirrored_and_moved_is_laid_on_itself(self, seed, dimensions):
        random = np.random.default_rng(seed)
        points = random.normal(size=(12, dimensions))
        turn = np.linalg.qr(random.normal(size=(dimensions, dimensions)))[0]
        moved = points @ turn + random.normal(size=dimensions) * 10
        np.testing.assert_allclose(procrustes(moved, points), points, atol=1e-8)

    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_projections_of_turned_features_lie_on_each_other(self, features, method):
        turn = np.linalg.qr(np.random.default_rng(6).normal(size=(D, D)))[0]
        first, second = project_aligned([features, features @ turn], method)
        apart = np.linalg.norm(first.coordinates - second.coordinates, axis=1)
        spread = np.linalg.norm(first.coordinates - first.coordinates.mean(axis=0), axis=1)
        # PCA is exact; t-SNE takes another course for other roundings, and ends nearby.
        assert np.median(apart) < (1e-4 if method == "pca" else 0.5) * np.median(spread)

    def test_different_samples_are_refused(self, features):
        with pytest.raises(ArgumentError, match="300 samples, like features"):
            project_aligned([features, features[:-1]])
