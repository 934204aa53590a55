"""Record a training of Lightning: python examples/lightning_callback.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from ols_core import OnlineLabelSmoothingLoss, Run, RunRecorder
from ols_core.integrations.lightning import RunRecorderCallback


class Classifier(pl.LightningModule):
    """A small network; its steps return what the callback records."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.criterion = OnlineLabelSmoothingLoss(n_classes=10)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """Return the loss of a batch."""
        loss: Tensor = self.criterion(self.network(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor]) -> dict[str, Tensor]:
        """Return the logits of a batch."""
        return {"logits": self.network(batch[0]), "labels": batch[1]}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main(root: str | Path = "checkpoints", epochs: int = 5, **options: Any) -> Run:
    """Train on scikit-learn's digits and return the recorded run."""
    pl.seed_everything(0)
    pixels, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels))
    train, val, test = random_split(data, [0.7, 0.1, 0.2])
    module = Classifier()
    names = [str(digit) for digit in range(10)]
    with RunRecorder("lightning", names, root=root, method="ols", dataset="digits") as recorder:
        callback = RunRecorderCallback(recorder, module.criterion)
        trainer = pl.Trainer(
            max_epochs=epochs,
            callbacks=[callback],
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            **options,
        )
        trainer.fit(module, DataLoader(train, 64, shuffle=True), DataLoader(val, 256))
        trainer.test(module, DataLoader(test, 256))
    return recorder.run


if __name__ == "__main__":
    print(main().info.summary["test"])
