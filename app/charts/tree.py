"""Dendrograms beside matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.charts.scale import ScaleKind
from ols_core.analysis.similarity import Dendrogram

__all__ = ["scaled_merges", "tree_path"]


def scaled_merges(
    tree: Dendrogram, cut: float | None, kind: ScaleKind
) -> tuple[npt.NDArray[np.float32], float | None]:
    """Merges (n, 5) as two positions and three heights, and the cut; heights from 0 to 1.

    A height is one minus a similarity. With logarithmic colours the tree too goes by ratios of
    similarities: masses of soft labels are so small that all distances are nearly 1.
    """

    def rise(height: npt.ArrayLike) -> npt.NDArray[np.float64]:
        plain = np.asarray(height, dtype=np.float64)
        return -np.log(np.maximum(1.0 - plain, 1e-6)) if kind == "log" else plain

    low, high = float(rise(tree.height).min()), float(rise(tree.height).max())
    # The first merges may lie near the last: a scale from 0 would crowd them all.
    floor = low - 0.1 * (high - low)

    def share(height: npt.ArrayLike) -> npt.NDArray[np.float64]:
        if high == low:  # equal merges, or a single one
            return (rise(height) >= high).astype(np.float64)
        return np.clip((rise(height) - floor) / (high - floor), 0.0, 1.0)

    heights = share(np.stack([tree.left_height, tree.right_height, tree.height]))
    merges = np.vstack([tree.left, tree.right, heights]).T
    return merges.astype(np.float32), None if cut is None else float(share(cut))


def tree_path(merges: npt.NDArray[np.float32], start: float, width: float, cells: float) -> str:
    """SVG path of a tree that grows to the right.

    Parameters
    ----------
    merges : ndarray of shape (n, 5)
        As `scaled_merges` gives them.
    start, width : float
        Where its leaves are, and how far it grows.
    cells : float
        Cells a leaf: less than 1 where a cell stands for several.
    """
    positions = merges[:, :2] * cells - 0.5  # a category is in the middle of its cell
    left, right, top = (start + width * merges[:, 2:]).T
    corners = zip(left, right, top, *positions.T, strict=True)
    return " ".join(
        f"M{one:.4g},{low:.4g} L{both:.4g},{low:.4g} L{both:.4g},{high:.4g} L{other:.4g},{high:.4g}"
        for one, other, both, low, high in corners
    )
