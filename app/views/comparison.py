"""All calibration metrics by run, and which differences between runs were shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app import predictions, state
from app.charts.differences import METRIC_TITLES
from app.predictions import SHARES, Choices
from app.views.common import with_probabilities
from app.views.paired_differences import comparable, draw_differences
from ols_core.analysis.calibration import RunDifference, shown_best
from ols_core.analysis.comparison import group_results
from ols_core.grid import Grid, render
from ols_core.runs import Run

__all__ = ["draw"]

_BEST = "Shown best in"


def draw(runs: Sequence[Run], choices: Choices) -> None:
    """Draw the table of metrics, the paired differences, intervals, seeds and scaling."""
    whole = with_probabilities(
        runs,
        "what needs the probabilities of all classes, such as NLL and Brier score, is blank for "
        "these, and they are not compared with others",
    )
    peers = comparable(whole)
    differences = predictions.differences(tuple(peers), choices) if len(peers) > 1 else ()
    _metrics(runs, peers, choices, differences)
    if len(peers) > 1:
        st.subheader("Differences between runs")
        draw_differences(peers, choices)
    if whole:
        _intervals(whole, choices)
        _seeds(peers)
        _scaling(whole, choices)


def _metrics(
    runs: Sequence[Run],
    peers: Sequence[Run],
    choices: Choices,
    differences: Sequence[RunDifference],
) -> None:
    st.subheader("Metrics")
    rows: list[dict[str, Any]] = [
        {
            "Run": run.id,
            _BEST: ", ".join(METRIC_TITLES[m] for m in shown_best(differences, run.id)),
            "T": predictions.best_temperature(run),
            **predictions.numbers(run, choices),
        }
        for run in runs
    ]
    if len(peers) > 1:
        name = f"mean of {len(peers)} runs"
        rows.append({"Run": name, _BEST: ""} | predictions.ensemble_numbers(tuple(peers), choices))
    table = pd.DataFrame(rows)
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Run": st.column_config.TextColumn(pinned=True),
            **{name: number(name, format="percent") for name in SHARES},
            "T": number("T", format="%.3f"),
            **{
                name: number(name, format="%.4f")
                for name in ("NLL", "Brier", "Calibration part", "Refinement part", "p")
            },
        },
        alt="Metrics of the chosen runs",
    )
    st.caption(
        f"Test split. {choices.n_bins} {choices.scheme} bins, right-closed; equal-mass ECE and "
        "adaptive CE have equal-mass ones, classwise ECE equal-width ones, smooth ECE none. ECE, "
        "MCE: top-label, L1; debiased L2: top-label. Gap: mean confidence minus accuracy. ECE if "
        "perfect: the mean ECE of a perfectly calibrated network with these confidences; p: how "
        "often its ECE is as large. Brier: sum over classes, as calibration plus refinement. "
        "T: the temperature that fits best, below 1 for an under-confident network. "
        "“Mean of runs” averages their probabilities. “Shown best in”: metrics in which the run "
        "beats every other one with an adjusted p below 0.05 (paired, Holm)."
    )
    grid = _grid(table)
    with st.container(horizontal=True):
        for name, ending, source in (
            ("Markdown", "md", render(grid, "markdown")),
            ("LaTeX", "tex", render(grid, "latex")),
        ):
            st.download_button(
                f":small[{name}]",
                source,
                f"calibration.{ending}",
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
                key=f"metrics_{ending}",
            )


def _grid(table: pd.DataFrame) -> Grid:
    """The table as texts, with percent where it shows them."""

    def text(column: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if pd.isna(value):
            return "–"
        if column in SHARES:
            return f"{100 * value:.2f}"
        return f"{value:.0f}" if column == "Images" else f"{value:.4f}"

    names = [name for name in table.columns if name != _BEST]
    header = tuple(f"{name} %" if name in SHARES else name for name in names)
    rows = tuple(tuple(text(name, row[name]) for name in names) for _, row in table.iterrows())
    return Grid("Test split", header, rows)


def _intervals(runs: Sequence[Run], choices: Choices) -> None:
    st.subheader("Each run by itself, with 95% intervals")
    rows = []
    for run in runs:
        found = predictions.intervals(run, choices)
        for title, interval in (
            ("NLL", found.nll),
            ("Brier score", found.brier),
            ("Debiased L2 error", found.debiased_l2),
            ("Bias-corrected ECE", found.bias_corrected_ece),
        ):
            values = {"Estimate": interval.estimate, "Low": interval.low, "High": interval.high}
            rows.append({"Run": run.id, "Metric": title, **values})
    plain = st.column_config.NumberColumn(format="%.4f")
    columns = dict.fromkeys(("Estimate", "Low", "High"), plain)
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Intervals of the scores"
    )
    st.caption(
        "The ECE itself has no interval: it is too large on average, and by how much depends on "
        "the number of images."
    )


def _seeds(runs: Sequence[Run]) -> None:
    """Spread over seeds, which no interval on one test set covers."""
    groups = group_results([predictions.result(run) for run in runs])
    repeated = [group for group in groups if len(group.results) > 1]
    if not repeated:
        return
    st.subheader("Spread over seeds")
    rows = []
    for group in repeated:
        row: dict[str, object] = {"Runs": group.label, "Seeds": len(group.results)}
        for title, metric in _SEED_METRICS.items():
            found = group.spread(metric)
            if found is not None:
                row |= {title: found.mean, f"{title} ±": found.std}
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Spread over seeds")
    st.caption("Mean and standard deviation of runs that differ in nothing but the seed.")


_SEED_METRICS = {"Accuracy": "accuracy", "NLL": "nll", "Brier": "brier", "ECE": "ece"}


def _scaling(runs: Sequence[Run], choices: Choices) -> None:
    st.subheader("After scaling")
    if not st.toggle(
        "Fit vector and isotonic scaling",
        help="Takes a second or more for many classes.",
        **state.in_url("fitted"),
    ):
        return
    rows = [
        {"Run": run.id, **row} for run in runs for row in predictions.after_scaling(run, choices)
    ]
    number = st.column_config.NumberColumn
    columns = {name: number(format="percent") for name in ("Accuracy", "ECE")}
    columns |= {name: number(format="%.4f") for name in ("NLL", "Brier")}
    columns["T"] = number(format="%.3f", help="Temperature: below 1 for an under-confident run.")
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Scores after scaling"
    )
    st.caption(
        "Fitted on the validation split; without one, on each half of the test split for the "
        "other half. Isotonic scaling maps the top confidence only, so that it has no NLL."
    )
