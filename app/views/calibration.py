"""Calibration: whether confidence can be believed, run by run and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import streamlit as st

from app import cache, predictions, state
from app.predictions import Choices
from app.views import bins, class_calibration, comparison, reliability, selective
from app.views.common import draw_section, runs_with, with_probabilities
from app.views.curves import draw_curves
from ols_core.analysis.calibration import BinScheme, RunDifference, against, read_calibration
from ols_core.runs import Run


def page() -> None:
    """Draw the reading, the choices and the chosen section."""
    remedy = "They are written when a training finishes; a stopped one goes on with `ols resume`."
    runs = runs_with("predictions", remedy, *cache.PREDICTIONS)
    if runs:
        _draw(runs)


# A fragment: the choices concern nothing above them, which need not be drawn again.
@st.fragment
def _draw(runs: Sequence[Run]) -> None:
    choices = _pick_choices()
    if choices.scaled:
        runs = with_probabilities(runs, "these cannot be scaled")
        if not runs:
            return
    _reading(runs, choices)
    draw_section("part", _SECTIONS, runs, choices)


def _pick_choices() -> Choices:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        n_bins = st.slider("Bins", 5, 100, 15, width=260, **state.in_url("bins"))
        schemes: tuple[BinScheme, ...] = get_args(BinScheme)
        scheme: BinScheme = st.segmented_control(
            "Binning", schemes, default=schemes[0], required=True, **state.in_url("binning")
        )
        scaled = st.toggle(
            "After temperature scaling",
            help="One temperature, fitted on the validation split; without one, 2-fold on the test "
            "split. Never fitted and reported on the same images.",
            **state.in_url("scaled"),
        )
    return Choices(n_bins, scheme, scaled)


def _reading(runs: Sequence[Run], choices: Choices) -> None:
    """One sentence a run, from its numbers."""
    peers = predictions.comparable(runs)
    found: dict[str, RunDifference] = {}
    if len(peers) > 1:
        baseline = predictions.first_baseline(peers).id
        everything = predictions.differences(tuple(peers), choices)
        found = {
            difference.run: difference
            for difference in against(everything, baseline)
            if difference.metric == "nll"
        }
    lines = [
        read_calibration(run.id, predictions.band(run, choices), found.get(run.id)) for run in runs
    ]
    if choices.scaled:
        lines = [
            f"After temperature scaling (T = {cache.temperature(run):.2f}), {line}"
            for run, line in zip(runs, lines, strict=True)
        ]
    st.markdown("\n".join(f"- {line}" for line in lines))


def _epochs(runs: Sequence[Run], choices: Choices) -> None:
    """Calibration on the validation split over the epochs, as it was recorded."""
    del choices  # recorded with 15 equal-width bins, before any scaling
    histories = {run.id: run.history for run in runs if run.history}
    if not histories:
        st.info("The chosen runs have no history of epochs.", icon=":material/info:")
        return
    for title in ("ECE", "NLL", "Brier score"):
        draw_curves(histories, title, 320, f"epochs_{title}")


_SECTIONS = {
    "Diagrams": reliability.draw,
    "Comparison": comparison.draw,
    "Bins": bins.draw,
    "Classes": class_calibration.draw,
    "Selective": selective.draw,
    "Epochs": _epochs,
}

page()
