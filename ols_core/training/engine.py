"""One epoch over batches, for training and evaluation alike: the step is passed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ols_core.data.batches import Batches
from ols_core.models import captured_features

__all__ = ["EpochMetrics", "Predictions", "Progress", "Step", "predict", "run_epoch"]

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(images, labels) → (mean loss, logits)."""

Progress = Callable[["EpochMetrics"], None]

_REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class EpochMetrics:
    """Means over the samples seen so far; `loss` in nats, `accuracy` in [0, 1]."""

    loss: float
    accuracy: float
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


def run_epoch(batches: Batches, step: Step, progress: Progress | None = None) -> EpochMetrics:
    """Pass over all batches and average loss and accuracy.

    Totals stay on the device, so that the loop does not wait for it at every step; they are read
    at the end and about twice a second for `progress`.

    Parameters
    ----------
    batches : Batches
    step : callable
        Does the work for one batch and returns (mean loss, logits).
    progress : callable, optional
        Called with the metrics so far; may raise to stop.
    """
    started = reported = time.perf_counter()
    totals: Tensor | None = None
    n_samples = 0

    def metrics() -> EpochMetrics:
        loss, correct = (0.0, 0.0) if totals is None else totals.tolist()
        n = max(n_samples, 1)
        return EpochMetrics(loss / n, correct / n, n_samples, time.perf_counter() - started)

    for images, labels in batches:
        loss, logits = step(images, labels)
        correct = (logits.argmax(1) == labels).sum()
        batch = torch.stack([loss.detach().float() * len(labels), correct.float()])
        totals = batch if totals is None else totals + batch
        n_samples += len(labels)
        if progress is not None and time.perf_counter() - reported > _REPORT_SECONDS:
            progress(metrics())
            reported = time.perf_counter()
    return metrics()


def predict(
    model: nn.Module, batches: Batches, criterion: Callable[..., Tensor], features: bool = False
) -> tuple[EpochMetrics, Predictions]:
    """Evaluate the model on all batches, in inference mode.

    Parameters
    ----------
    model : nn.Module
        Images (B, C, H, W) → logits (B, K).
    batches : Batches
    criterion : callable
        (logits, labels) → mean loss; only for the metrics.
    features : bool
        Also collect the classifier's input.

    Returns
    -------
    metrics : EpochMetrics
    predictions : Predictions
    """
    logits: list[Tensor] = []
    labels: list[Tensor] = []

    def step(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        output = model(images)
        logits.append(output.float())
        labels.append(target)
        return criterion(output, target), output

    was_training = model.training
    model.eval()
    capture: Any = captured_features(model) if features else nullcontext()
    try:
        with torch.inference_mode(), capture as captured:
            metrics = run_epoch(batches, step)
    finally:
        model.train(was_training)
    collected = None if captured is None else torch.cat(captured).half().cpu().numpy()
    return metrics, Predictions(
        torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy(), collected
    )
