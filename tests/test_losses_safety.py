"""What people do around a loss that it must bear: with its gradient, its logits, its settings."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ols_core.errors import ArgumentError
from ols_core.losses import OnlineLabelSmoothingLoss, build_loss
from tests.loss_cases import batch, one_thread, random_matrix  # noqa: F401 - a fixture for every test


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("factor", [1.0, 128.0])
def test_a_gradient_may_be_changed_in_place_between_two_backward_passes(reduction, factor):
    criterion = OnlineLabelSmoothingLoss(5, reduction=reduction)
    logits, labels = batch(0, 40, 5)
    loss = criterion(logits.requires_grad_(), labels).sum() * factor
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    kept = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(loss, logits)
    assert torch.equal(second, kept)


@pytest.mark.parametrize("factor", [1.0, 128.0, -0.5])
def test_the_last_backward_pass_gives_what_a_kept_graph_gives(factor):
    criterion = OnlineLabelSmoothingLoss(5, weight=torch.linspace(0.1, 2.0, 5))
    logits, labels = batch(0, 40, 5)
    logits.requires_grad_()
    (last,) = torch.autograd.grad(criterion(logits, labels) * factor, logits)
    (kept,) = torch.autograd.grad(criterion(logits, labels) * factor, logits, retain_graph=True)
    assert torch.equal(last, kept)


def test_gradients_add_up_over_batches():
    criterion = OnlineLabelSmoothingLoss(5, reduction="sum")
    logits, labels = batch(0, 40, 5)
    logits.requires_grad_()
    (whole,) = torch.autograd.grad(criterion(logits, labels), logits)
    for part in (slice(None, 15), slice(15, None)):
        criterion(logits[part], labels[part]).backward()
    torch.testing.assert_close(logits.grad, whole)


@pytest.mark.parametrize("options", [{"reduction": "none"}, {"reduction": "mean"}])
def test_a_vectorised_jacobian(options):
    criterion = OnlineLabelSmoothingLoss(4, **options).eval()
    logits, labels = batch(0, 6, 4)
    jacobian = torch.autograd.functional.jacobian
    one_by_one = jacobian(lambda z: criterion(z, labels), logits)
    at_once = jacobian(lambda z: criterion(z, labels), logits, vectorize=True)
    torch.testing.assert_close(at_once, one_by_one)


@pytest.mark.parametrize("method", ["ce", "ols"])
@pytest.mark.parametrize("ignored", [False, True])
def test_logits_masked_with_the_smallest_number_count(method, ignored):
    criterion = build_loss(method, 4, alpha=1.0)
    smallest = torch.finfo(torch.float32).min
    logits = torch.tensor([[5.0, 0.0, smallest, smallest], [0.0, 1.0, 2.0, 3.0]])
    criterion(logits, torch.tensor([0, -100 if ignored else 0]))
    assert criterion.observed.tallies.tolist() == [1, 0, 0, 0, int(not ignored), int(ignored), 0]


@pytest.mark.parametrize("method", ["ls", "ols"])
def test_samples_whose_weights_are_zero_cost_nothing(method):
    criterion = build_loss(method, 3, weight=torch.tensor([0.0, 1.0, 1.0]))
    logits = torch.randn(4, 3, requires_grad=True)
    loss = criterion(logits, torch.zeros(4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("method", ["ce", "ols"])
def test_the_default_type_of_torch_does_not_matter(dtype, method):
    logits, labels = batch(0, 20, 4)
    expected = build_loss(method, 4)(logits, labels)
    torch.set_default_dtype(dtype)
    try:
        criterion = build_loss(method, 4)
        loss = criterion(logits, labels)
        criterion.step_epoch()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(loss, expected)
    assert criterion.soft_labels.dtype == criterion.observed.sums.dtype == torch.float32


def test_a_loss_built_in_inference_mode_trains():
    with torch.inference_mode():
        criterion = OnlineLabelSmoothingLoss(4, initial=random_matrix(4))
    logits, labels = batch(0, 20, 4)
    criterion(logits.requires_grad_(), labels).backward()
    assert logits.grad.isfinite().all()


def test_a_new_alpha_is_in_force_at_once():
    criterion = OnlineLabelSmoothingLoss(4, initial=random_matrix(4))
    logits, labels = batch(0, 20, 4)
    criterion.alpha = 1.0
    torch.testing.assert_close(criterion(logits, labels), F.cross_entropy(logits, labels))
    with pytest.raises(ArgumentError, match="alpha must be a number"):
        criterion.alpha = 1.5
    assert criterion.alpha == 1.0


def test_the_effective_target_is_a_copy():
    criterion = OnlineLabelSmoothingLoss(4)
    logits, labels = batch(0, 20, 4)
    before = criterion(logits, labels)
    criterion.effective_target.zero_()
    assert torch.equal(criterion(logits, labels), before)
