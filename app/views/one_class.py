"""One class: what it resembles in all chosen runs, at an epoch and over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app import cache, state
from app.charts.neighbours import neighbour_bars, neighbour_lines
from app.components.figure import show_figure
from app.matrices import fallback_name, soft_label_name
from ols_core.analysis.soft_labels import strongest_neighbours
from ols_core.runs import UNKNOWN_COUNT, Run

__all__ = ["draw", "draw_wide"]

_N_BARS = 8
_N_LINES = 6
_N_EXAMPLES = 3


# Fragments: another class concerns nothing else on the page.
@st.fragment
def draw(runs: Sequence[Run], run: Run, epoch: int) -> None:
    """Draw a class in a narrow column."""
    target = _pick(run)
    others = _strongest(run, epoch, target)
    _facts(run, epoch, target)
    _bars(runs, run, epoch, target, others)
    _lines(run, target, others)
    _examples(run, [target, *others[:_N_EXAMPLES]])


@st.fragment
def draw_wide(runs: Sequence[Run], run: Run, epoch: int) -> None:
    """Draw a class over the whole width."""
    target = _pick(run)
    others = _strongest(run, epoch, target)
    _facts(run, epoch, target)
    left, right = st.columns(2, gap="medium")
    with left:
        _bars(runs, run, epoch, target, others)
    with right:
        _lines(run, target, others, height=430)
    for column, index in zip(st.columns(1 + _N_EXAMPLES), [target, *others], strict=False):
        with column:
            _examples(run, [index])


def _pick(run: Run) -> int:
    names = run.info.dataset.class_names
    return names.index(st.selectbox("Class", names, width=360, **state.in_url("class")))


def _strongest(run: Run, epoch: int, target: int) -> list[int]:
    found = strongest_neighbours(run.soft_labels(epoch), target, min(_N_BARS, run.n_classes - 1))
    return [neighbour.class_index for neighbour in found]


def _facts(run: Run, epoch: int, target: int) -> None:
    matrix = run.soft_labels(epoch)
    count = int(run.soft_label_counts()[epoch, target])
    with st.container(horizontal=True):
        st.metric(
            "Own mass",
            f"{matrix[target, target]:.3f}",
            help="Share of its soft label that the class keeps for itself.",
        )
        st.metric("Entropy", f"{cache.row_entropies(run, epoch)[target]:.2f} nats")
        st.metric("Correct images", "not counted" if count == UNKNOWN_COUNT else count)
    if epoch == 0:
        st.caption("At the start: no image has been classified yet.")
    elif count == 0:
        st.caption(f"No image of this class was classified correctly: {fallback_name(run)}.")


def _bars(runs: Sequence[Run], run: Run, epoch: int, target: int, others: Sequence[int]) -> None:
    masses = {}
    for peer in runs:
        # A shorter run shows its last epoch beside a longer one.
        last = min(epoch, peer.soft_label_epochs[-1])
        fallback = last > 0 and peer.soft_label_counts()[last, target] == 0
        name = soft_label_name(peer)
        name = f"{name}, {fallback_name(peer)}" if fallback else name
        masses[name] = peer.soft_labels(last)[target, others].tolist()
    names = run.info.dataset.class_names
    title = f"What “{names[target]}” resembles"
    figure = neighbour_bars(masses, [names[i] for i in others], title, height=430)
    show_figure(
        figure,
        key="class_neighbours",
        alt=title,
        name=f"{names[target]} resembles",
        data=lambda: pd.DataFrame({"class": [names[i] for i in others], **masses}),
    )


def _lines(run: Run, target: int, others: Sequence[int], height: int = 360) -> None:
    names = run.info.dataset.class_names
    shown = list(others[:_N_LINES])
    history = cache.row_history(run, target)[:, shown]
    epochs = np.asarray(run.soft_label_epochs)
    counts = run.soft_label_counts()[epochs, target]
    fallback = (counts == 0) & (epochs > 0)
    classes = [names[i] for i in shown]
    figure = neighbour_lines(
        epochs.tolist(),
        history,
        classes,
        fallback,
        f"… over the epochs of {soft_label_name(run)}",
        height=height,
    )
    table = pd.DataFrame(history, columns=classes)
    table.insert(0, "epoch", epochs)
    if (counts != UNKNOWN_COUNT).all():
        table.insert(1, "correct_images", counts)
    alt = f"Soft label of {names[target]} over the epochs"
    show_figure(figure, key="class_history", alt=alt, name=alt, data=lambda: table)
    if fallback.any():
        st.caption(f"Shaded: no image was classified correctly, {fallback_name(run)}.")


def _examples(run: Run, classes: Sequence[int]) -> None:
    atlas = cache.thumbnails(run)
    if atlas is None or not run.has("predictions/test_labels.npy"):
        return
    labels = run.labels()[atlas.indices]
    names = run.info.dataset.class_names
    for index in classes:
        sheet = atlas.montage(np.flatnonzero(labels == index)[:8], columns=8)
        st.image(sheet, caption=f"{names[index]}, test images", width="stretch")
