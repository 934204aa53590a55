"""One epoch over batches, for training and evaluation alike: the step is passed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from ols_core.data.batches import Batch, Batches
from ols_core.models import captured_features

__all__ = ["EpochMetrics", "Predictions", "Progress", "Step", "predict", "run_epoch"]

Step = Callable[[Batch], tuple[Tensor, Tensor]]
"""A batch → (mean loss, logits)."""

Progress = Callable[["EpochMetrics"], None]

_REPORT_SECONDS = 0.5
FLOAT16_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class EpochMetrics:
    """Means over the samples seen so far.

    Attributes
    ----------
    loss : float
        In nats.
    accuracy : float or None
        Share of samples whose label was predicted, in [0, 1]; None where samples have no single
        label, as mixed images have none.
    memorised : float or None
        The same among the samples whose label was flipped; None also where there are none.
    n_samples : int
    seconds : float
    """

    loss: float
    accuracy: float | None
    memorised: float | None
    n_samples: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Throughput, images per second."""
        return self.n_samples / self.seconds if self.seconds else math.nan


@dataclass(frozen=True)
class Predictions:
    """Logits (N, K) float32, labels (N,) int64 and, if asked for, features (N, D) float16."""

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    features: npt.NDArray[np.float16] | None


def run_epoch(
    batches: Batches, step: Step, fabric: Fabric, progress: Progress | None = None
) -> EpochMetrics:
    """Pass over all batches and average loss and accuracy, over all processes.

    Totals stay on the device, so that the loop does not wait for it at every step; they are read
    at the end and about twice a second for `progress`.

    Parameters
    ----------
    batches : Batches
    step : callable
        Does the work for one batch and returns (mean loss, logits).
    fabric : Fabric
        Adds up the totals of the processes.
    progress : callable, optional
        Called with the metrics so far, as this process knows them; may raise to stop.
    """
    started = reported = time.perf_counter()
    # loss, correct, samples; correct and samples among the flipped
    totals = torch.zeros(5, dtype=torch.float64 if _has_float64(fabric) else torch.float32)
    totals = totals.to(fabric.device)

    def metrics(sums: Tensor) -> EpochMetrics:
        loss, correct, n, memorised, n_flipped = sums.tolist()
        seconds = time.perf_counter() - started
        share = memorised / n_flipped if n_flipped else None
        return EpochMetrics(loss / max(n, 1), correct / max(n, 1), share, round(n), seconds)

    for batch in batches:
        loss, logits = step(batch)
        totals += _totals(batch, loss, logits).to(totals.dtype)
        if progress is not None and time.perf_counter() - reported > _REPORT_SECONDS:
            progress(metrics(totals * fabric.world_size))
            reported = time.perf_counter()
    return metrics(cast(Tensor, fabric.all_reduce(totals, reduce_op="sum")))


def _has_float64(fabric: Fabric) -> bool:
    return fabric.device.type != "mps"


def _totals(batch: Batch, loss: Tensor, logits: Tensor) -> Tensor:
    """What one batch adds to the totals, float32 (5,)."""
    correct = logits.detach().argmax(1) == batch.labels
    flipped = torch.zeros_like(correct) if batch.flipped is None else batch.flipped
    counts = torch.stack([correct, torch.ones_like(correct), correct & flipped, flipped]).sum(1)
    total_loss = loss.detach().float() * len(batch.labels)
    return torch.cat([total_loss.view(1), counts.float()])


def predict(
    model: nn.Module, batches: Batches, fabric: Fabric, features: bool = False
) -> Predictions:
    """Evaluate the model on all batches, in inference mode; every process gets all rows.

    Parameters
    ----------
    model : nn.Module
        Images (B, C, H, W) → logits (B, K). The plain module: data-parallel wrappers would
        exchange buffers at every call, which unequal shares of the samples turn into a deadlock.
    batches : Batches
    fabric : Fabric
        Gives the precision, and joins the rows of the processes.
    features : bool
        Also collect the classifier's input.
    """
    logits: list[Tensor] = []
    labels: list[Tensor] = []

    def step(batch: Batch) -> tuple[Tensor, Tensor]:
        with fabric.autocast():
            output = model(batch.images).float()
        logits.append(output)
        labels.append(batch.labels)
        return F.cross_entropy(output, batch.labels), output

    was_training = model.training
    model.eval()
    capture: Any = captured_features(model) if features else nullcontext()
    try:
        with torch.inference_mode(), capture as captured:
            run_epoch(batches, step, fabric)
            rows = [_joined(part, fabric) for part in (logits, labels, captured) if part]
    finally:
        model.train(was_training)
    return Predictions(
        rows[0].numpy(),
        rows[1].numpy(),
        rows[2].clamp(-FLOAT16_MAX, FLOAT16_MAX).half().numpy() if features else None,
    )


def _joined(parts: list[Tensor], fabric: Fabric) -> Tensor:
    """Concatenate the rows of this process, then those of all processes in order of rank."""
    own = torch.cat(parts)
    if fabric.world_size == 1:
        return own.cpu()
    sizes = cast(Tensor, fabric.all_gather(torch.tensor(len(own), device=own.device)))
    padded = own.new_zeros((int(sizes.max()), *own.shape[1:]))
    padded[: len(own)] = own
    gathered = cast(Tensor, fabric.all_gather(padded))
    return torch.cat(
        [rows[:size] for rows, size in zip(gathered, sizes.tolist(), strict=True)]
    ).cpu()
