"""Maps of the samples: runs side by side, one map from run to run, or one run over its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import streamlit as st

from app import embeddings, state
from app.components.scatter_viewer import (
    Frame,
    Mark,
    Panel,
    current_selection,
    scatter_viewer,
    selected_points,
)
from app.embeddings import MAX_COLORS, ColorKind, Samples
from app.views import projecting, selected
from app.views.common import pick_run
from app.views.map_export import export_maps
from ols_core.analysis.embedding import Faithfulness
from ols_core.projections import Layout, LayoutRequest, Member
from ols_core.runs import DatasetInfo, Run

__all__ = ["draw"]

Arrangement = Literal["Side by side", "Run to run", "Over epochs"]

_MAX_PANELS = 4
_FIRST_COLORED = 10
_KEY = "embedding_map"
_DISTANT = "distances between far groups, and the size of groups, mean little."
_READING = {
    "umap": f"UMAP: {_DISTANT}",
    "tsne": f"t-SNE: {_DISTANT}",
    "pca": "PCA shows the widest directions as they are, and hides all others.",
}


def draw(runs: Sequence[Run], split: str) -> None:
    """Draw the choices, the maps and what is selected on them."""
    if len(runs) > _MAX_PANELS:
        st.caption(f"The first {_MAX_PANELS} of {len(runs)} runs are shown.")
        runs = runs[:_MAX_PANELS]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        request = projecting.pick_request(runs, split)
        arrangement = _pick_arrangement(runs, split)
        members = _members(runs, split, arrangement)
        kind, colored, only = _pick_colors(runs, split)
    layout = projecting.layout_of(members, request)
    if layout is None:
        return
    _maps(members, arrangement, layout, request, kind, colored, only)
    if not any(layout.faithfulness):
        projecting.offer_measuring(members, request)


def _pick_arrangement(runs: Sequence[Run], split: str) -> Arrangement:
    found: list[Arrangement] = ["Side by side"]
    if len(runs) > 1:
        found.append("Run to run")
    if any(run.feature_epochs(split) for run in runs):
        found.append("Over epochs")
    if len(found) == 1:
        return found[0]
    picked: Arrangement = st.selectbox(
        "Arrangement",
        found,
        width=150,
        help="All maps are laid out together, so that an image keeps its place and what moves is "
        "the method, or the epoch.",
        **state.in_url("arrangement"),
    )
    return picked


def _members(runs: Sequence[Run], split: str, arrangement: Arrangement) -> list[Member]:
    if arrangement != "Over epochs":
        return [Member(run) for run in runs]
    run = pick_run([run for run in runs if run.feature_epochs(split)], prefer="ols")
    return [Member(run, epoch) for epoch in run.feature_epochs(split)]


def _pick_colors(runs: Sequence[Run], split: str) -> tuple[ColorKind, Sequence[str], Sequence[str]]:
    """Return what is coloured, the classes with a colour each, and those not to be dimmed."""
    dataset = runs[0].info.dataset
    kinds = embeddings.color_kinds([embeddings.samples(run, split) for run in runs], dataset)
    kind: ColorKind = st.selectbox("Colour by", kinds, width=150, **state.in_url("colour"))
    names = dataset.class_names
    if kind in ("class", "predicted class"):
        colored = st.multiselect(
            "Classes in colour",
            names,
            default=_first_colored(dataset),
            max_selections=MAX_COLORS,
            **state.in_url("classes"),
        )
        return kind, colored, ()
    only = st.multiselect(
        "Only these classes", names, placeholder="All classes", **state.in_url("only")
    )
    return kind, names, only


def _first_colored(dataset: DatasetInfo) -> list[str]:
    names, superclasses = dataset.class_names, dataset.superclasses
    if not superclasses:
        return names[:_FIRST_COLORED]
    # Whole superclasses, so that their classes can be seen beside each other.
    wanted = sorted(set(superclasses))[:2]
    kept = [name for name, s in zip(names, superclasses, strict=True) if s in wanted]
    return kept[:_FIRST_COLORED]


# A fragment: a selection concerns nothing above it.
@st.fragment
def _maps(
    members: Sequence[Member],
    arrangement: Arrangement,
    layout: Layout,
    request: LayoutRequest,
    kind: ColorKind,
    colored: Sequence[str],
    only: Sequence[str],
) -> None:
    run, split, indices = members[0].run, request.split, layout.indices
    dataset = run.info.dataset
    titles = [_title(member, arrangement) for member in members]
    # Of earlier epochs no predictions are stored: the colours are those of the end.
    seen = [embeddings.samples(member.run, split).take(indices) for member in members]
    frames = [
        _frame(title, points, samples, dataset, kind, colored, only)
        for title, points, samples in zip(titles, layout.coordinates, seen, strict=True)
    ]
    panels = _arrange(frames, layout, arrangement, members[0])
    selection = current_selection(panels, _KEY)
    inside = None
    if selection is not None:
        drawn_on = panels[selection.panel].frames[selection.frame]
        inside = selected_points(selection, drawn_on.points)
    legend = embeddings.legend(kind, dataset, colored)
    scatter_viewer(
        panels,
        labels=seen[0].labels,
        class_names=dataset.class_names,
        legend=legend,
        atlas=embeddings.atlas(run, split, indices),
        selected=inside,
        axis_names=_axis_names(layout, request),
        key=_KEY,
    )
    _caption(layout, arrangement, request)
    over_epochs = arrangement == "Over epochs"
    by_panel = {run.id: seen[0]} if over_epochs else dict(zip(titles, seen, strict=True))
    shown = selected.Shown(run, split, indices, by_panel)
    export_maps(frames, shown, legend, f"{projecting.METHODS[request.method]} map")
    if inside is not None:
        selected.draw(shown, inside)


def _title(member: Member, arrangement: Arrangement) -> str:
    return f"epoch {member.epoch}" if arrangement == "Over epochs" else member.run.id


def _frame(
    title: str,
    points: npt.NDArray[np.float32],
    samples: Samples,
    dataset: DatasetInfo,
    kind: ColorKind,
    colored: Sequence[str],
    only: Sequence[str],
) -> Frame:
    codes = embeddings.color_codes(kind, samples, dataset, colored, only)
    named = colored if kind in ("class", "predicted class") else only
    marks = []
    if len(named) <= _FIRST_COLORED:
        places = {name: place for place, name in enumerate(dataset.class_names)}
        centroids = embeddings.centroids(points, samples.labels, [places[n] for n in named])
        marks = [Mark(name, centroid) for name, centroid in zip(named, centroids, strict=True)]
        marks = [mark for mark in marks if np.isfinite(mark.position).all()]
    return Frame(title, points, codes, samples.predicted, samples.confidence, marks)


def _arrange(
    frames: Sequence[Frame], layout: Layout, arrangement: Arrangement, first: Member
) -> list[Panel]:
    if arrangement == "Side by side":
        return [
            Panel(frame.label, [frame], _footer([faithful]))
            for frame, faithful in zip(frames, layout.faithfulness, strict=True)
        ]
    title = first.run.id if arrangement == "Over epochs" else ""
    return [Panel(title, frames, _footer(layout.faithfulness))]


def _footer(found: Sequence[Faithfulness | None]) -> str:
    """How far a map can be believed, from the worst to the best of its frames."""
    known = [faithful for faithful in found if faithful is not None]
    if not known:
        return ""
    trust = _range([faithful.trustworthiness for faithful in known])
    return f"trustworthiness {trust}, continuity {_range([f.continuity for f in known])}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"


def _axis_names(layout: Layout, request: LayoutRequest) -> list[str]:
    names = ["first dimension", "second dimension", "third dimension"][: request.n_components]
    if request.method == "pca" and layout.explained_variance_ratio is not None:
        shares = layout.explained_variance_ratio[0]
        return [
            f"{name}, {share:.0%} of variance" for name, share in zip(names, shares, strict=True)
        ]
    return names


def _caption(layout: Layout, arrangement: Arrangement, request: LayoutRequest) -> None:
    parts = [
        f"{len(layout.indices):,} images of the {request.split} split, a point each, stratified "
        f"by class. {_READING[request.method]}"
    ]
    if len(layout.coordinates) > 1:
        parts.append(
            "The maps were laid out together, so that an image keeps its place as far as can be."
        )
    if any(faithful is not None for faithful in layout.faithfulness):
        parts.append(
            "Trustworthiness: how far neighbours on the map are neighbours in the features; "
            "continuity: the reverse; 1 is best (Venna and Kaski 2001)."
        )
    if arrangement == "Over epochs":
        parts.append("Predictions and colours are those of the finished network.")
    st.caption(" ".join(parts))
