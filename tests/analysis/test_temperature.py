from __future__ import annotations

import math

import numpy as np
import pytest

from ols_core.analysis.calibration import (
    TEMPERATURE_RANGE,
    fit_temperature,
    negative_log_likelihood,
    softmax,
    summarize_predictions,
    temperature_scaled,
)
from ols_core.errors import ArgumentError


def sampled(temperature: float, n: int, k: int = 5, seed: int = 0):
    """Logits that become calibrated when divided by the temperature."""
    random = np.random.default_rng(seed)
    calibrated = random.normal(size=(n, k)) * 2
    cumulative = softmax(calibrated).cumsum(axis=1)
    labels = (cumulative < random.random((n, 1))).sum(axis=1).clip(max=k - 1)
    return calibrated * temperature, labels


class TestFit:
    @pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 3.0, 10.0])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_is_exact_where_the_answer_is_known(self, temperature, dtype):
        # three of four right asks for a logit of ln 3
        logits = np.tile([temperature * math.log(3), 0.0], (4, 1)).astype(dtype)
        assert fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(temperature, rel=1e-5)

    @pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 3.0, 10.0])
    def test_no_temperature_on_a_fine_grid_is_more_likely(self, temperature):
        logits, labels = sampled(temperature, 500)
        fitted = fit_temperature(logits, labels)
        best = negative_log_likelihood(logits / fitted, labels)
        grid = fitted * np.exp(np.linspace(-0.2, 0.2, 401))
        losses = [negative_log_likelihood(logits / t, labels) for t in grid]
        assert best <= min(losses) + 1e-12
        assert fitted == pytest.approx(grid[np.argmin(losses)], rel=1e-3)

    @pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
    def test_finds_the_true_temperature_in_many_samples(self, temperature):
        logits, labels = sampled(temperature, 60_000)
        assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.02)

    def test_of_float16_is_that_of_the_stored_values(self):
        logits, labels = sampled(3.0, 500)
        stored = logits.astype(np.float16)
        expected = fit_temperature(stored.astype(np.float64), labels)
        assert fit_temperature(stored, labels) == pytest.approx(expected, rel=1e-5)

    def test_without_a_minimum_ends_on_a_bound(self):
        logits = [[2.0, 0.0], [0.0, 2.0]]
        assert fit_temperature(logits, [0, 1]) == pytest.approx(TEMPERATURE_RANGE[0])
        assert fit_temperature(logits, [1, 0]) == pytest.approx(TEMPERATURE_RANGE[1])

    def test_is_one_if_it_changes_nothing(self):
        assert fit_temperature([[1.0, 1.0], [5.0, 5.0]], [0, 1]) == 1.0

    def test_a_class_that_was_ruled_out_does_not_count(self):
        logits, labels = sampled(2.0, 300)
        padded = np.hstack([logits, np.full((300, 1), -np.inf)])
        expected = fit_temperature(logits, labels)
        assert fit_temperature(padded, labels) == pytest.approx(expected, rel=1e-9)

    def test_refuses_a_label_that_was_ruled_out(self):
        with pytest.raises(ArgumentError, match=r"logits\[1, 0\] must be finite"):
            fit_temperature([[0.0, 1.0], [-np.inf, 1.0]], [0, 0])


class TestScaling:
    def test_on_another_split_uses_that_split_only(self):
        logits, labels = sampled(3.0, 400)
        fit_logits, fit_labels = sampled(3.0, 300, seed=1)
        scaling = temperature_scaled(logits, labels, fit_logits, fit_labels)
        expected = fit_temperature(fit_logits, fit_labels)
        assert scaling.temperatures == (expected,)
        assert not scaling.cross_fitted
        np.testing.assert_allclose(scaling.logits, logits / expected)
        wrong = temperature_scaled(logits, (labels + 1) % 5, fit_logits, fit_labels)
        np.testing.assert_array_equal(wrong.logits, scaling.logits)

    def test_cross_fitting_scales_each_half_by_the_other(self):
        logits, labels = sampled(3.0, 401)
        scaling = temperature_scaled(logits, labels, seed=5)
        assert scaling.cross_fitted
        assert sorted(np.bincount(scaling.fold)) == [200, 201]
        for half, temperature in enumerate(scaling.temperatures):
            other = scaling.fold != half
            assert temperature == fit_temperature(logits[other], labels[other])
            np.testing.assert_allclose(scaling.logits[~other], logits[~other] / temperature)

    def test_cross_fitting_repeats_with_the_seed(self):
        logits, labels = sampled(3.0, 100)
        first, again = (temperature_scaled(logits, labels, seed=1) for _ in range(2))
        other = temperature_scaled(logits, labels, seed=2)
        np.testing.assert_array_equal(first.fold, again.fold)
        assert not np.array_equal(first.fold, other.fold)

    def test_improves_calibration_and_keeps_accuracy(self):
        logits, labels = sampled(4.0, 4000)
        before = summarize_predictions(logits, labels)
        after = summarize_predictions(temperature_scaled(logits, labels).logits, labels)
        assert after.accuracy == before.accuracy
        assert after.nll < before.nll
        assert after.ece < before.ece / 3

    def test_keeps_float16_from_losing_more(self):
        logits, labels = sampled(3.0, 50)
        assert temperature_scaled(logits.astype(np.float16), labels).logits.dtype == np.float32

    def test_refuses_to_report_on_what_it_was_fitted_on(self):
        logits, labels = sampled(3.0, 50)
        with pytest.raises(ArgumentError, match="other samples than logits"):
            temperature_scaled(logits, labels, logits.copy(), labels)

    def test_refuses_half_a_split(self):
        logits, labels = sampled(3.0, 50)
        with pytest.raises(ArgumentError, match="fit_labels must be given together"):
            temperature_scaled(logits, labels, fit_logits=logits)
        with pytest.raises(ArgumentError, match="fit_logits must be given together"):
            temperature_scaled(logits, labels, fit_labels=labels)

    def test_refuses_a_split_of_other_classes(self):
        logits, labels = sampled(3.0, 50)
        with pytest.raises(ArgumentError, match="fit_logits must be of 5 classes"):
            temperature_scaled(logits, labels, logits[:, :4], labels)

    def test_refuses_to_halve_one_sample(self):
        with pytest.raises(ArgumentError, match="at least 2 rows"):
            temperature_scaled([[0.0, 1.0]], [0])
