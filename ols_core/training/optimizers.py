"""Optimizers and learning-rate schedules, made from a run's configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from ols_core.checks import invalid
from ols_core.config import TrainConfig
from ols_core.models import classifier

__all__ = ["build_optimizer", "build_schedule", "check_schedule"]


def build_optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """Make the optimizer of the parameters that take a gradient.

    The classifier learns at `config.lr` times `config.head_lr_scale`. Without `config.decay_all`,
    parameters of at most one dimension (scales, shifts, biases) take no weight decay.

    Parameters
    ----------
    network : nn.Module
        A network of `ols_core.models.build_model`, frozen before if it is to be.
    config : TrainConfig

    Returns
    -------
    Optimizer
        One group for each combination of learning rate and weight decay that occurs; within a
        group parameters stand in the network's order. By default that is a single group.

    Examples
    --------
    >>> from ols_core.models import build_model
    >>> network = build_model("resnet20", 10, 3)
    >>> optimizer = build_optimizer(network, TrainConfig(lr=0.1, head_lr_scale=10))
    >>> [(group["lr"], len(group["params"])) for group in optimizer.param_groups]
    [(0.1, 63), (1.0, 2)]
    """
    head = set(classifier(network).parameters())
    members: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            scale = config.head_lr_scale if parameter in head else 1.0
            decays = config.decay_all or parameter.ndim > 1
            group = config.lr * scale, config.weight_decay if decays else 0.0
            members.setdefault(group, []).append(parameter)
    groups = [
        {"params": parameters, "lr": lr, "weight_decay": weight_decay}
        for (lr, weight_decay), parameters in members.items()
    ]
    if config.optimizer == "adamw":
        return AdamW(groups)
    return SGD(groups, momentum=config.momentum, nesterov=config.momentum > 0)


def build_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler:
    """Make the learning-rate schedule, which is stepped after every batch.

    Each group of the optimizer runs through the same curve, scaled to its own rate:

    - ``onecycle``: up to the full rate in the first 30 % of the steps, then down (`OneCycleLR`);
    - ``cosine``: half a cosine from the full rate to 0 after the last step;
    - ``step``: a tenth after each of `config.milestones`, by default after 1/2 and 3/4 of all.

    ``cosine`` and ``step`` may begin with a linear warm-up of `config.warmup` epochs, W steps:
    step t = 0, 1, … runs at (t + 1) / (W + 1) of the full rate. Milestones do not move for it.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups hold their full rates, as from `build_optimizer`.
    config : TrainConfig
    steps_per_epoch : int
        Updates in an epoch.

    Raises
    ------
    ArgumentError
        If options contradict each other; see `check_schedule`.
    """
    check_schedule(config)
    total = config.epochs * steps_per_epoch
    warmup = round(config.warmup * steps_per_epoch)
    if config.schedule == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        # Momentum stays as configured: cycling it is a second experiment.
        return OneCycleLR(optimizer, peaks, total_steps=total + 1, cycle_momentum=False)
    if config.schedule == "cosine":
        return LambdaLR(optimizer, partial(_cosine, total=total, warmup=warmup))
    milestones = [epoch * steps_per_epoch for epoch in config.milestones]
    milestones = milestones or [total // 2, 3 * total // 4]
    return LambdaLR(optimizer, partial(_staircase, milestones=milestones, warmup=warmup))


def check_schedule(config: TrainConfig) -> None:
    """Refuse options of the schedule that contradict each other.

    Raises
    ------
    ArgumentError
        Milestones without the step schedule, out of order or past the end; a warm-up with
        onecycle, as long as the whole training or past the first milestone.
    """
    if config.milestones and config.schedule != "step":
        raise invalid(
            "milestones",
            f"left out with schedule {config.schedule}",
            config.milestones,
            "Choose schedule step.",
        )
    if list(config.milestones) != sorted(set(config.milestones)):
        raise invalid("milestones", "in ascending order, each once", config.milestones)
    if config.milestones and config.milestones[-1] >= config.epochs:
        raise invalid(
            "milestones",
            f"before the end of the training, which is at {config.epochs}",
            config.milestones,
            "Train for more epochs, or lower them.",
        )
    if config.warmup and config.schedule == "onecycle":
        raise invalid(
            "warmup",
            "0 with schedule onecycle, which warms up by itself",
            config.warmup,
            "Choose schedule cosine or step.",
        )
    if config.schedule == "cosine" and config.warmup >= config.epochs:
        raise invalid(
            "warmup", f"shorter than the training, which is {config.epochs} epochs", config.warmup
        )
    first = config.milestones[0] if config.milestones else config.epochs / 2
    if config.schedule == "step" and config.warmup > first:
        raise invalid(
            "warmup",
            f"over by the first milestone, which is at {first:g} of {config.epochs} epochs",
            config.warmup,
        )


def _warmed(step: int, warmup: int) -> float:
    """Share of the full rate; above 0 at the first step, 1 from step `warmup` on."""
    return min(1.0, (step + 1) / (warmup + 1))


def _cosine(step: int, total: int, warmup: int) -> float:
    # A warm-up just short of everything may round up to all steps; hence at least one remains.
    done = max(0, step - warmup) / max(1, total - warmup)
    return _warmed(step, warmup) * (1 + math.cos(math.pi * done)) / 2


def _staircase(step: int, milestones: Sequence[int], warmup: int) -> float:
    passed = sum(step >= milestone for milestone in milestones)
    return _warmed(step, warmup) / float(10**passed)
