"""The live progress bar of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ols_core.cli.tables import summary_table
from ols_core.remedies import dashboard_command, typed_command
from ols_core.training import Observer
from ols_core.training.engine import EpochMetrics

__all__ = ["TrainingProgress"]


class TrainingProgress(Observer):
    """Shows epoch, images per second, loss, accuracy and remaining time; a line an epoch stays.

    A context manager, so that the terminal is restored however the training ends.
    """

    def __init__(self, console: Console, errors: Console) -> None:
        self._console = console
        self._errors = errors
        self._run: Path | None = None
        self._epochs = 0
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if self._run is not None and kind in (KeyboardInterrupt, SystemExit):
            command = typed_command("resume", self._run.name, root=self._run.parent)
            line = f"Stopped. Go on with: {command}"
            self._errors.print(escape(line), soft_wrap=True, highlight=False)

    def started(self, path: Path, first_epoch: int, epochs: int, facts: dict[str, Any]) -> None:
        """Say where the run goes and what it runs on."""
        hardware = facts["hardware"]
        together = f" with {facts['processes']} processes" if facts["processes"] > 1 else ""
        self._epochs = epochs
        self._run = path
        self._console.print(
            f"Run [bold]{path}[/] on {hardware.device}{together} in "
            f"{hardware.precision} ({hardware.reason})."
        )
        for notice in facts["notices"]:
            self._console.print(f"[yellow]{escape(notice)}[/]")
        label = f"{first_epoch}/{epochs}"
        self._task = self._bar.add_task(
            "", total=epochs, completed=first_epoch - 1, epoch=label, metrics=""
        )

    def progressed(self, epoch: int, metrics: EpochMetrics, n_total: int) -> None:
        """Move the bar within an epoch."""
        self._show(
            epoch - 1 + metrics.n_samples / n_total,
            epoch,
            _text(metrics.images_per_second, metrics.loss, metrics.accuracy),
        )

    def epoch_done(self, record: dict[str, Any]) -> None:
        """Print the epoch's line."""
        epoch = record["epoch"]
        trained = record["images_per_second"], record["train_loss"], record.get("train_accuracy")
        text = f"{_text(*trained)}  val {record['val_accuracy']:.1%}"
        self._console.print(f"epoch {epoch:>3}/{self._epochs}  {text}", highlight=False)
        self._show(epoch, epoch, text)

    def finished(self, summary: dict[str, Any]) -> None:
        """Print the metrics of the evaluated splits."""
        self._console.print(summary_table(summary))
        assert self._run is not None
        line = f"Look at it in the dashboard: {dashboard_command(self._run.parent)}"
        self._console.print(escape(line), soft_wrap=True, highlight=False)

    def _show(self, completed: float, epoch: int, text: str) -> None:
        assert self._task is not None
        label = f"{epoch}/{self._epochs}"
        self._bar.update(self._task, completed=completed, epoch=label, metrics=text)


def _text(images_per_second: float, loss: float, accuracy: float | None) -> str:
    """Say how training goes; mixed images have no accuracy."""
    share = "" if accuracy is None else f"  accuracy {accuracy:.1%}"
    return f"{images_per_second:.0f} img/s  loss {loss:.3f}{share}"
