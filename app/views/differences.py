"""What differs between two soft-label matrices: epochs, runs, or learned against uniform."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import cache, matrices, state
from app.charts.matrix import make_axis
from app.components.matrix_viewer import Texts, matrix_viewer
from app.matrices import Moment
from app.views.common import pick_order, pick_run
from app.views.export import export_matrix
from ols_core.runs import Run

__all__ = ["draw"]

_AGAINST = ("an earlier epoch", "another run", "uniform smoothing")
_N_CHANGES = 10
_FALLBACK = "†"
_TEXTS = Texts(
    "difference",
    "target class",
    "class that receives the mass",
    count="correct images, of the side with fewer",
)


def draw(runs: Sequence[Run]) -> None:
    """Draw the difference of two matrices and list its largest entries."""
    reference = matrices.reference_run(runs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run = pick_run(runs, prefer="ols")
        kinds = [kind for kind in _AGAINST if kind != "another run" or len(runs) > 1]
        against = st.segmented_control(
            "Compare with",
            kinds,
            default=kinds[0],
            required=True,
            help="Uniform smoothing: each class keeps its own mass, the rest is spread evenly.",
            **state.in_url("against"),
        )
        order = pick_order(reference)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        after, before = _moments(runs, run, against)
        diagonal = st.toggle("Show the diagonal", **state.in_url("diagonal"))
    dataset = reference.info.dataset
    panel = matrices.difference_panel(after, before, runs, order, diagonal)
    superclasses = dataset.superclasses if order == "superclass" else None
    axis = make_axis(dataset.class_names, panel.frames.order, superclasses)
    tree = cache.class_dendrogram(reference) if order == "clustered" else None
    left, right = st.columns([2, 1], gap="medium")
    with left:
        selection = matrix_viewer(
            [panel],
            dataset.class_names,
            axis.groups,
            [panel.title],
            _TEXTS,
            tree=tree,
            initial=0,
            key="difference_matrix",
        )
        export_matrix(panel, axis, _TEXTS, tree=tree)
    if selection.cell is not None:
        state.choose("changed", dataset.class_names[selection.cell[0]])
    with right:
        _table(after, before, dataset.class_names, diagonal)


def _moments(runs: Sequence[Run], run: Run, against: str) -> tuple[Moment, Moment | None]:
    """What is compared with what; None is uniform smoothing."""
    after = run, _pick_epoch("Epoch", run, "at", last=True)
    if against == "uniform smoothing":
        return after, None
    if against == "an earlier epoch":
        return after, (run, _pick_epoch("Epoch to compare with", run, "since"))
    others = {peer.id: peer for peer in runs if peer.id != run.id}
    other = others[st.selectbox("The other run", list(others), width=280, **state.in_url("other"))]
    return after, (other, _pick_epoch("Epoch of the other run", other, "at_other", last=True))


def _pick_epoch(label: str, run: Run, key: str, last: bool = False) -> int:
    """Let the user pick an epoch: at first the last one, or one half-way."""
    epochs = run.soft_label_epochs
    if len(epochs) == 1:
        return epochs[0]
    default = -1 if last else len(epochs) // 2
    epoch: int = st.select_slider(label, epochs, epochs[default], width=300, **state.in_url(key))
    return epoch


def _table(after: Moment, before: Moment | None, names: Sequence[str], diagonal: bool) -> None:
    st.subheader("Largest differences")
    chosen = st.selectbox(
        "Of", names, index=None, placeholder="all classes", **state.in_url("changed")
    )
    target = None if chosen is None else names.index(chosen)
    changes = matrices.changes(after, before, _N_CHANGES, target, diagonal)
    fallback = matrices.fallback_rows(after) | matrices.fallback_rows(before)
    rows = [
        {
            "Target class": names[change.row] + f" {_FALLBACK}" * (change.row in fallback),
            "Receives": names[change.column],
            "Before": change.before,
            "After": change.after,
            "Difference": change.difference,
        }
        for change in changes
    ]
    # All five columns fit beside the matrix.
    name = st.column_config.TextColumn(width=84)
    plain = st.column_config.NumberColumn(format="%.3f", width=54)
    signed = st.column_config.NumberColumn(format="%+.3f", width=68)
    columns = {
        "Target class": name,
        "Receives": name,
        "Before": plain,
        "After": plain,
        "Difference": signed,
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Differences")
    told = f"Before: {matrices.moment_name(before)}. After: {matrices.moment_name(after)}."
    if not diagonal:
        told += " The diagonal is left out."
    if any(change.row in fallback for change in changes):
        told += f" {_FALLBACK}: on one side no image of the class was classified correctly."
    st.caption(told)
