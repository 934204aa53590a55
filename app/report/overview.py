"""The chosen runs: how good they are, in which settings they differ, and how they were trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app import predictions
from app.cache import PREDICTIONS
from app.charts.curves import CURVES, training_curves
from app.predictions import Choices
from app.report.content import (
    Block,
    Cell,
    Chart,
    Heading,
    Missing,
    Number,
    Range,
    Section,
    Table,
    Text,
)
from app.report.figures import in_column
from app.report.runs import runs_with
from app.run_settings import settings_of
from ols_core.analysis.calibration import Interval, wilson_interval
from ols_core.runs import Run

__all__ = ["overview"]

_CURVES = ("Accuracy", "NLL")
_NOTHING = "–"


def overview(runs: Sequence[Run], choices: Choices) -> Section:
    """Say what the runs are and how good, and draw their training curves."""
    evaluated, missing = runs_with(
        runs,
        "predictions",
        "They are written when a training finishes; a stopped one goes on with ols resume.",
        *PREDICTIONS,
    )
    blocks: list[Block] = [_about(runs), *missing]
    known = [run for run in evaluated if predictions.has_probabilities(run)]
    rows = [_metrics(run, run in known, choices) for run in runs]
    blocks.append(
        Table(
            "metrics",
            "Test split",
            ("run", "images", "accuracy", "top-5", "NLL", "Brier", "ECE"),
            tuple(rows),
            f"In brackets 95% intervals over the test images: Wilson's of the accuracy, Student's "
            f"of NLL (in nats) and Brier score (sum over classes). ECE: top-label, "
            f"{choices.n_bins} {choices.scheme} bins; it has no interval, see Calibration. "
            "Intervals say nothing about other training seeds.",
        )
    )
    blocks += [Heading("Settings"), *_settings(runs), Heading("Training")]
    return Section("Overview", (*blocks, *_curves(runs)))


def _about(runs: Sequence[Run]) -> Table:
    """What the runs are; their names only where a user has given them."""
    named = any(run.info.name != run.id for run in runs)
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        info = run.info
        status = run.status if info.error is None else f"{run.status}: {info.error}"
        rows.append(
            (
                run.id,
                *([info.name] if named else []),
                info.method.upper(),
                info.model.name,
                info.dataset.name,
                str(len(run.history) or _NOTHING),
                f"{info.source}, {status}",
                info.created.replace("T", " ").removesuffix("+00:00"),
            )
        )
    about = ("run", *(["name"] if named else []))
    header = (*about, "method", "model", "data set", "epochs", "status", "created (UTC)")
    return Table("runs", "Runs", header, tuple(rows))


def _metrics(run: Run, known: bool, choices: Choices) -> tuple[Cell, ...]:
    """Metrics with intervals where all probabilities are `known`, else those that were recorded."""
    if not known:
        test = run.info.summary.get("test", {})
        forms = {
            "n_samples": ",.0f",
            "accuracy": ".2%",
            "top5_accuracy": ".2%",
            "nll": ".4f",
            "brier": ".4f",
            "ece": ".2%",
        }
        return (run.id, *(Number(test.get(name), form) for name, form in forms.items()))
    found = predictions.numbers(run, choices)
    intervals = predictions.intervals(run, choices)
    low, high = wilson_interval(np.array([found["Accuracy"]]), np.array([found["Images"]]))
    return (
        run.id,
        Number(found["Images"], ",.0f"),
        Range(Interval(found["Accuracy"], float(low[0]), float(high[0])), ".2%"),
        Number(found["Top-5"], ".2%"),
        Range(intervals.nll, ".4f"),
        Range(intervals.brier, ".4f"),
        Number(found["ECE"], ".2%"),
    )


def _settings(runs: Sequence[Run]) -> list[Block]:
    """Settings in which the runs differ, and those that they share."""
    by_run = {run.id: settings_of(run.info) for run in runs}
    names = list(dict.fromkeys(name for one in by_run.values() for name in one))
    rows = {name: tuple(one.get(name, _NOTHING) for one in by_run.values()) for name in names}
    different = [(*name, *row) for name, row in rows.items() if len(set(row)) > 1]
    shared = [(*name, row[0]) for name, row in rows.items() if len(set(row)) == 1]
    blocks: list[Block] = []
    if different:
        blocks.append(
            Table(
                "settings-that-differ",
                "Settings that differ",
                ("part", "setting", *by_run),
                tuple(different),
                "A dash: the setting does not concern that run's method, or is not recorded.",
            )
        )
    elif len(runs) > 1:
        blocks.append(Text("The runs differ in none of the recorded settings."))
    title = "Settings that all runs share" if len(runs) > 1 else "Settings"
    table = Table("settings", title, ("part", "setting", "value"), tuple(shared), folded=True)
    return [*blocks, table]


def _curves(runs: Sequence[Run]) -> list[Block]:
    histories = {run.id: run.history for run in runs if run.history}
    blocks: list[Block] = [
        Missing(f"{run.id} ({run.info.source}, {run.status}) has no history of epochs.")
        for run in runs
        if run.id not in histories
    ]
    for title in _CURVES if histories else ():
        splits = [split for _, split, _ in CURVES[title][1]]
        caption = f"{title} on the {' and '.join(splits)} split after every epoch."
        figure = in_column(training_curves(histories, title), len(histories))
        blocks.append(Chart(f"training-{title.lower()}", figure, caption, narrow=True))
    return blocks
