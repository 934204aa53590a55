"""Which classes are alike, as soft labels, confusions or features see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import streamlit as st

from app import cache, matrices, state
from app.cache import Source
from app.charts.matrix import make_axis
from app.components.matrix_viewer import Panel, Texts, matrix_viewer
from app.views import agreement, class_map, similar_pairs, taxonomy
from app.views.clusters import cluster_names, list_clusters, pick_n_clusters
from app.views.common import draw_section, pick_run, runs_with, same_classes
from app.views.export import export_matrix
from ols_core.analysis.similarity import cut_height
from ols_core.runs import Run

IntArray = npt.NDArray[np.int64]

_QUANTITY = {
    "soft labels": "mean mass",
    "confusions": "mean confusion rate",
    "features": "cosine of class centroids",
    "classifier": "cosine of class weights",
}
_RATIOS = ("soft labels", "confusions")  # over decades, while cosines have a sign


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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run = pick_run(runs, prefer="ols")
        log = source in _RATIOS and st.toggle(
            "Logarithmic colours", value=True, **state.in_url("log")
        )
    left, right = st.columns([2, 1], gap="medium")
    with right:
        clusters = cache.clusters(run, source, pick_n_clusters(run))
        list_clusters(run, source, clusters)
    with left:
        panel = matrices.similarity_panel(run, source, runs, log)
        _matrix(run, source, panel, clusters)
    similar_pairs.draw(runs, run, source, _QUANTITY[source])


def _matrix(run: Run, source: Source, panel: Panel, clusters: IntArray) -> None:
    """Draw the matrix with its tree, and the clusters as groups of neighbours."""
    names, order = run.info.dataset.class_names, panel.frames.order
    axis = make_axis(names, order, cluster_names(clusters))
    texts = Texts(
        _QUANTITY[source],
        "class",
        "class, same order",
        count="test images" if source == "confusions" else "correct images",
    )
    tree = cache.class_dendrogram(run, source)
    selection = matrix_viewer(
        [panel],
        names,
        axis.groups,
        [""],
        texts,
        tree=tree,
        cut=cut_height(cache.hierarchy(run, source), len(axis.groups)),
        group_ticks=False,
        initial=0,
        key="similarity_matrix",
    )
    export_matrix(panel, axis, texts, tree=tree)
    if selection.cell is not None:
        state.link_number("first", selection.cell[0])
        state.link_number("second", selection.cell[1])


_SECTIONS = {
    "Matrix": _explore,
    "Map": class_map.draw,
    "Taxonomy": taxonomy.draw,
    "Agreement": agreement.draw,
}

page()
