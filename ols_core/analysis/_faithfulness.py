"""How far a layout keeps who is near whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray
from ols_core.analysis._distances import distance_blocks
from ols_core.analysis._features import check_features
from ols_core.checks import check_integer, invalid

__all__ = ["Faithfulness", "faithfulness"]


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How far the neighbourhoods of a layout are those of the features.

    Attributes
    ----------
    trustworthiness : float
        In [0, 1]; 1 if all who are near in the layout are near by their features.
    continuity : float
        In [0, 1]; 1 if all who are near by their features are near in the layout.
    k : int
        Size of the neighbourhoods.
    """

    trustworthiness: float
    continuity: float
    k: int


def faithfulness(features: npt.ArrayLike, coordinates: npt.ArrayLike, k: int = 15) -> Faithfulness:
    """Measure by ranks how far a layout keeps the neighbourhoods of the features.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        What was laid out; float16 upwards.
    coordinates : array-like of shape (n_samples, n_components)
        The layout.
    k : int
        Neighbours that count, at least 1 and fewer than half of the samples.

    Returns
    -------
    Faithfulness

    Raises
    ------
    ArgumentError
        If an argument is not as described, or a number is not finite.

    Notes
    -----
    Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods". A neighbour
    that is one only in the layout costs trustworthiness by how many samples are nearer by their
    features than it should take; continuity is the same with the roles exchanged. Samples equally
    far share the best of their ranks. A value of 0.5 is about that of a layout by chance. All pairs
    are compared: the time grows with n_samples².

    Examples
    --------
    >>> line = np.arange(10.0)[:, None]
    >>> faithfulness(line, 3 * line, k=2)
    Faithfulness(trustworthiness=1.0, continuity=1.0, k=2)
    """
    values = check_features("features", features)
    layout = check_features("coordinates", coordinates)
    check_integer("k", k, 1)
    if len(layout) != len(values):
        raise invalid("coordinates", f"of {len(values)} samples, like features", len(layout))
    if 2 * k >= len(values):
        raise invalid("k", f"below half of the {len(values)} samples", k)
    # near neighbours of a wide layout are too close for float32, and there are few coordinates
    spaces = distance_blocks(values), distance_blocks(layout.astype(np.float64))
    lost = np.zeros(2, dtype=np.int64)
    for (rows, far), (_, near) in zip(*spaces, strict=True):
        own = np.arange(len(far))
        far[own, own + rows.start] = near[own, own + rows.start] = np.inf
        lost += _excess_ranks(far, near, k), _excess_ranks(near, far, k)
    n = len(values)
    trustworthiness, continuity = 1 - lost * (2 / (n * k * (2 * n - 3 * k - 1)))
    return Faithfulness(float(trustworthiness), float(continuity), k)


def _excess_ranks(squared: FloatArray, other: FloatArray, k: int) -> int:
    """Ranks beyond k, in `squared`, of the k nearest samples by `other`, summed."""
    nearest = np.argpartition(other, k - 1, axis=1)[:, :k]
    ranks = np.stack(
        [
            np.count_nonzero(squared < np.take_along_axis(squared, column[:, None], axis=1), axis=1)
            for column in nearest.T
        ]
    )
    return int(np.maximum(ranks + 1 - k, 0).sum())
