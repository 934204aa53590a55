"""Three classes on the plane through their classifier templates, run by run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import embeddings, state
from app.charts.palettes import Legend
from app.components.scatter_viewer import (
    Frame,
    Mark,
    Panel,
    current_selection,
    scatter_viewer,
    selected_points,
)
from app.embeddings import Samples
from app.views import selected
from app.views.common import runs_with
from app.views.map_export import export_maps
from ols_core.analysis.embedding import ThreeClassPlane
from ols_core.runs import Run

__all__ = ["draw"]

_N = 3
_MAX_PANELS = 4
_KEY = "three_classes"


def draw(runs: Sequence[Run], split: str) -> None:
    """Draw one panel a run for three chosen classes."""
    remedy = "They are written when a training finishes."
    kept = [run for run in runs_with("weights", remedy, "weights.safetensors") if run in runs]
    if not kept:
        return
    names = kept[0].info.dataset.class_names
    if len(names) < _N:
        st.info(f"This needs {_N} classes; the data set has {len(names)}.", icon=":material/info:")
        return
    chosen = st.multiselect(
        "Three classes",
        names,
        default=_first(kept[0]),
        max_selections=_N,
        width=520,
        **state.in_url("three"),
    )
    if len(chosen) < _N:
        st.info("Choose three classes.", icon=":material/arrow_upward:")
        return
    first, second, third = (names.index(name) for name in chosen)
    _panels(kept[:_MAX_PANELS], split, (first, second, third))
    st.caption(
        "The features of the three classes, projected onto the plane through the classifier's "
        "weights of these classes, their templates (Müller, Kornblith and Hinton 2019). "
        "Distances are those of the feature space, and each run has its own scale. Training with "
        "soft labels draws the images of a class to a point, and may erase how much each resembles "
        "the other two."
    )


def _first(run: Run) -> list[str]:
    """Two classes that are alike and one that is not, where superclasses tell."""
    names, superclasses = run.info.dataset.class_names, run.info.dataset.superclasses
    if not superclasses:
        return names[:_N]
    alike = [n for n, s in zip(names, superclasses, strict=True) if s == superclasses[0]][:2]
    other = next((n for n, s in zip(names, superclasses, strict=True) if s != superclasses[0]), "")
    return list(dict.fromkeys([*alike, other, *names]))[:_N]


# A fragment: a selection concerns nothing above it.
@st.fragment
def _panels(runs: Sequence[Run], split: str, classes: tuple[int, int, int]) -> None:
    labels = embeddings.samples(runs[0], split).labels
    indices = np.flatnonzero(np.isin(labels, classes))
    names = runs[0].info.dataset.class_names
    by_run = {run.id: embeddings.samples(run, split).take(indices) for run in runs}
    codes = np.argmax(labels[indices, None] == np.array(classes), axis=1).astype(np.uint8)
    frames = [
        _frame(run.id, embeddings.plane(run, split, classes), codes, by_run[run.id], classes, names)
        for run in runs
    ]
    panels = [Panel(frame.label, [frame]) for frame in frames]
    selection = current_selection(panels, _KEY)
    inside = None
    if selection is not None:
        inside = selected_points(selection, frames[selection.panel].points)
    legend = Legend("class", [names[index] for index in classes])
    scatter_viewer(
        panels,
        labels=labels[indices],
        class_names=names,
        legend=legend,
        atlas=embeddings.atlas(runs[0], split, indices),
        selected=inside,
        axis_names=("first direction in the plane", "second direction in the plane"),
        key=_KEY,
    )
    shown = selected.Shown(runs[0], split, indices, by_run)
    export_maps(frames, shown, legend, "Three classes")
    if inside is not None:
        selected.draw(shown, inside)


def _frame(
    title: str,
    plane: ThreeClassPlane,
    codes: np.ndarray,
    samples: Samples,
    classes: Sequence[int],
    names: Sequence[str],
) -> Frame:
    marks = [
        Mark(names[index], position, place)
        for place, (index, position) in enumerate(zip(classes, plane.templates, strict=True))
    ]
    points = plane.points.astype(np.float32)
    return Frame(title, points, codes, samples.predicted, samples.confidence, marks)
