from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ols_core.errors import ArgumentError
from ols_core.losses import OnlineLabelSmoothingLoss
from tests.loss_cases import batch, one_thread, random_matrix  # noqa: F401 - a fixture for every test
from tests.oracles import ols as oracle


def naive(criterion: OnlineLabelSmoothingLoss, logits, targets) -> torch.Tensor:
    """The definition in float64 by autograd, for labels or distributions, one loss a sample."""
    q = criterion.effective_target.double()
    one_hot = F.one_hot(targets, q.shape[0]).double() if targets.dim() == 1 else targets.double()
    weight = 1.0 if criterion.weight is None else criterion.weight.double()
    return -(weight * (one_hot @ q) * logits.log_softmax(1)).sum(1)


OPTIONS = {
    "default": ({}, {}),
    "alpha 0": ({"alpha": 0.0}, {"hard": 0.0, "soft": 1.0}),
    "alpha 1": ({"alpha": 1.0}, {"hard": 1.0, "soft": 0.0}),
    "alpha 0.3": ({"alpha": 0.3}, {"hard": 0.3, "soft": 0.7}),
    "official-cifar": ({"preset": "official-cifar"}, {"initial": "zeros"}),
    "official-finegrained": (
        {"preset": "official-finegrained"},
        {"hard": 1.0, "soft": 1.0, "cap": 0.88},
    ),
    "sum": ({"mixing": "sum", "alpha": 0.2}, {"hard": 1.0, "soft": 1.0}),
    "label smoothing first": ({"initial": "label_smoothing"}, {"initial": "label_smoothing"}),
    "matrix first": ({"initial": "random"}, {"initial": "random"}),
    "keep the last row": ({"fallback": "previous"}, {"fallback": "previous"}),
    "keep no zeros": (
        {"fallback": "previous", "initial": "zeros"},
        {"fallback": "previous", "initial": "zeros"},
    ),
    "all samples": ({"samples": "all"}, {"samples": "all"}),
    "cap": ({"cap": 0.75}, {"cap": 0.75}),
    "weight": ({"weight": True}, {"weight": True}),
    "ignore": ({"ignore_index": 1}, {"ignore_index": 1}),
    "ignore negative": ({"ignore_index": -1}, {"ignore_index": -1}),
}


def pair(name: str, k: int) -> tuple[OnlineLabelSmoothingLoss, oracle.OnlineLabelSmoothing]:
    ours, theirs = (dict(options) for options in OPTIONS[name])
    if "weight" in ours:
        ours["weight"] = torch.linspace(0.0, 2.0, k)
        theirs["weight"] = ours["weight"].double().numpy()
    matrices = {
        "random": random_matrix(k),
        "zeros": torch.zeros(k, k),
        "label_smoothing": torch.eye(k) * 0.9 + (1 - torch.eye(k)) * 0.1 / (k - 1),
    }
    if ours.get("initial") == "random":
        ours["initial"] = matrices["random"]
    if "initial" in theirs:
        theirs["initial"] = matrices[theirs["initial"]].double().numpy()
    return OnlineLabelSmoothingLoss(k, **ours), oracle.OnlineLabelSmoothing(k, **theirs)


