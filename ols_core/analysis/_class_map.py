"""Classes as points in the plane, near each other where they are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._clustering import distance_from_similarity
from ols_core.checks import check_integer

__all__ = ["ClassMap", "class_map"]

# a step that takes off less than this share of the squared stress is the last
_TOLERANCE = 1e-6
# a step visits all pairs: as many as 1000 classes can have in a second, and enough for fewer
_STEPS, _PAIRS = 1000, 10**8
# moves points of the start apart that lie on each other, or all on one line
_JITTER = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """Classes in the plane.

    Attributes
    ----------
    positions : ndarray of shape (n_classes, 2)
        In the unit of the distances, around 0; the first axis is the widest direction.
    stress : float
        What the plane cannot show, in [0, 1]: root of the squared errors of all distances over the
        squared distances. 0 is a perfect map; about 0.4 is what the plane leaves of many points
        that are all equally far from each other, so near that only close neighbours mean something.
    """

    positions: npt.NDArray[np.float64]
    stress: float


def class_map(similarity: npt.ArrayLike, seed: int = 0) -> ClassMap:
    """Place classes in the plane so that their distances there are close to their dissimilarities.

    Parameters
    ----------
    similarity : array-like of shape (n_classes, n_classes)
        Symmetric, at most 1; the diagonal is ignored and NaN is as far as the farthest known pair.
    seed : int
        Of the small moves that part points which the start puts on each other.

    Returns
    -------
    ClassMap

    Raises
    ------
    ArgumentError
        If the matrix is no similarity, has an entry above 1, or `seed` is below 0.

    Notes
    -----
    Metric multidimensional scaling of `distance_from_similarity`: the start is the classical
    solution (Torgerson 1952), which alone would put all but a few classes on one spot where most
    pairs are equally unlike; SMACOF (de Leeuw 1977) then lowers the stress step by step. A map may
    be turned and mirrored freely, so each one is turned to its widest direction, with the largest
    coordinate of each axis positive.

    Examples
    --------
    >>> found = class_map([[np.nan, 0.5, 0.0], [0.5, np.nan, 0.5], [0.0, 0.5, np.nan]])
    >>> np.abs(found.positions[:, 0]).round(3).tolist(), round(found.stress, 3)
    ([0.5, 0.0, 0.5], 0.0)
    """
    distance = distance_from_similarity(similarity)
    check_integer("seed", seed, 0)
    total = float(np.vdot(distance, distance))
    if total == 0:
        return ClassMap(np.zeros((len(distance), 2)), 0.0)
    scale = math.sqrt(total) / len(distance)
    jitter = np.random.default_rng(seed).normal(size=(len(distance), 2))
    start = _classical_scaling(distance) + _JITTER * scale * jitter
    positions, stress = _majorise(distance, start, total)
    return ClassMap(_oriented(positions), stress)


def _classical_scaling(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Best plane through the points, if there are points with exactly these distances."""
    squares = distance**2
    means = squares.mean(axis=0)
    products = (means + means[:, None] - squares - means.mean()) / 2
    values, vectors = np.linalg.eigh(products)
    # there is no direction of negative length
    return np.asarray(vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0.0)))


def _majorise(
    distance: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], total: float
) -> tuple[npt.NDArray[np.float64], float]:
    """Lower the stress by Guttman transforms until it stays; return the best positions and it."""
    n_classes = len(distance)
    # written again at every step: new memory would take longer than the arithmetic
    shown, spare = np.empty_like(distance), np.empty_like(distance)
    stress = _squared_error(distance, positions, shown, spare) / total
    for _ in range(min(_STEPS, max(1, _PAIRS // n_classes**2))):
        spare.fill(0.0)
        ratio = np.divide(distance, shown, out=spare, where=shown > 0)
        moved = (ratio.sum(axis=1)[:, None] * positions - ratio @ positions) / n_classes
        lower = _squared_error(distance, moved, shown, spare) / total
        if stress - lower <= _TOLERANCE * stress:
            break
        positions, stress = moved, lower
    return positions, math.sqrt(stress)


def _squared_error(
    distance: npt.NDArray[np.float64],
    positions: npt.NDArray[np.float64],
    shown: npt.NDArray[np.float64],
    spare: npt.NDArray[np.float64],
) -> float:
    """Sum over all entries; fills `shown` with the distances between the positions."""
    horizontal, vertical = positions.T
    # not by inner products, which would lose small distances to rounding
    np.subtract.outer(horizontal, horizontal, out=shown)
    np.subtract.outer(vertical, vertical, out=spare)
    shown *= shown
    spare *= spare
    shown += spare
    np.sqrt(shown, out=shown)
    np.subtract(shown, distance, out=spare)
    return float(np.vdot(spare, spare))


def _oriented(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn the map to its principal axes, around its mean, largest coordinates positive."""
    centred = positions - positions.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    turned = centred @ axes.T
    size = np.abs(turned)
    # the first of those that are the largest but for rounding
    peak = (size >= (1 - 1e-6) * size.max(axis=0)).argmax(axis=0)
    sign = np.where(turned[peak, [0, 1]] < 0, -1.0, 1.0)
    return np.asarray(turned * sign)
