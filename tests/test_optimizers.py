from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from ols_core.config import TrainConfig
from ols_core.errors import ArgumentError
from ols_core.models import build_model, classifier, freeze_backbone
from ols_core.training.optimizers import build_optimizer, build_schedule

STEPS = 7  # in an epoch


def _network():
    torch.manual_seed(0)
    return build_model("resnet20", 4, 1)


def _moves(network, optimizer, schedule, n, first=0):
    """Train `n` steps on batches that depend on the step's number only; the rates in force."""
    rates = []
    for index in range(first, first + n):
        generator = torch.Generator().manual_seed(index)
        images = torch.randn(4, 1, 8, 8, generator=generator)
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.zero_grad()
        F.cross_entropy(network(images), torch.arange(4)).backward()
        optimizer.step()
        schedule.step()
    return rates


def _rates(config, steps_per_epoch=STEPS):
    """Rates of all steps of a training, (T, groups), without training anything."""
    optimizer = build_optimizer(_network(), config)
    schedule = build_schedule(optimizer, config, steps_per_epoch)
    rates = []
    for _ in range(config.epochs * steps_per_epoch):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return np.array(rates)


def test_the_defaults_are_plain_sgd_with_onecycle_bit_by_bit():
    config = TrainConfig(epochs=2)
    expected, network = _network(), _network()
    plain = torch.optim.SGD(
        expected.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    onecycle = OneCycleLR(plain, 0.1, total_steps=2 * STEPS + 1, cycle_momentum=False)
    optimizer = build_optimizer(network, config)
    schedule = build_schedule(optimizer, config, STEPS)

    assert len(optimizer.param_groups) == 1
    own = list(network.parameters())
    assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], own, strict=True))
    assert _moves(network, optimizer, schedule, 2 * STEPS) == _moves(
        expected, plain, onecycle, 2 * STEPS
    )
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_the_head_and_the_norms_get_groups_of_their_own():
    network = _network()
    config = TrainConfig(lr=0.1, head_lr_scale=5, decay_all=False, weight_decay=0.01)
    groups = build_optimizer(network, config).param_groups
    name_of = {parameter: name for name, parameter in network.named_parameters()}
    members = {
        (group["lr"], group["weight_decay"]): {name_of[p] for p in group["params"]}
        for group in groups
    }

    assert len(groups) == len(members) == 4
    assert members[0.5, 0.01] == {"fc.weight"}
    assert members[0.5, 0.0] == {"fc.bias"}
    body = {name: p for p, name in name_of.items() if not name.startswith("fc")}
    assert members[0.1, 0.01] == {name for name, p in body.items() if p.ndim > 1}
    assert members[0.1, 0.0] == {name for name, p in body.items() if p.ndim <= 1}


@pytest.mark.parametrize(
    ("options", "n_groups"),
    [
        ({}, 1),
        ({"head_lr_scale": 2}, 2),
        ({"decay_all": False}, 2),
        ({"decay_all": False, "weight_decay": 0}, 1),
    ],
)
def test_groups_that_nothing_distinguishes_are_one(options, n_groups):
    assert len(build_optimizer(_network(), TrainConfig(**options)).param_groups) == n_groups


def test_frozen_parameters_are_left_out():
    network = _network()
    freeze_backbone(network)
    (group,) = build_optimizer(network, TrainConfig(head_lr_scale=3)).param_groups
    assert group["params"] == list(classifier(network).parameters())
    assert group["lr"] == pytest.approx(0.3)


def test_the_kinds_of_optimizer():
    sgd = build_optimizer(_network(), TrainConfig())
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.param_groups[0]["nesterov"]
    assert not build_optimizer(_network(), TrainConfig(momentum=0)).param_groups[0]["nesterov"]
    adamw = build_optimizer(_network(), TrainConfig(optimizer="adamw", lr=1e-3, weight_decay=0.05))
    assert isinstance(adamw, torch.optim.AdamW)
    assert (adamw.param_groups[0]["lr"], adamw.param_groups[0]["weight_decay"]) == (1e-3, 0.05)


def _onecycle(total):
    """Smith & Topin 2018 as in PyTorch: 1/25 to 1 in 30 %, then to 1/250000, by half cosines."""
    t, peak = np.arange(total), 0.3 * (total + 1) - 1
    up = 1 + (1 / 25 - 1) * (1 + np.cos(np.pi * t / peak)) / 2
    down = 1 / 25e4 + (1 - 1 / 25e4) * (1 + np.cos(np.pi * (t - peak) / (total - peak))) / 2
    return np.where(t <= peak, up, down)


