"""A map of the classes: those that a run finds alike lie near each other."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import cache, matrices
from app.cache import Source
from app.charts.class_map import N_LOOKS, class_map_figure
from app.components.figure import show_figure
from app.views.common import pick_run
from ols_core.analysis.similarity import ClassMap
from ols_core.runs import DatasetInfo, Run

__all__ = ["draw"]


def draw(runs: Sequence[Run], source: Source) -> None:
    """Draw the map of one run, and say how far it can be trusted."""
    run = pick_run(runs, prefer="ols")
    found = cache.class_map(run, source)
    dataset = run.info.dataset
    figure = class_map_figure(
        found,
        dataset.class_names,
        dataset.superclasses,
        f"{matrices.run_name(run, source)}: classes near each other are alike, by {source}",
    )
    show_figure(
        figure,
        key="class_map",
        alt=f"Map of the classes by {source}",
        name=f"class-map-{run.id}-{source}",
        data=lambda: _table(found, dataset),
    )
    st.caption(
        f"Stress {found.stress:.2f}: how much of the distances a plane cannot show. At 0 all of "
        "them are right; about 0.4 is what remains of many classes that are all equally unlike "
        "each other, and near it only close neighbours mean something. Directions mean nothing: "
        "the map may be turned and mirrored." + _how_to_read(dataset.superclasses or ())
    )


def _how_to_read(superclasses: Sequence[str]) -> str:
    """Tell how superclasses look, if there are any."""
    if not superclasses:
        return ""
    text = " Colour and symbol together mark the superclass; a click in the legend shows one alone."
    if len(set(superclasses)) > N_LOOKS:
        text += f" There are {N_LOOKS} looks: further superclasses share one with another."
    return text


def _table(found: ClassMap, dataset: DatasetInfo) -> pd.DataFrame:
    """One row a class."""
    superclasses = {"superclass": dataset.superclasses} if dataset.superclasses else {}
    across, up = found.positions.T
    return pd.DataFrame(
        {"class": dataset.class_names, **superclasses, "mds_axis_1": across, "mds_axis_2": up}
    )
