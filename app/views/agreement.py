"""Whether soft labels, confusions, features and classifier weights find the same classes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app import cache, matrices, state
from app.cache import Source
from app.charts.agreement import agreement_figure
from app.charts.pairs import pair_scatter
from app.components.figure import show_figure
from app.views.common import pick_run
from ols_core.analysis.similarity import Mantel, PairComparison
from ols_core.runs import Run

__all__ = ["draw"]

_MOST_BESIDE = 4  # runs that have room for their numbers in half of the page


def draw(runs: Sequence[Run], source: Source) -> None:
    """Compare the sources of one run with each other, and the runs by one source."""
    run = pick_run(runs, prefer="ols")
    if run.n_classes < 3:
        st.info("Rankings of class pairs need at least three classes.", icon=":material/info:")
        return
    n_permutations = cache.n_permutations(run)
    st.caption(
        "ρ: Spearman's rank correlation over all pairs of classes; 1 if both rank them alike, 0 if "
        "they are unrelated. p: Mantel's test, how often ρ is as large when the classes of one "
        f"side are shuffled ({n_permutations} permutations)."
    )
    sources = cache.sources_of(run)
    left, right = (
        st.columns(2, gap="medium")
        if len(runs) <= _MOST_BESIDE
        else (st.container(), st.container())
    )
    with left, st.spinner(f"Comparing the sources: {n_permutations} permutations a test …"):
        found = cache.source_agreement(run)
        _matrix(
            {(_source_name(run, a), _source_name(run, b)): test for (a, b), test in found.items()},
            f"Sources of {run.id}",
            "sources",
        )
    with right, st.spinner(f"Comparing the runs: {n_permutations} permutations a test …"):
        names = {peer.id: matrices.run_name(peer, source) for peer in runs}
        found = cache.run_agreement(tuple(runs), source)
        _matrix(
            {(names[a], names[b]): test for (a, b), test in found.items()},
            f"Runs, by {source}",
            "runs",
        )
    _scatter(run, sources)


def _source_name(run: Run, source: str) -> str:
    """Name of a source of similarity; soft labels that the run was not trained on are observed."""
    observed = source == "soft labels" and matrices.soft_label_name(run) != run.id
    return "observed soft labels" if observed else source


def _matrix(tests: Mapping[tuple[str, str], Mantel], title: str, compared: str) -> None:
    if not tests:
        st.caption(f"{title}: there is nothing to compare with here.")
        return
    show_figure(
        agreement_figure(tests, title),
        key=f"agreement_{compared}",
        alt=f"Rank correlations: {title}",
        name=f"agreement-{title}",
        data=lambda: _table(tests),
    )


def _table(tests: Mapping[tuple[str, str], Mantel]) -> pd.DataFrame:
    """One row a pair of similarities."""
    rows = [
        {
            "first": first,
            "second": second,
            "spearman": found.correlation,
            "p_value": found.p_value,
            "permutations": found.n_permutations,
            "classes": found.n_classes,
        }
        for (first, second), found in tests.items()
    ]
    return pd.DataFrame(rows)


def _scatter(run: Run, sources: Sequence[Source]) -> None:
    if len(sources) < 2:
        return
    with st.container(horizontal=True):
        first = st.selectbox("Horizontal", sources, width=260, **state.in_url("across"))
        second = st.selectbox("Vertical", sources, index=1, width=260, **state.in_url("up"))
    pairs = cache.leading_pairs(run, (first, second))
    names = run.info.dataset.class_names
    across, up = _source_name(run, first), _source_name(run, second)
    show_figure(
        pair_scatter(pairs, names, across, up),
        key="pair_scatter",
        alt=f"Pairs of classes by {first} and {second}",
        name=f"pairs-{run.id}-{first}-{second}",
        data=lambda: _pair_table(pairs, names, across, up),
    )


def _pair_table(
    pairs: PairComparison, class_names: Sequence[str], across: str, up: str
) -> pd.DataFrame:
    """One row a pair of classes that the figure shows."""
    names = np.asarray(class_names)
    classes = {"first_class": names[pairs.first], "second_class": names[pairs.second]}
    return pd.DataFrame(classes | dict(zip((across, up), pairs.similarity, strict=True)))
