from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ols_core.errors import ArgumentError
from ols_core.losses import METHODS, OnlineLabelSmoothingLoss, build_loss
from tests.loss_cases import batch, one_thread  # noqa: F401 - a fixture for every test

SOURCES = {
    "ls": "Szegedy",
    "ols": "2011.12562",
    "bootstrap-soft": "1412.6596",
    "bootstrap-hard": "1412.6596",
    "sce": "1908.06112",
    "gce": "1805.07836",
    "focal": "1708.02002",
    "maxsup": "2502.15798",
    "mbls": "2111.15430",
    "tf-kd": "1909.11723",
    "confidence-penalty": "1701.06548",
    "disturb-label": "1605.00055",
}


@dataclass
class Sample:
    """Softmax p, logits z and label y, and what the formulas have in common."""

    z: np.ndarray
    y: int

    @property
    def p(self) -> np.ndarray:
        return np.exp(self.z - self.z.max()) / np.exp(self.z - self.z.max()).sum()

    @property
    def one_hot(self) -> np.ndarray:
        return np.eye(len(self.z))[self.y]

    @property
    def ce(self) -> float:
        return -np.log(self.p[self.y])


def focal(s: Sample, gamma: float) -> float:
    return (1 - s.p[s.y]) ** gamma * s.ce


def symmetric(s: Sample, a: float, b: float, log_zero: float) -> float:
    log_label = [0.0 if k == s.y else log_zero for k in range(len(s.z))]
    return a * s.ce - b * (s.p * log_label).sum()


def max_sup(s: Sample, strength: float) -> float:
    return s.ce + strength * (s.z.max() - s.z.mean())


def margin(s: Sample, m: float, strength: float) -> float:
    return s.ce + strength * np.mean([max(0.0, s.z.max() - z - m) for z in s.z])


def virtual_teacher(s: Sample, weight: float, temperature: float, correct: float) -> float:
    t = np.where(s.one_hot == 1, correct, (1 - correct) / (len(s.z) - 1)) / temperature
    t = np.exp(t) / np.exp(t).sum()
    return (1 - weight) * s.ce + weight * (t * np.log(t / s.p)).sum()


def bootstrap_soft(s: Sample, beta: float) -> float:
    return -((beta * s.one_hot + (1 - beta) * s.p) * np.log(s.p)).sum()


def bootstrap_hard(s: Sample, beta: float) -> float:
    guess = np.eye(len(s.z))[s.z.argmax()]
    return -((beta * s.one_hot + (1 - beta) * guess) * np.log(s.p)).sum()


def label_smoothing(s: Sample, smoothing: float) -> float:
    return -(((1 - smoothing) * s.one_hot + smoothing / len(s.z)) * np.log(s.p)).sum()


LOG_ZERO = math.log(1e-4)
# method, its options, and its formula for one sample
FORMULAS = [
    ("ce", {}, lambda s: s.ce),
    ("ls", {}, lambda s: label_smoothing(s, 0.1)),
    ("ls", {"smoothing": 0.3}, lambda s: label_smoothing(s, 0.3)),
    ("bootstrap-soft", {}, lambda s: bootstrap_soft(s, 0.95)),
    ("bootstrap-soft", {"beta": 0.3}, lambda s: bootstrap_soft(s, 0.3)),
    ("bootstrap-hard", {}, lambda s: bootstrap_hard(s, 0.8)),
    ("bootstrap-hard", {"beta": 0.3}, lambda s: bootstrap_hard(s, 0.3)),
    ("sce", {}, lambda s: symmetric(s, 0.1, 1.0, LOG_ZERO)),
    (
        "sce",
        {"ce_weight": 6.0, "rce_weight": 0.2, "log_zero": -4.0},
        lambda s: symmetric(s, 6.0, 0.2, -4.0),
    ),
    ("gce", {}, lambda s: (1 - s.p[s.y] ** 0.7) / 0.7),
    ("gce", {"q": 1.0}, lambda s: 1 - s.p[s.y]),
    ("focal", {}, lambda s: focal(s, 2.0)),
    ("focal", {"gamma": 0.5}, lambda s: focal(s, 0.5)),
    ("focal", {"gamma": 0.0}, lambda s: s.ce),
    ("maxsup", {}, lambda s: max_sup(s, 0.1)),
    ("maxsup", {"strength": 0.4}, lambda s: max_sup(s, 0.4)),
    ("mbls", {}, lambda s: margin(s, 10.0, 0.1)),
    ("mbls", {"margin": 2.0, "strength": 0.3}, lambda s: margin(s, 2.0, 0.3)),
    ("tf-kd", {}, lambda s: virtual_teacher(s, 0.1, 20.0, 0.99)),
    (
        "tf-kd",
        {"teacher_weight": 0.9, "temperature": 2.0, "correct": 0.9},
        lambda s: virtual_teacher(s, 0.9, 2.0, 0.9),
    ),
    ("confidence-penalty", {}, lambda s: s.ce + 0.1 * (s.p * np.log(s.p)).sum()),
    ("confidence-penalty", {"strength": 2.0}, lambda s: s.ce + 2.0 * (s.p * np.log(s.p)).sum()),
    ("disturb-label", {"noise": 0.0}, lambda s: s.ce),
]


