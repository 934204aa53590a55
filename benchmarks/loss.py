"""Time of Online Label Smoothing, forward, backward and statistics, beside torch's own loss.

Usage: python benchmarks/loss.py [--rounds N]

All candidates run interleaved in one process. A ratio is the median over the rounds of the time
divided by the time of `F.cross_entropy(label_smoothing=0.1)` in the same round, eager beside eager
and compiled beside compiled. What is compiled is a function that calls the loss, as a compiled
training step does; `torch.compile(criterion)` itself adds the wrapper that it puts around modules.
Run it on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from _machine import load, machine
from torch import Tensor
from torch.nn import functional as F

from ols_core.losses import OnlineLabelSmoothingLoss

SHAPES = [(128, 10), (128, 100), (256, 1000), (1024, 1000)]
ROUND_SECONDS = 0.02
Loss = Callable[[Tensor, Tensor], Tensor]


def target(shape: tuple[int, int], compiled: bool) -> float:
    """Return the ratio to reach."""
    large = shape == (1024, 1000)
    return (1.25 if large else 1.05) if compiled else (1.5 if large else 1.2)


def baseline(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


def batch(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return logits of which about half are right, and labels."""
    n, k = shape
    labels = torch.randint(0, k, (n,))
    logits = torch.randn(n, k)
    logits[torch.arange(n), labels] += 0.5 * logits.amax(1) + 1.0
    return logits.requires_grad_(), labels


def step(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    loss(logits, labels).backward()  # type: ignore[no-untyped-call]


def seconds(loss: Loss, logits: Tensor, labels: Tensor, repeats: int) -> float:
    """Return the time of one step, as the mean of `repeats` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        step(loss, logits, labels)
    return (time.perf_counter() - start) / repeats


def compare(losses: list[Loss], shape: tuple[int, int], rounds: int) -> list[list[float]]:
    """Return the times of all losses in each round."""
    logits, labels = batch(shape)
    for loss in losses:
        seconds(loss, logits, labels, 10)
    repeats = max(3, round(ROUND_SECONDS / seconds(losses[0], logits, labels, 10)))
    times: list[list[float]] = []
    for number in range(rounds):
        row = [0.0] * len(losses)
        for i in range(len(losses)):  # another one begins in each round
            which = (i + number) % len(losses)
            row[which] = seconds(losses[which], logits, labels, repeats)
        times.append(row)
    return times


def report(shape: tuple[int, int], threads: int, compiled: bool, rounds: int) -> None:
    torch.set_num_threads(threads)
    torch.compiler.reset()
    criterion = OnlineLabelSmoothingLoss(shape[1])
    criterion(*batch(shape))
    criterion.step_epoch()
    losses: list[Loss] = [baseline, criterion]
    if compiled:
        losses = [torch.compile(baseline), torch.compile(lambda z, y: criterion(z, y))]
    times = compare(losses, shape, rounds)
    ratios = sorted(ours / theirs for theirs, ours in times)
    theirs, ours = (median(column) * 1e6 for column in zip(*times, strict=True))
    goal = target(shape, compiled)
    print(
        f"| {shape} | {threads} | {'compiled' if compiled else 'eager'} | {theirs:.0f} | "
        f"{ours:.0f} | {median(ratios):.2f} | {ratios[len(ratios) // 4]:.2f}–"
        f"{ratios[-1 - len(ratios) // 4]:.2f} | {goal:.2f} | "
        f"{'met' if median(ratios) <= goal else 'missed'} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21, help="at least 15, default 21")
    rounds = max(15, parser.parse_args().rounds)
    torch.manual_seed(0)
    cores = torch.get_num_threads()
    print(
        f"{machine()}, torch {torch.__version__}; float32; "
        f"n = {rounds} rounds of {ROUND_SECONDS * 1000:.0f} ms or more a loss.\n"
    )
    print(
        "| (B, K) | threads | mode | `F.cross_entropy` µs | OLS µs | ratio | quartiles | goal | |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for compiled in (False, True):
        for threads in dict.fromkeys((1, cores)):
            for shape in SHAPES:
                report(shape, threads, compiled, rounds)
    print(f"\nload at the end: {load()}")


if __name__ == "__main__":
    main()
