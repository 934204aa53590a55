"""The soft-label matrix of a run at any epoch, and what one class resembles in all chosen runs."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import cache, matrices, state
from app.charts.matrix import make_axis
from app.components.matrix_viewer import Texts, matrix_viewer
from app.matrices import MatrixKind
from app.views import convergence, differences, one_class
from app.views.common import draw_section, pick_order, pick_run, runs_with, same_classes
from app.views.export import export_matrix
from ols_core.runs import Run

_MAX_PANELS = 3  # more would be smaller than their labels at 1280 pixels
_NAMED_EPOCHS = {0: "at the start", matrices.END: "after training"}
_GIVES = ("target class", "class that receives the mass")
_TEXTS: dict[MatrixKind, Texts] = {
    "soft labels": Texts("mass", *_GIVES),
    "training targets": Texts("mass", *_GIVES),
    "confusions": Texts("share of images", "true class", "predicted class", count="test images"),
}


def page() -> None:
    """Draw the chosen section for the chosen runs."""
    remedy = "They are written after every epoch of a training."
    runs = same_classes(runs_with("soft labels", remedy, "soft_labels/counts.npy"))
    if not runs:
        return
    draw_section("show", _SECTIONS, runs)


def _explore(runs: Sequence[Run]) -> None:
    """Draw one matrix, or those of several runs, and one class."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = _pick_kind(runs)
        run = pick_run(runs, prefer="ols")
        beside = len(runs) > 1 and st.toggle(
            "Runs side by side",
            help=f"At most {_MAX_PANELS}, with one slider, one window and one colour scale.",
            **state.in_url("beside"),
        )
    shown = [run, *(peer for peer in runs if peer != run)][:_MAX_PANELS] if beside else [run]
    st.caption(_what_it_is(kind, shown))
    if len(shown) > 1:  # several matrices need the whole width
        one_class.draw_wide(runs, run, _matrix(shown, runs, kind))
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        epoch = _matrix(shown, runs, kind)
    with right:
        one_class.draw(runs, run, epoch)


def _pick_kind(runs: Sequence[Run]) -> MatrixKind:
    kind: MatrixKind = st.selectbox(
        "Matrix",
        matrices.kinds_of(runs),
        width=180,
        help="Soft labels: what each class resembles. Training targets: what the loss trains "
        "towards, the one-hot label mixed with the soft label. Confusions: share of each class's "
        "test images by predicted class, at the end of the training.",
        **state.in_url("matrix"),
    )
    return kind


def _what_it_is(kind: MatrixKind, shown: Sequence[Run]) -> str:
    kept = "The diagonal, each class's own share, is hidden unless you ask for it."
    if kind == "soft labels":
        origins = [matrices.soft_label_origin(run) for run in shown]
        return " ".join([*(f"**{what}**: {sentence}" for what, sentence in origins), kept])
    if kind == "training targets":
        text = "**Training targets**: what the images of a class are taught in the next epoch."
    else:
        text = "**Confusions**: of each class's test images, the share predicted as another."
    return f"{text} {kept}"


def _matrix(shown: Sequence[Run], runs: Sequence[Run], kind: MatrixKind) -> int:
    """Draw the viewer; returns the epoch it rests at, of what has epochs, else the last."""
    reference = matrices.reference_run(runs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = pick_order(reference)
        log = st.toggle("Logarithmic colours", value=True, **state.in_url("log"))
        diagonal = st.toggle("Show the diagonal", **state.in_url("diagonal"))
    dataset = reference.info.dataset
    superclasses = dataset.superclasses if order == "superclass" else None
    axis = make_axis(dataset.class_names, cache.class_orders(reference, order), superclasses)
    epochs = matrices.epochs_of(shown[0], kind)
    tree = cache.class_dendrogram(reference) if order == "clustered" else None
    panels = matrices.panels(shown, runs, kind, order, log, diagonal)
    labels = [_NAMED_EPOCHS.get(epoch, f"epoch {epoch}") for epoch in epochs]
    linked = state.linked_number("epoch")
    if linked is not None and linked not in epochs and kind != "confusions":
        st.info(f"{shown[0].id} has no epoch {linked}: its last is shown.", icon=":material/info:")
    selection = matrix_viewer(
        panels,
        dataset.class_names,
        axis.groups,
        labels,
        _TEXTS[kind],
        tree=tree,
        initial=epochs.index(linked) if linked in epochs else -1,
        key=f"{kind} matrix".replace(" ", "_"),
    )
    with st.container(horizontal=True):
        for panel in panels:
            export_matrix(
                panel,
                axis,
                _TEXTS[kind],
                tree=tree,
                frame=selection.frame,
                moment=f"{kind}, {labels[selection.frame]}",
                label=panel.title if len(panels) > 1 else "Download",
            )
    if selection.cell is not None:
        state.choose("class", dataset.class_names[selection.cell[0]])
    if kind == "confusions":
        return shown[0].soft_label_epochs[-1]
    epoch = epochs[selection.frame]
    state.link_number("epoch", epoch)
    return epoch


_SECTIONS = {"Matrix": _explore, "Differences": differences.draw, "Convergence": convergence.draw}

page()