@pytest.mark.parametrize(("method", "options", "formula"), FORMULAS)
@pytest.mark.parametrize("k", [2, 9])
def test_losses_agree_with_their_formulas(method, options, formula, k):
    logits, labels = batch(0, 30, k)
    labels[4] = -100
    losses = build_loss(method, k, reduction="none", **options)(logits, labels)
    expected = []
    for z, y in zip(logits.double().numpy(), labels.tolist(), strict=True):
        expected.append(0.0 if y == -100 else formula(Sample(z, y)))
    np.testing.assert_allclose(losses, expected, rtol=2e-6, atol=1e-6)
    mean = build_loss(method, k, **options)(logits, labels)
    assert mean.item() == pytest.approx(np.sum(expected) / 29, rel=1e-6)


def test_every_method_has_a_formula_here_and_names_its_source():
    assert {method for method, *_ in FORMULAS} | {"ols"} == set(METHODS)
    for method, source in SOURCES.items():
        assert source in METHODS[method].__doc__


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method):
    criterion = build_loss(method, 5).eval()
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: criterion(z, torch.arange(6) % 5), logits)


@pytest.mark.parametrize("method", METHODS)
def test_saturated_predictions_keep_loss_and_gradient_finite(method):
    logits = (torch.eye(4) * 1e4).requires_grad_()
    for labels in (torch.arange(4), (torch.arange(4) + 1) % 4):
        criterion = build_loss(method, 4, **({"gamma": 0.5} if method == "focal" else {}))
        loss = criterion(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_observe_the_same_soft_labels(method):
    criterion, reference = build_loss(method, 5), OnlineLabelSmoothingLoss(5)
    for seed in range(3):
        logits, labels = batch(seed, 40, 5)
        labels[::7] = -100
        logits[5, 2] = torch.nan
        criterion(logits, labels)
        reference(logits, labels)
    criterion.eval()(logits, labels)
    for loss in (criterion, reference):
        loss.step_epoch()
    assert torch.equal(criterion.counts, reference.counts)
    assert torch.equal(criterion.soft_labels, reference.soft_labels)


@pytest.mark.parametrize("method", METHODS)
def test_effective_targets_are_distributions(method):
    criterion = build_loss(method, 5)
    for seed in range(2):
        q = criterion.effective_target
        assert q.shape == (5, 5)
        torch.testing.assert_close(q.sum(1), torch.ones(5))
        assert (q.diagonal() >= q.amax(1) - 1e-6).all()
        criterion(*batch(seed, 40, 5))
        criterion.step_epoch()


@pytest.mark.parametrize("method", ["ls", "ols", "tf-kd", "bootstrap-soft"])
def test_the_gradient_of_a_class_vanishes_at_its_effective_target(method):
    """What the matrix says is what the loss trains towards: its row minimises the loss."""
    criterion = build_loss(method, 4)
    logits, labels = batch(0, 60, 3)
    criterion(torch.nn.functional.pad(logits, (0, 1), value=-1.0), labels)
    criterion.step_epoch()
    if method == "bootstrap-soft":  # its row is a mean over samples, not a minimum
        expected = 0.95 * torch.eye(4) + 0.05 * criterion.soft_labels
        torch.testing.assert_close(criterion.effective_target, expected)
        return
    at_target = criterion.effective_target.log().requires_grad_()
    criterion.eval()(at_target, torch.arange(4)).backward()
    torch.testing.assert_close(at_target.grad, torch.zeros(4, 4), rtol=0, atol=1e-6)


def test_disturbed_labels_follow_their_expected_target_in_training_only():
    k, n = 4, 40_000
    criterion = build_loss("disturb-label", k, noise=0.4, reduction="none")
    logits = torch.tensor([[0.0, 1.0, 2.0, 4.0]]).expand(n, k)
    torch.manual_seed(0)
    losses = criterion(logits, torch.zeros(n, dtype=torch.int64))
    values = -logits[0].log_softmax(0)
    shares = torch.stack([(losses - value).abs() < 1e-5 for value in values], 1).double().mean(0)
    expected = criterion.effective_target[0].double()
    torch.testing.assert_close(shares, expected, rtol=0, atol=4 * 0.5 / math.sqrt(n))
    assert criterion.observed.tallies[k] == n  # the true label never has the largest logit
    clean = criterion.eval()(logits, torch.zeros(n, dtype=torch.int64))
    torch.testing.assert_close(clean, values[0].expand(n))


@pytest.mark.parametrize("method", ["ce", "ls"])
@pytest.mark.parametrize("weight", [None, torch.rand(5) + 0.1])
def test_ce_and_ls_are_torchs_own(method, weight):
    smoothing = 0.1 if method == "ls" else 0.0
    criterion = build_loss(method, 5, weight=weight, ignore_index=2)
    logits, labels = torch.randn(8, 5, 3), torch.randint(0, 5, (8, 3))
    expected = F.cross_entropy(
        logits, labels, weight=weight, ignore_index=2, label_smoothing=smoothing
    )
    torch.testing.assert_close(criterion(logits, labels), expected)
    soft = torch.rand(8, 5, 3).softmax(1)
    expected = F.cross_entropy(logits, soft, weight=weight, label_smoothing=smoothing)
    torch.testing.assert_close(criterion(logits, soft), expected)


def test_plain_cross_entropy_bears_masked_logits():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert build_loss("ce", 3)(logits, torch.tensor([0])).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"ce", "ls", "ols"}))
def test_losses_of_class_indices_refuse_distributions(method):
    criterion = build_loss(method, 3)
    with pytest.raises(ArgumentError, match="target must be class indices for"):
        criterion(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))
    assert criterion.observed.tallies.sum() == 0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("olss", {}, "method must be one of 'ce', 'ls', 'ols'"),
        ("ols", {"alpha": 2}, r"alpha must be a number in \[0, 1\], got 2"),
        ("ls", {"smoothing": -0.1}, "smoothing must be"),
        ("bootstrap-soft", {"beta": 1.1}, "beta must be"),
        ("bootstrap-hard", {"beta": -1}, "beta must be"),
        ("sce", {"ce_weight": -1}, "ce_weight must be"),
        ("sce", {"rce_weight": -1}, "rce_weight must be"),
        ("sce", {"log_zero": 1}, "log_zero must be"),
        ("gce", {"q": 0}, r"q must be a number in \(0, 1\]"),
        ("focal", {"gamma": -1}, "gamma must be"),
        ("maxsup", {"strength": -1}, "strength must be"),
        ("mbls", {"margin": -1}, "margin must be"),
        ("mbls", {"strength": -1}, "strength must be"),
        ("tf-kd", {"teacher_weight": 2}, "teacher_weight must be"),
        ("tf-kd", {"temperature": 0.5}, "temperature must be"),
        ("tf-kd", {"correct": 2}, "correct must be"),
        ("confidence-penalty", {"strength": -1}, "strength must be"),
        ("disturb-label", {"noise": 2}, "noise must be"),
    ],
)
def test_bad_options_are_refused(method, options, message):
    with pytest.raises(ArgumentError, match=message):
        build_loss(method, 3, **options)


def test_the_shared_arguments_reach_the_methods_that_take_them():
    assert build_loss("ols", 3, alpha=0.3, smoothing=0.2).alpha == 0.3
    assert build_loss("ls", 3, alpha=0.3, smoothing=0.2).smoothing == 0.2
    assert build_loss("ce", 3, alpha=0.3, smoothing=0.2).smoothing == 0.0


def test_an_unknown_option_of_a_method_is_refused():
    with pytest.raises(ArgumentError, match=r"the loss 'focal': .*'gama'"):
        build_loss("focal", 3, gama=2.0)
