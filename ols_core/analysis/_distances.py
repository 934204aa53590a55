"""All distances between samples, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ols_core.analysis._arrays import FloatArray
from ols_core.analysis._features import feature_mean, working_type

__all__ = ["distance_blocks"]

# entries of a block: 16 MB of float32, of which callers make copies
_ENTRIES = 1 << 22


def distance_blocks(points: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Squared Euclidean distances of some samples to all of them.

    Parameters
    ----------
    points : ndarray of shape (n_samples, n_features)
        Finite. Float64 is computed in float64, the rest in float32.

    Yields
    ------
    rows : slice
        The same slices for the same number of samples.
    squared : ndarray of shape (n_rows, n_samples)
        At least 0, and 0 of a sample to itself. The caller may write into it.

    Notes
    -----
    From the matrix product ``|x|² - 2 x·y + |y|²`` of centred points: rounding is relative to the
    squared distance from the mean, not to the distance of the two.
    """
    mean = feature_mean(points)
    for rows in _slices(len(points), _ENTRIES // len(points)):
        left = _factor(points, rows, mean, side=0)
        squared = np.empty((len(left), len(points)), dtype=left.dtype)
        for columns in _slices(len(points), _ENTRIES // points.shape[1]):
            right = _factor(points, columns, mean, side=1)
            np.matmul(left, right.T, out=squared[:, columns])
        np.maximum(squared, 0, out=squared)
        own = np.arange(len(squared))
        squared[own, own + rows.start] = 0
        yield rows, squared


def _slices(n: int, step: int) -> Iterator[slice]:
    step = max(1, step)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _factor(points: FloatArray, rows: slice, mean: FloatArray, side: int) -> FloatArray:
    """One side of the product that gives the squared distances: (x, |x|², 1) or (-2y, 1, |y|²)."""
    kind = working_type(points)
    factor = np.ones((rows.stop - rows.start, points.shape[1] + 2), dtype=kind)
    centred = np.subtract(points[rows], mean.astype(kind), out=factor[:, :-2])
    factor[:, side - 2] = np.einsum("nd,nd->n", centred, centred)
    if side == 1:
        centred *= -2
    return factor
