"""A sample of the samples, with every class in proportion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import IntArray
from ols_core.checks import check_integer, invalid

__all__ = ["stratified_sample"]


def stratified_sample(labels: npt.ArrayLike, n: int, seed: int) -> IntArray:
    """Draw samples without replacement in proportion to their classes.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Integers.
    n : int
        How many, at least 1; with `n` >= n_samples all are taken.
    seed : int
        The same seed draws the same samples.

    Returns
    -------
    ndarray of shape (min(n, n_samples),), int64
        Ascending indices. If `n` is at least the number of classes that occur, each of them has
        at least one. With one seed a smaller sample is part of a larger one, but for what rounding
        gives to one class here and to another there.

    Raises
    ------
    ArgumentError
        If `labels` is empty or no vector of integers, or `n` or `seed` is out of range.

    Examples
    --------
    >>> labels = np.array([0] * 6 + [1] * 3 + [2])
    >>> labels[stratified_sample(labels, 5, seed=0)].tolist()
    [0, 0, 0, 1, 2]
    """
    check_integer("n", n, 1)
    check_integer("seed", seed, 0)
    values = np.asarray(labels)
    if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
        got = f"{values.dtype} of shape {values.shape}"
        raise invalid("labels", "a vector of at least one class index", got)
    if n >= values.size:
        return np.arange(values.size)
    random = np.random.default_rng(seed)
    # Drawn first, so that it does not depend on `n`: a class's share of a larger sample begins
    # with its share of a smaller one.
    shuffled = random.permutation(values.size)
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    quotas = _quotas(counts, n, random)
    by_class = shuffled[np.argsort(group[shuffled], kind="stable")]
    place = np.arange(values.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_class[place < np.repeat(quotas, counts)])


def _quotas(counts: npt.NDArray[np.intp], n: int, random: np.random.Generator) -> IntArray:
    """Divide `n` among the classes in proportion, rounded by largest remainder."""
    share = counts * (n / counts.sum())
    if n >= counts.size:
        share = _at_least_one(share, n)
    quotas: IntArray = np.floor(share).astype(np.int64)
    # equal remainders are the rule in balanced data: chance decides, not the class index
    order = np.lexsort((random.random(counts.size), quotas - share))
    quotas[order[: n - quotas.sum()]] += 1
    return quotas


def _at_least_one(share: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """Raise shares below 1 to 1, at the cost of the larger ones in proportion."""
    raised = np.zeros(share.size, dtype=np.bool_)
    while (share[~raised] < 1).any():
        raised |= share < 1
        share = share * ((n - raised.sum()) / share[~raised].sum())
        share[raised] = 1.0
    return share
