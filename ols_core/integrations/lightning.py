"""Record a run while Lightning trains."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ols_core._given import as_array
from ols_core.analysis.calibration import summarize_predictions
from ols_core.integrations._metrics import finite_metrics
from ols_core.optional import require
from ols_core.recorder import RunRecorder
from ols_core.runs import SPLITS

require("lightning.pytorch", "Recording from Lightning", "lightning")

from lightning.pytorch import Callback, LightningModule, Trainer  # noqa: E402 - after its check

__all__ = ["RunRecorderCallback"]

_KEPT = ("logits", "labels", "features")
_FROM_SUMMARY = ("accuracy", "nll", "brier", "ece")


class RunRecorderCallback(Callback):
    """Log every epoch's metrics, and the predictions that the steps return.

    The metrics are those of ``self.log`` and the learning rate. Where `validation_step` or
    `test_step` returns a mapping with ``"logits"`` (N, K) and ``"labels"`` (N,), and perhaps
    ``"features"`` (N, D), these become the run's predictions, and those of every validation its
    metrics. Metrics that are not finite are left out.

    Parameters
    ----------
    recorder : RunRecorder
        Inside of its ``with`` block.
    criterion : loss module, optional
        A loss of this package, or one with `step_epoch`, `soft_labels` and `counts`. The callback
        calls its `step_epoch` after every epoch, so that the module must not.

    Warns
    -----
    UserWarning
        If several processes evaluate: each holds a part of the predictions, so that none are kept.
    """

    def __init__(self, recorder: RunRecorder, criterion: Any = None) -> None:
        self._recorder = recorder
        self._criterion = criterion
        self._parts: dict[str, list[dict[str, Tensor]]] = {split: [] for split in SPLITS}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Forget the predictions of the validation before."""
        self._parts["val"].clear()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what `validation_step` returned, of the first loader if there are several."""
        if dataloader_idx == 0:
            self._keep("val", trainer, outputs)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what `test_step` returned, of the first loader if there are several."""
        if dataloader_idx == 0:
            self._keep("test", trainer, outputs)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Log the epoch; validation comes before it."""
        metrics: dict[str, Any] = {}
        validated = self._joined("val")
        if validated is not None:
            summary = asdict(summarize_predictions(validated["logits"], validated["labels"]))
            metrics = {f"val_{name}": summary[name] for name in _FROM_SUMMARY}
        if trainer.optimizers:
            metrics["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        self._recorder.log_epoch(finite_metrics(metrics | trainer.callback_metrics))
        if self._criterion is not None:
            self._criterion.step_epoch()
            self._recorder.log_soft_labels(self._criterion)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Store the predictions of the last validation."""
        self._store("val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Store the predictions of the test."""
        self._store("test")

    def _keep(self, split: str, trainer: Trainer, outputs: Any) -> None:
        if not isinstance(outputs, Mapping) or not {"logits", "labels"} <= outputs.keys():
            return
        if trainer.world_size > 1:
            warnings.warn(
                "Each process holds a part of the predictions, so that none are recorded: evaluate "
                "with a Trainer of devices=1.",
                stacklevel=2,
            )
            return
        kept = {key: outputs[key].detach().cpu() for key in _KEPT if key in outputs}
        self._parts[split].append(kept)

    def _joined(self, split: str) -> dict[str, Any] | None:
        parts = self._parts[split]
        if not parts:
            return None
        return {key: as_array(torch.cat([part[key] for part in parts])) for key in parts[0]}

    def _store(self, split: str) -> None:
        found = self._joined(split)
        if found is not None:
            self._recorder.log_predictions(split, **found)
        self._parts[split].clear()
