"""Whether soft labels, confusions, features and classifier weights find the same classes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app import cache, state
from app.cache import Source
from app.charts.pairs import pair_scatter
from app.views.common import pick_run
from ols_core.analysis.similarity import mantel_test
from ols_core.runs import Run

__all__ = ["draw"]

Matrix = npt.NDArray[np.float64]
_LARGE = 200  # classes above which fewer permutations keep the page fast


def draw(runs: Sequence[Run], source: Source) -> None:
    """Compare the sources of one run with each other, and the runs by one source."""
    run = pick_run(runs, prefer="ols")
    if run.n_classes < 3:
        st.info("Rankings of class pairs need at least three classes.", icon=":material/info:")
        return
    st.caption(
        "Spearman correlation over all pairs of classes. p: Mantel's test, how often the "
        "correlation is as large when the classes of one side are shuffled."
    )
    sources = {name: _matrix(run, name) for name in cache.sources_of(run)}
    others = {peer.id: _matrix(peer, source) for peer in runs}
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader(f"Sources of {run.id}")
        _table({str(name): matrix for name, matrix in sources.items()})
    with right:
        st.subheader(f"Runs, by {source}")
        _table(others)
    _scatter(run, sources)


def _matrix(run: Run, source: Source) -> Matrix:
    epoch = run.soft_label_epochs[-1] if source == "soft labels" else 0
    return cache.class_similarity(run, source, epoch)


def _table(matrices: Mapping[str, Matrix]) -> None:
    if len(matrices) < 2:
        st.caption("There is nothing to compare with here.")
        return
    rows = []
    for first, second in combinations(matrices, 2):
        n = 999 if len(matrices[first]) <= _LARGE else 99
        found = mantel_test(matrices[first], matrices[second], n)
        rows.append({"Between": first, "And": second, "ρ": found.correlation, "p": found.p_value})
    columns = {name: st.column_config.NumberColumn(format="%.3f") for name in ("ρ", "p")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Correlations")


def _scatter(run: Run, sources: Mapping[Source, Matrix]) -> None:
    if len(sources) < 2:
        return
    names = list(sources)
    with st.container(horizontal=True):
        first = st.selectbox("Horizontal", names, width=260, **state.in_url("across"))
        second = st.selectbox("Vertical", names, index=1, width=260, **state.in_url("up"))
    figure = pair_scatter(
        sources[first], sources[second], run.info.dataset.class_names, first, second
    )
    st.plotly_chart(figure, key="pair_scatter", alt="Pairs of classes in two sources")