@pytest.mark.parametrize("k", [2, 7, 200])
@pytest.mark.parametrize("name", OPTIONS)
def test_several_epochs_agree_with_the_definition(name, k):
    criterion, expected = pair(name, k)
    for epoch in range(3):
        for step, n in enumerate([64, 64, 5]):  # a short last batch
            logits, labels = batch(10 * epoch + step, n, k, scale=1.0 + epoch)
            if name == "ignore negative":
                labels[::3] = -1
            logits.requires_grad_()
            loss = criterion(logits, labels)
            loss.backward()
            arrays = logits.detach().double().numpy(), labels.numpy()
            assert loss.item() == pytest.approx(expected.loss(*arrays), rel=1e-6, abs=1e-6)
            keep = labels != criterion.ignore_index
            exact = logits.detach().double().requires_grad_()
            total = criterion.weight[labels[keep]].sum() if name == "weight" else keep.sum()
            (naive(criterion, exact[keep], labels[keep]).sum() / total).backward()
            torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=0, atol=1e-6)
            expected.see(*arrays)
        criterion.step_epoch()
        expected.step_epoch()
        np.testing.assert_allclose(criterion.soft_labels, expected.matrix, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(criterion.counts, expected.counts)
        np.testing.assert_allclose(criterion.effective_target, expected.target, atol=2e-6)
    assert criterion.observed.steps == 3


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("mixing", ["convex", "sum"])
@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_reductions_agree_with_the_definition(reduction, mixing, kind):
    """Class weights, random soft labels and every reduction, for labels and distributions."""
    k, weight = 6, torch.linspace(0.0, 2.0, 6)
    options = {"initial": random_matrix(k), "weight": weight}
    criterion = OnlineLabelSmoothingLoss(k, mixing=mixing, reduction=reduction, **options)
    hard, soft = (0.5, 0.5) if mixing == "convex" else (1.0, 1.0)
    options = {name: value.double().numpy() for name, value in options.items()}
    expected = oracle.OnlineLabelSmoothing(k, hard, soft, **options)
    logits, target = batch(3, 30, k)
    if kind == "soft":
        target = random_matrix(30, seed=1)[:, :k].softmax(1)
    else:
        target[::4] = -100
    exact = expected.loss(logits.double().numpy(), target.numpy(), reduction)
    np.testing.assert_allclose(criterion(logits, target), exact, rtol=1e-6, atol=1e-6)


def test_the_epochs_above_meet_every_case():
    """Guards the guard: without these cases the test above would show little."""
    criterion, _ = pair("cap", 7)
    for epoch in range(3):
        criterion(*batch(10 * epoch, 64, 7, scale=1.0 + epoch))
        before, counts = criterion.soft_labels, criterion.counts
        criterion.step_epoch()
    frozen = before.amax(1) >= 0.75
    assert frozen.any()
    assert not frozen.all()
    assert torch.equal(criterion.soft_labels[frozen], before[frozen])
    assert torch.equal(criterion.counts[frozen], counts[frozen])
    assert criterion.counts[6] == 0
    torch.testing.assert_close(criterion.soft_labels[6], torch.full((7,), 1 / 7))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "ignored", "soft", "dense", "dense soft", "single"])
def test_uniform_soft_labels_are_torchs_label_smoothing(reduction, weighted, kind):
    """With S uniform and alpha = 1 - eps, the loss is torch's own with label_smoothing = eps."""
    k, shape = 5, {"dense": (6, 5, 3, 2), "dense soft": (6, 5, 3, 2), "single": (5,)}
    options = {"reduction": reduction, "weight": torch.rand(k) + 0.1 if weighted else None}
    logits = torch.randn(shape.get(kind, (12, 5)))
    if "soft" in kind:
        target = torch.rand_like(logits).softmax(1)
    else:
        target = torch.randint(0, k, logits.movedim(-1 if kind == "single" else 1, 0).shape[1:])
    if kind in ("ignored", "dense"):
        target[::2] = -100
    results = []
    for loss in (
        lambda z: OnlineLabelSmoothingLoss(k, alpha=0.7, **options)(z, target),
        lambda z: F.cross_entropy(z, target, label_smoothing=0.3, **options),
    ):
        z = logits.clone().requires_grad_()
        value = loss(z)
        value.sum().backward()
        results.append((value.detach(), z.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("offset", [-5000.0, 30.0, 1000.0])
@pytest.mark.parametrize(("n", "k", "roundings"), [(64, 100, 1), (1024, 1000, 4)])
def test_a_common_offset_costs_little_more_than_it_costs_the_logits(offset, n, k, roundings):
    """The logits were rounded to eps · |offset| themselves."""
    criterion = OnlineLabelSmoothingLoss(k, initial=random_matrix(k))
    logits, labels = batch(0, n, k)
    logits += offset
    rounding = torch.finfo(torch.float32).eps * abs(offset)
    exact = naive(criterion, logits.double(), labels).mean().item()
    assert criterion(logits, labels).item() == pytest.approx(exact, abs=roundings * rounding)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"preset": "official-finegrained"}, {"weight": True}])
