from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.analysis.soft_labels import (
    QUANTILE_LEVELS,
    Neighbour,
    check_soft_labels,
    convergence,
    effective_target,
    hide_diagonal,
    row_change,
    row_entropy,
    settled_epoch,
    strongest_neighbours,
    target_mass,
)
from ols_core.errors import ArgumentError

MEDIAN = QUANTILE_LEVELS.index(0.5)

# row 0 is peaked, row 1 uniform, row 2 hard
S = np.array([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.0, 0.0, 1.0]])


def matrix(seed: int, k: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=k)


class TestCheck:
    @pytest.mark.parametrize("k", [2, 100, 1000])
    def test_allows_what_storage_as_float16_does_to_a_row(self, k):
        stored = matrix(0, k).astype(np.float16)
        checked = check_soft_labels(stored)
        assert checked.dtype == np.float32
        np.testing.assert_array_equal(checked, stored)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (np.full((2, 3), 1 / 3), r"soft_labels must be square, .* got \(2, 3\)"),
            ([[1.0, 0.0], [0.5, 0.6]], r"soft_labels\[1\] .* got a sum of 1\.1\. Divide"),
            ([[1.0, 0.0], [0.0, 0.0]], r"soft_labels\[1\] .* got a sum of 0"),
            ([[1.5, -0.5], [0.0, 1.0]], r"soft_labels\[0\] .* got an entry of -0\.5"),
            ([[1.0, 0.0], [np.nan, 1.0]], r"soft_labels\[1\] .* got NaN"),
            ([[np.inf, 0.0], [0.0, 1.0]], r"soft_labels\[0\] .* got a sum of inf"),
            ([[1.0]], "n_classes >= 2"),
            (np.zeros((0, 0)), "n_classes >= 2"),
        ],
    )
    def test_refuses_what_is_no_soft_label_matrix(self, bad, message):
        with pytest.raises(ArgumentError, match=message):
            check_soft_labels(bad)

    @pytest.mark.parametrize("function", [row_entropy, target_mass, lambda s: row_change(S, s)])
    def test_every_function_checks(self, function):
        with pytest.raises(ArgumentError, match=r"\[0\] must be finite and non-negative"):
            function(np.ones((3, 3)))


class TestRows:
    def test_effective_target_mixes_with_the_hard_label(self):
        np.testing.assert_allclose(effective_target(S, 0.5), 0.5 * np.eye(3) + 0.5 * S)
        np.testing.assert_array_equal(effective_target(S, 0.0), S)
        np.testing.assert_array_equal(effective_target(S, 1), np.eye(3))

    def test_effective_target_leaves_the_matrix_alone(self):
        before = S.copy()
        effective_target(S, 0.3)
        np.testing.assert_array_equal(S, before)

    @pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
    def test_effective_target_refuses_a_weight_out_of_range(self, alpha):
        with pytest.raises(ArgumentError, match=r"alpha must be a number in \[0, 1\]"):
            effective_target(S, alpha)

    def test_entropy_by_hand(self):
        np.testing.assert_allclose(row_entropy(S), [1.5 * math.log(2), math.log(3), 0.0])

    def test_entropy_agrees_with_scipy(self):
        from scipy.stats import entropy

        np.testing.assert_allclose(row_entropy(matrix(1, 50)), entropy(matrix(1, 50), axis=1))

    def test_target_mass_is_the_diagonal(self):
        assert target_mass(S).tolist() == [0.5, 1 / 3, 1.0]

    def test_hidden_diagonal_is_a_copy(self):
        hidden = hide_diagonal(S)
        assert hidden.dtype == np.float32
        assert np.isnan(hidden.diagonal()).all()
        assert not np.isnan(S).any()
        np.testing.assert_allclose(hidden[0, 1:], S[0, 1:])

    def test_change_is_the_mass_that_moved(self):
        after = [[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]]
        np.testing.assert_allclose(row_change(S, after), [0.25, 0.0, 1.0])

    def test_change_refuses_other_classes(self):
        with pytest.raises(ArgumentError, match=r"after must be of shape \(3, 3\)"):
            row_change(S, np.eye(2))


