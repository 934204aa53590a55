from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from ols_core.errors import ArgumentError
from ols_core.losses import METHODS, OnlineLabelSmoothingLoss, build_loss
from tests.loss_cases import batch, one_thread, random_matrix  # noqa: F401 - a fixture for every test


def closed(criterion: torch.nn.Module, *seeds: int) -> torch.nn.Module:
    """Let the loss see a batch for each seed, and close the epoch."""
    for seed in seeds:
        criterion(*batch(seed, 40, criterion.n_classes))
    criterion.step_epoch()
    return criterion


def test_a_second_forward_and_evaluation_leave_the_statistics_alone():
    criterion, once = OnlineLabelSmoothingLoss(5), OnlineLabelSmoothingLoss(5)
    logits, labels = batch(0, 40, 5)
    loss = criterion(logits, labels)
    assert torch.equal(criterion(logits, labels, accumulate=False), loss)
    criterion.eval()
    assert torch.equal(criterion(logits, labels), loss)
    criterion.train().step_epoch()
    assert torch.equal(criterion.soft_labels, closed(once, 0).soft_labels)
    assert torch.equal(criterion.counts, once.counts)


def test_the_period_of_updates_is_free():
    criterion = OnlineLabelSmoothingLoss(5)
    for seed in range(3):
        closed(criterion, seed)
    assert criterion.observed.steps == 3
    assert torch.equal(criterion.soft_labels, closed(OnlineLabelSmoothingLoss(5), 2).soft_labels)


def test_a_kept_matrix_does_not_change():
    criterion = closed(OnlineLabelSmoothingLoss(5), 0)
    kept, copied = criterion.soft_labels, criterion.soft_labels.clone()
    closed(criterion, 1)
    assert torch.equal(kept, copied)
    assert not torch.equal(criterion.soft_labels, copied)


