from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ols_core.errors import ArgumentError
from ols_core.losses import OnlineLabelSmoothingLoss
from ols_core.soft_labels import ObservedSoftLabels, initial_matrix
from tests.loss_cases import batch, one_thread, random_matrix  # noqa: F401 - a fixture for every test
from tests.oracles import ols as oracle

SEEDS = st.integers(0, 2**32 - 1)
CLASSES = st.integers(2, 30)
FAST = settings(max_examples=40, deadline=None)


WAYS = st.sampled_from([ObservedSoftLabels, OnlineLabelSmoothingLoss])


def observe(k, *batches: tuple[torch.Tensor, torch.Tensor], way=ObservedSoftLabels, **options):
    """What the statistics alone, or those of the loss in its own pass, make of an epoch."""
    observed = way(k, **options)
    for logits, labels in batches:
        observed(logits, labels)
    observed.step_epoch()
    return observed


@FAST
@given(
    way=WAYS,
    seed=SEEDS,
    k=CLASSES,
    n=st.integers(1, 400),
    samples=st.sampled_from(["correct", "all"]),
)
def test_the_matrix_is_the_mean_softmax_of_each_class(way, seed, k, n, samples):
    logits, labels = batch(seed, n, k)
    observed = observe(k, (logits, labels), way=way, samples=samples)
    expected = oracle.OnlineLabelSmoothing(k, samples=samples)
    expected.see(logits.double().numpy(), labels.numpy())
    expected.step_epoch()
    np.testing.assert_array_equal(observed.counts, expected.counts)
    np.testing.assert_allclose(observed.soft_labels, expected.matrix, rtol=0, atol=1e-6)


@FAST
@given(seed=SEEDS, k=CLASSES, scale=st.floats(0.01, 1000.0), fallback=st.booleans())
def test_rows_are_distributions_whatever_the_logits(seed, k, scale, fallback):
    observed = ObservedSoftLabels(k, fallback="previous" if fallback else "uniform")
    for epoch in range(3):
        logits, labels = batch(seed + epoch, 50, k, scale)
        observed(logits, labels)
        observed.step_epoch()
        assert (observed.soft_labels >= 0).all()
        torch.testing.assert_close(observed.soft_labels.sum(1), torch.ones(k))


@FAST
@given(way=WAYS, seed=SEEDS, k=CLASSES)
def test_renaming_the_classes_only_permutes_the_matrix(way, seed, k):
    logits, labels = batch(seed, 60, k)
    logits[::5, 0] = logits[::5].amax(1)  # ties, too
    order = torch.from_numpy(np.random.default_rng(seed).permutation(k))
    renamed = observe(k, (logits[:, order], order.argsort()[labels]), way=way)
    original = observe(k, (logits, labels), way=way)
    assert torch.equal(renamed.counts, original.counts[order])
    expected = original.soft_labels[order][:, order]
    torch.testing.assert_close(renamed.soft_labels, expected, rtol=0, atol=1e-6)


@FAST
@given(way=WAYS, seed=SEEDS, k=CLASSES, cut=st.integers(0, 300))
def test_a_batch_cut_in_two_accumulates_the_same(way, seed, k, cut):
    logits, labels = batch(seed, 300, k)
    whole = observe(k, (logits, labels), way=way)
    parts = observe(k, (logits[:cut], labels[:cut]), (logits[cut:], labels[cut:]), way=way)
    assert torch.equal(whole.counts, parts.counts)
    torch.testing.assert_close(whole.soft_labels, parts.soft_labels, rtol=0, atol=1e-6)


@FAST
@given(way=WAYS, seed=SEEDS, bad=st.sampled_from([np.nan, np.inf, -np.inf]), samples=st.booleans())
def test_no_bad_logit_reaches_the_matrix(way, seed, bad, samples):
    logits, labels = batch(seed, 50, 6)
    random = np.random.default_rng(seed)
    rows = torch.from_numpy(random.integers(0, 50, 10))
    spoilt = logits.clone()
    spoilt[rows, torch.from_numpy(random.integers(0, 6, 10))] = bad
    keep = torch.ones(50, dtype=torch.bool).index_fill(0, rows, False)
    options = {"way": way, "samples": "all" if samples else "correct"}
    observed = observe(6, (spoilt, labels), **options)
    expected = observe(6, (logits[keep], labels[keep]), **options)
    assert torch.equal(observed.counts, expected.counts)
    torch.testing.assert_close(observed.soft_labels, expected.soft_labels, rtol=0, atol=1e-6)


