"""Numbers on the features themselves, beside what a map of them seems to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from app import embeddings
from app.charts.intervals import interval_panels
from app.components.figure import show_figure
from ols_core.analysis.calibration import Interval
from ols_core.analysis.embedding import EmbeddingMetrics
from ols_core.runs import Run

__all__ = ["draw"]

# Field of EmbeddingMetrics → its name, and what it says.
_METRICS = {
    "knn_accuracy_1": (
        "kNN accuracy, k = 1",
        "Share of samples whose nearest neighbour is of their class.",
    ),
    "knn_accuracy_20": (
        "kNN accuracy, k = 20",
        "Share whose 20 nearest neighbours vote for their class.",
    ),
    "silhouette": (
        "Silhouette",
        "From −1 to 1: how much nearer the own class is than the next one (Rousseeuw 1987).",
    ),
    "davies_bouldin": (
        "Davies–Bouldin",
        "Spread of the classes against the distance of their centroids; lower is tighter.",
    ),
    "trace_ratio": (
        "Within / between variance",
        "Variance within the classes against that between them; 0 when every class is one point.",
    ),
    "within_between": (
        "NC1",
        "The same, by direction: those in which the class means differ least count most.",
    ),
    "nc2_equinorm": (
        "NC2, unequal norms",
        "Variation of the distances of the class means from the centre; 0 when all are equal.",
    ),
    "nc2_equiangular": (
        "NC2, unequal angles",
        "Distance of the class means' cosines from −1/(K−1); 0 when all are equally far apart.",
    ),
    "nc3_self_duality": (
        "NC3, means against classifier",
        "Distance of the classifier's weights from the class means, both scaled; 0 when alike.",
    ),
    "nc4_agreement": (
        "NC4, nearest mean",
        "Share of samples whose nearest class mean is the class that the network predicts.",
    ),
    "participation_ratio": (
        "Participation ratio",
        "Intrinsic dimension: how many directions of the features share the variance.",
    ),
}


def draw(runs: Sequence[Run], split: str) -> None:
    """Draw all numbers of the chosen runs with their intervals."""
    with st.spinner("Comparing every sample with every other …"):
        found = {run.id: embeddings.metrics(run, split) for run in runs}
    st.caption(
        f"On the features of the {split} split as the networks made them, not on a projection. "
        "Brackets and whiskers: 95 % intervals over the samples, where an honest one can be had; "
        "they say nothing about other training seeds. NC1 to NC4: neural collapse (Papyan, Han, "
        "Donoho 2020)." + _sampling(found)
    )
    st.dataframe(
        _table(found),
        hide_index=True,
        height="content",
        column_config={
            "Quantity": st.column_config.TextColumn(pinned=True, width=190),
            "Meaning": st.column_config.TextColumn(width="large"),
        },
        alt="Numbers on the features",
    )
    intervals = {
        title: {name: getattr(metrics, field) for name, metrics in found.items()}
        for field, (title, _) in _METRICS.items()
    }
    show_figure(
        interval_panels(intervals),
        key="embedding_intervals",
        alt="Numbers on the features with their 95 % intervals, by run",
        name=f"feature-numbers-{split}",
        data=lambda: _tidy(intervals),
    )


def _sampling(found: Mapping[str, EmbeddingMetrics]) -> str:
    """Say where not all samples were compared with one another."""
    parts = {
        "silhouette": min(metrics.n_neighbour_samples for metrics in found.values()),
        "kNN accuracy": min(metrics.n_knn_samples for metrics in found.values()),
    }
    n_samples = min(metrics.n_samples for metrics in found.values())
    fewer = [f"{name}: on {n:,}" for name, n in parts.items() if n < n_samples]
    return f" Of {n_samples:,} samples, stratified by class, {', '.join(fewer)}." if fewer else ""


def _table(found: Mapping[str, EmbeddingMetrics]) -> pd.DataFrame:
    rows = []
    for field, (title, meaning) in _METRICS.items():
        values = {name: _text(getattr(metrics, field)) for name, metrics in found.items()}
        rows.append({"Quantity": title, **values, "Meaning": meaning})
    return pd.DataFrame(rows)


def _text(value: Interval) -> str:
    if value.estimate != value.estimate:
        return "—"
    if value.low != value.low:
        return f"{value.estimate:.3f}"
    return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _tidy(intervals: Mapping[str, Mapping[str, Interval]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"quantity": title, "run": name, "value": i.estimate, "low": i.low, "high": i.high}
            for title, by_run in intervals.items()
            for name, i in by_run.items()
        ]
    )
