"""The most similar pairs of classes of one run, and how similar the other runs find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import cache, matrices, state
from app.cache import Source
from app.components.csv_button import csv_button
from app.views.common import escaped
from ols_core.analysis.similarity import PairComparison
from ols_core.runs import UNKNOWN_COUNT, Run

__all__ = ["draw"]

_N_PAIRS = 15
_ROW_HEIGHT = 44  # pixels: shows most thumbnails, of 32, at about their size
_PICTURE_WIDTH = 118
_SIDES = ("First class", "Second class")
_DIFFERENCE = "Difference from"
_FALLBACK = "†"


def draw(runs: Sequence[Run], run: Run, source: Source, quantity: str) -> None:
    """List the pairs that `run` finds most similar, with images of their classes."""
    st.subheader("Most similar pairs")
    pairs = [(pair.first, pair.second) for pair in cache.similar_pairs(run, source, _N_PAIRS)]
    clicked = _clicked(run)
    if clicked:
        st.caption("The pair that was clicked in the matrix stands first.")
        pairs = [clicked, *(pair for pair in pairs if set(pair) != set(clicked))]
    if not pairs:
        st.info("No pair of classes is known.", icon=":material/info:")
        return
    compared = (run, *(peer for peer in runs if peer != run))
    found = cache.compared_pairs(compared, source, tuple(pairs))
    table = _shown(compared, source, found, quantity)
    # By place, since a run stands in two columns; the hidden index is at 0.
    columns: dict[Any, Any] = {
        place: _column(*titles) for place, titles in enumerate(table, start=1)
    }
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        row_height=_ROW_HEIGHT,
        column_config=columns,
        alt="Similar pairs",
    )
    if source == "soft labels":
        _tell_fallbacks(compared, found)
    csv_button(
        lambda: _flat(compared, source, found),
        f"similar-pairs-{run.id}-{source}",
        "similar_pairs_csv",
    )


def _clicked(run: Run) -> tuple[int, int] | None:
    """Return the pair of classes that the URL carries, if there is such a pair."""
    first, second = state.linked_number("first"), state.linked_number("second")
    if first is None or second is None or first == second:
        return None
    return (first, second) if max(first, second) < run.n_classes else None


def _shown(
    runs: Sequence[Run], source: Source, found: PairComparison, quantity: str
) -> dict[tuple[str, str], Any]:
    """Columns by two levels of titles: above the runs stands what their numbers are."""
    run = runs[0]
    marked = set().union(*_fallbacks(runs)) if source == "soft labels" else set()
    names = run.info.dataset.class_names
    table: dict[tuple[str, str], Any] = {}
    for side, classes in zip(_SIDES, (found.first, found.second), strict=True):
        table[side, "Class name"] = [names[i] + f" {_FALLBACK}" * (i in marked) for i in classes]
        pictures = [cache.class_picture(run, int(index)) for index in classes]
        if any(pictures):
            table[side, "Images"] = pictures
    titles = [matrices.run_name(peer, source) for peer in runs]
    for title, values in zip(titles, found.similarity, strict=True):
        table[quantity.capitalize(), title] = values
    for title, values in zip(titles[1:], found.difference[1:], strict=True):
        table[f"{_DIFFERENCE} {titles[0]}", title] = values
    return table


def _column(group: str, name: str) -> Any:
    if group in _SIDES and name == "Images":
        return st.column_config.ImageColumn(width=_PICTURE_WIDTH, pinned=True)
    if group in _SIDES:
        return st.column_config.TextColumn(pinned=True)
    sign = "+" if group.startswith(_DIFFERENCE) else ""
    return st.column_config.NumberColumn(format=f"%{sign}.4f")


def _fallbacks(runs: Sequence[Run]) -> list[set[int]]:
    """Classes of each run whose final soft label is none of its own."""
    return [matrices.fallback_rows((run, run.soft_label_epochs[-1])) for run in runs]


def _tell_fallbacks(runs: Sequence[Run], found: PairComparison) -> None:
    """Say which of the listed classes have no soft label of their own, and in which run."""
    listed = dict.fromkeys([*found.first.tolist(), *found.second.tolist()])
    names = runs[0].info.dataset.class_names
    told = []
    for run, classes in zip(runs, _fallbacks(runs), strict=True):
        marked = ", ".join(escaped(names[index]) for index in listed if index in classes)
        if marked:
            told.append(f"{marked} in {run.id} ({matrices.fallback_name(run)})")
    if told:
        st.caption(f"{_FALLBACK}: no correct image of {'; '.join(told)}.")


def _flat(runs: Sequence[Run], source: Source, found: PairComparison) -> pd.DataFrame:
    """One row a pair, unrounded; soft labels with the correct images behind both of their rows."""
    run, *others = runs
    names = np.asarray(run.info.dataset.class_names)
    table = pd.DataFrame({"first_class": names[found.first], "second_class": names[found.second]})
    for peer, values in zip(runs, found.similarity, strict=True):
        table[peer.id] = values
    for peer, values in zip(others, found.difference[1:], strict=True):
        table[f"difference_{peer.id}"] = values
    for peer in runs if source == "soft labels" else ():
        counts = pd.Series(peer.soft_label_counts()[peer.soft_label_epochs[-1]], dtype="Int64")
        counts = counts.mask(counts == UNKNOWN_COUNT)
        table[f"first_correct_images_{peer.id}"] = counts[found.first].array
        table[f"second_correct_images_{peer.id}"] = counts[found.second].array
    return table