def test_counts_say_which_rows_are_fallbacks():
    observed = ObservedSoftLabels(3, initial=random_matrix(3), fallback="previous")
    assert observed.counts.tolist() == [0, 0, 0]
    observed(torch.eye(3)[:2], torch.tensor([0, 0]))
    observed.step_epoch()
    assert observed.counts.tolist() == [1, 0, 0]
    torch.testing.assert_close(observed.soft_labels[1:], random_matrix(3)[1:])


def test_a_row_of_zeros_is_never_kept():
    observed = ObservedSoftLabels(3, initial="zeros", fallback="previous")
    observed(torch.eye(3)[:1], torch.tensor([0]))
    observed.step_epoch()
    torch.testing.assert_close(observed.soft_labels[1:], torch.full((2, 3), 1 / 3))


def test_a_frozen_row_stays_even_without_a_correct_sample():
    observed = ObservedSoftLabels(2, initial=torch.tensor([[0.9, 0.1], [0.2, 0.8]]), cap=0.9)
    observed(torch.eye(2), torch.tensor([1, 1]))
    observed.step_epoch()
    torch.testing.assert_close(observed.soft_labels[0], torch.tensor([0.9, 0.1]))
    assert observed.soft_labels[1, 1] != 0.8
    assert observed.counts.tolist() == [0, 1]


def test_evaluation_adds_nothing_and_an_empty_epoch_warns():
    observed = ObservedSoftLabels(3).eval()
    observed(*batch(0, 20, 3))
    assert observed.sums.sum() == 0
    with pytest.warns(UserWarning, match="No sample was seen"):
        observed.step_epoch()
    assert observed.steps == 0


def test_an_epoch_in_which_nothing_was_right_gives_fallback_rows_without_a_warning(recwarn):
    observed = observe(3, (torch.eye(3), torch.tensor([1, 2, 0])), initial="label_smoothing")
    torch.testing.assert_close(observed.soft_labels, torch.full((3, 3), 1 / 3))
    assert observed.steps == 1
    assert not recwarn.list


def test_logits_are_not_changed_and_get_no_graph():
    logits, labels = batch(0, 20, 3)
    before = logits.clone()
    observed = observe(3, (logits.requires_grad_(), labels))
    assert torch.equal(logits, before)
    assert not observed.soft_labels.requires_grad
    assert not observed.sums.requires_grad


def test_a_label_out_of_range_is_refused_when_the_epoch_closes():
    observed = ObservedSoftLabels(3)
    observed(torch.eye(3), torch.tensor([0, 3, -1]))
    assert observed.tallies.tolist() == [1, 0, 0, 0, 0, 2]
    with pytest.raises(ArgumentError, match=r"2 labels out of range.*starts from zero"):
        observed.step_epoch()
    observed(torch.eye(3), torch.tensor([0, 1, 2]))  # the next epoch is not refused for it
    observed.step_epoch()
    assert observed.counts.tolist() == [1, 1, 1]


def test_batches_of_another_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"logits must be .* of shape \(2, 3\), got .*\(2, 4\)"):
        ObservedSoftLabels(3)(torch.zeros(2, 4), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "target must be integer class indices"),
        (torch.zeros(2, 3), torch.tensor(0), r"target must be .* of shape \(N,\)"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1]), "logits must be of a float"),
    ],
)
def test_batches_of_another_type_are_refused(logits, target, message):
    with pytest.raises(ArgumentError, match=message):
        ObservedSoftLabels(3)(logits, target)


@pytest.mark.parametrize("k", [2, 5])
def test_initial_matrices(k):
    assert torch.equal(initial_matrix("zeros", k), torch.zeros(k, k))
    torch.testing.assert_close(initial_matrix("uniform", k), torch.full((k, k), 1 / k))
    smoothed = initial_matrix("label_smoothing", k)
    torch.testing.assert_close(smoothed.diagonal(), torch.full((k,), 0.9))
    torch.testing.assert_close(smoothed.sum(1), torch.ones(k))
    given_matrix = random_matrix(k).double()
    copied = initial_matrix(given_matrix, k)
    assert copied.dtype == torch.float32
    given_matrix.zero_()
    torch.testing.assert_close(copied, random_matrix(k))
