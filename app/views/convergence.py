"""How the soft labels of the chosen runs settle over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app import cache, state
from app.charts.convergence import QUANTITIES, convergence_curves
from app.components.figure import show_figure
from app.matrices import soft_label_name
from ols_core.analysis.soft_labels import QUANTILE_LEVELS, Convergence, settled_epoch
from ols_core.runs import Run

__all__ = ["draw"]

_Results = Sequence[tuple[Run, Convergence]]


def draw(runs: Sequence[Run]) -> None:
    """Draw change, entropy and own mass by epoch, and the epoch after which nothing moves."""
    results = [(run, cache.convergence(run)) for run in runs]
    first, *others = QUANTITIES
    _show_curves(results, first)
    for column, title in zip(st.columns(len(others), gap="medium"), others, strict=True):
        with column:
            _show_curves(results, title)
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
        {"Run": soft_label_name(run), "All rows at rest after": _rest(found, threshold)}
        for run, found in results
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width=560, alt="Epochs of rest")


def _show_curves(results: _Results, title: str) -> None:
    show_figure(
        convergence_curves({soft_label_name(run): found for run, found in results}, title),
        key=f"convergence_{title}",
        alt=f"{title} by epoch",
        name=f"convergence-{title.lower()}",
        data=lambda: _curve_table(results, title),
    )


def _curve_table(results: _Results, title: str) -> pd.DataFrame:
    """One row a run and epoch; NaN where no row of the matrix was observed."""
    tables = []
    for run, found in results:
        if title == "Change":
            values = {"mean_change": found.mean_change}
        else:
            quantiles = found.entropy if title == "Row entropy" else found.target_mass
            names = [f"quantile_{level}" for level in QUANTILE_LEVELS]
            values = dict(zip(names, quantiles.T, strict=True))
        epochs = np.arange(len(found.n_rows))
        tables.append(pd.DataFrame({"run": run.id, "epoch": epochs, **values}))
    return pd.concat(tables, ignore_index=True)


def _rest(found: Convergence, threshold: float) -> str:
    epoch = settled_epoch(found, threshold)
    return "not within this run" if epoch is None else f"epoch {epoch}"
