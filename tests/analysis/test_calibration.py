from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.analysis.calibration import (
    brier_score,
    expected_calibration_error,
    log_softmax,
    negative_log_likelihood,
    reliability,
    softmax,
    summarize_predictions,
    top_k_accuracy,
    top_label,
)
from ols_core.errors import ArgumentError

FLOATS = [np.float16, np.float32, np.float64]


def predictions(seed: int, n: int = 400, k: int = 7, scale: float = 2.0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, k)) * scale
    labels = np.where(random.random(n) < 0.6, logits.argmax(1), random.integers(0, k, n))
    return logits, labels


class TestSoftmax:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_keeps_the_precision_of_its_input(self, dtype):
        logits = np.array([[1, 2, 3]], dtype=dtype)
        assert softmax(logits).dtype == dtype
        assert log_softmax(logits).dtype == dtype

    def test_computes_float16_in_float32(self):
        logits = np.array([[3.1, 2.7, -60000]], dtype=np.float16)
        assert softmax(logits).dtype == log_softmax(logits).dtype == np.float32
        exact = softmax(logits.astype(np.float64))
        np.testing.assert_allclose(softmax(logits), exact, rtol=1e-6)
        np.testing.assert_allclose(log_softmax(logits)[0, 2], -60000, rtol=1e-3)

    def test_leaves_its_input_alone(self):
        logits = np.array([[1.0, 2.0]])
        softmax(logits)
        log_softmax(logits)
        summarize_predictions(logits, [0])
        np.testing.assert_array_equal(logits, [[1.0, 2.0]])

    def test_agrees_with_scipy(self):
        from scipy import special

        logits, _ = predictions(0, scale=50)
        np.testing.assert_allclose(softmax(logits), special.softmax(logits, axis=1), atol=1e-15)
        np.testing.assert_allclose(log_softmax(logits), special.log_softmax(logits, axis=1))

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("offset", [-10_000, 10_000])
    def test_no_logit_is_too_large_or_too_small(self, dtype, offset):
        logits = np.array([[offset, offset + 8, -np.inf]], dtype=dtype)
        expected = [[1 / (1 + math.exp(8)), 1 / (1 + math.exp(-8)), 0.0]]
        np.testing.assert_allclose(softmax(logits), expected, rtol=1e-5)

    def test_a_class_that_was_ruled_out_has_no_mass(self):
        assert softmax([[0.0, -np.inf, 0.0]]).tolist() == [[0.5, 0.0, 0.5]]

    @pytest.mark.parametrize("bad", [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]])
    def test_refuses_a_row_without_a_softmax_and_says_which(self, bad):
        with pytest.raises(ArgumentError, match=r"logits\[1\] must be free of NaN"):
            softmax([[0.0, 0.0], bad])


class TestTopLabel:
    def test_takes_the_lower_class_of_a_tie(self):
        confidence, prediction = top_label([[0.2, 0.4, 0.4]])
        assert confidence.tolist() == [0.4]
        assert prediction.tolist() == [1]

    def test_rounding_does_not_take_a_confidence_above_one(self):
        confidence, _ = top_label([[1.0004, 0.0]])
        assert confidence.tolist() == [1.0]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([[0.5, 0.5], [0.9, 0.2]], r"probabilities\[1\] .* got a sum of 1\.1"),
            ([[0.5, 0.5], [1.1, -0.1]], r"probabilities\[1\] .* got an entry of -0\.1"),
            ([[np.nan, 0.5]], r"probabilities\[0\] .* got NaN"),
            ([[3.0, -1.0]], r"softmax\(logits\) makes them"),
            ([[1.0]], r"n_classes >= 2, got \(1, 1\)"),
            (np.zeros((0, 3)), r"n_samples >= 1"),
            ([0.5, 0.5], r"of shape \(n_samples, n_classes\)"),
            ([["a", "b"]], r"real numbers"),
            ([[True, False]], r"real numbers"),
        ],
    )
    def test_refuses_what_is_no_distribution(self, rows, message):
        with pytest.raises(ArgumentError, match=message):
            top_label(rows)


