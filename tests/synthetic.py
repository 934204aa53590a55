"""Runs made of random numbers: for tests only, never shown as results."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from ols_core.analysis.calibration import summarize_predictions
from ols_core.recorder import RunRecorder
from ols_core.run_writer import RunWriter, utc_now
from ols_core.runs import DatasetInfo, ModelInfo, Run, RunInfo, label_fingerprint, load_run

N_TEST = 240
N_FEATURES = 6


def synthetic_run(
    root: Path,
    run_id: str,
    *,
    method: str = "ols",
    n_classes: int = 6,
    epochs: int = 3,
    superclasses: list[str] | None = None,
    finished: bool = True,
    config: dict[str, Any] | None = None,
) -> Run:
    """Write a run directory with every part, drawn from a generator seeded by its name."""
    random = np.random.default_rng(sum(map(ord, run_id)))
    labels = np.arange(N_TEST) % n_classes
    info = RunInfo(
        id=run_id,
        name=run_id,
        created=utc_now(),
        status="running",
        source="trained",
        method=method,
        config={"alpha": 0.25, "smoothing": 0.1} | (config or {}),
        dataset=DatasetInfo(
            name="synthetic",
            class_names=[f"class {chr(97 + i)}" for i in range(n_classes)],
            splits={"test": N_TEST},
            fingerprints={"test": label_fingerprint(labels)},
            superclasses=superclasses,
        ),
        model=ModelInfo(name="none"),
    )
    writer = RunWriter.create(root, info)
    uniform = np.full((n_classes, n_classes), 1 / n_classes)
    writer.save_soft_labels(0, uniform, np.zeros(n_classes, np.int64))
    for epoch in range(1, epochs + 1):
        matrix = random.dirichlet(np.ones(n_classes), n_classes)
        writer.save_soft_labels(epoch, matrix, random.integers(1, 50, n_classes))
        writer.append_history(
            {
                "epoch": epoch,
                "lr": 0.1,
                "train_loss": 1 / epoch,
                "train_accuracy": 0.5,
                "val_accuracy": 0.4,
                "val_nll": 1.0,
                "val_ece": 0.1,
                "val_brier": 0.5,
            }
        )
    if finished:
        _finish(writer, labels, n_classes, random)
    return load_run(run_id, root)


def top_labels_of(run: Run) -> Run:
    """Write a second run that knows no more of the first one's predictions than the best class."""
    probabilities = softmax(run.logits().astype(np.float64), axis=1)
    name = f"{run.id}-top"
    with RunRecorder(name, run.info.dataset.class_names, root=run.path.parent) as recorder:
        recorder.log_top_labels(
            "test",
            labels=run.labels(),
            predicted=probabilities.argmax(axis=1),
            confidence=probabilities.max(axis=1),
        )
    return load_run(name, run.path.parent)


def _finish(
    writer: RunWriter, labels: np.ndarray, n_classes: int, random: np.random.Generator
) -> None:
    logits = random.normal(size=(N_TEST, n_classes)) + 2 * np.eye(n_classes)[labels]
    logits = logits.astype(np.float16)
    writer.save_predictions("test", logits, labels)
    writer.save_features("test", random.normal(size=(N_TEST, N_FEATURES)))
    writer.save_weights({"fc.weight": random.normal(size=(n_classes, N_FEATURES))})
    writer.update(summary={"test": asdict(summarize_predictions(logits, labels))})
    writer.close("finished")
