"""Calibration class by class: where one run is too sure, or not sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import streamlit as st

from app import cache, predictions, state
from app.charts.class_calibration import class_gaps
from app.charts.reliability import reliability_panels
from app.components.figure import show_figure
from app.predictions import Choices
from app.views.common import pick_run
from app.views.reliability import band_table
from ols_core.analysis.calibration import ClassCalibration, wilson_interval
from ols_core.analysis.soft_labels import strongest_neighbours
from ols_core.runs import Run

__all__ = ["draw"]

Level = Literal["class", "superclass"]

_N_RELATED = 6
_MAX_TABLE_HEIGHT = 740


def draw(runs: Sequence[Run], choices: Choices) -> None:
    """Draw all classes of one run, and the chosen one in detail."""
    with st.container(horizontal=True):
        run = pick_run(runs, prefer="ols")
        level: Level = "class"
        if run.info.dataset.superclasses:
            level = st.segmented_control(
                "By", get_args(Level), default=level, required=True, **state.in_url("by")
            )
    if level == "class":
        names = tuple(run.info.dataset.class_names)
        found = predictions.class_table(run, choices.scaled)
    else:
        names, found = predictions.superclass_table(run, choices.scaled)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        chosen = _pick_row(run, level, names, found)
    with right:
        show_figure(
            class_gaps(found, names, level),
            key="class_gaps",
            alt=f"Confidence minus accuracy by {level}",
            name=f"{level}-gaps-{run.id}",
            data=lambda: _gap_table(names, found),
        )
    st.caption(
        f"Images are taken together by the predicted {level}: gap is their mean confidence minus "
        "the share that is right. Behind a name: how many images. Whiskers: 95% interval of the "
        "gap, from that of the accuracy (Wilson); one that reaches 0 may be chance, and of many "
        "classes some seem wrong by chance alone."
    )
    if level == "superclass":
        st.caption("Right means the right class, not only the right superclass.")
    if chosen is None:
        st.info(
            f"Choose a {level} in the table, by the box at the left of its row, to see its own "
            "reliability diagram.",
            icon=":material/touch_app:",
        )
        return
    _detail(runs, run, level, chosen, names, found, choices)


def _pick_row(run: Run, level: Level, names: Sequence[str], found: ClassCalibration) -> int | None:
    """Draw the table; returns the row that is selected in it, which the URL carries."""
    table = _table(level.capitalize(), names, found)
    if level == "class" and run.info.dataset.superclasses:
        table["Superclass"] = run.info.dataset.superclasses
    link = f"{level}_row"
    linked = state.linked_number(link)
    linked_rows = [linked] if linked is not None and linked < len(names) else []
    event = st.dataframe(
        table,
        hide_index=True,
        height=min(_MAX_TABLE_HEIGHT, 38 + 35 * len(names)),
        column_config=_columns(level.capitalize()),
        key=f"class_table_{run.id}_{level}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": linked_rows}},
        alt=f"Calibration by {level}",
    )
    rows = event.selection.rows
    chosen = rows[0] if rows and rows[0] < len(names) else None
    state.link_number(link, chosen)
    return chosen


def _table(title: str, names: Sequence[str], found: ClassCalibration) -> pd.DataFrame:
    return pd.DataFrame(
        {
            title: names,
            "Gap": found.signed_gap,
            "Confidence": found.confidence,
            "Accuracy": found.accuracy,
            "Predicted": found.predicted_counts,
            "Labelled": found.label_counts,
        }
    )


def _columns(title: str) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        title: st.column_config.TextColumn(pinned=True),
        "Gap": number(
            format="percent", help="Mean confidence minus accuracy: positive is over-confident."
        ),
        "Confidence": number(format="percent", help="Mean over the images predicted as it."),
        "Accuracy": number(
            format="percent", help="Share of the images predicted as it that is right."
        ),
        "Predicted": number(help="Test images that are predicted as it."),
        "Labelled": number(help="Test images that are of it."),
    }


def _gap_table(names: Sequence[str], found: ClassCalibration) -> pd.DataFrame:
    """One row a class: all of them, not only those drawn."""
    low, high = wilson_interval(found.accuracy, found.predicted_counts)
    return pd.DataFrame(
        {
            "class": names,
            "gap": found.signed_gap,
            "gap_low": found.confidence - high,
            "gap_high": found.confidence - low,
            "confidence": found.confidence,
            "accuracy": found.accuracy,
            "predicted": found.predicted_counts,
            "labelled": found.label_counts,
        }
    )


def _detail(
    runs: Sequence[Run],
    run: Run,
    level: Level,
    chosen: int,
    names: Sequence[str],
    found: ClassCalibration,
    choices: Choices,
) -> None:
    name = names[chosen]
    st.subheader(name)
    st.caption(
        f"Test images: {found.predicted_counts[chosen]} predicted as {name}, "
        f"{found.label_counts[chosen]} labelled {name}."
    )
    superclasses = run.info.dataset.superclasses or []
    members = [i for i, superclass in enumerate(superclasses) if superclass == name]
    classes = (chosen,) if level == "class" else tuple(members)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        _diagram(run, name, classes, runs.index(run), choices)
    with right:
        if level == "class":
            _neighbours(run, chosen)
            _confusions(run, chosen)
        else:
            by_class = predictions.class_table(run, choices.scaled)
            everything = _table("Class", run.info.dataset.class_names, by_class)
            st.dataframe(
                everything.iloc[members],
                hide_index=True,
                column_config=_columns("Class"),
                alt=f"Classes of {name}",
            )


def _diagram(
    run: Run, name: str, classes: tuple[int, ...], position: int, choices: Choices
) -> None:
    band = predictions.class_band(run, classes, choices)
    if band is None:
        st.caption("No test image is predicted as it, so there is nothing to draw.")
        return
    title = f"{run.id}: predicted as {name}"
    show_figure(
        reliability_panels({title: band}, position),
        key="class_reliability",
        alt=f"Reliability diagram of {title}",
        name=f"reliability-{run.id}-{name}",
        data=lambda: band_table({title: band}),
    )
    if band.bins.n_bins < choices.n_bins:
        st.caption(
            f"{band.bins.n_bins} bins: of more, each would hold too few of the "
            f"{band.bins.n_samples} images."
        )


def _neighbours(run: Run, target: int) -> None:
    """Classes that the soft label of a class gives most of its mass to."""
    if not cache.holds(run, "soft labels"):
        return
    epoch = cache.final_epoch(run, "soft labels")
    found = strongest_neighbours(run.soft_labels(epoch), target, _N_RELATED)
    names = run.info.dataset.class_names
    fallback = run.soft_label_counts()[epoch, target] == 0
    _bars(
        "Its soft label gives most mass to" + (" (uniform fallback)" if fallback else ""),
        "Mass",
        [names[neighbour.class_index] for neighbour in found],
        [neighbour.mass for neighbour in found],
    )


def _confusions(run: Run, target: int) -> None:
    """Classes that the images of a class are taken for."""
    rates = cache.confusion_rates(run)[target]
    others = [int(i) for i in np.argsort(-rates, kind="stable") if i != target and rates[i] > 0]
    shown = others[:_N_RELATED]
    names = run.info.dataset.class_names
    if not shown:
        st.caption("No image of it is taken for another class.")
        return
    _bars("Its images are most often taken for", "Share", [names[i] for i in shown], rates[shown])


def _bars(title: str, quantity: str, names: Sequence[str], values: Any) -> None:
    bar = st.column_config.ProgressColumn(
        format="percent", min_value=0, max_value=max(*values, 1e-9), color="primary"
    )
    st.dataframe(
        pd.DataFrame({title: names, quantity: values}),
        hide_index=True,
        column_config={quantity: bar, title: st.column_config.TextColumn(width="medium")},
        alt=title,
    )
