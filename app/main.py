"""Entry point of the dashboard: page configuration, the choice of runs, and navigation."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path

import streamlit as st

# `streamlit run app/main.py` puts only this folder on the path, not the one that holds `app`.
sys.path[:] = dict.fromkeys([str(Path(__file__).resolve().parents[1]), *sys.path])

from app import state  # noqa: E402
from app.scan import root, scan  # noqa: E402
from ols_core.errors import OLSError  # noqa: E402

st.set_page_config(
    page_title="Online Label Smoothing",
    page_icon=str(Path(__file__).with_name("icon.svg")),
    layout="wide",
)

PAGES = [
    st.Page(
        "views/overview.py",
        title="Overview",
        icon=":material/table_chart:",
        default=True,
        help="All runs with their test metrics, and the training curves of the chosen ones.",
    ),
    st.Page(
        "views/soft_labels.py",
        title="Soft labels",
        icon=":material/grid_on:",
        url_path="soft-labels",
        help="What each class resembles, as the network learned it, epoch by epoch.",
    ),
    st.Page(
        "views/similarity.py",
        title="Similarity",
        icon=":material/hub:",
        url_path="similarity",
        help="Which classes are alike: as soft labels, confusions or features see it.",
    ),
    st.Page(
        "views/calibration.py",
        title="Calibration",
        icon=":material/straighten:",
        url_path="calibration",
        help="Whether confidence can be believed: ECE and reliability diagrams side by side.",
    ),
    st.Page(
        "views/embeddings.py",
        title="Embeddings",
        icon=":material/scatter_plot:",
        url_path="embeddings",
        help="The test images as the network sees them, laid out in two dimensions.",
    ),
]
# A read-only dashboard does not have these.
WRITING = [
    st.Page(
        "views/train.py",
        title="Train",
        icon=":material/model_training:",
        url_path="train",
        help="Start trainings, watch them, stop them, and go on with them.",
    ),
    st.Page(
        "views/import_predictions.py",
        title="Import",
        icon=":material/upload_file:",
        url_path="import",
        help="Make a run of predictions that any program wrote to a file.",
    ),
]


@st.cache_resource(show_spinner=False)
def _spare_the_collector(page: str) -> None:
    """Leave what a page has loaded out of every later garbage collection, once a page.

    Streamlit collects after each run, which without this takes 70 to 110 ms at every click.
    """
    del page
    gc.collect()
    gc.freeze()


def main() -> None:
    """Draw the choice of runs and the chosen page; an error becomes a sentence."""
    found = scan()
    pages = PAGES if found.runs else [st.Page("views/start.py", title="Welcome")]
    writing = [] if state.read_only() else WRITING
    chosen_page = st.navigation([*pages, *writing], position="top")
    if found.runs:
        state.choose_runs(found.runs)
    # Before the page, which takes longer to load: there is something to see at once.
    st.title(chosen_page.title)
    missing = ", ".join(f"`{run_id.replace('`', '')}`" for run_id in state.missing_runs())
    if missing:
        st.warning(f"The link names what is not in `{root()}`: {missing}.", icon=":material/link:")
    for problem in found.problems.values():
        st.warning(problem, icon=":material/warning:")
    state.watch_runs()
    try:
        chosen_page.run()
        _spare_the_collector(chosen_page.title)
    except OLSError as error:
        st.error(str(error), icon=":material/error:")
    except Exception:
        logging.getLogger("app").exception("page %s failed", chosen_page.title)
        st.error(
            "This page could not be drawn. The cause is in the terminal that runs the dashboard.",
            icon=":material/error:",
        )


main()
