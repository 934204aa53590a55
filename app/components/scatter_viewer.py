"""Samples as points in the plane or in space on canvases: selected, zoomed and read in the browser.

Several panels show the same samples, each in its own layout; what is pointed at or selected in one
is marked in all. A panel with several frames lets its points move from one to the next.

Up to four mounted components share one JavaScript module. Three carry what stays the same while
somebody looks around: where the points are, their colours, and their pictures; as their messages
repeat byte for byte, Streamlit sends only hashes on later runs. The last one carries which samples
are selected, a bit each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.charts.palettes import DIMMED, Legend, palette
from app.components.matrix_viewer import palette as code_colors
from app.components.message import Arrays, declared, pack, read_assets, token
from ols_core.analysis.embedding import inside_polygon
from ols_core.checks import invalid

__all__ = [
    "DIMMED",
    "Atlas",
    "Frame",
    "Legend",
    "Mark",
    "Panel",
    "Selection",
    "clear_selection",
    "current_selection",
    "picked_sample",
    "scatter_viewer",
    "selected_points",
]

_HTML = """
<section class="viewer">
  <div class="toolbar">
    <span class="tools" role="group" aria-label="What dragging does">
      <button type="button" value="lasso">Lasso</button>
      <button type="button" value="box">Box</button>
      <button type="button" value="move"></button>
    </span>
    <button type="button" value="reset">Reset view</button>
    <button type="button" value="clear">Clear selection</button>
    <output class="count"></output>
  </div>
  <div class="controls">
    <button type="button" class="play"></button>
    <input type="range" class="slider" min="0" step="any" aria-label="Frame">
    <output class="label"></output>
  </div>
  <div class="stage">
    <div class="panels"></div>
    <div class="tip" hidden></div>
  </div>
  <div class="legend"></div>
  <div class="hint"></div>
  <div class="spoken" aria-live="polite"></div>
</section>
"""
_JS = read_assets(
    "shared.js",
    "scatter_geometry.js",
    "scatter_stamps.js",
    "scatter_plot.js",
    "scatter_gestures.js",
    "scatter_viewer.js",
)
_CSS = read_assets("shared.css", "scatter_viewer.css")
_PARTS = {
    part: st.components.v2.component(f"scatter_{part}", js=_JS)
    for part in ("points", "paint", "atlas")
}
_VIEWER = st.components.v2.component("scatter_viewer", html=_HTML, css=_CSS, js=_JS)
_STEPS = 65535  # of a coordinate: two bytes
_UNKNOWN = 255  # a confidence that is not a number
_MOST_PANELS = 6
_MOST_VERTICES = 1000  # five times what the browser sends


@dataclass(frozen=True, eq=False)
class Mark:
    """Labelled position, such as a centroid.

    Attributes
    ----------
    text : str
    position : sequence of float
        In the coordinates of the points.
    color : int, optional
        Index into the legend's colours.
    """

    text: str
    position: Sequence[float] | npt.NDArray[np.floating]
    color: int | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """One state of a panel: a run, or an epoch.

    Attributes
    ----------
    label : str
    points : ndarray of shape (n, 2) or (n, 3), float32
    colors : ndarray of shape (n,), uint8
        Index into the legend's names, or from 0 for its low to 254 for its high end; `DIMMED`
        for points that step back.
    predicted : ndarray of shape (n,), integer, optional
        Class index.
    confidence : ndarray of shape (n,), optional
        In [0, 1]; NaN where it is unknown.
    marks : sequence of Mark
    """

    label: str
    points: npt.NDArray[np.float32]
    colors: npt.NDArray[np.uint8]
    predicted: npt.NDArray[np.integer] | None = None
    confidence: npt.NDArray[np.floating] | None = None
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, eq=False)
class Panel:
    """One layout of all samples over its frames, with a line of text below it."""

    title: str
    frames: Sequence[Frame]
    footer: str = ""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Thumbnails as tiles of one picture.

    Attributes
    ----------
    key : str
        Names the picture: another one must have another key.
    image : bytes
        Of the file.
    mime : str
        Such as "image/webp".
    columns, side : int
        Tiles in a row, and pixels of a tile's side.
    tiles : ndarray of shape (n,), int32
        Tile of each sample in row-major order; -1 for none.
    """

    key: str
    image: bytes
    mime: str
    columns: int
    side: int
    tiles: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Selection:
    """Polygon that was drawn around points.

    Attributes
    ----------
    panel, frame : int
        Where it was drawn.
    polygon : ndarray of shape (m, 2), float32
        In the coordinates of the panel's points; in space, in the plane of the screen.
    rotation : ndarray of shape (3, 3), float64, optional
        In space only: `points @ rotation.T` has the plane's coordinates in its first two columns.
    """

    panel: int
    frame: int
    polygon: npt.NDArray[np.float32]
    rotation: npt.NDArray[np.float64] | None = None


