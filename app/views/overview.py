"""All runs in a table, to choose and to manage; below it, in what the chosen ones differ."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import state
from app.scan import scan
from app.views.common import draw_section, runs_with, with_probabilities
from app.views.compare_settings import draw_settings
from app.views.curves import draw_training
from app.views.manage_runs import draw_manage
from app.views.report import report_button
from app.views.runs_table import draw_filter, draw_runs
from ols_core.runs import Run


def page() -> None:
    """Draw the table of runs, and a comparison of the chosen ones."""
    chosen = state.chosen_runs()
    runs = scan().runs
    with st.container(horizontal=True, vertical_alignment="center"):
        listed = draw_filter(runs)
        report_button(chosen)
        draw_manage(chosen)
    st.caption(
        f"{len(listed):,} of {len(runs):,} runs. Metrics on the test split. ECE: top-label, 15 "
        "equal-width bins. NLL in nats. Brier: sum over classes. Click a title to sort, and the "
        "left end of a row to show the run."
    )
    draw_runs(listed, chosen)
    if not chosen:
        st.info("Choose one or more runs above.", icon=":material/arrow_upward:")
        return
    draw_section("compare", _SECTIONS, chosen)


def _draw_differences(chosen: Sequence[Run]) -> None:
    # Loading them takes a while, which whoever looks at the runs first should not wait for.
    from app.cache import PREDICTIONS
    from app.predictions import Choices
    from app.views.paired_differences import comparable, draw_differences

    if len(chosen) < 2:
        st.info("Choose two or more runs to see in what they differ.", icon=":material/info:")
        return
    remedy = "They are written when a training finishes; a stopped one goes on with `ols resume`."
    runs = with_probabilities(
        runs_with("predictions", remedy, *PREDICTIONS), "these are not compared"
    )
    peers = comparable(runs) if runs else []
    if len(peers) > 1:
        draw_differences(peers, Choices(n_bins=15, scheme="equal-width", scaled=False))


_SECTIONS = {
    "Training curves": draw_training,
    "Settings": draw_settings,
    "Differences": _draw_differences,
}

page()
