"""What a training tells about itself while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ols_core.training.engine import EpochMetrics

__all__ = ["Observer"]


class Observer:
    """Receives the events of a training; every method may be overridden, none has to be.

    A method may raise `KeyboardInterrupt` to stop the training, as Ctrl-C does.
    """

    def started(self, path: Path, first_epoch: int, epochs: int, facts: dict[str, Any]) -> None:
        """Training begins (or goes on) at `first_epoch`; `facts` are for the user."""

    def progressed(self, epoch: int, metrics: EpochMetrics, n_total: int) -> None:
        """Part of an epoch is done: `metrics.n_samples` of `n_total` images."""

    def epoch_done(self, record: dict[str, Any]) -> None:
        """An epoch is done and on disk; `record` is its line of the history."""

    def finished(self, summary: dict[str, Any]) -> None:
        """All is written; `summary` holds the metrics of each evaluated split."""