def _warmed_cosine(total, warmup=0):
    t = np.arange(total)
    cosine = (1 + np.cos(np.pi * (t - warmup) / (total - warmup))) / 2
    return np.where(t < warmup, (t + 1) / (warmup + 1), cosine)


def _stairs(total, milestones, warmup=0):
    t = np.arange(total)
    return np.minimum(1, (t + 1) / (warmup + 1)) * 0.1 ** np.searchsorted(milestones, t, "right")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "onecycle"}, _onecycle(70)),
        ({"schedule": "cosine"}, _warmed_cosine(70)),
        ({"schedule": "cosine", "warmup": 2}, _warmed_cosine(70, 14)),
        ({"schedule": "cosine", "warmup": 0.5}, _warmed_cosine(70, 4)),
        ({"schedule": "step"}, _stairs(70, [35, 52])),
        ({"schedule": "step", "milestones": (3, 8, 9)}, _stairs(70, [21, 56, 63])),
        ({"schedule": "step", "milestones": (3, 8), "warmup": 3}, _stairs(70, [21, 56], 21)),
    ],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_schedules_follow_their_formulas_in_every_group(options, expected, optimizer):
    config = TrainConfig(epochs=10, lr=0.2, head_lr_scale=4, optimizer=optimizer, **options)
    rates = _rates(config)
    np.testing.assert_allclose(rates, np.outer(expected, [0.2, 0.8]), rtol=1e-9, atol=1e-15)


def test_a_warm_up_starts_above_zero_and_ends_at_the_full_rate():
    rates = _rates(TrainConfig(epochs=5, lr=0.1, schedule="cosine", warmup=2))[:, 0]
    assert rates[0] == pytest.approx(0.1 / 15)
    assert np.all(np.diff(rates[:15]) > 0)
    assert rates[14] == 0.1


def test_a_cosine_ends_at_zero_after_the_last_step():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = build_schedule(optimizer, TrainConfig(epochs=2, schedule="cosine"), 3)
    for _ in range(6):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == [0.0]


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "step"])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_training_has_a_schedule(schedule, steps):
    warmup = 0 if schedule == "onecycle" else 0.49
    rates = _rates(TrainConfig(epochs=1, schedule=schedule, warmup=warmup), steps)
    assert np.isfinite(rates).all()


def test_a_warm_up_of_almost_everything_is_finite():
    rates = _rates(TrainConfig(epochs=1, schedule="cosine", warmup=0.99), 3)
    assert (rates > 0).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "cosine", "warmup": 1, "head_lr_scale": 3, "decay_all": False},
        {"schedule": "step", "milestones": (1,), "warmup": 0.5},
    ],
)
def test_a_resumed_training_goes_on_bit_by_bit(optimizer, options):
    config = TrainConfig(epochs=2, optimizer=optimizer, lr=0.01, **options)
    network = _network()
    moving = build_optimizer(network, config)
    schedule = build_schedule(moving, config, STEPS)
    _moves(network, moving, schedule, 5)
    file = io.BytesIO()
    torch.save([copy.deepcopy(x.state_dict()) for x in (network, moving, schedule)], file)
    rates = _moves(network, moving, schedule, 9, first=5)

    file.seek(0)
    resumed = build_model("resnet20", 4, 1)
    again = build_optimizer(resumed, config)
    schedule_again = build_schedule(again, config, STEPS)
    for part, state in zip((resumed, again, schedule_again), torch.load(file), strict=True):
        part.load_state_dict(state)

    assert _moves(resumed, again, schedule_again, 9, first=5) == rates
    torch.testing.assert_close(resumed.state_dict(), network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"milestones": (3,)}, "milestones must be left out with schedule onecycle.*schedule step"),
        ({"schedule": "cosine", "milestones": (3,)}, "left out with schedule cosine"),
        ({"schedule": "step", "milestones": (3, 10)}, "before the end.*10"),
        ({"schedule": "step", "milestones": (5, 3)}, "ascending"),
        ({"schedule": "step", "milestones": (3, 3)}, "each once"),
        ({"warmup": 1}, "warmup must be 0 with schedule onecycle"),
        ({"schedule": "cosine", "warmup": 10}, "shorter than the training, which is 10 epochs"),
        ({"schedule": "step", "warmup": 6}, "first milestone, which is at 5 of 10 epochs"),
        ({"schedule": "step", "warmup": 4, "milestones": (3, 6)}, "first milestone.* at 3 of 10"),
    ],
)
def test_contradictory_options_are_refused(options, message):
    config = TrainConfig(epochs=10, **options)
    optimizer = build_optimizer(_network(), config)
    with pytest.raises(ArgumentError, match=message):
        build_schedule(optimizer, config, STEPS)
