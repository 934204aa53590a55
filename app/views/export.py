"""A matrix as a figure of its own and as a table, to take along."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app.charts.matrix import Axis, heatmap
from app.charts.scale import ScaleKind
from app.components.figure import show_figure
from app.components.frames import pool
from app.components.matrix_viewer import Panel, Texts
from ols_core.analysis.similarity import Dendrogram

__all__ = ["export_matrix"]

_MAX_SIDE = 300  # cells a side that a figure of 1.5 MB can have


def export_matrix(
    panel: Panel,
    axis: Axis,
    texts: Texts,
    *,
    tree: Dendrogram | None = None,
    frame: int = 0,
    moment: str = "",
    label: str = "Download",
) -> None:
    """Draw a button that opens the shown matrix as a figure, to be saved with its data.

    `tree` belongs to the order of the classes, `moment` says which frame it is, and `label` what
    the button is called.
    """
    if st.button(
        f":small[{label}]",
        type="tertiary",
        icon=":material/download:",
        key=f"{panel.title}-export",
        help="Opens the matrix as a figure: PNG, SVG, HTML, and its values as CSV.",
    ):
        _dialog(panel, frame, moment, axis, texts, tree)


@st.dialog("The matrix as a figure", width="large")
def _dialog(
    panel: Panel, frame: int, moment: str, axis: Axis, texts: Texts, tree: Dendrogram | None
) -> None:
    order, kind = panel.frames.order, panel.frames.scale.kind
    counts = None if panel.counts is None else panel.counts[frame][order]
    title = f"{panel.title}, {moment}" if moment else panel.title
    matrix = panel.exact(frame)[np.ix_(order, order)]
    shown, shown_axis = _pooled(matrix, axis, kind)
    figure = heatmap(
        shown,
        shown_axis,
        title=title,
        quantity=texts.quantity,
        row=texts.row,
        column=texts.column,
        scale=panel.frames.scale,
        tree=tree,
        height=760,
    )
    show_figure(
        figure,
        key="exported_matrix",
        alt=title,
        name=title,
        data=lambda: _table(matrix, axis, texts, counts),
        width=960,  # little more than the square that it is
    )
    if np.isnan(matrix.diagonal()).all():
        st.caption("The diagonal is left out, in the table too.")
    if counts is not None and (counts == 0).any():
        empty = [name for name, count in zip(axis.names, counts, strict=True) if count == 0]
        st.caption(f"Rows without {texts.count}: {', '.join(empty)}.")
    if len(shown) < len(matrix):
        st.caption(
            f"{len(matrix)} classes as {len(shown)} cells a side, each with the extreme of the "
            "pairs that it covers. The CSV table holds every value."
        )


def _pooled(
    matrix: npt.NDArray[np.floating], axis: Axis, kind: ScaleKind
) -> tuple[npt.NDArray[np.floating], Axis]:
    if len(matrix) <= _MAX_SIDE:
        return matrix, axis
    starts = np.arange(_MAX_SIDE) * len(matrix) // _MAX_SIDE
    ends = np.cumsum([size for _, size in axis.groups]) * _MAX_SIDE / len(matrix)
    sizes = np.diff(np.rint(ends), prepend=0).astype(int).tolist()
    groups = [(name, size) for (name, _), size in zip(axis.groups, sizes, strict=True)]
    return pool(matrix, _MAX_SIDE, kind), Axis([axis.names[start] for start in starts], groups)


def _table(
    matrix: npt.NDArray[np.floating],
    axis: Axis,
    texts: Texts,
    counts: npt.NDArray[np.integer] | None,
) -> pd.DataFrame:
    """One row a class, one column a class, in the order of the figure, and each row's count."""
    table = pd.DataFrame(matrix, columns=axis.names)
    table.insert(0, texts.row, axis.names)
    if counts is not None:
        table.insert(1, texts.count, counts)
    return table
