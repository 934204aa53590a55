"""The report on the chosen runs, as one file to take along."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ols_core.runs import Run

__all__ = ["report_button"]


def report_button(runs: Sequence[Run]) -> None:
    """Draw a button that makes the report when it is clicked, and turns while it does.

    Parameters
    ----------
    runs : sequence of Run
        At most six. Without any, the button is greyed out.
    """
    name = runs[0].id if len(runs) == 1 else f"{len(runs)}-runs"
    st.download_button(
        "Report",
        lambda: _page(runs),
        f"report-{name}.html",
        "text/html",
        key="report",
        icon=":material/summarize:",
        help="One HTML file with all pages for the chosen runs: figures that can be zoomed, tables "
        "and texts. It needs no network. Takes a few seconds to make.",
        on_click="ignore",
        disabled=not runs,
    )


def _page(runs: Sequence[Run]) -> str:
    # Loading what all the pages need takes a second, which the page with the button does not.
    from app.report import build_report, to_html

    return to_html(build_report(runs))
