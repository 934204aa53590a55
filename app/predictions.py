"""What the calibration page shows of predictions on the test split, cached by run and choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from app import cache
from app.scan import cached
from ols_core.analysis import calibration
from ols_core.analysis.calibration import (
    BinScheme,
    BinSensitivity,
    CalibratedBand,
    ClassCalibration,
    RiskCoverage,
    RunDifference,
    SampleScores,
    ScoreIntervals,
)
from ols_core.analysis.comparison import Result
from ols_core.results import collect
from ols_core.runs import Run
from ols_core.top_labels import TopLabels

__all__ = [
    "SHARES",
    "Choices",
    "Score",
    "after_scaling",
    "band",
    "best_temperature",
    "class_band",
    "class_table",
    "comparable",
    "differences",
    "ensemble_numbers",
    "first_baseline",
    "has_probabilities",
    "intervals",
    "numbers",
    "result",
    "risk_coverage",
    "scores",
    "sensitivity",
    "smooth_error",
    "superclass_table",
]

Score = Literal["confidence", "normalised logit"]
_METRICS = (
    "Images",
    "Accuracy",
    "Top-5",
    "NLL",
    "Brier",
    "Calibration part",
    "Refinement part",
    "ECE",
    "ECE if perfect",
    "p",
    "Gap",
    "MCE",
    "Equal-mass ECE",
    "Smooth ECE",
    "Debiased L2",
    "Classwise ECE",
    "Adaptive CE",
)
_NO_SHARES = {"Images", "NLL", "Brier", "Calibration part", "Refinement part", "p"}
SHARES = tuple(title for title in _METRICS if title not in _NO_SHARES)
"""Titles of the metrics that are shares of images or of confidence, to be shown in percent."""
_N_REDRAWS = 2000  # p-values down to 0.0005
_N_BINS = tuple(range(5, 101, 5))
_IN_BIN = 20


@dataclass(frozen=True)
class Choices:
    """How calibration errors are binned, and whether temperature scaling comes first."""

    n_bins: int
    scheme: BinScheme
    scaled: bool


def has_probabilities(run: Run) -> bool:
    """Whether the run predicts all classes, and not only the best one with its confidence."""
    return run.has("predictions/test_logits.npy")


@cached
def scores(run: Run, scaled: bool) -> SampleScores:
    """Scores of each test sample of a run that predicts all classes."""
    return calibration.sample_scores(cache.logits(run, scaled), run.labels())


def _best(run: Run, scaled: bool) -> SampleScores | TopLabels:
    """Confidence of each test sample, and whether it is right."""
    return scores(run, scaled) if has_probabilities(run) else cache.top_labels(run)


@cached
def band(run: Run, choices: Choices) -> CalibratedBand:
    """Reliability diagram, and where it would lie under perfect calibration."""
    found = _best(run, choices.scaled)
    return calibration.calibrated_band(
        found.confidence, found.correct, choices.n_bins, choices.scheme, n_redraws=_N_REDRAWS
    )


def best_temperature(run: Run) -> float:
    """Fitted temperature; NaN where there are no logits to scale."""
    return cache.temperature(run) if has_probabilities(run) else math.nan


@cached
def intervals(run: Run, choices: Choices) -> ScoreIntervals:
    """95 % intervals of the run's scores."""
    return calibration.score_intervals(scores(run, choices.scaled), choices.n_bins, choices.scheme)


def first_baseline(runs: Sequence[Run]) -> Run:
    """Return the run to compare with unless the user picks another: the first with CE."""
    return next((run for run in runs if run.info.method == "ce"), runs[0])


@cached
def numbers(run: Run, choices: Choices) -> dict[str, float]:
    """Every metric of a run, by its title; NaN where one needs the probabilities of all classes."""
    redrawn = band(run, choices)
    if not has_probabilities(run):
        return dict.fromkeys(_METRICS, math.nan) | _best_numbers(
            cache.top_labels(run), redrawn, choices
        )
    return _numbers(
        cache.logits(run, choices.scaled), scores(run, choices.scaled), redrawn, choices
    )


@cached
def ensemble_numbers(runs: tuple[Run, ...], choices: Choices) -> dict[str, float]:
    """Every metric of the mean prediction of several runs."""
    logits = [cache.logits(run, choices.scaled) for run in runs]
    mean = calibration.ensemble(logits, [run.labels() for run in runs])
    found = calibration.sample_scores(mean.log_probabilities, mean.labels)
    redrawn = calibration.calibrated_band(
        found.confidence, found.correct, choices.n_bins, choices.scheme, n_redraws=_N_REDRAWS
    )
    return _numbers(mean.log_probabilities, found, redrawn, choices)


def _numbers(
    logits: npt.NDArray[np.floating], found: SampleScores, redrawn: CalibratedBand, choices: Choices
) -> dict[str, float]:
    probabilities = calibration.softmax(logits)
    classwise, adaptive = (
        calibration.classwise_calibration(probabilities, found.labels, choices.n_bins, scheme)
        for scheme in get_args(BinScheme)
    )
    brier = calibration.brier_decomposition(probabilities, found.labels, choices.n_bins)
    of_all = {
        "Top-5": calibration.top_k_accuracy(logits, found.labels, min(5, logits.shape[1])),
        "NLL": float(found.nll.mean()),
        "Brier": brier.brier,
        "Calibration part": brier.calibration,
        "Refinement part": brier.refinement,
        "Classwise ECE": classwise.ece,
        "Adaptive CE": adaptive.ece,
    }
    known = _best_numbers(found, redrawn, choices) | of_all
    return {title: known[title] for title in _METRICS}


