"""Stopping a training, and comparing what two of them produced to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors.numpy import load_file

from ols_core.runs import Run
from ols_core.training import Observer

TIMES = {"seconds", "images_per_second"}


class StopAt(Observer):
    """Presses Ctrl-C after an epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch_done(self, record: dict[str, Any]) -> None:
        if record["epoch"] == self._epoch:
            raise KeyboardInterrupt


def results(run: Run) -> dict[str, Any]:
    """History without times, soft labels, counts, predictions and weights."""
    weights = load_file(run.path / "weights.safetensors")
    return {
        "history": [{k: v for k, v in r.items() if k not in TIMES} for r in run.history],
        "soft labels": np.stack([run.soft_labels(epoch) for epoch in run.soft_label_epochs]),
        "counts": np.array(run.soft_label_counts()),
        "logits": np.array(run.logits()),
        **{f"weights {name}": values for name, values in weights.items()},
    }


def assert_same_bits(found: Run, expected: Run) -> None:
    """Hold two runs against each other."""
    mine, theirs = results(found), results(expected)
    assert mine.keys() == theirs.keys()
    assert mine["history"] == theirs["history"]
    for part in mine.keys() - {"history"}:
        np.testing.assert_array_equal(mine[part], theirs[part], err_msg=part)