class TestReliability:
    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("n_bins", [1, 2, 3, 7, 10, 15, 20, 49])
    def test_an_edge_belongs_to_the_bin_below_it(self, dtype, n_bins):
        edges = (np.arange(n_bins + 1) / n_bins).astype(dtype)
        counts = reliability(edges, np.ones(n_bins + 1), n_bins).counts
        assert counts.tolist() == [2] + [1] * (n_bins - 1)

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_the_next_number_above_an_edge_belongs_to_the_bin_above_it(self, dtype):
        edges = (np.arange(1, 10) / 10).astype(dtype)
        counts = reliability(np.nextafter(edges, dtype(1)), np.ones(9), 10).counts
        assert counts.tolist() == [0] + [1] * 9

    def test_zero_and_one_are_inside(self):
        bins = reliability([0.0, 1.0], [False, True], n_bins=4)
        assert bins.counts.tolist() == [1, 0, 0, 1]
        assert bins.edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert bins.ece == 0.0

    def test_by_hand(self):
        # (0, .5]: one sample, .5 against 1; (.5, 1]: three samples, mean .8 against 1/3
        bins = reliability([0.5, 0.6, 0.8, 1.0], [1, 0, 0, 1], n_bins=2)
        np.testing.assert_allclose(bins.confidence, [0.5, 0.8])
        np.testing.assert_allclose(bins.accuracy, [1.0, 1 / 3])
        assert bins.ece == pytest.approx(0.25 * 0.5 + 0.75 * (0.8 - 1 / 3))
        assert bins.mce == pytest.approx(0.5)
        assert bins.signed_gap == pytest.approx(2.9 / 4 - 0.5)

    def test_an_empty_bin_is_nan_and_does_not_count(self):
        bins = reliability([0.9], [True], n_bins=3)
        assert np.isnan(bins.confidence).tolist() == [True, True, False]
        assert np.isnan(bins.accuracy).tolist() == [True, True, False]
        assert (bins.ece, bins.mce, bins.n_samples) == (pytest.approx(0.1), pytest.approx(0.1), 1)

    def test_equal_mass_bins_hold_equal_numbers(self):
        confidence = np.random.default_rng(0).random(1000)
        bins = reliability(confidence, confidence > 0.5, 8, scheme="equal-mass")
        assert bins.counts.tolist() == [125] * 8
        parts = np.array_split(np.sort(confidence), 8)
        np.testing.assert_allclose(bins.confidence, [part.mean() for part in parts])

    def test_equal_mass_numbers_differ_by_one_at_most(self):
        bins = reliability(np.linspace(0.1, 0.9, 23), np.ones(23), 5, scheme="equal-mass")
        assert sorted(bins.counts.tolist()) == [4, 4, 5, 5, 5]

    def test_equal_mass_keeps_ties_together(self):
        confidence = [0.3] * 4 + [0.9] * 6
        bins = reliability(confidence, [1] * 10, 5, scheme="equal-mass")
        assert bins.counts.tolist() == [4, 6]
        assert bins.edges.tolist() == [0.0, 0.3, 1.0]

    @pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
    def test_equal_mass_of_a_single_confidence_is_one_bin(self, value):
        bins = reliability([value] * 3, [1, 0, 1], 15, scheme="equal-mass")
        assert bins.counts.tolist() == [3]
        assert bins.edges.tolist() == [0.0, 1.0]

    def test_equal_mass_with_fewer_samples_than_bins_is_one_bin_a_sample(self):
        bins = reliability([0.2, 0.7, 0.8], [0, 1, 1], 15, scheme="equal-mass")
        assert bins.counts.tolist() == [1, 1, 1]
        assert bins.ece == pytest.approx((0.2 + 0.3 + 0.2) / 3)

    @pytest.mark.parametrize(
        ("confidence", "correct", "message"),
        [
            ([0.5, 1.5], [1, 1], r"confidence\[1\] must be a number in \[0, 1\], got 1\.5"),
            ([0.5, np.nan], [1, 1], r"confidence\[1\] .* got nan"),
            ([], [], "n_samples >= 1"),
            ([0.5], [1, 1], r"correct must be of shape \(1,\), like confidence, got \(2,\)"),
            ([0.5, 0.5], [1, 2], r"correct\[1\] must be True or False, got 2\. Pass prediction"),
        ],
    )
    def test_refuses_with_the_place(self, confidence, correct, message):
        with pytest.raises(ArgumentError, match=message):
            reliability(confidence, correct)

    def test_refuses_bins_and_schemes_that_do_not_exist(self):
        with pytest.raises(ArgumentError, match="n_bins"):
            reliability([0.5], [1], n_bins=0)
        with pytest.raises(ArgumentError, match="'equal-width', 'equal-mass', got 'wide'"):
            reliability([0.5], [1], scheme="wide")  # type: ignore[arg-type]


