"""A page with nothing but the matrix viewer, on synthetic matrices chosen in the URL."""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

# `streamlit run` puts only this file's folder on the path.
sys.path[:] = dict.fromkeys([str(Path(__file__).resolve().parents[2]), *sys.path])

from app.charts.scale import ScaleKind, scale_of  # noqa: E402
from app.components.frames import max_side, prepare_frames  # noqa: E402
from app.components.matrix_viewer import Panel, Texts, matrix_viewer, show_frame  # noqa: E402
from ols_core.analysis.similarity import class_hierarchy, cut_height, dendrogram  # noqa: E402

KEY = "viewer"
# The permutation of the page's classes, so that tests know what stands where.
ORDER_SEED = 3


def order_of(n_classes: int) -> np.ndarray:
    return np.random.default_rng(ORDER_SEED).permutation(n_classes)


def class_names(n_classes: int) -> list[str]:
    """Plain names, but for the first, which must be shown and not obeyed."""
    return ["<b>first</b>", *(f"class {i}" for i in range(1, n_classes))]


@st.cache_resource(max_entries=4)
def synthetic_matrices(
    n_classes: int, n_frames: int, kind: ScaleKind, seed: int = 0
) -> list[np.ndarray]:
    """Rows with a few strong neighbours that build up over the frames; the diagonal is blank."""
    random = np.random.default_rng(seed)
    rank = np.argsort(order_of(n_classes))
    near = np.exp(-np.abs(rank[:, None] - rank) / (0.04 * n_classes + 1))
    weight = random.gamma(0.3, size=(n_classes, n_classes)) * near + 1e-6
    stack = []
    for frame in range(n_frames):
        share = (frame + 1) / n_frames
        matrix = (1 - share) / n_classes + share * weight / weight.sum(1, keepdims=True)
        if kind == "diverging":
            matrix = random.normal(size=matrix.shape) * near * share
        matrix = matrix.astype(np.float32)
        np.fill_diagonal(matrix, np.nan)
        stack.append(matrix)
    return stack


@st.cache_resource(max_entries=4)
def frames_of(
    n_classes: int, n_frames: int, kind: ScaleKind, backwards: bool = False, seed: int = 0
):
    matrices = synthetic_matrices(n_classes, n_frames, kind, seed)
    order = order_of(n_classes)[:: -1 if backwards else 1]
    scale = scale_of(synthetic_matrices(n_classes, n_frames, kind)[-1], kind)
    return prepare_frames(matrices, order, scale, max_side(n_classes, n_frames))


def counts_of(n_classes: int, n_frames: int) -> np.ndarray:
    """Samples behind each row; at the start there are none, later all but for class 1."""
    counts = np.tile(np.arange(n_classes) + 1, (n_frames, 1))
    counts[0] = counts[:, 1] = 0
    return counts


def main() -> None:
    st.set_page_config(layout="wide")
    chosen = st.query_params
    n_classes, n_frames = int(chosen.get("k", 100)), int(chosen.get("t", 12))
    kind = chosen.get("kind", "log")
    n_groups = int(chosen.get("groups", 0))
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    if st.button("Show frame 1"):
        show_frame(KEY, 1)
    backwards = st.toggle("Backwards")
    if st.toggle("Hide"):
        return
    n_panels, counted = int(chosen.get("panels", 1)), "counted" in chosen
    tree = cut = None
    if "tree" in chosen:
        points = np.arange(n_classes)[np.argsort(order_of(n_classes))]
        hierarchy = class_hierarchy(1 / (1 + np.abs(np.subtract.outer(points, points))))
        tree, cut = dendrogram(hierarchy), cut_height(hierarchy, 2)
    sizes = np.bincount(np.arange(n_classes) * n_groups // n_classes) if n_groups else []
    left, right = st.columns([2, 1])
    with left:
        panels = [
            Panel(
                "Synthetic matrices, not results" if n_panels == 1 else f"Synthetic {panel}",
                frames_of(n_classes, n_frames, kind, backwards, panel),
                synthetic_matrices(n_classes, n_frames, kind, panel).__getitem__,
                counts_of(n_classes, n_frames) if counted else None,
                empty="uniform fallback",
                symmetric="symmetric" in chosen,
            )
            for panel in range(n_panels)
        ]
        selection = matrix_viewer(
            panels,
            class_names(n_classes),
            [(f"group {i}", int(size)) for i, size in enumerate(sizes)],
            [f"epoch {i}" for i in range(n_frames)],
            Texts("mass", "target class", "class that receives"),
            tree=tree,
            cut=cut,
            initial=-1,
            key=KEY,
        )
    with right:
        st.text(f"runs {st.session_state['runs']}")
        st.text(f"frame {selection.frame}")
        st.text(f"cell {selection.cell}")


if __name__ == "__main__":
    main()
