"""Record a run while the Trainer of Hugging Face trains."""

from __future__ import annotations

from typing import Any

from ols_core.integrations._metrics import finite_metrics
from ols_core.optional import require
from ols_core.recorder import RunRecorder

require("transformers", "Recording from the Hugging Face Trainer", "transformers")

from transformers import (  # noqa: E402 - after its check
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

__all__ = ["RunRecorderCallback"]

_NAMES = {"loss": "train_loss", "learning_rate": "lr"}
_NOT_AN_EPOCH = ("epoch", "total_flos")
_COSTS = ("runtime", "per_second")


class RunRecorderCallback(TrainerCallback):
    """Log every epoch's metrics as the Trainer reports them.

    ``loss`` becomes ``train_loss``, ``learning_rate`` becomes ``lr`` and ``eval_accuracy`` becomes
    ``val_accuracy``; of several reports in an epoch the last counts. Metrics that are not finite
    are left out. Predictions do not pass through callbacks: log those of `Trainer.predict`.

    Parameters
    ----------
    recorder : RunRecorder
        Inside of its ``with`` block.
    criterion : loss module, optional
        A loss of this package, or one with `step_epoch`, `soft_labels` and `counts`. The callback
        calls its `step_epoch` after every epoch.
    """

    def __init__(self, recorder: RunRecorder, criterion: Any = None) -> None:
        self._recorder = recorder
        self._criterion = criterion
        self._metrics: dict[str, float] = {}
        self._ended = False

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Keep what was reported of the present epoch."""
        reported = logs or {}
        if "train_runtime" in reported:  # of the whole training, at its end
            return
        self._metrics |= {
            _name(name): number
            for name, number in finite_metrics(reported).items()
            if name not in _NOT_AN_EPOCH and not name.endswith(_COSTS)
        }

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Log the epoch before: its evaluation came after its end."""
        self._log()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Close the epoch of the soft labels."""
        self._ended = True
        if self._criterion is not None:
            self._criterion.step_epoch()
            self._recorder.log_soft_labels(self._criterion)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Log the last epoch."""
        self._log()

    def _log(self) -> None:
        if self._ended:
            self._recorder.log_epoch(self._metrics)
            self._metrics, self._ended = {}, False


def _name(reported: str) -> str:
    """Name of a metric in the history.

    Examples
    --------
    >>> _name("loss"), _name("eval_accuracy"), _name("grad_norm")
    ('train_loss', 'val_accuracy', 'grad_norm')
    """
    if reported.startswith("eval_"):
        return "val_" + reported.removeprefix("eval_")
    return _NAMES.get(reported, reported)
