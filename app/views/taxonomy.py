"""Whether the classes that a run finds alike are those that people put together."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import cache, matrices, state
from app.cache import Source
from app.charts.curves import value_curves
from app.components.figure import show_figure
from app.views.clusters import pick_n_clusters
from app.views.common import escaped, pick_run
from ols_core.runs import Run

__all__ = ["draw"]

_QUANTITIES = {
    "adjusted Rand index": "ari",
    "normalised mutual information": "nmi",
    "purity": "purity",
    "p": "p_value",
}
_MOST_ROWS = 25  # of a table that is shown whole
_N_WORST = 5


def draw(runs: Sequence[Run], source: Source) -> None:
    """Compare clusters of each run with the known superclasses."""
    superclasses = runs[0].info.dataset.superclasses
    if not superclasses:
        st.info(
            f"The superclasses of {runs[0].info.dataset.name} are not known. A folder of images "
            "may carry them in superclasses.csv (class,superclass).",
            icon=":material/info:",
        )
        return
    n_clusters = pick_n_clusters(runs[0])
    st.caption(
        f"The classes are clustered into {n_clusters}; there are {len(set(superclasses))} "
        "superclasses. Adjusted Rand index and normalised mutual information (NMI) are 1 for the "
        "same partition; purity is the share of classes in the main superclass of their cluster. "
        "p: how often random superclasses of the same sizes agree as well (999 permutations)."
    )
    _table(runs, source, n_clusters)
    curves = st.container()
    _superclasses(pick_run(runs, prefer="ols"), source)
    if source == "soft labels":
        with curves:  # last, as they take the longest
            _by_epoch(runs, n_clusters)


def _table(runs: Sequence[Run], source: Source, n_clusters: int) -> None:
    rows = []
    for run in runs:
        found = cache.taxonomy(run, source, cache.final_epoch(run, source), n_clusters)
        rows.append(
            {
                "Run": matrices.run_name(run, source),
                "Adjusted Rand": found.ari,
                "NMI": found.nmi,
                "Purity": found.purity,
                "p": found.p_value,
            }
        )
    columns = {
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("Adjusted Rand", "NMI", "Purity", "p")
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Agreement")


@st.fragment
def _by_epoch(runs: Sequence[Run], n_clusters: int) -> None:
    """Draw how one quantity went over the epochs."""
    quantity = st.selectbox(
        "Over the epochs", list(_QUANTITIES), width=260, **state.in_url("measure")
    )
    n_epochs = sum(len(cache.sampled_epochs(run)) for run in runs)
    with st.spinner(f"Clustering the classes after {n_epochs} epochs …"):
        found = {run.id: _curve(run, n_clusters) for run in runs}
    curves = {
        matrices.soft_label_name(run): (
            found[run.id]["epoch"].tolist(),
            found[run.id][_QUANTITIES[quantity]].tolist(),
        )
        for run in runs
    }
    show_figure(
        value_curves(curves, f"Agreement with the superclasses by epoch: {quantity}", quantity),
        key="taxonomy_by_epoch",
        alt=f"{quantity} by epoch".capitalize(),
        name="superclass-agreement-by-epoch",
        data=lambda: pd.concat(found.values(), ignore_index=True),
    )
    if any(len(run.soft_label_epochs) > cache.SAMPLED_EPOCHS for run in runs):
        st.caption(
            f"Of each run {cache.SAMPLED_EPOCHS} epochs at most are drawn, evenly spread from the "
            "first to the last."
        )


def _curve(run: Run, n_clusters: int) -> pd.DataFrame:
    """All quantities of a run, one row an epoch."""
    rows = []
    for epoch in cache.sampled_epochs(run):
        found = cache.taxonomy(run, "soft labels", epoch, n_clusters)
        values = {name: getattr(found, name) for name in _QUANTITIES.values()}
        rows.append({"run": run.id, "epoch": epoch, "clusters": n_clusters, **values})
    return pd.DataFrame(rows)


def _superclasses(run: Run, source: Source) -> None:
    st.subheader("Superclasses, best recovered first")
    recovered = cache.superclass_recovery(run, source)
    rows = [
        {
            "Superclass": found.name,
            "Classes": found.size,
            "Nearest class inside": found.neighbour_share,
            "Similarity inside": found.within,
            "To others": found.between,
        }
        for found in recovered
    ]
    small = st.column_config.NumberColumn(format="%.4f")
    columns = {
        "Nearest class inside": st.column_config.ProgressColumn(
            format="percent",
            min_value=0,
            max_value=1,
            help="Share of its classes whose most similar class is in the same superclass.",
        ),
        "Similarity inside": small,
        "To others": small,
    }
    table = pd.DataFrame(rows)
    whole = len(table) <= _MOST_ROWS
    if not whole:
        worst = table.dropna(subset="Nearest class inside").tail(_N_WORST).iloc[::-1]
        shares = zip(worst["Superclass"], worst["Nearest class inside"], strict=True)
        named = ", ".join(f"{escaped(name)} ({share:.0%})" for name, share in shares)
        st.caption(f"Worst recovered: {named}")
    st.dataframe(
        table,
        hide_index=True,
        height="content" if whole else "auto",
        column_config=columns,
        alt="Superclasses",
    )
