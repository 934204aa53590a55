"""Record a network of timm in a loop of one's own: python examples/timm_model.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from ols_core import Run, RunRecorder


def main(root: str | Path = "checkpoints", epochs: int = 3, model: str = "test_resnet") -> Run:
    """Train on scikit-learn's digits, enlarged to 16 pixels, and return the recorded run."""
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.images[:, None], dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    train, test = train_test_split(torch.arange(len(pixels)), test_size=0.2, random_state=0)
    images = F.interpolate(pixels, size=(16, 16), mode="bilinear")

    network: Any = timm.create_model(model, num_classes=10, in_chans=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    names = [str(name) for name in digits.target_names]
    with RunRecorder(
        "timm-model", names, root=root, method="ce", dataset="digits", model=f"timm:{model}"
    ) as recorder:
        for _ in range(epochs):
            network.train()
            for batch in torch.split(train[torch.randperm(len(train))], 64):
                loss: Any = F.cross_entropy(network(images[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            recorder.log_epoch(train_loss=loss)
        network.eval()
        with torch.inference_mode():
            features = network.forward_head(network.forward_features(images[test]), pre_logits=True)
            recorder.log_predictions(
                "test",
                logits=network.get_classifier()(features),
                labels=labels[test],
                features=features,
                images=(pixels[test, 0] * 255).byte(),
            )
        recorder.log_classifier(network.get_classifier().weight)
    return recorder.run


if __name__ == "__main__":
    print(main().info.summary["test"])