class TestNeighbours:
    def test_come_strongest_first_without_the_target(self):
        rows = np.array([[0.1, 0.2, 0.3, 0.4]] * 4)
        assert strongest_neighbours(rows, 3, 2) == (Neighbour(2, 0.3), Neighbour(1, 0.2))

    def test_leave_out_the_target_where_it_is_not_the_strongest(self):
        rows = np.array([[0.1, 0.2, 0.7]] * 3)
        assert [found.class_index for found in strongest_neighbours(rows, 0)] == [2, 1]

    def test_ties_go_to_the_lower_class(self):
        assert [found.class_index for found in strongest_neighbours(S, 0)] == [1, 2]

    @pytest.mark.parametrize("target", [-1, 3])
    def test_refuse_a_class_that_does_not_exist(self, target):
        with pytest.raises(ArgumentError, match="target must be"):
            strongest_neighbours(S, target)


class TestConvergence:
    def test_by_hand(self):
        result = convergence(np.stack([np.full((2, 2), 0.5), np.eye(2), np.eye(2)]))
        np.testing.assert_array_equal(result.n_rows, [2, 2, 2])
        np.testing.assert_allclose(result.mean_change, [np.nan, 0.5, 0.0])
        np.testing.assert_allclose(result.max_change, [np.nan, 0.5, 0.0])
        np.testing.assert_allclose(result.entropy[:, MEDIAN], [math.log(2), 0, 0])
        np.testing.assert_allclose(result.target_mass[:, MEDIAN], [0.5, 1, 1])

    def test_quantiles_are_over_rows(self):
        result = convergence([S])
        np.testing.assert_allclose(result.entropy[0], np.quantile(row_entropy(S), QUANTILE_LEVELS))
        np.testing.assert_allclose(
            result.target_mass[0], np.quantile(target_mass(S), QUANTILE_LEVELS)
        )

    def test_leaves_out_rows_that_nothing_was_observed_for(self):
        other = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
        counts = np.array([[0, 0, 0], [5, 0, 5], [5, 5, 5]])
        result = convergence((m for m in [S, S, other]), counts)
        assert result.n_rows.tolist() == [0, 2, 3]
        assert np.isnan(result.entropy[0]).all()
        assert np.isnan(result.target_mass[0]).all()
        np.testing.assert_allclose(result.target_mass[1, MEDIAN], 0.75)
        # rows 0 and 2 were seen both times and moved by 0.5 and 0
        np.testing.assert_allclose(result.mean_change, [np.nan, np.nan, 0.25])
        np.testing.assert_allclose(result.max_change, [np.nan, np.nan, 0.5])

    def test_refuses_an_empty_sequence(self):
        with pytest.raises(ArgumentError, match="at least one matrix"):
            convergence([])

    def test_names_the_epoch_of_a_bad_matrix(self):
        with pytest.raises(ArgumentError, match=r"matrices\[1\]\[0\] must be finite"):
            convergence([S, 2 * S])

    def test_refuses_matrices_of_different_classes(self):
        with pytest.raises(ArgumentError, match=r"all of shape \(3, 3\), got \(2, 2\)"):
            convergence([S, np.eye(2)])

    @pytest.mark.parametrize(
        ("shape", "message"),
        [((1, 3), "1 epochs"), ((3, 3), "of 2 epochs"), ((2, 2), r"counts\[0\] .* \(3,\)")],
    )
    def test_refuses_counts_that_do_not_fit(self, shape, message):
        with pytest.raises(ArgumentError, match=message):
            convergence([S, S], np.ones(shape, dtype=np.int64))


def course_of(*target_masses: float) -> list[np.ndarray]:
    """Matrices of two classes: row 0 is as given, row 1 stays."""
    return [np.array([[mass, 1 - mass], [0.5, 0.5]]) for mass in target_masses]


