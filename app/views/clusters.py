"""How many clusters the classes are put into, and which classes are in each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app import cache, state
from app.cache import Source
from app.components.csv_button import csv_button
from app.views.common import escaped
from ols_core.analysis.similarity import superclass_agreement
from ols_core.runs import Run

__all__ = ["cluster_names", "list_clusters", "pick_n_clusters"]

IntArray = npt.NDArray[np.int64]

_HEIGHT = 440  # pixels, about that of the matrix beside it
_LINE, _MOST_LINES = 35, 12  # letters of a line, and lines that are less high than that


def pick_n_clusters(run: Run) -> int:
    """Let the user pick the number of clusters; at first that of superclasses, where known."""
    known = len(set(run.info.dataset.superclasses or ()))
    n_clusters: int = st.slider(
        "Number of clusters", 1, run.n_classes, known or min(5, run.n_classes), **state.in_url("k")
    )
    return n_clusters


def cluster_names(clusters: IntArray) -> list[str]:
    """Name of each class's cluster: number 1 is the topmost of the matrix."""
    return [f"cluster {cluster + 1}" for cluster in clusters.tolist()]


def list_clusters(run: Run, source: Source, clusters: IntArray) -> None:
    """List the clusters from the top of the matrix downwards, each with all of its classes."""
    superclasses = run.info.dataset.superclasses
    if superclasses:
        st.metric(
            f"Agreement with the {len(set(superclasses))} superclasses",
            f"{superclass_agreement(clusters, superclasses):.2f}",
            help="Adjusted Rand index: 1 is the same partition, 0 what chance gives.",
        )
    classes = _one_row_a_class(run, source, clusters)
    rows = [
        {"Cluster": number, "Size": len(members), "Classes": ", ".join(members)}
        for number, members in classes.groupby("cluster")["class"]
    ]
    n_lines = sum(len(row["Classes"]) // _LINE + 1 for row in rows)
    shown = [row | {"Classes": escaped(row["Classes"])} for row in rows]
    st.table(
        pd.DataFrame(shown),
        hide_index=True,
        height="content" if n_lines <= _MOST_LINES else _HEIGHT,
        alt="Clusters of classes, from the top of the matrix",
    )
    csv_button(lambda: classes, f"clusters-{run.id}-{source}", "clusters_csv")


def _one_row_a_class(run: Run, source: Source, clusters: IntArray) -> pd.DataFrame:
    """Cluster, class and, where known, superclass, in the order of the matrix."""
    dataset = run.info.dataset
    table = pd.DataFrame({"cluster": clusters + 1, "class": dataset.class_names})
    if dataset.superclasses:
        table["superclass"] = dataset.superclasses
    return table.iloc[cache.hierarchy(run, source).order]
