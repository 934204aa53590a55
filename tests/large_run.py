"""A run of many classes and epochs, made of random numbers: for tests and benchmarks only.

Usage: python -m tests.large_run FOLDER [--classes 1000] [--epochs 90]

With the defaults it takes about 370 MB. It says that it is synthetic in its name, its data set and
its config.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ols_core.analysis.calibration import summarize_predictions
from ols_core.run_writer import RunWriter, utc_now
from ols_core.runs import DatasetInfo, ModelInfo, Run, RunInfo, label_fingerprint, load_run

N_FEATURES = 64
N_VAL, N_TEST = 1000, 5000
N_GROUPS = 50


def large_run(
    root: Path,
    n_classes: int = 1000,
    epochs: int = 90,
    *,
    method: str = "ols",
    seed: int = 0,
    n_test: int = N_TEST,
) -> Run:
    """Write a run directory with every part; its id is `synthetic-{n_classes}-{method}`.

    The classes lie in groups, which soft labels, logits, features and weights all show and which
    its data set names as superclasses. Some classes have no correct sample in the first epochs:
    their rows are the uniform fallback there.
    """
    random = np.random.default_rng(seed)
    group = random.permutation(np.arange(n_classes) * n_groups(n_classes) // n_classes)
    splits = {"val": N_VAL, "test": n_test}
    labels = {split: np.arange(size) % n_classes for split, size in splits.items()}
    run_id = f"synthetic-{n_classes}-{method}"
    writer = RunWriter.create(
        root,
        RunInfo(
            id=run_id,
            name=run_id,
            created=utc_now(),
            status="running",
            source="trained",
            method=method,
            config={"synthetic": True, "epochs": epochs, "seed": seed},
            dataset=DatasetInfo(
                name="synthetic",
                class_names=[f"class {i:04d}" for i in range(n_classes)],
                splits=splits,
                fingerprints={split: label_fingerprint(y) for split, y in labels.items()},
                superclasses=[f"group {g:02d}" for g in group.tolist()],
            ),
            model=ModelInfo(name="none", n_features=N_FEATURES),
        ),
    )
    _write_epochs(writer, group, epochs, random)
    _write_outputs(writer, group, labels, random)
    writer.close("finished")
    return load_run(run_id, root)


def n_groups(n_classes: int) -> int:
    """Return the number of superclasses: 50, or a third of the classes where that is less."""
    return min(N_GROUPS, max(1, n_classes // 3))


def _write_epochs(
    writer: RunWriter, group: npt.NDArray[np.int64], epochs: int, random: np.random.Generator
) -> None:
    """Go from the uniform matrix to a last one by way of a middle one, so that ranks change."""
    n_classes = len(group)
    uniform = np.full((n_classes, n_classes), 1 / n_classes, np.float32)
    middle, last = (_settled_matrix(group, random) for _ in range(2))
    first_correct = random.geometric(0.5, n_classes)  # epoch; 1 for half of the classes
    writer.save_soft_labels(0, uniform, np.zeros(n_classes, np.int64))
    for epoch in range(1, epochs + 1):
        share = np.float32(epoch / epochs)
        matrix = (1 - share) ** 2 * uniform + 2 * share * (1 - share) * middle + share**2 * last
        without = first_correct > epoch
        matrix[without] = 1 / n_classes
        counts = np.where(without, 0, random.integers(1, 500, n_classes))
        writer.save_soft_labels(epoch, matrix, counts)
        writer.append_history(_record(epoch, float(share)))


def _settled_matrix(
    group: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Rows that keep about half of their mass and give most of the rest to their group."""
    n_classes = len(group)
    weight = random.gamma(0.3, size=(n_classes, n_classes)).astype(np.float32) + 1e-4
    weight *= np.where(group[:, None] == group, 1.0, 0.02).astype(np.float32)
    np.fill_diagonal(weight, 0)
    weight /= 2 * weight.sum(axis=1, keepdims=True)
    np.fill_diagonal(weight, 0.5)
    return weight


def _record(epoch: int, share: float) -> dict[str, float]:
    return {
        "epoch": epoch,
        "lr": 0.1 * (1 - share),
        "train_loss": 4 - 2 * share,
        "train_accuracy": 0.8 * share,
        "val_accuracy": 0.7 * share,
        "val_nll": 4 - 2 * share,
        "val_ece": 0.1,
        "val_brier": 1 - share / 2,
    }


def _write_outputs(
    writer: RunWriter,
    group: npt.NDArray[np.int64],
    labels: dict[str, npt.NDArray[np.int64]],
    random: np.random.Generator,
) -> None:
    """Features around one centre a class, and the logits of a linear classifier on them."""
    groups = random.normal(size=(n_groups(len(group)), N_FEATURES))
    centres = (groups[group] + random.normal(size=(len(group), N_FEATURES))).astype(np.float32)
    for split, truth in labels.items():
        noise = random.normal(size=(len(truth), N_FEATURES)).astype(np.float32)
        features = centres[truth] + 1.5 * noise
        logits = (features @ centres.T / 8).astype(np.float16)
        writer.save_predictions(split, logits, truth)
    writer.save_features("test", features)
    writer.save_weights({"fc.weight": centres})
    writer.update(summary={"test": asdict(summarize_predictions(logits, truth))})


def main() -> None:
    """Write one run into a folder and print where it is."""
    parser = argparse.ArgumentParser(description="Write a large synthetic run.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=90)
    options = parser.parse_args()
    print(large_run(options.folder, options.classes, options.epochs).path)


if __name__ == "__main__":
    main()
