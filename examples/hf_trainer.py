"""Record a training of Hugging Face's Trainer: python examples/hf_trainer.py."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset, random_split
from transformers import EvalPrediction, Trainer, TrainingArguments, set_seed

from ols_core import OnlineLabelSmoothingLoss, Run, RunRecorder
from ols_core.integrations.transformers import RunRecorderCallback


class Digits(Dataset[dict[str, Tensor]]):
    """Scikit-learn's digits, as the Trainer wants its samples."""

    def __init__(self) -> None:
        pixels, labels = load_digits(return_X_y=True)
        self.pixels = torch.tensor(pixels, dtype=torch.float32) / 16
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"pixels": self.pixels[index], "labels": self.labels[index]}


class Classifier(nn.Module):
    """A small network that returns its logits in a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Logits, (B, 10), of pixels, (B, 64)."""
        del labels  # the loss is the Trainer's
        return {"logits": self.layers(pixels)}


def accuracy(predicted: EvalPrediction) -> dict[str, float]:
    """Share of samples that were predicted right."""
    logits, labels = np.asarray(predicted.predictions), np.asarray(predicted.label_ids)
    return {"accuracy": float((logits.argmax(1) == labels).mean())}


def main(root: str | Path = "checkpoints", epochs: int = 5, **options: Any) -> Run:
    """Train on scikit-learn's digits and return the recorded run."""
    set_seed(0)
    train, val, test = random_split(Digits(), [0.7, 0.1, 0.2])
    criterion = OnlineLabelSmoothingLoss(n_classes=10)

    def loss(outputs: dict[str, Tensor], labels: Tensor, **_: Any) -> Tensor:
        # The Trainer also asks for it when it evaluates, which is not to be observed.
        found: Tensor = criterion(outputs["logits"], labels, accumulate=torch.is_grad_enabled())
        return found

    names = [str(digit) for digit in range(10)]
    with (
        tempfile.TemporaryDirectory() as folder,
        RunRecorder("hf-trainer", names, root=root, method="ols", dataset="digits") as recorder,
    ):
        trainer = Trainer(
            Classifier(),
            TrainingArguments(
                folder,
                num_train_epochs=epochs,
                per_device_train_batch_size=64,
                learning_rate=3e-3,
                eval_strategy="epoch",
                logging_strategy="epoch",
                save_strategy="no",
                label_names=["labels"],
                use_cpu=True,
                report_to="none",
                **options,
            ),
            train_dataset=train,
            eval_dataset=val,
            compute_loss_func=loss,
            compute_metrics=accuracy,
            callbacks=[RunRecorderCallback(recorder, criterion)],
        )
        trainer.train()
        found = trainer.predict(test)
        logits, labels = np.asarray(found.predictions), np.asarray(found.label_ids)
        recorder.log_predictions("test", logits=logits, labels=labels)
    return recorder.run


if __name__ == "__main__":
    print(main().info.summary["test"])
