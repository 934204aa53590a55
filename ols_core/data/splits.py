"""Stratified subsets: equal shares of every class, drawn by seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.errors import DataError

__all__ = ["hold_out", "per_class", "rank_within_class"]

Indices = npt.NDArray[np.int64]


def rank_within_class(labels: Indices, seed: int | np.random.Generator) -> Indices:
    """Return the random rank of each sample among those of its class, (N,).

    Examples
    --------
    >>> sorted(rank_within_class(np.array([0, 1, 1, 1]), seed=0)[1:].tolist())
    [0, 1, 2]
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - starts
    return rank


def hold_out(labels: Indices, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Split off a share of every class.

    Parameters
    ----------
    labels : ndarray of shape (N,), int64
    fraction : float in (0, 1)
        Share to hold out; rounded for each class, at least one and never all of it.
    seed : int

    Returns
    -------
    kept, held_out : ndarray of int64
        Sorted indices.

    Raises
    ------
    DataError
        If a class has a single image, which cannot be on both sides.

    Examples
    --------
    >>> kept, held = hold_out(np.repeat([0, 1], 10), 0.2, seed=0)
    >>> np.bincount(np.repeat([0, 1], 10)[held]).tolist()
    [2, 2]
    """
    counts = np.bincount(labels)
    if (counts == 1).any():
        raise DataError(
            f"Class {int(np.argmax(counts == 1))} has a single image: at least 2 are needed to "
            "split it into training and held-out images."
        )
    n_held = np.clip(np.rint(counts * fraction).astype(np.int64), 1, np.maximum(counts - 1, 1))
    held = rank_within_class(labels, seed) < n_held[labels]
    return np.flatnonzero(~held), np.flatnonzero(held)


def per_class(labels: Indices, n: int, seed: int) -> Indices:
    """Return sorted indices of at most `n` random samples of every class.

    Examples
    --------
    >>> np.bincount(np.repeat([0, 1], 10)[per_class(np.repeat([0, 1], 10), 3, seed=0)]).tolist()
    [3, 3]
    """
    return np.flatnonzero(rank_within_class(labels, seed) < n)