@pytest.mark.parametrize("soft", [False, True])
def test_gradients_of_both_orders(reduction, options, soft):
    options = {key: torch.rand(4) if key == "weight" else v for key, v in options.items()}
    criterion = OnlineLabelSmoothingLoss(
        4, initial=random_matrix(4), reduction=reduction, **options
    ).eval()
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(6, 4, dtype=torch.float64).softmax(1) if soft else torch.arange(6) % 4
    assert torch.autograd.gradcheck(lambda z: criterion(z, target), logits)
    assert torch.autograd.gradgradcheck(lambda z: criterion(z, target), logits)


def test_soft_targets_train_towards_mixed_rows_and_only_one_hot_ones_count():
    k = 5
    logits, labels = batch(0, 60, k)
    mixed = F.one_hot(labels, k).double()
    mixed[::2] = 0.7 * mixed[::2] + 0.3 * mixed[::2].flip(0)
    mixed[1::6] += 0.2  # no distribution, but torch takes it too
    mixed[1::6] = mixed[1::6].clamp(max=1.0)
    criterion = OnlineLabelSmoothingLoss(k, initial=random_matrix(k))
    expected = oracle.OnlineLabelSmoothing(k, initial=random_matrix(k).double().numpy())
    loss = criterion(logits, mixed.float())
    mixed = mixed.float().double().numpy()  # 0.7 in float32 is what the loss got
    exact = expected.loss(logits.double().numpy(), mixed)
    assert loss.item() == pytest.approx(exact, abs=1e-6)
    expected.see(logits.double().numpy(), mixed)
    criterion.step_epoch()
    expected.step_epoch()
    assert 0 < expected.counts.sum() < 60
    np.testing.assert_array_equal(criterion.counts, expected.counts)
    np.testing.assert_allclose(criterion.soft_labels, expected.matrix, atol=1e-6)


def test_a_dense_batch_is_its_pixels_one_after_another():
    k = 4
    logits, labels = batch(1, 2 * 6 * 5, k)
    dense = logits.reshape(2, 6, 5, k).permute(0, 3, 1, 2)
    pixels, image = OnlineLabelSmoothingLoss(k), OnlineLabelSmoothingLoss(k)
    flat = pixels(logits, labels)
    torch.testing.assert_close(image(dense, labels.reshape(2, 6, 5)), flat, rtol=0, atol=1e-6)
    pixels.step_epoch()
    image.step_epoch()
    assert torch.equal(pixels.soft_labels, image.soft_labels)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("at_label", [False, True])
def test_a_bad_row_is_reported_and_never_enters_the_statistics(value, at_label):
    k = 4
    logits, labels = batch(2, 40, k)
    clean, spoilt = OnlineLabelSmoothingLoss(k), OnlineLabelSmoothingLoss(k, reduction="none")
    keep = torch.arange(40) != 7
    clean(logits[keep], labels[keep])
    logits[7, labels[7] if at_label else (labels[7] + 1) % k] = value
    losses = spoilt(logits, labels)
    theirs = F.cross_entropy(logits, spoilt.effective_target[labels], reduction="none")
    torch.testing.assert_close(losses, theirs, equal_nan=True)
    assert not losses[7].isfinite()
    for criterion in (clean, spoilt):
        criterion.step_epoch()
    assert spoilt.soft_labels.isfinite().all()
    assert torch.equal(spoilt.counts, clean.counts)
    torch.testing.assert_close(spoilt.soft_labels, clean.soft_labels, rtol=0, atol=1e-6)