def _best_numbers(
    found: SampleScores | TopLabels, redrawn: CalibratedBand, choices: Choices
) -> dict[str, float]:
    """Metrics of the best classes and their confidence alone."""
    bins = redrawn.bins
    by_mass = calibration.reliability(found.confidence, found.correct, choices.n_bins, "equal-mass")
    return {
        "Images": found.labels.size,
        "Accuracy": float(found.correct.mean()),
        "ECE": bins.ece,
        "ECE if perfect": redrawn.expected_ece,
        "p": redrawn.p_value,
        "Gap": bins.signed_gap,
        "MCE": bins.mce,
        "Equal-mass ECE": by_mass.ece,
        "Smooth ECE": calibration.smooth_calibration_error(found.confidence, found.correct),
        "Debiased L2": bins.debiased_l2,
    }


@cached
def smooth_error(run: Run, scaled: bool) -> float:
    """Smooth calibration error, which has no bins."""
    found = _best(run, scaled)
    return calibration.smooth_calibration_error(found.confidence, found.correct)


@cached
def sensitivity(run: Run, scaled: bool) -> BinSensitivity:
    """ECE for 5 to 100 bins."""
    found = _best(run, scaled)
    return calibration.bin_sensitivity(found.confidence, found.correct, _N_BINS)


@cached
def risk_coverage(run: Run, score: Score, scaled: bool) -> RiskCoverage:
    """Error rate among the accepted predictions."""
    found = _best(run, scaled)
    if score == "confidence":
        return calibration.risk_coverage(found.confidence, found.correct)
    value = calibration.normalized_max_logit(cache.logits(run, scaled))
    return calibration.risk_coverage(value, found.correct)


@cached
def class_table(run: Run, scaled: bool) -> ClassCalibration:
    """Confidence against accuracy by predicted class."""
    top = cache.top_labels(run, scaled)
    return calibration.class_calibration(top.confidence, top.predicted, top.labels, run.n_classes)


@cached
def superclass_table(run: Run, scaled: bool) -> tuple[tuple[str, ...], ClassCalibration]:
    """Names of the superclasses, and the same by predicted superclass."""
    names, groups = np.unique(run.info.dataset.superclasses or (), return_inverse=True)
    top = cache.top_labels(run, scaled)
    found = calibration.class_calibration(
        top.confidence, top.predicted, top.labels, run.n_classes, groups
    )
    return tuple(names.tolist()), found


@cached
def class_band(run: Run, classes: tuple[int, ...], choices: Choices) -> CalibratedBand | None:
    """Reliability of the samples predicted as one of these classes; None without any.

    Of few samples in fewer bins, so that a bin holds 20 on average.
    """
    top = cache.top_labels(run, choices.scaled)
    chosen = np.isin(top.predicted, classes)
    if not chosen.any():
        return None
    n_bins = min(choices.n_bins, max(_N_BINS[0], int(chosen.sum()) // _IN_BIN))
    return calibration.calibrated_band(
        top.confidence[chosen], top.correct[chosen], n_bins, choices.scheme, n_redraws=_N_REDRAWS
    )


def comparable(runs: Sequence[Run]) -> list[Run]:
    """Runs that predict all classes on the labels of the first of them, by their fingerprints."""
    runs = [run for run in runs if has_probabilities(run)]
    first = runs[0].info.dataset.fingerprints.get("test") if runs else None
    return [run for run in runs if run.info.dataset.fingerprints.get("test") == first]


@cached
def differences(runs: tuple[Run, ...], choices: Choices) -> tuple[RunDifference, ...]:
    """Paired differences of each two runs on the same test samples."""
    found = {run.id: scores(run, choices.scaled) for run in runs}
    return calibration.paired_run_differences(found, choices.n_bins, choices.scheme)


@cached
def after_scaling(run: Run, choices: Choices) -> list[dict[str, float | str]]:
    """Scores of the run after each kind of scaling, fitted on what is not reported."""
    held_out = run.has("predictions/val_logits.npy")
    plain = scores(run, scaled=False)
    vector = calibration.vector_scaled(
        run.logits(), run.labels(), *((run.logits("val"), run.labels("val")) if held_out else ())
    )
    isotonic = calibration.isotonic_scaled(
        plain.confidence, plain.correct, *(_top_of_val(run) if held_out else ())
    )
    rows: list[dict[str, float | str]] = []
    for name, found in (
        ("none", plain),
        ("temperature", scores(run, scaled=True)),
        ("vector", calibration.sample_scores(vector.logits, run.labels())),
    ):
        bins = calibration.reliability(
            found.confidence, found.correct, choices.n_bins, choices.scheme
        )
        rows.append(
            {
                "Scaling": name,
                "T": cache.temperature(run) if name == "temperature" else math.nan,
                "Accuracy": float(found.correct.mean()),
                "NLL": float(found.nll.mean()),
                "Brier": float(found.brier.mean()),
                "ECE": bins.ece,
            }
        )
    bins = calibration.reliability(
        isotonic.confidence, plain.correct, choices.n_bins, choices.scheme
    )
    # Only the confidence is mapped: there are no probabilities of the other classes to score.
    rows.append({"Scaling": "isotonic", "Accuracy": float(plain.correct.mean()), "ECE": bins.ece})
    return rows


def _top_of_val(run: Run) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]:
    found = calibration.sample_scores(run.logits("val"), run.labels("val"))
    return found.confidence, found.correct


@cached
def result(run: Run) -> Result:
    """What the comparison of seeds needs of a run."""
    return collect(run).result()
