"""Which projection is shown; one that is not stored yet is computed beside the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import layouts, state
from app.layouts import Job
from app.views.common import escaped
from ols_core.analysis.embedding import ProjectionMethod
from ols_core.projections import Layout, LayoutRequest, Member
from ols_core.runs import Run

__all__ = ["METHODS", "layout_of", "offer_measuring", "pick_request"]

METHODS: dict[ProjectionMethod, str] = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
_POLL_SECONDS = 1.0


def pick_request(runs: Sequence[Run], split: str) -> LayoutRequest:
    """Let the user pick method, dimensions and settings of a projection.

    At first it is UMAP where that is stored for these runs, else PCA, which is made at once.
    """
    stored = layouts.find([Member(run) for run in runs], LayoutRequest(split=split))
    method: ProjectionMethod = st.segmented_control(
        "Projection",
        list(METHODS),
        default="pca" if stored is None else "umap",
        required=True,
        format_func=METHODS.__getitem__,
        **state.in_url("projection"),
    )
    dimensions: int = st.segmented_control(
        "Dimensions",
        [2, 3],
        default=2,
        required=True,
        format_func="{}-D".format,
        **state.in_url("dimensions"),
    )
    with st.popover("Settings", icon=":material/tune:"):
        settings = _pick_settings(method)
    return LayoutRequest(method=method, n_components=dimensions, split=split, **settings)


def _pick_settings(method: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "samples": st.number_input(
            "Images",
            100,
            1_000_000,
            3000,
            step=1000,
            help="At most so many, stratified by class; those of fewer are among those of more.",
            **state.in_url("images"),
        ),
    }
    if method == "pca":
        return settings
    settings["seed"] = st.number_input("Seed", 0, 2**31 - 1, 0, **state.in_url("seed"))
    if method == "tsne":
        settings["perplexity"] = st.number_input(
            "Perplexity",
            1.0,
            1000.0,
            30.0,
            help="About the number of neighbours that count.",
            **state.in_url("perplexity"),
        )
        return settings
    settings["n_neighbors"] = st.number_input(
        "Neighbours",
        2,
        1000,
        15,
        help="More of them show more of the whole, and less of the detail.",
        **state.in_url("neighbours"),
    )
    settings["min_dist"] = st.number_input(
        "Least distance",
        0.0,
        1.0,
        0.1,
        help="How closely points may lie on the map.",
        **state.in_url("min_dist"),
    )
    return settings


def layout_of(members: Sequence[Member], request: LayoutRequest) -> Layout | None:
    """Return the stored layout, or draw a way to compute it."""
    found = layouts.find(members, request)
    if found is None:
        _compute(members, request)
    return found


def offer_measuring(members: Sequence[Member], request: LayoutRequest) -> None:
    """Draw a way to learn how far a map can be believed that was made at once."""
    job = layouts.job(layouts.key_of(members, request))
    if job is not None and job.status == "running":
        _watch(members, request)
        return
    if job is not None and job.status == "failed":
        st.error(escaped(f"Measuring failed. {job.error}"), icon=":material/error:")
    if not state.read_only() and st.button(
        ":small[Measure how far these maps can be believed]",
        type="tertiary",
        icon=":material/rule:",
        help="Trustworthiness and continuity take some seconds; they are stored with the runs.",
    ):
        layouts.start(members, request)
        st.rerun()


def _compute(members: Sequence[Member], request: LayoutRequest) -> None:
    job = layouts.job(layouts.key_of(members, request))
    if job is not None and job.status == "running":
        _watch(members, request)
        return
    title = METHODS[request.method]
    if job is not None and job.status == "failed":
        st.error(escaped(f"{title} failed. {job.error}"), icon=":material/error:")
    elif job is not None and job.status == "cancelled":
        st.info(f"{title} was cancelled; nothing of it was kept.", icon=":material/info:")
    several = len(members) > 1
    st.info(
        f"This {title} of {'these maps together' if several else members[0]} is not computed yet. "
        "It is made by a process of its own and stored with the runs, so that none is made twice.",
        icon=":material/info:",
    )
    if state.read_only():
        st.caption("This dashboard is read-only and does not compute it.")
        return
    if st.button(f"Compute {title}", icon=":material/play_arrow:", type="primary"):
        layouts.start(members, request)
        st.rerun()


@st.fragment(run_every=_POLL_SECONDS)
def _watch(members: Sequence[Member], request: LayoutRequest) -> None:
    """Show how far the computation is, until it has ended."""
    key = layouts.key_of(members, request)
    job = layouts.job(key)
    if job is None or job.status != "running":
        st.rerun()
    st.progress(job.share or 0.0, text=_progress_text(request, job))
    if st.button("Cancel", icon=":material/close:"):
        layouts.cancel(key)


def _progress_text(request: LayoutRequest, job: Job) -> str:
    share = "" if job.share is None else f", {job.share:.0%}"
    return f"{METHODS[request.method]}: {job.stage}{share}, {job.seconds:.0f} s"
