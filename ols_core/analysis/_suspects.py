"""Samples whose label their neighbours contradict, and how many wrong labels that finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import IntArray, as_floats
from ols_core.analysis._neighbours import Neighbours, most_common
from ols_core.checks import check_integer, check_labels, invalid

__all__ = ["Detection", "Suspects", "suspect_detection", "suspects"]


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """How far the neighbours of each sample contradict its label.

    Attributes
    ----------
    score : ndarray of shape (n_samples,)
        Share of the nearest neighbours whose label is not the sample's own, in [0, 1].
    majority : ndarray of shape (n_samples,), int64
        Most common label among them; of tied ones the lowest.
    agreement : ndarray of shape (n_samples,)
        Share of them that have this label, in (0, 1].
    """

    score: npt.NDArray[np.float64]
    majority: IntArray
    agreement: npt.NDArray[np.float64]

    @property
    def order(self) -> IntArray:
        """Samples from the most suspect to the least, of shape (n_samples,).

        Those of the same score by how far their neighbours agree on one label: neighbours of many
        labels speak of a region where classes mix, those of a single one against the sample's own.
        """
        return np.lexsort((-self.agreement, -self.score))


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """What is found by looking at samples in the order of a score, highest first.

    One entry for each distinct score: samples of the same score are looked at together, so that
    nothing depends on their order.

    Attributes
    ----------
    n_checked : ndarray of shape (n_scores,), int64
        Samples looked at; the last entry is all of them.
    precision : ndarray of shape (n_scores,)
        Share of them that are flipped.
    recall : ndarray of shape (n_scores,)
        Share of the flipped samples that are among them, up to 1; NaN if none is flipped.
    average_precision : float
        Precision, averaged over the flipped samples, in [0, 1]; NaN if none is flipped.
    chance : float
        Share of all samples that are flipped: the precision of looking in any order.
    """

    n_checked: IntArray
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    average_precision: float
    chance: float


def suspects(neighbours: Neighbours, labels: npt.ArrayLike, n_classes: int) -> Suspects:
    """Score samples by how many of their nearest neighbours have another label.

    Parameters
    ----------
    neighbours : Neighbours
    labels : array-like of shape (n_samples,)
        Class indices in [0, n_classes), as they are given: the ones in doubt.
    n_classes : int
        At least 2.

    Returns
    -------
    Suspects

    Raises
    ------
    ArgumentError
        If the labels are not those of the samples of `neighbours`.

    Notes
    -----
    A wrong label, a sample between two classes and a rare kind of a class all stand out: the score
    says where to look, not what is wrong.

    Examples
    --------
    >>> from ols_core.analysis.embedding import nearest_neighbours
    >>> found = suspects(nearest_neighbours([[0.0], [1.0], [2.0], [9.0]], k=2), [0, 1, 0, 0], 2)
    >>> found.score.tolist(), found.majority.tolist()
    ([0.5, 1.0, 0.5, 0.5], [0, 0, 0, 0])
    """
    check_integer("n_classes", n_classes, 2)
    given = check_labels("labels", labels, len(neighbours.indices), n_classes)
    votes = given[neighbours.indices]
    majority = most_common(votes)
    return Suspects(
        score=(votes != given[:, None]).mean(axis=1),
        majority=majority,
        agreement=(votes == majority[:, None]).mean(axis=1),
    )


def suspect_detection(score: npt.ArrayLike, flipped: npt.ArrayLike) -> Detection:
    """Measure how well a score finds the samples whose label is known to be wrong.

    Parameters
    ----------
    score : array-like of shape (n_samples,)
        Higher is more suspect; finite.
    flipped : array-like of shape (n_samples,)
        Booleans: whether the label was changed.

    Returns
    -------
    Detection

    Raises
    ------
    ArgumentError
        If an argument is not as described.

    Examples
    --------
    >>> found = suspect_detection([0.9, 0.1, 0.9, 0.5], [True, False, False, True])
    >>> found.n_checked.tolist(), found.precision.round(2).tolist(), found.recall.tolist()
    ([2, 3, 4], [0.5, 0.67, 0.5], [0.5, 1.0, 1.0])
    >>> round(found.average_precision, 3), found.chance
    (0.583, 0.5)
    """
    values = as_floats("score", score)
    wrong = np.asarray(flipped)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise invalid("score", "a vector of at least one finite number", values.tolist())
    if wrong.shape != values.shape or wrong.dtype != np.bool_:
        expected = f"booleans of shape {values.shape}, like score"
        raise invalid("flipped", expected, f"{wrong.dtype} of shape {wrong.shape}")
    order = np.argsort(-values, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)
    found = np.cumsum(wrong[order])[last_of_score]
    n_checked = last_of_score + 1
    n_flipped = int(np.count_nonzero(wrong))
    precision = found / n_checked
    recall = found / n_flipped if n_flipped else np.full(found.size, math.nan)
    return Detection(
        n_checked=n_checked,
        precision=precision,
        recall=recall,
        average_precision=float(np.diff(recall, prepend=0.0) @ precision),
        chance=n_flipped / values.size,
    )
