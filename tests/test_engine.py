"""Single steps of a training: what one update does to the weights, and what it costs."""

from __future__ import annotations

import copy
from itertools import islice

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ols_core.config import TrainConfig
from ols_core.data.batches import Batch
from ols_core.runs import load_run
from ols_core.training.engine import run_epoch
from ols_core.training.precision import Hardware
from ols_core.training.session import open_session

# No batch normalisation, and an update that is the gradient.
PLAIN = TrainConfig(
    dataset="digits",
    image_size=32,
    model="timm:test_convnext2",
    method="ols",
    train_per_class=8,
    batch_size=16,
    lr=0.1,
    momentum=0,
    weight_decay=0,
    schedule="step",
    precision="fp32",
)


def _session(**options):
    return open_session(PLAIN.model_copy(update=options))


def _take_steps(session, n):
    """Train `n` batches; the weights after each."""
    weights = []
    for batch in islice(session.batches["train"], n):
        session.train_step(batch)
        weights.append(copy.deepcopy(session.network.state_dict()))
    return weights


def test_a_batch_in_parts_is_the_same_step():
    whole, parts = (_take_steps(_session(accumulate=n), 2)[-1] for n in (1, 3))
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_a_clipped_gradient_has_that_norm():
    session = _session(clip_grad_norm=0.01)
    before = copy.deepcopy(session.network.state_dict())
    (after,) = _take_steps(session, 1)
    update = nn.utils.get_total_norm([after[name] - before[name] for name in before])
    assert update.item() == pytest.approx(PLAIN.lr * 0.01, rel=1e-3)


def test_the_average_decays_as_configured():
    session = _session(ema=0.7)
    expected = copy.deepcopy(session.network.state_dict())
    for weights in _take_steps(session, 3):
        expected = {name: 0.7 * expected[name] + 0.3 * weights[name] for name in expected}
    torch.testing.assert_close(dict(session.evaluated.state_dict()), expected)


def test_memorised_is_the_accuracy_among_flipped_labels():
    flipped = torch.tensor([True, False, True, True, False, False])
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    predicted = torch.tensor([0, 1, 1, 1, 0, 2])  # one of the three flipped, three of all six
    batches = [
        Batch(torch.zeros(3, 1), labels[part], flipped[part], 1.0)
        for part in (slice(0, 3), slice(3, 6))
    ]
    logits = iter(torch.eye(3)[predicted].split(3))
    fabric = Hardware("cpu", "fp32", "as asked").fabric()
    metrics = run_epoch(batches, lambda _: (torch.tensor(2.0), next(logits)), fabric)
    assert (metrics.loss, metrics.accuracy, metrics.n_samples) == (2.0, 0.5, 6)
    assert metrics.memorised == pytest.approx(1 / 3)


class _Compiled(nn.Module):
    """What `torch.compile` is taken to return."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return self.network(images)


def test_the_compiled_network_takes_the_steps(monkeypatch):
    made = []

    def compiled(network):
        made.append(_Compiled(network))
        return made[0]

    monkeypatch.setattr(torch, "compile", compiled)
    session = _session(compile=True)
    _take_steps(session, 2)
    assert [(each.network, each.calls) for each in made] == [(session.network, 2)]


def test_a_compiler_that_fails_ends_in_one_line(ols, tmp_path, monkeypatch):
    def compiled(network):
        network.forward = broken
        return network

    def broken(_):
        raise RuntimeError("No working C++ compiler found\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", compiled)
    code, text = ols(
        *("train", "--dataset", "digits", "--train-per-class", 4, "--compile"),
        *("--name", "one", "--root", tmp_path),
    )
    assert code == 1
    assert "No working C++ compiler found. If it is the compiler that failed, train without" in text
    assert "Traceback" not in text
    assert "TORCHDYNAMO" not in text
    run = load_run("one", tmp_path)
    assert run.status == "failed"
    assert str(run.info.error) in text


class _NoReading(TorchDispatchMode):
    """Refuses operations that wait for the value of a tensor."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_a_step_reads_no_value(monkeypatch):
    """On the way of the loss that an accelerator takes; on the CPU there is nothing to wait for."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    session = _session(ema=0.9, clip_grad_norm=1.0, augment="crop", erasing=0.5, cutout=4)
    with _NoReading():
        _take_steps(session, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_step_does_not_wait_for_the_gpu(mixup):
    session = _session(
        device="cuda", ema=0.9, clip_grad_norm=1.0, augment="crop-flip", erasing=0.5, mixup=mixup
    )
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in session.batches["train"]:
            session.train_step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
