from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from ols_core.analysis.embedding import class_geometry, inside_polygon, three_class_plane
from ols_core.errors import ArgumentError


class TestClassGeometry:
    @pytest.fixture
    def samples(self):
        random = np.random.default_rng(0)
        labels = random.integers(0, 6, 90)
        return random.normal(size=(6, 5))[labels] * 3 + random.normal(size=(90, 5)), labels

    def test_agrees_with_plain_formulas(self, samples):
        values, labels = samples
        found = class_geometry(values, labels, 6)
        centroids = np.array([values[labels == k].mean(axis=0) for k in range(6)])
        distance = np.linalg.norm(centroids[:, None] - centroids, axis=2)
        scale = distance[np.triu_indices(6, 1)].mean()
        for k in range(6):
            own = np.linalg.norm(values[labels == k] - centroids[k], axis=1).mean()
            assert found.tightness[k] == pytest.approx(own / scale)
        np.fill_diagonal(distance, np.inf)
        assert found.nearest.tolist() == distance.argmin(axis=1).tolist()
        assert found.nearest.dtype == np.int64
        np.testing.assert_allclose(found.nearest_distance, distance.min(axis=1))
        assert np.isnan(found.soft_label_agreement).all()

    def test_agreement_is_spearmans_correlation_ties_included(self, samples):
        values, labels = samples
        mass = np.random.default_rng(1).integers(1, 4, (6, 6)).astype(float)
        mass[2] = 1.0  # a fallback
        found = class_geometry(values, labels, 6, mass / mass.sum(axis=1, keepdims=True))
        centroids = np.array([values[labels == k].mean(axis=0) for k in range(6)])
        for k in (0, 1, 3, 4, 5):
            others = np.arange(6) != k
            distance = np.linalg.norm(centroids[others] - centroids[k], axis=1)
            expected = spearmanr(mass[k, others], -distance).statistic
            assert found.soft_label_agreement[k] == pytest.approx(expected)
        assert math.isnan(found.soft_label_agreement[2])

    def test_a_class_without_samples_is_left_out(self, samples):
        values, labels = samples
        mass = np.random.default_rng(1).dirichlet(np.ones(6), 6)
        kept = labels != 4
        found = class_geometry(values[kept], labels[kept], 6, mass)
        others = [0, 1, 2, 3, 5]
        smaller = mass[np.ix_(others, others)]
        renamed = np.searchsorted(others, labels[kept])
        expected = class_geometry(
            values[kept], renamed, 5, smaller / smaller.sum(axis=1, keepdims=True)
        )
        for name in ("tightness", "nearest_distance", "soft_label_agreement"):
            np.testing.assert_allclose(getattr(found, name)[others], getattr(expected, name))
            assert math.isnan(getattr(found, name)[4])
        assert found.nearest[4] == -1
        assert found.nearest[others].tolist() == np.array(others)[expected.nearest].tolist()

    def test_of_a_single_class_there_is_nothing_to_compare(self):
        found = class_geometry([[0.0], [1.0]], [1, 1], 3, np.eye(3))
        assert found.nearest.tolist() == [-1, -1, -1]
        for values in (found.tightness, found.nearest_distance, found.soft_label_agreement):
            assert np.isnan(values).all()

    def test_of_classes_at_one_point(self):
        found = class_geometry(np.full((4, 2), 0.1), [0, 0, 1, 1], 2)
        assert found.nearest.tolist() == [1, 0]
        assert found.nearest_distance.tolist() == [0.0, 0.0]
        assert np.isnan(found.tightness).all()

    def test_stored_features_are_averaged_in_float64(self):
        # the means lie between two numbers of half precision
        values = np.array([[1000.0], [1000.5], [2000.0], [2001.0]], dtype=np.float16)
        found = class_geometry(values, [0, 0, 1, 1], 2)
        assert found.nearest_distance.tolist() == [1000.25, 1000.25]

    @pytest.mark.parametrize(
        ("labels", "soft_labels", "message"),
        [
            ([0, 3], None, r"labels\[1\] must be a class index in \[0, 2\], got 3"),
            ([0, 1], np.eye(2), r"soft_labels must be of shape \(3, 3\)"),
            ([0, 1], np.ones((3, 3)), r"soft_labels\[0\] must be finite and non-negative"),
        ],
    )
    def test_refuses(self, labels, soft_labels, message):
        with pytest.raises(ArgumentError, match=message):
            class_geometry([[0.0], [1.0]], labels, 3, soft_labels)


