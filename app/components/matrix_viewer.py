"""Class-by-class matrices over epochs on a canvas: scrubbed, zoomed and read in the browser.

Several runs are drawn side by side, in one order, one colour scale and one window.

Two mounted components share one JavaScript module. The first carries all frames and whatever else
stays the same while somebody looks around; as its message repeats byte for byte, Streamlit sends
only its hash on later runs. The second carries the controls, and the exact values of one frame:
85 kB instead of 740 for 61 frames of 100 classes, 40 of them values and 40 the module itself
(`benchmarks/matrix_viewer.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from plotly.colors import hex_to_rgb, sequential

from app.charts.scale import ScaleKind
from app.charts.theme import DIVERGING
from app.charts.tree import scaled_merges
from app.components.frames import (
    BLANK,
    TOP,
    Frames,
    Window,
    cut_detail,
    detail_side,
    encode_counts,
    pool_counts,
)
from app.components.message import declared, pack, read_assets, token
from ols_core.analysis.similarity import Dendrogram

__all__ = ["Panel", "Selection", "Texts", "matrix_viewer", "palette", "show_frame"]

_HTML = """
<section class="viewer">
  <div class="title"></div>
  <div class="controls">
    <button type="button" class="play"></button>
    <input type="range" class="slider" min="0" step="1">
    <output class="label"></output>
  </div>
  <div class="stage">
    <canvas tabindex="0" role="application"></canvas>
    <div class="tip" hidden></div>
  </div>
  <div class="hint"></div>
  <div class="spoken" aria-live="polite"></div>
