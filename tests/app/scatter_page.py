"""A page with nothing but the scatter viewer, on synthetic points chosen in the URL."""

import io
import sys
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

# `streamlit run` puts only this file's folder on the path.
sys.path[:] = dict.fromkeys([str(Path(__file__).resolve().parents[2]), *sys.path])

from app.components.scatter_viewer import (  # noqa: E402
    DIMMED,
    Atlas,
    Frame,
    Legend,
    Mark,
    Panel,
    clear_selection,
    current_selection,
    picked_sample,
    scatter_viewer,
    selected_points,
)

KEY = "scatter"
N_GROUPS = 10
TILE = 8  # pixels of a thumbnail's side


def group_names() -> list[str]:
    """Plain names, but for the first, which must be shown and not obeyed."""
    return ["<b>first</b>", *(f"group {i}" for i in range(1, N_GROUPS))]


def labels_of(n: int) -> np.ndarray:
    return np.arange(n) % N_GROUPS


@st.cache_resource(max_entries=16)
def points_of(n: int, dimensions: int, panel: int, frame: int) -> np.ndarray:
    """Groups on a circle, which move apart over the frames."""
    random = np.random.default_rng([panel, dimensions])
    angle = 2 * np.pi * labels_of(n) / N_GROUPS
    centers = np.stack([np.cos(angle), np.sin(angle), np.sin(2 * angle)], axis=1)[:, :dimensions]
    spread = random.normal(size=(n, dimensions)) * 0.35
    return ((1 + 2 * frame) * centers + spread + [5 * panel, *[0] * (dimensions - 1)]).astype(
        np.float32
    )


def tile_color(sample: int) -> tuple[int, int, int]:
    """Each thumbnail has a colour of its own."""
    return (sample * 37) % 256, (sample * 101) % 256, (sample * 7) % 256


@st.cache_resource(max_entries=2)
def atlas_of(n: int) -> Atlas:
    columns = int(np.ceil(np.sqrt(n)))
    places = np.arange(columns * -(-n // columns)).reshape(-1, columns)
    colors = np.stack(tile_color(places), axis=-1).astype(np.uint8)
    pixels = colors.repeat(TILE, axis=0).repeat(TILE, axis=1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, method=0)
    tiles = np.arange(n, dtype=np.int32)
    tiles[-1] = -1
    return Atlas(f"synthetic-{n}", file.getvalue(), "image/webp", columns, TILE, tiles)


def frame_of(n: int, dimensions: int, panel: int, frame: int, kind: str) -> Frame:
    points, labels = points_of(n, dimensions, panel, frame), labels_of(n)
    if kind == "confidence":
        colors = np.linspace(0, 254, n).astype(np.uint8)
    elif kind == "dimmed":
        colors = np.where(labels < 4, labels, DIMMED).astype(np.uint8)
    else:
        colors = labels.astype(np.uint8)
    marks = [
        Mark(name, points[labels == i].mean(axis=0), i) for i, name in enumerate(group_names())
    ]
    confidence = np.linspace(0, 1, n)
    return Frame(f"epoch {frame}", points, colors, (labels + panel) % N_GROUPS, confidence, marks)


def main() -> None:
    st.set_page_config(layout="wide")
    chosen = st.query_params
    n, n_panels, n_frames = (int(chosen.get(k, v)) for k, v in (("n", 500), ("p", 1), ("t", 1)))
    dimensions, kind = int(chosen.get("d", 2)), chosen.get("kind", "class")
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    if st.button("Forget"):
        clear_selection(KEY)
    if st.toggle("Confidence"):
        kind = "confidence"
    shift = 1 if st.toggle("Other layout") else 0
    if st.toggle("Hide"):
        return
    legend = Legend("confidence", low=0.0, high=1.0)
    if kind != "confidence":
        names = group_names()
        legend = Legend("class", names[:4] if kind == "dimmed" else names)
    panels = [
        Panel(
            f"Synthetic {panel}",
            [frame_of(n, dimensions, panel + shift, t, kind) for t in range(n_frames)],
            f"footer {panel}",
        )
        for panel in range(n_panels)
    ]
    selection = current_selection(panels, KEY)
    mask = None
    if selection is not None:
        points = panels[selection.panel].frames[selection.frame].points
        mask = selected_points(selection, points)
    selected = None if "silent" in chosen else mask
    if "only" in chosen:
        selected = labels_of(n) == int(chosen["only"])
    returned = scatter_viewer(
        panels,
        labels=labels_of(n),
        class_names=group_names(),
        legend=legend,
        atlas=atlas_of(n) if "atlas" in chosen else None,
        selected=selected,
        key=KEY,
    )
    assert (returned is None) == (selection is None)
    st.text(f"runs {st.session_state['runs']}")
    st.text(f"inside {'none' if mask is None else mask.sum()}")
    st.text(f"vertices {'none' if selection is None else len(selection.polygon)}")
    st.text(f"picked {picked_sample(KEY)}")


if __name__ == "__main__":
    main()