def test_a_tie_for_the_largest_logit_counts_whatever_the_order_of_the_classes():
    criterion = OnlineLabelSmoothingLoss(3)
    criterion(torch.tensor([[1.0, 1.0, 0.0]] * 3), torch.tensor([0, 1, 2]))
    criterion.step_epoch()
    assert criterion.counts.tolist() == [1, 1, 0]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, torch.rand(3)])
def test_a_batch_without_a_sample_costs_nothing(reduction, weight):
    criterion = OnlineLabelSmoothingLoss(3, reduction=reduction, weight=weight)
    for logits, labels in (
        (torch.randn(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.int64)),
        (torch.randn(4, 3, requires_grad=True), torch.full((4,), -100)),
    ):
        loss = criterion(logits, labels)
        loss.backward()
        assert loss.item() == 0.0
        assert torch.equal(logits.grad, torch.zeros_like(logits))
    with pytest.warns(UserWarning, match="No sample was seen"):
        criterion.step_epoch()
    torch.testing.assert_close(criterion.soft_labels, torch.full((3, 3), 1 / 3))
    assert criterion.observed.steps == 0


def test_a_zero_weight_for_every_sample_gives_zero():
    criterion = OnlineLabelSmoothingLoss(3, weight=torch.tensor([0.0, 1.0, 1.0]), alpha=1.0)
    assert criterion(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)).item() == 0.0


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(2, 4), torch.tensor([0, 1]), r"logits must be of shape \(N, 3\)"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1]), "floating type, got 'torch.i"),
        (torch.zeros(()), torch.tensor(0), "logits must be of shape"),
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "target must be integer .*torch.float32"),
        (torch.zeros(2, 3), torch.tensor([True, False]), "target must be integer"),
        (torch.zeros(2, 3), torch.tensor([0, 1, 2]), r"target must be of shape \(2,\), got \(3,"),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64), "target must be of shape"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), r"target must be a class index in \[0, 2\].*3"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), r"\[0, 2\] or -100, got -1"),
    ],
)
def test_bad_batches_are_refused(logits, target, message):
    criterion = OnlineLabelSmoothingLoss(3)
    with pytest.raises(ArgumentError, match=message):
        criterion(logits, target)
    assert criterion.observed.tallies.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_classes": 1}, "n_classes must be an integer of at least 2, got 1"),
        ({"alpha": -0.1}, r"alpha must be a number in \[0, 1\], got -0.1"),
        ({"alpha": float("nan")}, "alpha must be"),
        ({"preset": "best"}, "preset must be one of 'paper', 'official-cifar'"),
        ({"mixing": "max"}, "mixing must be one of"),
        ({"initial": "ones"}, "initial must be one of"),
        ({"initial": np.eye(3)}, r"(?s)initial must be a name or a tensor.*torch\.as_tensor"),
        ({"initial": torch.eye(4)}, r"initial must be of shape \(3, 3\), got \(4, 4\)"),
        ({"initial": torch.ones(3, 3)}, r"initial\[0\] must be a row that sums to 1, got 3"),
        ({"initial": torch.eye(3) * 2 - torch.ones(3, 3) / 3}, "initial must be non-negative"),
        ({"initial": torch.full((3, 3), torch.nan)}, "initial must be non-negative"),
        ({"fallback": "zeros"}, "fallback must be one of"),
        ({"samples": "wrong"}, "samples must be one of"),
        ({"cap": 1.5}, r"cap must be a number in \[0, 1\], got 1.5"),
        ({"weight": torch.ones(2)}, r"weight must be a tensor of shape \(3,\)"),
        ({"weight": torch.tensor([1.0, -1.0, 1.0])}, "weight must be finite and non-negative"),
        ({"reduction": "max"}, "reduction must be one of"),
        ({"ignore_index": 0.5}, "ignore_index must be an integer"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        OnlineLabelSmoothingLoss(**{"n_classes": 3, **options})