</section>
"""
_JS = read_assets("shared.js", "matrix_viewer.js")
_CSS = read_assets("shared.css", "matrix_viewer.css")
_FRAMES = st.components.v2.component("matrix_frames", js=_JS)
_VIEWER = st.components.v2.component("matrix_viewer", html=_HTML, css=_CSS, js=_JS)
_BLANK_DIVERGING = "#B4B8BD"  # neutral: zero is white, as a light page is


@dataclass(frozen=True)
class Texts:
    """What a value, a row, a column, a frame and a count are."""

    quantity: str
    row: str
    column: str
    frame: str = "Epoch"
    count: str = "correct images"


@dataclass(frozen=True)
class Panel:
    """One matrix over the frames.

    Attributes
    ----------
    title : str
    frames : Frames
        In the order and colour scale of all panels, and as many as theirs.
    exact : callable
        The matrix of a frame, as it went into `frames`; called for the settled one.
    counts : ndarray of shape (n_frames, n_classes), optional
        Samples behind each row, in the classes' own order; 0 marks a row that has none.
    empty : str
        What such a row holds instead; nothing if it is blank.
    symmetric : bool
        Whether a value rests on the samples of both of its classes; for a single panel.
    """

    title: str
    frames: Frames
    exact: Callable[[int], npt.NDArray[np.floating]]
    counts: npt.NDArray[np.integer] | None = None
    empty: str = ""
    symmetric: bool = False


@dataclass(frozen=True)
class Selection:
    """Settled frame; and the cell as (row class, column class), only in the run of its click."""

    frame: int
    cell: tuple[int, int] | None


def palette(kind: ScaleKind) -> npt.NDArray[np.uint8]:
    """Colours of all codes, (256, 4) as red, green, blue and opacity.

    Blank is transparent, and on a diverging scale a grey.
    """
    anchors = DIVERGING if kind == "diverging" else sequential.Cividis
    colors = np.array([hex_to_rgb(anchor) for anchor in anchors])
    at = np.linspace(0, TOP, len(colors))
    channels = [np.interp(np.arange(TOP + 1), at, channel) for channel in colors.T]
    table = np.zeros((256, 4), np.uint8)
    table[: TOP + 1, :3] = np.rint(np.stack(channels, axis=1))
    table[: TOP + 1, 3] = 255
    if kind == "diverging":
        table[BLANK] = *hex_to_rgb(_BLANK_DIVERGING), 255
    return table


def show_frame(key: str, frame: int) -> None:
    """Set the frame of a viewer that this run has not drawn yet."""
    st.session_state.setdefault(key, {})["view"] = {"frame": frame, "window": None}


def matrix_viewer(
    panels: Sequence[Panel],
    names: Sequence[str],
    groups: Sequence[tuple[str, int]],
    frame_labels: Sequence[str],
    texts: Texts,
    *,
    tree: Dendrogram | None = None,
    cut: float | None = None,
    group_ticks: bool = True,
    initial: int,
    key: str,
) -> Selection:
    """Draw the viewer.

    It runs the page again when a frame settles (the slider is released, playing ends, or a key
    rests), when a cell is clicked, and, beyond 256 classes (fewer in several panels), when a
    window settles; never while frames go by.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    names : sequence of str
        Of the classes, in their own order.
    groups : sequence of (str, int)
        Neighbours in the shown order, as (name, size); empty for none. Groups without names are
        only drawn; a name stands beside those of its classes.
    frame_labels : sequence of str
        One a frame, such as "epoch 3".
    texts : Texts
    tree : Dendrogram, optional
        Of the shown order, to be drawn beside the rows.
    cut : float, optional
        Height at which to mark a cut of the tree.
    group_ticks : bool
        Whether the axes name the groups where there is no room for each of the classes.
    initial : int
        Frame to begin with; negative ones count from the last.
    key : str
        The viewer's state is `st.session_state[key]["view"]`; `show_frame` sets it.
    """
    frames = panels[0].frames
    n_frames, n_classes = len(frames.codes), len(frames.order)
    start = {"frame": initial % n_frames, "window": None}
    raw = st.session_state.get(key, {}).get("view", start)
    frame, window = _settled(raw, n_frames, n_classes, detail_side(len(panels)))
    header, body = _frames(panels, tree, cut)
    header |= {
        "channel": key,
        "names": [names[i] for i in frames.order],
        "groups": list(groups),
        "groupTicks": group_ticks,
        "labels": list(frame_labels),
        "texts": asdict(texts),
    }
    name = token(header, body)
    with st.container(gap=None):
        _FRAMES(key=f"{key}-frames", data=pack(header | {"token": name}, body), height=1)
        result = _VIEWER(
            key=key,
            data=_view(panels, frame, window, {"channel": key, "token": name}),
            default={"view": start},
            on_view_change=declared,
            on_cell_change=declared,
        )
    return Selection(frame, _cell(result.cell, n_classes))


def _frames(
    panels: Sequence[Panel], tree: Dendrogram | None, cut: float | None
) -> tuple[dict[str, Any], bytes]:
    """Header and bytes of what does not change while somebody looks around."""
    frames = panels[0].frames
    counted = [panel.counts for panel in panels if panel.counts is not None]
    most = max((int(counts.max()) for counts in counted), default=1)
    merges, level = np.empty((0, 5), np.float32), None
    if tree is not None:
        merges, level = scaled_merges(tree, cut, frames.scale.kind)
    side = frames.codes.shape[1]
    header = {
        "kind": "frames",
        "side": side,
        "panels": [
            {
                "title": panel.title,
                "counted": panel.counts is not None,
                "empty": panel.empty,
                "symmetric": panel.symmetric,
            }
            for panel in panels
        ],
        "order": frames.order.tolist(),
        "scale": asdict(frames.scale),
        "most": most,
        "merges": len(merges),
        "cut": level,
        "detailSide": detail_side(len(panels)),
    }
    arrays: list[npt.NDArray[Any]] = [palette(frames.scale.kind), merges]
    arrays += [panel.frames.codes for panel in panels]
    pooled = (pool_counts(counts[:, frames.order], side) for counts in counted)
    arrays += [encode_counts(counts, most) for counts in pooled]
    return header, b"".join(array.tobytes() for array in arrays)


def _view(panels: Sequence[Panel], frame: int, window: Window, header: dict[str, Any]) -> bytes:
    """Message with what settled: the exact values of a window, and the counts of its frame."""
    order, details = panels[0].frames.order, _details(panels, frame, window)
    counts = [
        np.zeros(len(order)) if panel.counts is None else panel.counts[frame, order]
        for panel in panels
    ]
    cells = len(details[0]) if details else 0
    shown = asdict(window) | {"cells": cells, "counts": len(panels) * len(order)}
    body = [*details, *(count.astype(np.float32) for count in counts)]
    return pack(
        header | {"kind": "view", "frame": frame, "detail": shown},
        b"".join(array.tobytes() for array in body),
    )


def _details(panels: Sequence[Panel], frame: int, window: Window) -> list[npt.NDArray[np.float32]]:
    """Exact values of each panel; none where the cells of the frames are smaller than theirs."""
    frames, side = panels[0].frames, detail_side(len(panels))
    order, kind = frames.order, frames.scale.kind
    if window.side * frames.codes.shape[1] > min(window.side, side) * len(order):
        return []
    return [cut_detail(panel.exact(frame), order, window, kind, side) for panel in panels]


def _settled(raw: Any, n_frames: int, n_classes: int, detail: int) -> tuple[int, Window]:
    """Frame and window of a state, which may stem from another run's matrix or from anywhere."""
    whole = Window(0, 0, n_classes)
    match raw:
        case {"frame": int(frame), "window": [int(row), int(column), int(side)]}:
            side = min(max(side, 1), n_classes)
            row, column = (min(max(start, 0), n_classes - side) for start in (row, column))
            window = Window(row, column, side)
        case {"frame": int(frame)}:
            window = whole
        case _:
            frame, window = n_frames - 1, whole
    # Up to this size every value travels at once, whatever the browser shows of it.
    window = whole if n_classes <= detail else window
    return min(max(frame, 0), n_frames - 1), window


def _cell(raw: Any, n_classes: int) -> tuple[int, int] | None:
    match raw:
        case [int(row), int(column)] if 0 <= row < n_classes and 0 <= column < n_classes:
            return row, column
    return None
