"""Whether confidence can be believed, and which differences between runs were shown."""

from __future__ import annotations

from collections.abc import Sequence

from app import cache, predictions
from app.charts.differences import METRIC_TITLES, interval_plot
from app.charts.reliability import reliability_panels
from app.predictions import SHARES, Choices, first_baseline
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
from app.report.runs import runs_with
from ols_core.analysis.calibration import Interval, RunDifference, against, read_calibration
from ols_core.runs import Run

__all__ = ["calibration"]

_IN_ROW = 3
_TITLE_SIZE = 10.5  # three of them fit beside each other in a paper


def calibration(runs: Sequence[Run], choices: Choices) -> Section:
    """Draw the reliability diagrams, compare with a baseline, and list all metrics."""
    remedy = "They are written when a training finishes; a stopped one goes on with ols resume."
    shown, missing = runs_with(runs, "predictions", remedy, *cache.PREDICTIONS)
    if not shown:
        return Section("Calibration", tuple(missing))
    peers = predictions.comparable(shown)
    differences: list[RunDifference] = []
    if len(peers) > 1:
        baseline = first_baseline(peers).id
        differences = list(against(predictions.differences(tuple(peers), choices), baseline))
    blocks = [*missing, *_reading(shown, differences, choices), *_diagrams(shown, choices)]
    whole = [run for run in shown if predictions.has_probabilities(run)]
    partly = ", ".join(run.id for run in shown if run not in whole)
    if partly:
        blocks.append(
            Missing(
                f"Of {partly} only the best class and its confidence are known: what needs the "
                "probabilities of all classes is left blank, and they are not compared with others."
            )
        )
    blocks += [Heading("Comparison"), *_comparison(whole, peers, differences)]
    blocks += [Heading("Metrics"), _metrics(shown, choices)]
    if whole:
        blocks.append(_intervals(whole, choices))
    return Section("Calibration", tuple(blocks))


def _reading(
    runs: Sequence[Run], differences: Sequence[RunDifference], choices: Choices
) -> list[Block]:
    """One sentence a run, from its numbers."""
    nll = {found.run: found for found in differences if found.metric == "nll"}
    return [
        Text(read_calibration(run.id, predictions.band(run, choices), nll.get(run.id)))
        for run in runs
    ]


def _diagrams(runs: Sequence[Run], choices: Choices) -> list[Block]:
    bands = {run.id: predictions.band(run, choices) for run in runs}
    n_rows = -(-len(runs) // _IN_ROW)
    in_row = -(-len(runs) // n_rows)
    blocks: list[Block] = []
    for number, first in enumerate(range(0, len(runs), in_row), 1):
        row = dict(list(bands.items())[first : first + in_row])
        caption = (
            f"Reliability of {', '.join(row)}. Bars: share of right predictions among the images "
            "of a bin, with Wilson's 95% interval; hatched: the gap to their mean confidence. Bars "
            "below the dashed line are over-confident, above it under-confident. Grey steps: where "
            "19 of 20 bars would end if every confidence were right. Below: images by confidence."
        )
        name = "reliability" if n_rows == 1 else f"reliability-{number}"
        figure = reliability_panels(row, first, in_row)
        figure.update_annotations(font={"size": _TITLE_SIZE})
        blocks.append(Chart(name, figure, caption, narrow=in_row == 1))
    return blocks


def _comparison(
    runs: Sequence[Run], peers: Sequence[Run], differences: Sequence[RunDifference]
) -> list[Block]:
    blocks: list[Block] = []
    left_out = ", ".join(run.id for run in runs if run not in peers)
    if left_out:
        text = f"Not compared, since their test labels are not those of {peers[0].id}: {left_out}."
        blocks.append(Missing(text))
    if not differences:
        return [*blocks, Missing("There is no second run to compare with.")]
    baseline, ids = first_baseline(peers).id, [run.id for run in peers]
    tested = [found for found in differences if found.low is not None]
    if tested:
        colors = [ids.index(found.run) for found in tested if found.metric == tested[0].metric]
        caption = (
            f"Differences to {baseline} on the same test images, with 95% intervals. This is about "
            "these trained networks: whether a method is better needs several seeds of it."
        )
        figure = interval_plot(tested, colors, baseline)
        # The caption names the baseline: three times, a long id would cover itself.
        figure.update_xaxes(title={"text": "difference: left is better"})
        blocks.append(Chart("differences", figure, caption))
    return [*blocks, _difference_table(differences, baseline)]


def _difference_table(differences: Sequence[RunDifference], baseline: str) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            found.run,
            METRIC_TITLES[found.metric],
            Number(found.difference, "+.4f")
            if found.low is None or found.high is None
            else Range(Interval(found.difference, found.low, found.high), "+.4f"),
            Number(found.p, ".2g"),
            Number(found.adjusted_p, ".2g"),
        )
        for found in differences
    ]
    note = (
        "The p-values of all pairs of these runs and all tested metrics are adjusted together "
        "(Holm). The ECE has no test, since its bias differs between runs."
    )
    header = ("run", "metric", "difference", "p", "adjusted p")
    return Table("differences", f"Differences to {baseline}", header, tuple(rows), note)


def _metrics(runs: Sequence[Run], choices: Choices) -> Table:
    found = {run.id: predictions.numbers(run, choices) for run in runs}
    rows: list[tuple[Cell, ...]] = [
        (title, *(Number(numbers[title], _form(title)) for numbers in found.values()))
        for title in next(iter(found.values()))
    ]
    temperatures = (Number(predictions.best_temperature(run), ".3f") for run in runs)
    note = (
        f"{choices.n_bins} {choices.scheme} bins, right-closed; equal-mass ECE and adaptive CE "
        "have equal-mass ones, smooth ECE none. ECE if perfect: the mean ECE of a perfectly "
        "calibrated network with these confidences; p: how often its ECE is as large. Gap: mean "
        "confidence minus accuracy. Brier: sum over classes, as calibration plus refinement. "
        "Temperature: the one that fits best, below 1 for an under-confident network."
    )
    rows.append(("Temperature", *temperatures))
    return Table("calibration", "Test split", ("metric", *found), tuple(rows), note)


def _form(title: str) -> str:
    if title == "Images":
        return ",.0f"
    return ".2%" if title in SHARES else ".4f"


def _intervals(runs: Sequence[Run], choices: Choices) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        found = predictions.intervals(run, choices)
        shown = (found.nll, found.brier, found.debiased_l2, found.bias_corrected_ece)
        rows.append((run.id, *map(Range, shown)))
    header = ("run", "NLL", "Brier score", "debiased L2 error", "bias-corrected ECE")
    note = (
        "The ECE itself has no interval: it is too large on average, and by how much depends on "
        "the number of images."
    )
    title = "Each run by itself, with 95% intervals"
    return Table("intervals", title, header, tuple(rows), note)
