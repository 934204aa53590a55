"""Layouts of the same samples, brought to lie on each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray
from ols_core.analysis._features import check_features
from ols_core.checks import invalid

__all__ = ["procrustes", "rotation"]


def procrustes(points: npt.ArrayLike, reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn, mirror and move points so that they lie as near as can be to their partners.

    Parameters
    ----------
    points, reference : array-like of shape (n, n_dimensions)
        Row i of both is the same sample.

    Returns
    -------
    ndarray of shape (n, n_dimensions), float64
        The points, with all distances between them as they were: they are not scaled, since how
        far a network spreads its samples is its own, and part of what is compared.

    Raises
    ------
    ArgumentError
        If the shapes differ, or a number is not finite.

    Notes
    -----
    Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem": of all such
    motions the one with the least summed squared distance.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> turned = square @ [[0.0, 1.0], [-1.0, 0.0]] + 5
    >>> np.allclose(procrustes(turned, square), square)
    True
    """
    moved = check_features("points", points).astype(np.float64)
    fixed = check_features("reference", reference).astype(np.float64)
    if moved.shape != fixed.shape:
        raise invalid("points", f"of shape {fixed.shape}, like reference", moved.shape)
    origin = fixed.mean(axis=0)
    centred = moved - moved.mean(axis=0)
    turned: npt.NDArray[np.float64] = centred @ rotation(centred, fixed - origin) + origin
    return turned


def rotation(points: FloatArray, reference: FloatArray) -> FloatArray:
    """Orthogonal matrix that turns or mirrors points onto their partners, around the origin."""
    left, _, right = np.linalg.svd(points.T @ reference)
    turn: FloatArray = left @ right
    return turn