class TestThreeClassPlane:
    @pytest.fixture
    def weights(self):
        return np.random.default_rng(0).normal(size=(3, 7))

    def test_keeps_the_distances_of_the_templates(self, weights):
        flat = three_class_plane(np.zeros((1, 7)), weights).templates
        for a in range(3):
            for b in range(3):
                expected = np.linalg.norm(weights[a] - weights[b])
                assert np.linalg.norm(flat[a] - flat[b]) == pytest.approx(expected)

    def test_points_are_orthogonal_projections(self, weights):
        values = np.random.default_rng(1).normal(size=(20, 7))
        plane = three_class_plane(values, weights)
        # nearest point of the plane, as a mixture of the templates
        edges = (weights[1:] - weights[0]).T
        mixture = np.linalg.lstsq(edges, (values - weights[0]).T)[0]
        expected = plane.templates[0] + mixture.T @ (plane.templates[1:] - plane.templates[0])
        np.testing.assert_allclose(plane.points, expected, atol=1e-12)

    @given(st.integers(0, 50))
    def test_the_first_template_is_on_top_and_the_second_to_the_left(self, seed):
        random = np.random.default_rng(seed)
        flat = three_class_plane(random.normal(size=(4, 5)), random.normal(size=(3, 5))).templates
        np.testing.assert_allclose(flat.sum(axis=0), 0, atol=1e-12)
        assert flat[0, 0] == pytest.approx(0, abs=1e-12)
        assert flat[0, 1] > 0
        assert flat[1, 0] < 0 < flat[2, 0]

    def test_turning_features_and_weights_together_changes_nothing(self, weights):
        values = np.random.default_rng(1).normal(size=(20, 7))
        turn = np.linalg.qr(np.random.default_rng(2).normal(size=(7, 7)))[0]
        plane, turned = (
            three_class_plane(values, weights),
            three_class_plane(values @ turn, weights @ turn),
        )
        np.testing.assert_allclose(turned.points, plane.points, atol=1e-12)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([[0, 0], [1, 1], [3, 3]], "weights must be three templates that span a plane"),
            ([[1, 1], [0, 0], [2, 2]], "weights must be three templates that span a plane"),
            ([[1, 2], [1, 2], [5, 2]], "weights must be three templates that span a plane"),
            ([[0, 0], [1, 1]], r"weights must be of shape \(3, 2\)"),
            ([[0, 0], [1, 1], [np.nan, 3]], r"weights\[2\] must be finite"),
        ],
    )
    def test_refuses(self, weights, message):
        with pytest.raises(ArgumentError, match=message):
            three_class_plane([[0.0, 1.0]], weights)


def crossings(point: np.ndarray, polygon: np.ndarray) -> bool:
    """Even-odd rule by a ray to the right, one edge after the other."""
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (y0 > point[1]) != (y1 > point[1]):
            inside ^= point[0] < x0 + (point[1] - y0) * (x1 - x0) / (y1 - y0)
    return bool(inside)


class TestInsidePolygon:
    # points at odd places, corners at even ones: rounding cannot put a point on an edge's end
    @settings(deadline=None)
    @given(
        arrays(np.int64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.integers(-9, 9)),
        st.integers(0, 99),
    )
    def test_agrees_with_a_ray_of_each_point(self, polygon, seed):
        points = np.random.default_rng(seed).uniform(-20, 20, size=(60, 2))
        expected = [crossings(point, 2.0 * polygon) for point in points]
        assert inside_polygon(points, 2.0 * polygon).tolist() == expected

    def test_of_many_corners(self):
        random = np.random.default_rng(0)
        points = random.random((400, 2)).astype(np.float32)
        polygon = random.random((200, 2))
        expected = [crossings(point.astype(float), polygon) for point in points]
        assert inside_polygon(points, polygon).tolist() == expected
        assert 0 < sum(expected) < 400

    @given(st.integers(0, 99))
    def test_neither_the_first_corner_nor_the_direction_matters(self, seed):
        random = np.random.default_rng(seed)
        points, polygon = random.random((50, 2)), random.random((7, 2))
        expected = inside_polygon(points, polygon).tolist()
        assert inside_polygon(points, np.roll(polygon, 3, axis=0)).tolist() == expected
        assert inside_polygon(points, polygon[::-1]).tolist() == expected

    def test_each_point_is_in_one_of_two_neighbouring_polygons(self):
        points = np.stack(np.meshgrid(np.arange(0, 5), np.arange(0, 5)), axis=2).reshape(-1, 2)
        left, right = [[-1, -1], [2, -1], [2, 6], [-1, 6]], [[2, -1], [9, -1], [9, 6], [2, 6]]
        found = inside_polygon(points, left).astype(int) + inside_polygon(points, right)
        assert (found == 1).all()

    def test_a_corner_at_the_height_of_points_is_crossed_once(self):
        points = np.stack(np.meshgrid(np.arange(0, 5), np.arange(0, 5)), axis=2).reshape(-1, 2)
        seam = [[2.5, -1], [2.3, 0], [2.7, 2], [2.2, 3], [2.6, 6]]
        found = inside_polygon(points, [*seam, [-1, 6], [-1, -1]])
        assert found.tolist() == (points[:, 0] <= 2).tolist()

    @pytest.mark.parametrize("polygon", [[], [[0, 0]], [[0, 0], [9, 9]], np.zeros((0, 2))])
    def test_of_fewer_than_three_corners_nothing_is_inside(self, polygon):
        assert inside_polygon([[0.0, 0.0], [1.0, 1.0]], polygon).tolist() == [False, False]

    def test_refuses_corners_in_space(self):
        with pytest.raises(ArgumentError, match=r"polygon must be of shape \(m, 2\)"):
            inside_polygon([[0.0, 0.0]], np.zeros((4, 3)))