class TestSettled:
    # the row moves by 0.5, 0.25, 0.125, 0
    COURSE = convergence(course_of(0.0, 0.5, 0.75, 0.875, 0.875))

    @pytest.mark.parametrize(
        ("threshold", "epoch"), [(0.0, 3), (0.125, 2), (0.2, 2), (0.25, 1), (0.5, 0), (1, 0)]
    )
    def test_is_the_last_epoch_that_a_row_moved_to(self, threshold, epoch):
        assert settled_epoch(self.COURSE, threshold) == epoch

    def test_one_row_that_moves_is_enough(self):
        course = convergence(course_of(0.0, 0.5, 0.5, 1.0, 1.0))
        assert settled_epoch(course, 0.3) == 3

    def test_is_none_where_a_row_moves_to_the_end(self):
        assert settled_epoch(convergence(course_of(0.0, 0.0, 0.5)), 0.25) is None

    def test_is_none_where_nothing_was_measured(self):
        assert settled_epoch(convergence(course_of(0.0)), 1.0) is None
        course = convergence(course_of(0.0, 0.0), np.array([[1, 0], [0, 1]]))
        assert settled_epoch(course, 1.0) is None

    def test_leaves_out_rows_without_samples(self):
        counts = np.array([[0, 0], [4, 4], [0, 4], [4, 4], [4, 4]])
        course = convergence(course_of(0.0, 0.75, 0.5, 0.75, 0.75), counts)
        # the first matrix is nothing that was observed, and row 0 fell back once
        np.testing.assert_array_equal(course.max_change, [np.nan, np.nan, 0, 0, 0])
        assert settled_epoch(course, 0.1) == 1
        assert settled_epoch(convergence(course_of(0.0, 0.75, 0.5, 0.75, 0.75)), 0.1) == 3

    def test_does_not_count_epochs_after_the_last_one_measured(self):
        counts = np.array([[4, 4], [4, 4], [0, 0], [0, 0]])
        assert settled_epoch(convergence(course_of(0.0, 0.5, 0.5, 0.5), counts), 0.1) is None

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
    def test_refuses_a_threshold_out_of_range(self, threshold):
        with pytest.raises(ArgumentError, match=r"threshold must be a number in \[0, 1\]"):
            settled_epoch(self.COURSE, threshold)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 8), st.floats(0, 1))
    def test_agrees_with_the_definition(self, seed, k, n_epochs, threshold):
        epochs = [matrix(seed + epoch, k) for epoch in range(n_epochs)]
        rows = [row_change(a, b) for a, b in pairwise(epochs)]
        expected = next(
            (t for t in range(len(rows)) if all((row <= threshold).all() for row in rows[t:])),
            None,
        )
        assert settled_epoch(convergence(epochs), threshold) == expected
        names = np.random.default_rng(seed).permutation(k)
        renamed = convergence([epoch[np.ix_(names, names)] for epoch in epochs])
        np.testing.assert_allclose(renamed.max_change, convergence(epochs).max_change)


class TestInvariants:
    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 12), st.floats(0, 1))
    def test_rows_stay_distributions(self, seed, k, alpha):
        target = effective_target(matrix(seed, k), alpha)
        assert (target >= 0).all()
        np.testing.assert_allclose(target.sum(axis=1), 1)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 12))
    def test_bounds(self, seed, k):
        first, second = matrix(seed, k), matrix(seed + 1, k)
        assert (row_entropy(first) >= 0).all()
        assert (row_entropy(first) <= math.log(k) + 1e-12).all()
        change = row_change(first, second)
        assert ((change >= 0) & (change <= 1)).all()
        np.testing.assert_array_equal(change, row_change(second, first))

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(2, 12))
    def test_renaming_classes_permutes_the_result(self, seed, k):
        first = matrix(seed, k)
        names = np.random.default_rng(seed).permutation(k)
        renamed = first[np.ix_(names, names)]
        np.testing.assert_allclose(row_entropy(renamed), row_entropy(first)[names])
        np.testing.assert_array_equal(target_mass(renamed), target_mass(first)[names])
