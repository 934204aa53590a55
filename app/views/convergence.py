"""How the soft labels of the chosen runs settle over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import cache, state
from app.charts.convergence import QUANTITIES, convergence_curves
from ols_core.analysis.soft_labels import Convergence, settled_epoch
from ols_core.runs import Run

__all__ = ["draw"]


def draw(runs: Sequence[Run]) -> None:
    """Draw change, entropy and own mass by epoch, and the epoch after which nothing moves."""
    results = {run.id: cache.convergence(run) for run in runs}
    first, *others = QUANTITIES
    st.plotly_chart(convergence_curves(results, first), key="convergence_change", alt=first)
    for column, title in zip(st.columns(len(others), gap="medium"), others, strict=True):
        with column:
            key = f"convergence_{title}"
            st.plotly_chart(convergence_curves(results, title), key=key, alt=title)
    threshold = st.slider(
        "A row is at rest when it moves by no more than",
        0.01,
        0.30,
        0.10,
        0.01,
        help="Total variation from one epoch to the next: the share of its mass that moves.",
        **state.in_url("rest"),
    )
    rows = [
        {"Run": name, "All rows at rest after": _rest(found, threshold)}
        for name, found in results.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width=560, alt="Epochs of rest")


def _rest(found: Convergence, threshold: float) -> str:
    epoch = settled_epoch(found, threshold)
    return "not within this run" if epoch is None else f"epoch {epoch}"
