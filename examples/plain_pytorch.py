"""Record a plain PyTorch loop with Online Label Smoothing: python examples/plain_pytorch.py."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from ols_core import OnlineLabelSmoothingLoss, Run, RunRecorder


def main(root: str | Path = "checkpoints", epochs: int = 20) -> Run:
    """Train on scikit-learn's digits and return the recorded run."""
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.images, dtype=torch.float32) / 16
    train, test = train_test_split(torch.arange(len(pixels)), test_size=0.2, random_state=0)
    labels = torch.tensor(digits.target)

    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU())
    head = nn.Linear(64, 10)
    criterion = OnlineLabelSmoothingLoss(n_classes=10)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=3e-3)

    names = [str(name) for name in digits.target_names]
    with RunRecorder(
        "plain-pytorch", names, root=root, method="ols", dataset="digits", config={"alpha": 0.5}
    ) as recorder:
        for _ in range(epochs):
            total = 0.0
            for batch in torch.split(train[torch.randperm(len(train))], 64):
                loss = criterion(head(body(pixels[batch])), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
            criterion.step_epoch()
            recorder.log_epoch(train_loss=total / len(train))
            recorder.log_soft_labels(criterion)
        with torch.inference_mode():
            features = body(pixels[test])
            recorder.log_predictions(
                "test",
                logits=head(features),
                labels=labels[test],
                features=features,
                images=(pixels[test] * 255).byte(),
            )
        recorder.log_classifier(head.weight, head.bias)
    return recorder.run


if __name__ == "__main__":
    print(main().info.summary["test"])
