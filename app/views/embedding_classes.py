"""Class by class: how tight it lies, what lies nearest, and whether its soft label knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app import embeddings
from app.views.common import pick_run
from ols_core.analysis.embedding import ClassGeometry
from ols_core.runs import Run

__all__ = ["draw"]

_MAX_TABLE_HEIGHT = 740


def draw(runs: Sequence[Run], split: str) -> None:
    """Draw the classes of one run, and how the runs compare on average."""
    run = pick_run(runs, prefer="ols")
    found = {peer.id: embeddings.geometry(peer, split) for peer in runs}
    _averages(found)
    names = run.info.dataset.class_names
    st.dataframe(
        _table(run, found[run.id]),
        hide_index=True,
        height=min(_MAX_TABLE_HEIGHT, 38 + 35 * len(names)),
        column_config=_COLUMNS,
        alt=f"Classes of {run.id} in the space of its features",
    )


def _averages(found: dict[str, ClassGeometry]) -> None:
    rows = [
        {
            "Run": name,
            "Mean tightness": float(np.nanmean(geometry.tightness)),
            "Mean agreement": _mean(geometry.soft_label_agreement),
        }
        for name, geometry in found.items()
    ]
    columns = {
        "Mean tightness": st.column_config.NumberColumn(format="%.3f"),
        "Mean agreement": st.column_config.NumberColumn(format="%.3f"),
    }
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Means over the classes"
    )


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _table(run: Run, found: ClassGeometry) -> pd.DataFrame:
    dataset = run.info.dataset
    names = np.asarray(dataset.class_names, dtype=object)
    nearest = [names[index] if index >= 0 else None for index in found.nearest.tolist()]
    table = pd.DataFrame({"Class": names})
    if dataset.superclasses:
        table["Superclass"] = dataset.superclasses
    table["Tightness"] = found.tightness
    table["Nearest class"] = nearest
    if dataset.superclasses:
        superclasses = np.asarray(dataset.superclasses)
        table["Same superclass"] = superclasses == superclasses[found.nearest]
    table["Distance"] = found.nearest_distance
    table["Soft label agrees"] = found.soft_label_agreement
    return table


_COLUMNS = {
    "Class": st.column_config.TextColumn(pinned=True),
    "Tightness": st.column_config.NumberColumn(
        format="%.3f",
        help="Mean distance of the class's samples to their centroid, against the mean distance "
        "between centroids; lower is tighter.",
    ),
    "Nearest class": st.column_config.TextColumn(help="By the distance of the centroids."),
    "Distance": st.column_config.NumberColumn(
        format="%.3f", help="Between the two centroids, in units of the features."
    ),
    "Soft label agrees": st.column_config.NumberColumn(
        format="%.3f",
        help="Spearman's correlation, over the other classes, of the mass in its soft label with "
        "nearness of the centroids: 1 if the soft label ranks them as the features do.",
    ),
}
