"""Everything that one training holds in memory, built from its configuration."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from ols_core.config import TrainConfig
from ols_core.data import Dataset, load_dataset
from ols_core.data.batches import Batches, FileBatches, TensorBatches, pixel_statistics
from ols_core.losses import build_loss
from ols_core.models import build_model, load_weights
from ols_core.seeding import derive_seed
from ols_core.training.precision import Hardware, choose_hardware

__all__ = ["Session", "environment", "open_session"]


@dataclass
class Session:
    """The moving parts of one training.

    `network` is the plain module (for weights and features), `model` the same under Fabric's
    precision; `notices` are sentences for the user.
    """

    config: TrainConfig
    dataset: Dataset
    hardware: Hardware
    fabric: Fabric
    network: nn.Module
    model: Any
    criterion: Any
    optimizer: Any
    schedule: LRScheduler
    batches: Mapping[str, Batches]
    notices: tuple[str, ...]

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Forward, backward and update on one batch; returns (mean loss, logits)."""
        logits = self.model(images)
        loss = self.criterion(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimizer.step()
        self.schedule.step()
        return loss, logits

    def state(self) -> dict[str, Any]:
        """All that changes while training, for an exact resume."""
        return {
            "model": self.network.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned before."""
        self.network.load_state_dict(state["model"])
        self.criterion.load_state_dict(state["criterion"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def open_session(config: TrainConfig, download: bool = False) -> Session:
    """Load the data, build the network and its optimizer, and put them on the device.

    Raises
    ------
    ArgumentError, DataError
        If an option does not fit, or data or weights cannot be had.
    """
    hardware = choose_hardware(config.device, config.precision)
    dataset = load_dataset(config, download)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    network = build_model(
        config.model, dataset.n_classes, dataset.image_shape[2], config.pretrained
    )
    notices = load_weights(network, config.weights) if config.weights else []
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
    )
    fabric = hardware.fabric()
    batches = _batches(config, dataset, fabric.device)
    schedule = _schedule(config, optimizer, len(batches["train"]))
    model, fabric_optimizer = fabric.setup(network, optimizer)
    options: dict[str, Any] = {"alpha": config.alpha, "smoothing": config.smoothing}
    options |= config.loss_options
    criterion = build_loss(config.method, dataset.n_classes, **options).to(fabric.device)
    return Session(
        config=config,
        dataset=dataset,
        hardware=hardware,
        fabric=fabric,
        network=network,
        model=model,
        criterion=criterion,
        optimizer=fabric_optimizer,
        schedule=schedule,
        batches=batches,
        notices=tuple(notices),
    )


def _batches(config: TrainConfig, dataset: Dataset, device: torch.device) -> dict[str, Batches]:
    mean, std = pixel_statistics(dataset.splits["train"])
    augment = dataset.augment if config.augment == "auto" else config.augment
    batches: dict[str, Batches] = {}
    for split, images in dataset.splits.items():
        training = split == "train"
        common: dict[str, Any] = {
            "images": images,
            "batch_size": config.batch_size if training else 4 * config.batch_size,
            "size": dataset.image_shape[:2],
            "mean": mean,
            "std": std,
            "device": device,
            "augment": augment if training else "none",
            "shuffle": training,
            "seed": config.seed,
        }
        if images.pixels is None:
            batches[split] = FileBatches(**common, workers=config.workers)
        else:
            batches[split] = TensorBatches(**common)
    return batches


def _schedule(config: TrainConfig, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    """Learning-rate schedule that is stepped after every batch."""
    total = config.epochs * steps
    if config.schedule == "onecycle":
        # Momentum stays as configured: cycling it is a second experiment.
        return OneCycleLR(optimizer, config.lr, total_steps=total + 1, cycle_momentum=False)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, total)
    return MultiStepLR(optimizer, [total // 2, 3 * total // 4], gamma=0.1)


def environment(session: Session) -> dict[str, Any]:
    """Versions and hardware, as recorded with a run."""
    device = session.fabric.device
    cuda = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ols_core": version("ols-core"),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if cuda else _cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "precision": session.hardware.precision,
    }


def _cpu_name() -> str:
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.machine())
