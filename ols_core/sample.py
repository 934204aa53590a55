"""Which images of a split are shown: the same ones in every layout and among the thumbnails."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.analysis.embedding import stratified_sample

__all__ = ["DEFAULT_SAMPLES", "shown_sample"]

DEFAULT_SAMPLES = 3000
_SEED = 0


def shown_sample(labels: npt.ArrayLike, n: int = DEFAULT_SAMPLES) -> npt.NDArray[np.int64]:
    """Draw the images of a split that are shown, in proportion to their classes.

    A smaller sample is part of a larger one (but for what rounding gives to one class here and to
    another there), so that up to the default number of images each has a thumbnail.

    Parameters
    ----------
    labels : array-like of shape (N,)
        True classes; those of a run with label noise before it.
    n : int
        How many, at least 1.

    Returns
    -------
    ndarray of shape (min(n, N),), int64
        Ascending indices.

    Raises
    ------
    ArgumentError
        If `labels` is no vector of integers, or `n` is out of range.

    Examples
    --------
    >>> labels = np.arange(100) % 4
    >>> few, many = shown_sample(labels, 8), shown_sample(labels, 20)
    >>> np.bincount(labels[few]).tolist(), bool(np.isin(few, many).all())
    ([2, 2, 2, 2], True)
    """
    return stratified_sample(labels, n, seed=_SEED)
