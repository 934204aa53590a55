"""Which classes are alike, as soft labels, confusions or features see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app import cache, matrices, state
from app.cache import Source
from app.charts.matrix import make_axis
from app.components.matrix_viewer import Texts, matrix_viewer
from app.views import agreement, class_map, similar_pairs, taxonomy
from app.views.common import draw_section, pick_run, runs_with, same_classes
from app.views.export import export_matrix
from ols_core.analysis.similarity import (
    Hierarchy,
    cut_clusters,
    cut_height,
    superclass_agreement,
)
from ols_core.runs import Run

IntArray = npt.NDArray[np.int64]

_QUANTITY = {
    "soft labels": "mean mass",
    "confusions": "mean confusion rate",
    "features": "cosine of class centroids",
    "classifier": "cosine of class weights",
}


def page() -> None:
    """Draw the chosen section for the chosen runs and source."""
    source: Source = st.segmented_control(
        "Similarity by",
        list(cache.SOURCE_PARTS),
        default="soft labels",
        required=True,
        help="Soft labels: the mass two classes give each other. Confusions: how often the "
        "network takes one for the other. Features: the cosine of their mean features, after the "
        "mean of all images is subtracted. Classifier: the cosine of their weights in the last "
        "layer, after the mean of all classes is subtracted.",
        **state.in_url("source"),
    )
    moment = "after every epoch of" if source == "soft labels" else "at the end of"
    remedy = f"It is written {moment} a training."
    runs = same_classes(runs_with(source, remedy, *cache.SOURCE_PARTS[source]))
    if not runs:
        return
    draw_section("section", _SECTIONS, runs, source)


def _explore(runs: Sequence[Run], source: Source) -> None:
    """Draw one matrix, its clusters and the most similar pairs."""
    run = pick_run(runs, prefer="ols")
    hierarchy = cache.hierarchy(run, source, cache.final_epoch(run, source))
    left, right = st.columns([2, 1], gap="medium")
    with right:
        clusters = _clusters(run, hierarchy)
    with left:
        _matrix(run, source, runs, hierarchy, clusters)
    similar_pairs.draw(runs, run, source, _QUANTITY[source])


def _matrix(
    run: Run, source: Source, runs: Sequence[Run], hierarchy: Hierarchy, clusters: IntArray
) -> None:
    """Draw the matrix with its tree, and the clusters as groups of neighbours."""
    panel = matrices.similarity_panel(run, source, runs)
    names = run.info.dataset.class_names
    texts = Texts(
        _QUANTITY[source],
        "class",
        "class, same order",
        count="test images" if source == "confusions" else "correct images",
    )
    selection = matrix_viewer(
        [panel],
        names,
        [("", size) for size in np.bincount(clusters).tolist()],
        [""],
        texts,
        tree=cache.class_dendrogram(run, source),
        cut=cut_height(hierarchy, int(clusters.max()) + 1),
        initial=0,
        key="similarity_matrix",
    )
    export_matrix(panel, make_axis(names, hierarchy.order), texts)
    if selection.cell is not None:
        state.link_number("first", selection.cell[0])
        state.link_number("second", selection.cell[1])


def _clusters(run: Run, hierarchy: Hierarchy) -> IntArray:
    """Let the user cut the tree; lists the clusters and returns that of each class."""
    dataset = run.info.dataset
    known = len(set(dataset.superclasses or ()))
    n_clusters = st.slider(
        "Number of clusters", 1, run.n_classes, known or min(5, run.n_classes), **state.in_url("k")
    )
    clusters = cut_clusters(hierarchy, n_clusters)
    if dataset.superclasses:
        agreement = superclass_agreement(clusters, dataset.superclasses)
        st.metric(
            f"Agreement with the {known} superclasses",
            f"{agreement:.2f}",
            help="Adjusted Rand index: 1 is the same partition, 0 what chance gives.",
        )
    names = np.asarray(dataset.class_names)
    members = [names[hierarchy.order[clusters[hierarchy.order] == c]] for c in np.unique(clusters)]
    rows = [{"Size": len(m), "Classes": ", ".join(m)} for m in members]
    table = pd.DataFrame(rows).sort_values("Size", ascending=False)
    st.dataframe(
        table,
        hide_index=True,
        height=440,
        row_height=80,
        column_config={
            "Size": st.column_config.NumberColumn(width=50),
            "Classes": st.column_config.TextColumn(width=270),
        },
        alt="Clusters of classes",
    )
    return clusters


_SECTIONS = {
    "Matrix": _explore,
    "Map": class_map.draw,
    "Taxonomy": taxonomy.draw,
    "Agreement": agreement.draw,
}

page()
