"""How well the samples are apart by class: silhouettes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray
from ols_core.analysis._distances import distance_blocks

__all__ = ["silhouette_influence"]


def silhouette_influence(features: FloatArray, labels: IntArray) -> npt.NDArray[np.float64]:
    """One number for each sample, whose mean is the mean silhouette; there must be two classes.

    With a the mean distance of a sample to the others of its class and b that to the nearest other
    class, its silhouette is ``(b - a) / max(a, b)``, and 0 for the only sample of a class
    (Rousseeuw 1987, "Silhouettes: A graphical aid to the interpretation and validation of cluster
    analysis"). To its own silhouette each sample adds what it changes in those of the others
    (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", §6), so that the spread
    of the numbers tells how far the mean depends on which samples were drawn. Sorted by class.
    """
    order = np.argsort(labels, kind="stable")
    _, starts, home, counts = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    influence = np.zeros(labels.size)
    for rows, squared in distance_blocks(features[order]):
        distance = np.sqrt(squared, out=squared)
        own = home[rows]
        sample = np.arange(own.size)
        # sorted by class, the distances to one class stand side by side
        means = np.add.reduceat(distance, starts, axis=1) / counts.astype(np.float64)
        others = np.maximum(counts[own] - 1, 1)
        a = means[sample, own] * counts[own] / others
        means[sample, own] = np.inf
        near = means.argmin(axis=1)
        b = means[sample, near]
        silhouette, by_a, by_b = _silhouette(a, b, known=counts[own] > 1)
        influence[rows] += silhouette

        pull = np.zeros(means.shape, dtype=distance.dtype)
        pull[sample, own], pull[sample, near] = by_a / others, by_b / counts[near]
        influence += np.einsum("ij,ij->j", np.repeat(pull, counts, axis=1), distance)
        # less what an average sample of the class would change
        levels = np.bincount(own, by_a / others * a, counts.size)
        levels += np.bincount(near, by_b / counts[near] * b, counts.size)
        influence -= np.repeat(levels, counts)
        influence[rows] += by_a / others * a  # nobody is among the others of its own class
    return influence


def _silhouette(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Silhouettes with their derivatives by a and by b; all 0 where they are not `known`."""
    larger = np.maximum(a, b)
    known = known & (larger > 0)
    scale = np.divide(1.0, larger, out=np.zeros(a.size), where=known)
    inside = a < b
    by_a = -scale * np.where(inside, 1.0, b * scale)
    by_b = scale * np.where(inside, a * scale, 1.0)
    return (b - a) * scale, by_a, by_b