def selected_points(
    selection: Selection, points: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Tell which points lie inside the selection's polygon.

    Parameters
    ----------
    selection : Selection
    points : ndarray of shape (n, 2) or (n, 3)
        Of the frame in which it was drawn.

    Returns
    -------
    ndarray of shape (n,), bool
    """
    plane = np.asarray(points, dtype=np.float64)
    if selection.rotation is not None:
        plane = plane @ selection.rotation[:2].T
    return inside_polygon(plane, selection.polygon)


def current_selection(panels: Sequence[Panel], key: str) -> Selection | None:
    """Return the selection that the next call of `scatter_viewer` will return for these panels.

    A page asks for it first and passes what it selects on to the viewer in the same run. A
    selection that was drawn on other points is none.
    """
    return _selection(_state(key), panels, _layout_token(panels))


def clear_selection(key: str) -> None:
    """Take away the selection of a viewer that this run has not drawn yet."""
    state = st.session_state.setdefault(key, {})
    state["selection"] = {"stamp": _stamp(_state(key)) + 1}


def picked_sample(key: str) -> int | None:
    """Index of the sample that was clicked, after `scatter_viewer` in the run of the click only."""
    match st.session_state.get(key, {}).get("picked"):
        case int(index):
            return index
    return None


def scatter_viewer(
    panels: Sequence[Panel],
    *,
    labels: npt.NDArray[np.integer],
    class_names: Sequence[str],
    legend: Legend,
    atlas: Atlas | None = None,
    selected: npt.NDArray[np.bool_] | None = None,
    axis_names: Sequence[str] = ("first dimension", "second dimension"),
    key: str,
) -> Selection | None:
    """Draw the viewer.

    It runs the page again when points are selected, the selection is cleared, or a point is
    clicked; never while frames go by, or the view moves.

    Parameters
    ----------
    panels : sequence of Panel
        One to six, of the same samples and as many dimensions; each has one frame, or as many as
        the others that have several.
    labels : ndarray of shape (n,)
        True class of each sample.
    class_names : sequence of str
    legend : Legend
    atlas : Atlas, optional
    selected : ndarray of shape (n,), bool, optional
        Samples to show as selected. Without it the browser shows what it found itself inside the
        polygon.
    axis_names : sequence of str
        Of the plane's axes.
    key : str
        The viewer's state is `st.session_state[key]["selection"]`.

    Returns
    -------
    Selection or None
        None if nothing is selected.

    Raises
    ------
    ArgumentError
        If panels, labels, tiles or the selected samples do not fit together.
    """
    _check(panels, labels, atlas, selected)
    layout, state = _layout_token(panels), _state(key)
    selection = _selection(state, panels, layout)
    points, body = _points(panels, labels, class_names, atlas, axis_names)
    with st.container(gap=None):
        tokens = {
            "points": _mount("points", key, points | {"layout": layout}, body),
            "paint": _mount("paint", key, *_paint(panels, legend)),
        }
        if atlas is not None:
            known = {"mime": atlas.mime, "token": atlas.key}
            tokens["atlas"] = _mount("atlas", key, known, atlas.image)
        view = {"part": "view", "channel": key, "tokens": tokens, "stamp": _stamp(state)}
        view |= {"active": selection is not None, "masked": selected is not None}
        mask = b"" if selected is None else np.packbits(selected, bitorder="little").tobytes()
        _VIEWER(
            key=key,
            data=pack(view, mask),
            default={"selection": None},
            on_selection_change=declared,
            on_picked_change=declared,
        )
    return selection


def _mount(part: str, key: str, header: dict[str, Any], body: bytes) -> str:
    """Send a part that seldom changes, and return its name."""
    header |= {"part": part, "channel": key}
    header.setdefault("token", token(header, body))
    _PARTS[part](key=f"{key}-{part}", data=pack(header, body), height=1)
    return str(header["token"])


def _check(
    panels: Sequence[Panel],
    labels: npt.NDArray[np.integer],
    atlas: Atlas | None,
    selected: npt.NDArray[np.bool_] | None,
) -> None:
    """Refuse what the browser could only draw wrongly."""
    if not 1 <= len(panels) <= _MOST_PANELS:
        raise invalid("panels", f"1 to {_MOST_PANELS} panels", f"{len(panels)} of them")
    counts = {len(panel.frames) for panel in panels}
    if 0 in counts or len(counts - {1}) > 1:
        got = f"panels with {sorted(counts)} frames"
        raise invalid("panels", "of one frame or of equally many", got)
    shapes = {frame.points.shape for panel in panels for frame in panel.frames}
    n = len(labels)
    if shapes not in ({(n, 2)}, {(n, 3)}) or n == 0:
        expected = f"({n}, 2) or ({n}, 3) like the labels, at least one point"
        raise invalid("points", f"of shape {expected}, in all frames alike", sorted(shapes))
    if not all(np.isfinite(frame.points).all() for panel in panels for frame in panel.frames):
        raise invalid("points", "finite", "NaN or infinity")
    tiles = None if atlas is None else atlas.tiles
    for name, array in (("tiles", tiles), ("selected", selected)):
        if array is not None and array.shape != (n,):
            raise invalid(name, f"of shape ({n},) like the labels", array.shape)


def _layout_token(panels: Sequence[Panel]) -> str:
    """Name where the points are: a polygon means nothing on others."""
    digest = hashlib.blake2b(digest_size=8)
    for panel in panels:
        for frame in panel.frames:
            digest.update(np.ascontiguousarray(frame.points).data)
    return digest.hexdigest()


def _points(
    panels: Sequence[Panel],
    labels: npt.NDArray[np.integer],
    class_names: Sequence[str],
    atlas: Atlas | None,
    axis_names: Sequence[str],
) -> tuple[dict[str, Any], bytes]:
    """Where the points are, and what is said of them when they are pointed at."""
    arrays = Arrays()
    tiles = atlas and {
        "columns": atlas.columns,
        "side": atlas.side,
        "places": arrays.add_small(atlas.tiles + 1),  # 0 for none
    }
    header = {
        "n": len(labels),
        "labels": arrays.add_small(labels),
        "classNames": list(class_names),
        "axisNames": list(axis_names),
        "tiles": tiles,
        "panels": [_placed(panel, arrays) for panel in panels],
    }
    return header, arrays.body()


def _placed(panel: Panel, arrays: Arrays) -> dict[str, Any]:
    """Points of a panel on a grid over all its frames, as fine for every axis."""
    # Axis by axis, (n_frames, dimensions, n): several times as fast to go through.
    points = np.array([frame.points.T for frame in panel.frames], np.float64, order="C")
    low, high = points.min(axis=2).min(axis=0), points.max(axis=2).max(axis=0)
    step = float((high - low).max()) / _STEPS or 1.0
    points -= low[:, None]
    codes = np.rint(points * (1 / step)).astype(np.uint16)
    points -= (high - low)[:, None] / 2
    return {
        "title": panel.title,
        "low": low.tolist(),
        "high": high.tolist(),
        "step": step,
        # farthest point from the middle: whatever way it is turned, all points stay in sight
        "radius": float(np.sqrt(np.square(points, out=points).sum(axis=1).max())),
        "frames": [
            {
                "label": frame.label,
                "points": arrays.add(code),
                "predicted": None if frame.predicted is None else arrays.add_small(frame.predicted),
                "confidence": None
                if frame.confidence is None
                else arrays.add(_percent(frame.confidence)),
            }
            for frame, code in zip(panel.frames, codes, strict=True)
        ],
    }


def _percent(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    percent = np.rint(np.clip(confidence, 0.0, 1.0) * 100)
    return np.where(np.isnan(percent), _UNKNOWN, np.nan_to_num(percent)).astype(np.uint8)


def _paint(panels: Sequence[Panel], legend: Legend) -> tuple[dict[str, Any], bytes]:
    """Colours of the points, their legend, and the marks between them."""
    arrays = Arrays()
    header = {
        "legend": asdict(legend) | {"names": list(legend.names)},
        "palette": _palette(legend),
        "panels": [
            {
                "footer": panel.footer,
                "frames": [
                    {
                        "colors": arrays.add(frame.colors.astype(np.uint8)),
                        "marks": [
                            [mark.text, [float(x) for x in mark.position], mark.color]
                            for mark in frame.marks
                        ],
                    }
                    for frame in panel.frames
                ],
            }
            for panel in panels
        ],
    }
    return header, arrays.body()


def _palette(legend: Legend) -> list[tuple[str, str]]:
    """Colour and symbol of each index; a scale has one symbol."""
    if legend.low is None:
        return [(color, symbol) for color, symbol in palette(len(legend.names))]
    return [(f"#{r:02x}{g:02x}{b:02x}", "circle") for r, g, b, _ in code_colors("linear")[:DIMMED]]


def _state(key: str) -> Any:
    return st.session_state.get(key, {}).get("selection")


def _stamp(state: Any) -> int:
    """Return the browser's number of a selection, by which it knows the answer to it."""
    match state:
        case {"stamp": int(stamp)}:
            return stamp
    return 0


def _selection(state: Any, panels: Sequence[Panel], layout: str) -> Selection | None:
    """Selection of a state, which may stem from other points or from anywhere."""
    match state:
        case {
            "layout": str(drawn_on),
            "panel": int(panel),
            "frame": int(frame),
            "polygon": list(polygon),
            "rotation": rotation,
        } if drawn_on == layout and 0 <= panel < len(panels):
            corners = _numbers(polygon, 2)
            turned = None if rotation is None else _numbers(rotation, 3)
        case _:
            return None
    frames = panels[panel].frames
    if corners is None or not 3 <= len(corners) <= _MOST_VERTICES or not 0 <= frame < len(frames):
        return None
    flat = frames[frame].points.shape[1] == 2
    if flat != (turned is None) or (turned is not None and turned.shape != (3, 3)):
        return None
    return Selection(panel, frame, corners.astype(np.float32), turned)


def _numbers(rows: Any, width: int) -> npt.NDArray[np.float64] | None:
    """Finite numbers in rows of this width, if that is what came."""
    try:
        found = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return found if found.shape[1:] == (width,) and np.isfinite(found).all() else None