@pytest.mark.parametrize("method", METHODS)
def test_resuming_in_mid_epoch_gives_the_same_matrix_to_the_bit(method):
    straight = closed(build_loss(method, 5), 0, 1)
    straight(*batch(2, 40, 5))
    file = io.BytesIO()
    torch.save(straight.state_dict(), file)
    file.seek(0)
    resumed = build_loss(method, 5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(resumed.effective_target, straight.effective_target)
    for criterion in (straight, resumed):
        closed(criterion, 3)
    assert torch.equal(resumed.soft_labels, straight.soft_labels)
    assert torch.equal(resumed.effective_target, straight.effective_target)
    assert torch.equal(resumed.counts, straight.counts)
    assert resumed.observed.steps == straight.observed.steps == 2


def test_a_saved_state_is_a_snapshot():
    criterion = OnlineLabelSmoothingLoss(5)
    state = criterion.state_dict()
    closed(criterion, 0)(*batch(1, 40, 5))
    assert state["observed.sums"].sum() == 0
    assert state["observed.tallies"].sum() == 0


def test_a_nested_loss_is_saved_with_its_model():
    model = torch.nn.ModuleDict({"criterion": closed(OnlineLabelSmoothingLoss(5), 0)})
    other = torch.nn.ModuleDict({"criterion": OnlineLabelSmoothingLoss(5)})
    other.load_state_dict(model.state_dict())
    logits, labels = batch(1, 40, 5)
    assert torch.equal(other["criterion"](logits, labels), model["criterion"](logits, labels))


def test_a_state_that_does_not_fit_is_refused():
    criterion = OnlineLabelSmoothingLoss(5)
    with pytest.raises(RuntimeError, match=r"observed.sums must be of shape \(5, 5\), got \(4, 4"):
        criterion.load_state_dict(OnlineLabelSmoothingLoss(4).state_dict())
    state = criterion.state_dict()
    state["observed.more"] = state.pop("observed.counts")
    with pytest.raises(RuntimeError, match="Missing key") as error:
        criterion.load_state_dict(state)
    assert "observed.counts" in str(error.value)
    assert "observed.more" in str(error.value)
    assert criterion.load_state_dict(state, strict=False).missing_keys == ["observed.counts"]


@pytest.mark.parametrize(
    "through",
    [
        copy.deepcopy,
        lambda criterion: pickle.loads(pickle.dumps(criterion)),
        lambda criterion: criterion.half(),
        lambda criterion: criterion.double(),
        lambda criterion: criterion.to("cpu", torch.bfloat16),
        lambda criterion: criterion.share_memory(),
    ],
    ids=["deepcopy", "pickle", "half", "double", "to", "share_memory"],
)
def test_copies_and_casts_change_nothing(through):
    def build() -> OnlineLabelSmoothingLoss:
        weight = torch.linspace(0.111, 1.777, 5)
        criterion = closed(OnlineLabelSmoothingLoss(5, initial=random_matrix(5), weight=weight), 0)
        criterion(*batch(1, 40, 5))
        return criterion

    changed, untouched = through(build()), build()
    logits, labels = batch(2, 40, 5)
    assert torch.equal(changed(logits, labels), untouched(logits, labels))
    for criterion in (changed, untouched):
        criterion.step_epoch()
    assert changed.soft_labels.dtype == torch.float32
    assert torch.equal(changed.soft_labels, untouched.soft_labels)
    assert torch.equal(changed.counts, untouched.counts)


def test_a_copy_has_statistics_of_its_own():
    criterion = OnlineLabelSmoothingLoss(5)
    closed(copy.deepcopy(criterion), 0)
    assert criterion.observed.tallies.sum() == 0
    assert criterion.counts.sum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_low_precision_logits_are_computed_in_float32(dtype, autocast, soft):
    low, full = (OnlineLabelSmoothingLoss(7, initial=random_matrix(7)) for _ in range(2))
    logits, target = batch(0, 40, 7)
    if soft:
        target = F.one_hot(target, 7).float()
        target[::3] = target[::3] * 0.61 + target[::3].flip(0) * 0.39
    logits = logits.to(dtype).requires_grad_()
    exact = logits.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = low(logits, target)
    loss.backward()
    expected = full(exact, target)
    expected.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert torch.equal(logits.grad, exact.grad.to(dtype))
    assert torch.equal(low.observed.sums, full.observed.sums)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_counts_are_exact_far_beyond_what_half_precision_can_count(dtype):
    criterion = OnlineLabelSmoothingLoss(2).half()
    logits = torch.tensor([[1.0, 0.0]], dtype=dtype).expand(3000, 2)
    for _ in range(3):
        criterion(logits, torch.zeros(3000, dtype=torch.int64))
    criterion.step_epoch()
    assert criterion.counts.tolist() == [9000, 0]
    expected = torch.tensor([1.0, 0.0]).softmax(0)
    torch.testing.assert_close(criterion.soft_labels[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "k"), [(128, 10), (100, 2), (20_000, 2)])
def test_sums_keep_their_digits_over_many_samples(n, k):
    """Tens of thousands of confident predictions a class, in small batches and in large ones."""
    random = torch.Generator().manual_seed(0)
    criterion, total = OnlineLabelSmoothingLoss(k), torch.zeros(k, dtype=torch.float64)
    labels = torch.zeros(n, dtype=torch.int64)
    steps = 60_000 // n
    for _ in range(steps):
        logits = torch.randn(n, k, generator=random)
        logits[:, 0] += 12
        criterion(logits, labels)
        total += logits.double().softmax(1).sum(0)
    criterion.step_epoch()
    assert criterion.counts[0] == n * steps
    expected = (total / (n * steps)).float()
    torch.testing.assert_close(criterion.soft_labels[0], expected, rtol=0, atol=1e-6)


def test_training_goes_on_after_an_epoch_closed_in_inference_mode():
    criterion = OnlineLabelSmoothingLoss(5)
    criterion(*batch(0, 40, 5))
    with torch.inference_mode():
        criterion.step_epoch()
    logits, labels = batch(1, 40, 5)
    criterion(logits.requires_grad_(), labels).backward()
    assert logits.grad.isfinite().all()
    assert not criterion.soft_labels.is_inference()
    assert not criterion.effective_target.is_inference()


def test_a_backward_pass_may_be_repeated():
    criterion = OnlineLabelSmoothingLoss(5)
    logits, labels = batch(0, 40, 5)
    loss = criterion(logits.requires_grad_(), labels)
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    criterion.step_epoch()  # a new matrix must not reach the graph of an old loss
    (second,) = torch.autograd.grad(loss, logits)
    assert torch.equal(first, second)


@pytest.fixture
def as_on_an_accelerator(monkeypatch):
    """Take the way on which no label is looked at, as on any device but the CPU."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.mark.usefixtures("as_on_an_accelerator")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", [None, torch.linspace(0.1, 2.0, 5)])
def test_labels_are_left_out_without_looking_at_them(reduction, weight, monkeypatch):
    options = {"reduction": reduction, "weight": weight}
    unseen, seen = (OnlineLabelSmoothingLoss(5, **options) for _ in range(2))
    logits, labels = batch(0, 40, 5)
    labels[::4] = -100
    loss = unseen(logits, labels)
    unseen.step_epoch()
    monkeypatch.undo()
    torch.testing.assert_close(loss, seen(logits, labels), rtol=1e-6, atol=1e-6)
    seen.step_epoch()
    assert torch.equal(unseen.soft_labels, seen.soft_labels)


@pytest.mark.usefixtures("as_on_an_accelerator")
@pytest.mark.parametrize("method", ["ce", "ls", "ols", "focal"])
def test_an_unseen_label_out_of_range_gives_nan_and_is_refused_later(method):
    criterion = build_loss(method, 5, reduction="none")
    logits, labels = batch(0, 8, 5)
    labels[3], labels[5] = 5, -1
    losses = criterion(logits, labels)
    assert losses.isnan().nonzero().flatten().tolist() == [3, 5]
    with pytest.raises(ArgumentError, match=r"class index in \[0, 4\], got '2 labels out of"):
        criterion.step_epoch()


@pytest.fixture
def threads(request) -> Iterator[int]:
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("preset", "backend", "n", "k", "threads"),
    [
        ("paper", "inductor", 40, 5, 1),
        ("paper", "aot_eager", 140, 9, 2),
        ("official-cifar", "aot_eager", 240, 300, 2),
    ],
    indirect=["threads"],
)
def test_compiled_losses_do_the_same(preset, backend, n, k, threads):
    torch._dynamo.reset()
    criterion = OnlineLabelSmoothingLoss(k, preset=preset)
    eager = copy.deepcopy(criterion)
    compiled = torch.compile(criterion, fullgraph=True, backend=backend)
    for epoch in range(2):
        for step in range(2):
            logits, labels = batch(2 * epoch + step, n, k)
            labels[:3] = -100
            twin = logits.clone().requires_grad_()
            loss, expected = compiled(logits.requires_grad_(), labels), eager(twin, labels)
            loss.backward()
            expected.backward()
            torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(logits.grad, twin.grad, rtol=1e-6, atol=1e-6)
        criterion.step_epoch()
        eager.step_epoch()
        assert torch.equal(criterion.counts, eager.counts)
        torch.testing.assert_close(criterion.soft_labels, eager.soft_labels, rtol=0, atol=1e-6)
    labels[7] = k
    assert compiled(logits, labels).isnan()
    with pytest.raises(ArgumentError, match="1 labels out of range"):
        criterion.step_epoch()


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_a_compiled_loss_takes_batches_of_any_size(threads):
    torch._dynamo.reset()
    criterion, eager = OnlineLabelSmoothingLoss(10), OnlineLabelSmoothingLoss(10)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    for seed, n in enumerate([128, 40, 77, 3, 500]):
        logits, labels = batch(seed, n, 10)
        torch.testing.assert_close(compiled(logits, labels), eager(logits, labels))
    assert torch.equal(criterion.observed.tallies, eager.observed.tallies)
    torch.testing.assert_close(criterion.observed.sums, eager.observed.sums)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_nothing_waits_for_the_device_and_the_result_is_the_same():
    cpu, cuda = OnlineLabelSmoothingLoss(5), OnlineLabelSmoothingLoss(5).cuda()
    logits, labels = batch(0, 40, 5)
    device_logits, device_labels = logits.cuda().requires_grad_(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = cuda(device_logits, device_labels)
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(loss.cpu(), cpu(logits, labels), rtol=1e-6, atol=1e-6)
    for criterion in (cpu, cuda):
        criterion.step_epoch()
    torch.testing.assert_close(cuda.soft_labels.cpu(), cpu.soft_labels, rtol=0, atol=1e-6)
