"""Which points lie inside a polygon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import BoolArray, as_matrix
from ols_core.checks import invalid

__all__ = ["inside_polygon"]


def inside_polygon(points: npt.ArrayLike, polygon: npt.ArrayLike) -> BoolArray:
    """Tell which points lie inside a polygon, by the even-odd rule.

    Parameters
    ----------
    points : array-like of shape (n, 2) or wider
        Columns beyond the second are not looked at.
    polygon : array-like of shape (m, 2)
        Its corners in order; the last one is joined to the first. With fewer than three, nothing
        is inside. Where it crosses itself, what lies in an even number of its loops is outside.

    Returns
    -------
    ndarray of shape (n,), bool
        Points on an edge may be on either side.

    Raises
    ------
    ArgumentError
        If a shape is not as described.

    Examples
    --------
    >>> inside_polygon([[1.0, 1.0], [3.0, 1.0]], [[0, 0], [2, 0], [2, 2], [0, 2]]).tolist()
    [True, False]
    """
    values = as_matrix("points", points, "n_dimensions")
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.size and (corners.ndim != 2 or corners.shape[1] != 2):
        raise invalid("polygon", "of shape (m, 2)", corners.shape)
    inside = np.zeros(len(values), dtype=np.bool_)
    if len(corners) < 3:
        return inside
    order = np.argsort(values[:, 1], kind="stable")
    x, y = values[order, :2].T.astype(np.float64)
    low_x, low_y, high_x, high_y = _edges(corners)
    # sorted by height, the points beside an edge follow one another, mostly few of all
    spans = np.searchsorted(y, low_y), np.searchsorted(y, high_y)
    slopes = (high_x - low_x) / (high_y - low_y)
    crossed = np.zeros(len(values), dtype=np.bool_)
    for first, last, x0, y0, slope in zip(*spans, low_x, low_y, slopes, strict=True):
        crossed[first:last] ^= x[first:last] < x0 + (y[first:last] - y0) * slope
    inside[order] = crossed
    return inside


def _edges(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lower and upper ends (x, y, x, y) of the edges, as rows; without the horizontal ones."""
    start, end = corners, np.roll(corners, -1, axis=0)
    upwards = start[:, 1] < end[:, 1]
    low, high = np.where(upwards[:, None], (start, end), (end, start))
    edges: npt.NDArray[np.float64] = np.hstack([low, high])[start[:, 1] != end[:, 1]].T
    return edges
