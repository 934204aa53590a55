"""Images per second of training: the bare step, our whole loop, and the usual way.

Usage: python benchmarks/training.py [--dataset D] [--model M] [--rounds N] [--compile]

(a) the bare step: forward, Online Label Smoothing, backward, update, on one batch that stays on
    the device;
(b) our loop: the same with a new batch each step, augmented, and with all statistics and metrics;
(c) the usual way: PIL transforms in a DataLoader with two workers, float32, contiguous tensors,
    label smoothing from torch, and the loss read from the device at every step.

The three run interleaved in one process; a ratio is the median over the rounds of the times in the
same round. Run it on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median

import torch
from _machine import machine
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ols_core.config import TrainConfig
from ols_core.data.batches import Batch
from ols_core.data.types import ImageSet
from ols_core.models import build_model
from ols_core.training.engine import run_epoch
from ols_core.training.session import Session, open_session

Steps = Callable[[int], None]
"""Does so many training steps."""


class _Images(Dataset[tuple[Tensor, int]]):
    """The data set as torchvision's own classes serve it: one PIL image at a time."""

    def __init__(self, images: ImageSet) -> None:
        assert images.pixels is not None
        self._pixels, self._labels = images.pixels, images.labels
        side = images.pixels.shape[1]
        self._transform = v2.Compose(
            [
                v2.RandomCrop(side, padding=side // 8),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), int(self._labels[index])


class _Some:
    """A few batches of a longer supply, as `run_epoch` takes them."""

    def __init__(self, supply: Iterator[Batch], n_batches: int) -> None:
        self._supply, self._n_batches = supply, n_batches
        self.n_samples = 0

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        return islice(self._supply, self._n_batches)

    def set_epoch(self, epoch: int) -> None:
        """Go on with the supply."""


def endless(session: Session) -> Iterator[Batch]:
    epoch = 0
    while True:
        epoch += 1
        session.batches["train"].set_epoch(epoch)
        yield from session.batches["train"]


def bare(session: Session) -> Steps:
    batch = next(endless(session))

    def steps(n: int) -> None:
        for _ in range(n):
            session.train_step(batch)

    return steps


def ours(session: Session) -> Steps:
    supply = endless(session)

    def steps(n: int) -> None:
        run_epoch(_Some(supply, n), session.train_step, session.fabric)

    return steps


def usual(config: TrainConfig, session: Session) -> Steps:
    device = session.fabric.device
    model = build_model(config.model, session.dataset.n_classes, 3).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    images = _Images(session.dataset.splits["train"])
    loader = DataLoader(images, config.batch_size, shuffle=True, num_workers=2, drop_last=True)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    supply = batches()

    def steps(n: int) -> None:
        total = 0.0
        for x, y in islice(supply, n):
            optimizer.zero_grad()
            loss = criterion(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()

    return steps


def main() -> None:
    """Time the three and print images per second, ratios and goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="folder:data/cifar100", help="of colour images")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12, help="training steps a round")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    config = TrainConfig(
        dataset=options.dataset, model=options.model, method="ols", compile=options.compile
    )
    session = open_session(config)
    candidates = {
        "(a) bare step": bare(session),
        "(b) our loop": ours(session),
        "(c) usual way": usual(config, session),
    }
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(options.rounds + 1):
        for name, steps in candidates.items():
            start = time.perf_counter()
            steps(options.steps)
            if session.fabric.device.type == "cuda":
                torch.cuda.synchronize()
            if round_ > 0:  # the first warms up
                times[name].append((time.perf_counter() - start) / options.steps)
    print(
        f"{machine()}; {session.hardware.device}, {session.hardware.precision}; torch "
        f"{torch.__version__}; {config.model}, batch {config.batch_size}, n = {options.rounds} "
        f"rounds of {options.steps} steps.\n"
    )
    for name, seconds in times.items():
        print(f"{name}: {config.batch_size / median(seconds):.0f} images/s")
    a, b, c = times.values()
    for text, goal, others in (("(b) / (a)", 0.95, a), ("(b) / (c)", 2.5, c)):
        ratio = median(other / own for other, own in zip(others, b, strict=True))
        print(f"{text}: {ratio:.2f} (goal {goal}, {'met' if ratio >= goal else 'missed'})")


if __name__ == "__main__":
    main()
