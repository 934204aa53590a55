"""Time of calibration errors beside one look at the probabilities, and beside other libraries.

Usage: python benchmarks/calibration.py [--rounds N]

The floor is `probabilities.max(axis=1)`, less than which no top-label error can take. All
candidates run interleaved in one process; a ratio is the median over the rounds of the time divided
by the floor's time in the same round. torchmetrics, netcal and torch-uncertainty are timed if they
can be imported (`pip install netcal torch-uncertainty` in an environment of their own, as they
bring pins of their own); torch gets one thread, as numpy has. The last line is about a page of
three runs, computed once in a new process after its imports.
Run it on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from _machine import load, machine

from ols_core.analysis import calibration

SHAPE = (50_000, 1_000)
SMALL_SHAPE = PAGE_SHAPE = (10_000, 100)
PAGE_RUNS = 3
Array = npt.NDArray[Any]
Candidates = dict[str, Callable[[], object]]


def predictions(shape: tuple[int, int], seed: int = 0) -> tuple[Array, Array]:
    """Return float32 logits of which about three in four are right, and labels."""
    random = np.random.default_rng(seed)
    n, k = shape
    logits = random.normal(scale=2, size=shape).astype(np.float32)
    labels = random.integers(0, k, n)
    logits[np.arange(n), labels] += random.normal(2 + np.log(k), 3, n).astype(np.float32)
    return logits, labels


def ours(logits: Array, probabilities: Array, labels: Array) -> Candidates:
    def error_from_logits() -> float:
        confidence, prediction = calibration.top_label_from_logits(logits)
        return calibration.reliability(confidence, prediction == labels).ece

    def classwise_from_logits() -> float:
        chunks = calibration.softmax_chunks(logits, labels)
        return calibration.classwise_calibration_of_chunks(chunks).ece

    return {
        "ECE": lambda: calibration.expected_calibration_error(probabilities, labels),
        "ECE from logits": error_from_logits,
        "classwise ECE": lambda: calibration.classwise_calibration(probabilities, labels).ece,
        "classwise ECE from logits": classwise_from_logits,
        "Brier score, split": lambda: calibration.brier_decomposition(probabilities, labels),
        "normalised max logit": lambda: calibration.normalized_max_logit(logits),
    }


def peers(probabilities: Array, labels: Array) -> Candidates:
    """Return what other libraries offer; those that are not installed are left out.

    The classwise error of torch-uncertainty takes minutes at the large shape, and is left to the
    small one.
    """
    found: Candidates = {}
    n_classes = probabilities.shape[1]
    try:
        torch = import_module("torch")
        functional = import_module("torchmetrics.functional.classification")
    except ImportError:
        return found
    torch.set_num_threads(1)
    p, y = torch.from_numpy(probabilities), torch.from_numpy(labels)
    found["ECE, torchmetrics"] = lambda: functional.multiclass_calibration_error(
        p, y, num_classes=n_classes, n_bins=15
    )
    try:
        metrics = import_module("torch_uncertainty.metrics.classification")
    except ImportError:
        print("torch-uncertainty is not installed", file=sys.stderr)
    else:
        found["ECE, torch-uncertainty"] = lambda: metrics.CalibrationError(
            task="multiclass", num_classes=n_classes, num_bins=15
        )(p, y)
        if probabilities.shape == SMALL_SHAPE:
            found["classwise ECE, torch-uncertainty"] = lambda: metrics.ClasswiseCalibrationError(
                num_classes=n_classes, num_bins=15
            )(p, y)
    try:
        netcal = import_module("netcal.metrics")
    except ImportError:
        print("netcal is not installed", file=sys.stderr)
    else:
        found["ECE, netcal"] = lambda: netcal.ECE(15).measure(probabilities, labels)
    return found


def seconds(candidate: Callable[[], object]) -> float:
    start = time.perf_counter()
    candidate()
    return time.perf_counter() - start


def megabytes(candidate: Callable[[], object]) -> float:
    """Return the most memory that numpy held on top of what it was given."""
    tracemalloc.start()
    candidate()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def table(own: Candidates, others: Candidates, goals: dict[str, str], rounds: int) -> None:
    """Print the times of all and the memory of our own; torch does not tell about its memory."""
    memory = {name: f"{megabytes(candidate):.1f}" for name, candidate in own.items()}
    candidates = own | others
    names = list(candidates)
    times: dict[str, list[float]] = {name: [] for name in names}
    for candidate in candidates.values():
        candidate()
    for number in range(rounds):
        for i in range(len(names)):  # another one begins in each round
            name = names[(i + number) % len(names)]
            times[name].append(seconds(candidates[name]))
    print("| | ms | ratio | quartiles | MB | goal |\n|---|---|---|---|---|---|")
    for name in names:
        ratios = sorted(a / b for a, b in zip(times[name], times["floor"], strict=True))
        print(
            f"| {name} | {median(times[name]) * 1e3:.1f} | {median(ratios):.2f} | "
            f"{ratios[rounds // 4]:.2f}–{ratios[-1 - rounds // 4]:.2f} | "
            f"{memory.get(name, '')} | {goals.get(name, '')} |",
            flush=True,
        )


def report(shape: tuple[int, int], goals: dict[str, str], rounds: int) -> None:
    logits, labels = predictions(shape)
    probabilities = calibration.softmax(logits)
    floor: Candidates = {"floor": lambda: probabilities.max(axis=1)}
    own = floor | ours(logits, probabilities, labels)
    print(f"\n{shape[0]:,} x {shape[1]:,}\n")
    table(own, peers(probabilities, labels), goals, rounds)


def page(logits: Array, labels: Array) -> list[object]:
    """Return every number that a page shows of one run."""
    probabilities = calibration.softmax(logits)
    confidence, prediction = calibration.top_label(probabilities)
    correct = prediction == labels
    curves = [
        calibration.risk_coverage(score, correct)
        for score in (confidence, calibration.normalized_max_logit(logits))
    ]
    equal_width, equal_mass = (
        calibration.reliability(confidence, correct, 15, scheme)
        for scheme in ("equal-width", "equal-mass")
    )
    n_classes = logits.shape[1]
    return [
        calibration.summarize_predictions(logits, labels),
        *(equal_width.ece, equal_width.mce, equal_width.signed_gap, equal_width.debiased_l2),
        equal_mass.ece,
        calibration.classwise_calibration(probabilities, labels),
        calibration.classwise_calibration(probabilities, labels, scheme="equal-mass"),
        calibration.smooth_calibration_error(confidence, correct),
        calibration.brier_decomposition(probabilities, labels),
        calibration.bin_sensitivity(confidence, correct),
        calibration.class_calibration(confidence, prediction, labels, n_classes),
        calibration.class_calibration(
            confidence, prediction, labels, n_classes, np.arange(n_classes) // 5
        ),
        *((c.aurc, c.augrc, *map(c.accuracy_at, (0.8, 0.9, 0.95))) for c in curves),
        calibration.calibrated_band(confidence, correct, n_redraws=2000),
        calibration.score_intervals(calibration.sample_scores(logits, labels)),
    ]


def time_page() -> None:
    """Print the seconds of a page, as a new process takes them."""
    for lazy in ("scipy.optimize", "scipy.special"):  # a server loads them once
        import_module(lazy)
    _, labels = predictions(PAGE_SHAPE)
    runs = [predictions(PAGE_SHAPE, seed)[0] for seed in range(PAGE_RUNS)]

    def everything() -> None:
        for logits in runs:
            page(logits, labels)
        scores = {str(i): calibration.sample_scores(run, labels) for i, run in enumerate(runs)}
        calibration.paired_run_differences(scores)

    print(seconds(everything))


def time_bootstrap(rounds: int) -> float:
    """Return the median seconds of 1,000 resamples of all binned quantities."""
    logits, labels = predictions(SMALL_SHAPE)
    confidence, prediction = calibration.top_label_from_logits(logits)
    correct = prediction == labels
    return median(
        seconds(lambda: calibration.bootstrap_reliability(confidence, correct))
        for _ in range(rounds)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="at least 5, default 15")
    parser.add_argument("--page", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.page:
        time_page()
        return
    rounds = max(5, arguments.rounds)
    print(
        f"{machine()}, numpy {np.__version__}; float32, n = {rounds} rounds; MB on top of the "
        "input."
    )
    for shape, goals in (
        (SHAPE, {"ECE": "1.5", "classwise ECE": "1000 ms, 50 MB"}),
        (SMALL_SHAPE, {}),
    ):
        report(shape, goals, rounds)

    print(
        f"\n1,000 bootstrap resamples of the bins at N = {SMALL_SHAPE[0]:,}: "
        f"{time_bootstrap(rounds) * 1e3:.1f} ms; goal 20 ms"
    )
    command = [sys.executable, __file__, "--page"]
    pages = [float(subprocess.check_output(command, text=True)) for _ in range(rounds // 3)]
    print(
        f"\nA page of {PAGE_RUNS} runs of {PAGE_SHAPE[0]:,} x {PAGE_SHAPE[1]}: "
        f"{median(pages):.2f} s cold, median of {len(pages)} processes, best {min(pages):.2f} s; "
        f"goal 0.50 s"
    )
    print(f"load at the end: {load()}")


if __name__ == "__main__":
    main()
