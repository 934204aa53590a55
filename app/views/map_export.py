"""Maps as a figure of their own and as a table, to take along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.charts.palettes import Legend
from app.charts.scatter import ScatterPanel, scatter_panels
from app.components.figure import show_figure
from app.components.scatter_viewer import Frame
from app.views.selected import Shown

__all__ = ["export_maps"]

_MAX_PANELS = 4


def export_maps(frames: Sequence[Frame], shown: Shown, legend: Legend, name: str) -> None:
    """Draw a button that opens maps as a figure, to be saved with their points.

    Parameters
    ----------
    frames : sequence of Frame
        One a map.
    shown : Shown
        The samples on them, in `by_panel` by the frames' labels.
    legend : Legend
    name : str
        Of the files; also says what the maps are.
    """
    if st.button(
        ":small[Download]",
        type="tertiary",
        icon=":material/download:",
        key=f"{name}-export",
        help="Opens the maps as a figure: PNG, SVG, HTML, and their points as CSV.",
    ):
        _dialog(frames, shown, legend, name)


@st.dialog("The maps as a figure", width="large")
def _dialog(frames: Sequence[Frame], shown: Shown, legend: Legend, name: str) -> None:
    drawn = frames[:_MAX_PANELS]
    panels = [ScatterPanel(frame.label, frame.points, frame.colors) for frame in drawn]
    show_figure(
        scatter_panels(panels, legend),
        key="exported_maps",
        alt=f"{name} of the {shown.split} images, coloured by {legend.title}",
        name=f"{name}-{shown.split}",
        data=lambda: _points(frames, shown),
    )
    if len(frames) > len(drawn):
        st.caption(f"The first {len(drawn)} of {len(frames)} maps; the CSV table has all.")


def _points(frames: Sequence[Frame], shown: Shown) -> pd.DataFrame:
    """One row a map and sample."""
    names = np.asarray(shown.run.info.dataset.class_names)
    tables = []
    for frame in frames:
        samples = shown.by_panel.get(frame.label, next(iter(shown.by_panel.values())))
        table = pd.DataFrame({"map": frame.label, "image": shown.indices})
        for axis, values in zip("xyz", frame.points.T, strict=False):
            table[axis] = values
        table["class"] = names[samples.labels]
        if samples.predicted is not None:
            table["predicted_class"] = names[samples.predicted]
            table["confidence"] = samples.confidence
        if samples.flipped is not None:
            table["label_flipped"] = samples.flipped
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