class TestExpectedCalibrationError:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("k", [2, 10])
    def test_agrees_with_torchmetrics(self, dtype, k):
        torch = pytest.importorskip("torch")
        from torchmetrics.functional.classification import multiclass_calibration_error

        logits, labels = predictions(1, n=2000, k=k)
        probabilities = softmax(logits).astype(dtype)
        p, y = torch.from_numpy(probabilities), torch.from_numpy(labels)
        ours = expected_calibration_error(probabilities, labels)
        theirs = multiclass_calibration_error(p, y, num_classes=k, n_bins=15, norm="l1")
        assert ours == pytest.approx(theirs.item(), abs=1e-5)
        confidence, prediction = top_label(probabilities)
        largest = multiclass_calibration_error(p, y, num_classes=k, n_bins=15, norm="max")
        bins = reliability(confidence, prediction == labels)
        assert bins.mce == pytest.approx(largest.item(), abs=1e-5)

    def test_passes_the_scheme_on(self):
        logits, labels = predictions(2)
        probabilities = softmax(logits)
        confidence, prediction = top_label(probabilities)
        expected = reliability(confidence, prediction == labels, 10, "equal-mass").ece
        ours = expected_calibration_error(probabilities, labels, 10, "equal-mass")
        assert ours == expected != expected_calibration_error(probabilities, labels, 10)

    def test_refuses_a_label_out_of_range(self):
        with pytest.raises(ArgumentError, match=r"labels\[1\] must be a class index in \[0, 1\]"):
            expected_calibration_error([[0.5, 0.5], [0.5, 0.5]], [0, 2])


class TestScores:
    def test_likelihood_agrees_with_scikit_learn(self):
        from sklearn.metrics import log_loss

        logits, labels = predictions(3)
        expected = log_loss(labels, softmax(logits), labels=range(7))
        assert negative_log_likelihood(logits, labels) == pytest.approx(expected, rel=1e-10)

    def test_likelihood_of_a_confident_mistake_is_not_clipped(self):
        logits = np.array([[0, -300]], dtype=np.float16)
        assert negative_log_likelihood(logits, [1]) == pytest.approx(300)

    def test_likelihood_is_infinite_only_if_the_label_was_ruled_out(self):
        logits = [[0.0, 0.0, -np.inf]]
        assert negative_log_likelihood(logits, [0]) == pytest.approx(math.log(2))
        assert negative_log_likelihood(logits, [2]) == math.inf

    def test_likelihood_averages_in_float64(self):
        # in float16 the sum would overflow, in float32 it would round
        logits = np.tile(np.array([[0, 10]], dtype=np.float16), (100_000, 1))
        labels = np.zeros(100_000, dtype=np.int64)
        expected = math.log1p(math.exp(10))
        assert negative_log_likelihood(logits, labels) == pytest.approx(expected, rel=1e-7)

    def test_brier_is_twice_the_two_class_form(self):
        from sklearn.metrics import brier_score_loss

        logits, labels = predictions(4, k=2)
        probabilities = softmax(logits)
        expected = 2 * brier_score_loss(labels, probabilities[:, 1])
        assert brier_score(probabilities, labels) == pytest.approx(expected)

    def test_brier_sums_over_classes(self):
        assert brier_score([[0.5, 0.25, 0.25]], [1]) == pytest.approx(0.25 + 0.5625 + 0.0625)
        assert brier_score([[0.0, 1.0]], [0]) == 2.0
        assert brier_score([[0, 1]], [1]) == 0.0

    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_top_k_agrees_with_scikit_learn(self, k):
        from sklearn.metrics import top_k_accuracy_score

        logits, labels = predictions(5)
        expected = top_k_accuracy_score(labels, logits, k=k, labels=range(7))
        assert top_k_accuracy(logits, labels, k) == pytest.approx(expected)

    def test_top_k_gives_ties_to_the_lower_class(self):
        logits = np.zeros((1, 4))
        assert [top_k_accuracy(logits, [2], k) for k in (1, 2, 3, 4)] == [0, 0, 1, 1]
        assert top_k_accuracy(logits, [0], 1) == 1
        assert top_k_accuracy([[0.0, 5.0, 0.0]], [0], 2) == 1

    def test_top_k_with_more_than_all_classes_is_one(self):
        assert top_k_accuracy([[0.0, 1.0]], [0], k=5) == 1.0

    @pytest.mark.parametrize("score", [negative_log_likelihood, summarize_predictions])
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 3], r"labels\[1\] must be a class index in \[0, 2\], got 3"),
            ([-1, 0], r"labels\[0\] .* got -1"),
            ([0], r"labels must be of shape \(2,\), got \(1,\)"),
            ([0.0, 1.0], "labels must be integers"),
        ],
    )
    def test_refuses_labels_that_do_not_fit(self, score, labels, message):
        with pytest.raises(ArgumentError, match=message):
            score(np.zeros((2, 3)), labels)


