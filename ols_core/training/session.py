"""Everything that one training holds in memory, built from its configuration."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torchvision.transforms import v2

from ols_core.config import TrainConfig
from ols_core.data import Dataset, load_dataset
from ols_core.data.batches import Batch, Batches, Statistics, make_batches, pixel_statistics
from ols_core.errors import ArgumentError
from ols_core.losses import HardLabelLoss, build_loss
from ols_core.models import build_model, expected_statistics, freeze_backbone
from ols_core.seeding import derive_seed
from ols_core.training.optimizers import build_optimizer, build_schedule, check_schedule
from ols_core.training.precision import (
    Hardware,
    bf16_gradients_are_wrong,
    choose_hardware,
)
from ols_core.weights import load_weights

__all__ = ["Session", "check_image_size", "environment", "open_session"]

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass
class Session:
    """The moving parts of one training.

    `network` is the plain module (for weights and features), `model` the same under Fabric's
    precision and, with several processes, its gradients averaged; `average` holds the moving
    average of its weights; `mixing` blends images and turns labels into distributions.
    `statistics` are the mean and standard deviation that images are normalised by. `notices` are
    sentences for the user.
    """

    config: TrainConfig
    dataset: Dataset
    hardware: Hardware
    fabric: Fabric
    network: nn.Module
    model: Any
    average: ModelEmaV3 | None
    criterion: Any
    optimizer: Any
    schedule: LRScheduler
    batches: Mapping[str, Batches]
    statistics: Statistics
    mixing: Mixing | None
    notices: tuple[str, ...]

    @property
    def evaluated(self) -> nn.Module:
        """The network whose predictions count: the averaged one, if there is one."""
        return self.network if self.average is None else self.average.module

    def evaluation_batches(self, split: str) -> Batches:
        """Batches of a split as its images are, in their order; of `train` too."""
        if split != "train":
            return self.batches[split]
        # Under another name, so that they are neither shuffled nor augmented.
        images = {"unaltered": self.dataset.splits["train"]}
        return make_batches(
            self.config,
            replace(self.dataset, splits=images),
            self.fabric.device,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            statistics=self.statistics,
        )["unaltered"]

    def train_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward, backward and update on one batch; returns (mean loss, logits)."""
        images, target = batch.images, batch.labels
        if self.mixing is not None:
            images, target = self.mixing(images, target)
        # Batch normalisation cannot train on a part of one image.
        n_parts = max(1, min(self.config.accumulate, len(images) // 2))
        parts = list(zip(images.chunk(n_parts), target.chunk(n_parts), strict=True))
        self.optimizer.zero_grad(set_to_none=True)
        losses, logits = zip(
            *(self._backward(*part, batch, last=part is parts[-1]) for part in parts), strict=True
        )
        if self.config.clip_grad_norm is not None:
            self.fabric.clip_gradients(
                self.model,
                self.optimizer,
                max_norm=self.config.clip_grad_norm,
                error_if_nonfinite=False,
            )
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network)
        return torch.stack(losses).sum(), torch.cat(logits)

    def _backward(
        self, images: Tensor, target: Tensor, batch: Batch, last: bool
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of a part of a batch; returns its share of the mean loss, and logits."""
        with self.fabric.no_backward_sync(self.model, enabled=not last):
            logits = self.model(images)
            loss = self.criterion(logits, target) * (len(images) / len(batch.images))
            # The gradient is averaged over the processes, whose shares may differ by a sample.
            self.fabric.backward(loss * batch.share)
        return loss.detach(), logits.detach()

    def share_buffers(self) -> None:
        """Give all processes rank 0's running statistics, those that are stored."""
        for buffer in self.evaluated.buffers() if self.fabric.world_size > 1 else ():
            torch.distributed.broadcast(buffer, 0)

    def state(self) -> dict[str, Any]:
        """All that changes while training, for an exact resume; every process must ask for it.

        Random numbers are not among it: every epoch seeds its own (`ols_core.seeding`).
        """
        self.criterion.observed.gather()
        return {
            "model": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned before."""
        self.network.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.criterion.load_state_dict(state["criterion"])
        if not self.fabric.is_global_zero:
            self.criterion.observed.discard()
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])


def open_session(config: TrainConfig, download: bool = False, resumed: bool = False) -> Session:
    """Load the data, build the network and its optimizer, and put them on the device.

    If it is to be `resumed`, the weights to start from are not needed any more.

    Raises
    ------
    ArgumentError, DataError
        If an option does not fit, or data or weights cannot be had.
    """
    check_schedule(config)
    hardware = choose_hardware(config.device, config.precision)
    fabric = hardware.fabric()
    with fabric.rank_zero_first():
        dataset = load_dataset(config, download)
    criterion = _criterion(config, dataset.n_classes).to(fabric.device)
    network, notices = _network(config, dataset, resumed)
    height, width, channels = dataset.image_shape
    in_bf16 = (hardware.device, hardware.precision) == ("cpu", "bf16")
    if in_bf16 and bf16_gradients_are_wrong(network, (channels, height, width)):
        return _open_in_fp32(config, download, resumed)
    notices += _notices(config)
    expected = expected_statistics(network, dataset.image_shape[2])
    statistics = expected or pixel_statistics(dataset.splits["train"])
    batches = make_batches(
        config,
        dataset,
        fabric.device,
        rank=fabric.global_rank,
        world=fabric.world_size,
        statistics=statistics,
    )
    optimizer = build_optimizer(network, config)
    schedule = build_schedule(optimizer, config, len(batches["train"]))
    compiled: Any = torch.compile(network) if config.compile else network
    model, fabric_optimizer = fabric.setup(compiled, optimizer)
    # Not torch's AveragedModel, which makes CUDA wait at every step.
    average = None if config.ema is None else ModelEmaV3(network, config.ema)
    return Session(
        config=config,
        dataset=dataset,
        hardware=hardware,
        fabric=fabric,
        network=network,
        model=model,
        average=average,
        criterion=criterion,
        optimizer=fabric_optimizer,
        schedule=schedule,
        batches=batches,
        statistics=statistics,
        mixing=_mixing(config, dataset.n_classes),
        notices=tuple(notices),
    )


def _open_in_fp32(config: TrainConfig, download: bool, resumed: bool) -> Session:
    reason = "bf16 gradients of this network are wrong on the CPU for images this small"
    if config.precision != "auto":
        raise ArgumentError(f"precision: {reason}; use fp32, or larger images.")
    session = open_session(config.model_copy(update={"precision": "fp32"}), download, resumed)
    return replace(session, config=config, hardware=replace(session.hardware, reason=reason))


def _criterion(config: TrainConfig, n_classes: int) -> nn.Module:
    options: dict[str, Any] = {"alpha": config.alpha, "smoothing": config.smoothing}
    fixed = {"n_classes", "reduction"} & config.loss_options.keys()
    if fixed:
        raise ArgumentError(f"loss_options: {', '.join(sorted(fixed))} cannot be chosen.")
    criterion = build_loss(config.method, n_classes, **options | config.loss_options)
    if isinstance(criterion, HardLabelLoss) and (config.mixup or config.cutmix):
        raise ArgumentError(
            f"mixup and cutmix need a loss that takes distributions (ce, ls or ols), got method "
            f"{config.method!r}."
        )
    return criterion


def _network(config: TrainConfig, dataset: Dataset, resumed: bool) -> tuple[nn.Module, list[str]]:
    torch.manual_seed(derive_seed(config.seed, "weights"))
    height, width, channels = dataset.image_shape
    pretrained = config.pretrained and not resumed
    network = build_model(config.model, dataset.n_classes, channels, pretrained)
    check_image_size(network, config.model, (channels, height, width))
    notices = load_weights(network, config.weights) if config.weights and not resumed else []
    if config.freeze:
        freeze_backbone(network)
    return network.to(memory_format=torch.channels_last), notices


def check_image_size(network: nn.Module, name: str, shape: tuple[int, int, int]) -> None:
    """Refuse images that the architecture cannot take, before anything is written."""
    network.eval()
    try:
        with torch.inference_mode():
            network(torch.zeros(2, *shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise ArgumentError(
            f"model {name} cannot take images of {shape[1]}×{shape[2]} pixels ({cause}). Resize "
            "them with --image-size, or choose another --model."
        ) from None
    finally:
        network.train()


def _notices(config: TrainConfig) -> list[str]:
    """Sentences about consequences that a user may not expect."""
    notices = []
    if config.compile:
        notices.append("The network is compiled in its first steps, which takes about a minute.")
    if config.method == "ols" and (config.mixup or config.cutmix):
        notices.append(
            "Mixed images are in no single class, so that they do not enter the soft labels: with "
            "mixup or CutMix these stay as they began."
        )
    return notices


def _mixing(config: TrainConfig, n_classes: int) -> Mixing | None:
    """Mixup and CutMix of whole batches; with both, one of them at random for each batch."""
    chosen: list[Any] = []
    if config.mixup:
        chosen.append(v2.MixUp(alpha=config.mixup, num_classes=n_classes))
    if config.cutmix:
        chosen.append(v2.CutMix(alpha=config.cutmix, num_classes=n_classes))
    if not chosen:
        return None
    mixing: Mixing = chosen[0] if len(chosen) == 1 else v2.RandomChoice(chosen)
    return mixing


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
        "processes": session.fabric.world_size,
    }


def _cpu_name() -> str:
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.machine())