class TestSummary:
    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("k", [2, 4, 12])
    def test_each_number_is_that_of_its_function(self, dtype, k):
        logits, labels = predictions(6, k=k)
        logits = logits.astype(dtype)
        probabilities = softmax(logits)
        confidence, prediction = top_label(probabilities)
        bins = reliability(confidence, prediction == labels)
        expected = {
            "n_samples": 400,
            "accuracy": (prediction == labels).mean(),
            "top5_accuracy": top_k_accuracy(logits, labels, 5),
            "nll": negative_log_likelihood(logits, labels),
            "brier": brier_score(probabilities, labels),
            "ece": bins.ece,
            "signed_gap": bins.signed_gap,
            "mean_confidence": confidence.mean(dtype=np.float64),
        }
        summary = asdict(summarize_predictions(logits, labels))
        assert summary == pytest.approx(expected, rel=1e-6)
        assert {type(value) for value in summary.values()} == {int, float}

    def test_of_one_sample(self):
        summary = summarize_predictions([[0.0, math.log(3)]], [0])
        assert summary.accuracy == 0.0
        assert summary.top5_accuracy == 1.0
        assert summary.nll == pytest.approx(math.log(4))
        assert summary.brier == pytest.approx(2 * 0.75**2)
        assert summary.ece == summary.signed_gap == pytest.approx(0.75)

    def test_uses_the_number_of_bins(self):
        logits, labels = predictions(7)
        one = summarize_predictions(logits, labels, n_bins=1)
        assert one.ece == pytest.approx(abs(one.signed_gap))
        assert summarize_predictions(logits, labels, n_bins=50).ece > one.ece


class TestInvariants:
    seeds = st.integers(0, 10_000)
    sizes = st.integers(1, 60)

    @settings(deadline=None, max_examples=60)
    @given(seeds, sizes, st.integers(1, 20), st.sampled_from(["equal-width", "equal-mass"]))
    def test_bounds_of_calibration_errors(self, seed, n, n_bins, scheme):
        random = np.random.default_rng(seed)
        confidence = random.random(n).round(int(random.integers(1, 6)))
        bins = reliability(confidence, random.random(n) < 0.5, n_bins, scheme)
        assert bins.counts.sum() == bins.n_samples == n
        assert len(bins.edges) == len(bins.counts) + 1 <= n_bins + 1
        assert (np.diff(bins.edges) > 0).all()
        slack = 1e-12
        assert 0 <= abs(bins.signed_gap) <= bins.ece + slack
        assert bins.ece <= bins.mce + slack
        assert bins.mce <= 1

    @settings(deadline=None, max_examples=40)
    @given(seeds, sizes, st.integers(2, 8))
    def test_neither_the_order_of_samples_nor_the_names_of_classes_matter(self, seed, n, k):
        random = np.random.default_rng(seed)
        logits, labels = predictions(seed, n=n, k=k)
        rows, names = random.permutation(n), random.permutation(k)
        renamed = np.empty_like(logits)
        renamed[:, names] = logits
        expected = asdict(summarize_predictions(logits, labels))
        moved = asdict(summarize_predictions(renamed[rows], names[labels][rows]))
        assert moved == pytest.approx(expected, abs=1e-12)

    @settings(deadline=None, max_examples=40)
    @given(seeds, sizes, st.integers(2, 8))
    def test_a_shift_of_all_logits_of_a_row_does_not_matter(self, seed, n, k):
        logits, labels = predictions(seed, n=n, k=k)
        shift = np.random.default_rng(seed).normal(size=(n, 1)) * 100
        expected = asdict(summarize_predictions(logits, labels))
        assert asdict(summarize_predictions(logits + shift, labels)) == pytest.approx(
            expected, abs=1e-9
        )

    @settings(deadline=None, max_examples=40)
    @given(seeds, st.integers(2, 50))
    def test_float32_and_float64_agree_on_the_bins(self, seed, n_bins):
        # tenths to fiftieths: many of them on edges
        parts = np.random.default_rng(seed).integers(0, n_bins + 1, 50)
        confidence = parts / n_bins
        wide = reliability(confidence, parts % 2, n_bins)
        narrow = reliability(confidence.astype(np.float32), parts % 2, n_bins)
        assert wide.counts.tolist() == narrow.counts.tolist()
        assert wide.ece == pytest.approx(narrow.ece, abs=1e-6)
