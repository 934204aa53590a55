"""Label noise: training labels flipped on purpose, to study how a method copes with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ols_core.checks import check_integer, check_labels
from ols_core.config import parse_label_noise
from ols_core.data.splits import rank_within_class
from ols_core.data.types import Dataset
from ols_core.errors import ArgumentError
from ols_core.seeding import derive_seed

__all__ = ["flip_labels", "similar_classes"]

Labels = npt.NDArray[np.int64]

# Patrini et al., "Making deep neural networks robust to label noise", CVPR 2017, section 5.
_CIFAR10_SIMILAR = {
    "airplane": "airplane",
    "automobile": "automobile",
    "bird": "airplane",
    "cat": "dog",
    "deer": "horse",
    "dog": "cat",
    "frog": "frog",
    "horse": "horse",
    "ship": "ship",
    "truck": "automobile",
}


def flip_labels(
    labels: Labels, n_classes: int, noise: str, seed: int, successors: Labels | None = None
) -> Labels:
    """Move a share of the labels of every class to another class.

    Exactly ``round(share * count)`` labels of a class move (halves to even), so that the classes
    are hit alike and the share is met without sampling error. A larger share flips the same
    labels and more.

    Parameters
    ----------
    labels : ndarray of shape (N,), int64
        True class indices.
    n_classes : int
        Number of classes K, at least 2.
    noise : str
        ``symmetric:SHARE`` moves a label to one of the K - 1 other classes, uniformly. (Some papers
        draw from all K: their rate r leaves r / K where it was, which is r * (K - 1) / K here.)
        ``pairflip:SHARE`` moves y to y + 1 modulo K (Han et al. 2018). ``asymmetric:SHARE`` moves
        y to ``successors[y]`` (Patrini et al. 2017).
    seed : int
        Of the run; the noise has a stream of its own.
    successors : ndarray of shape (K,), int64, optional
        The similar class of each, its own where labels stay; see `similar_classes`.

    Returns
    -------
    noisy : ndarray of shape (N,), int64

    Raises
    ------
    ArgumentError
        If an argument is not as described, or asymmetric noise has no `successors`.

    Examples
    --------
    >>> flip_labels(np.repeat([0, 1, 2], 2), 3, "pairflip:0.5", seed=0).tolist()
    [1, 0, 1, 2, 0, 2]
    """
    check_integer("n_classes", n_classes, 2)
    labels = check_labels("labels", labels, len(labels), n_classes)
    kind, share = parse_label_noise(noise)
    random = np.random.default_rng(derive_seed(seed, "label-noise"))
    n_moved = np.rint(share * np.bincount(labels, minlength=n_classes))
    moved = rank_within_class(labels, random) < n_moved[labels]
    if kind == "symmetric":
        # A step of 1 to K - 1 round the circle reaches every other class equally often.
        target = (labels + random.integers(1, n_classes, len(labels))) % n_classes
    elif kind == "pairflip":
        target = (labels + 1) % n_classes
    elif successors is None:
        raise ArgumentError(
            "label_noise asymmetric moves labels to a similar class, but these classes are not "
            "those of CIFAR-10 and have no superclasses; use pairflip:SHARE, or give a folder of "
            "images a superclasses.csv."
        )
    else:
        target = check_labels("successors", successors, n_classes, n_classes)[labels]
    return np.where(moved, target, labels)


def similar_classes(dataset: Dataset) -> Labels | None:
    """Return the class that each class is easily taken for, as asymmetric noise needs it.

    CIFAR-10's classes (told by their names) follow the map of Patrini et al. 2017, in which five
    classes stay. Where superclasses are known it is the next class of the same superclass, in
    label order and circularly, as the same paper has it for CIFAR-100.

    Returns
    -------
    successors : ndarray of shape (K,), int64, or None
        None if nothing is known, or every class would be its own successor.

    Examples
    --------
    >>> names, groups = ("ant", "oak", "bee", "elm"), ("insect", "tree", "insect", "tree")
    >>> similar_classes(Dataset("toy", names, {}, (8, 8, 3), "none", groups)).tolist()
    [2, 3, 0, 1]
    """
    names = dataset.class_names
    if set(names) == set(_CIFAR10_SIMILAR):
        return np.array([names.index(_CIFAR10_SIMILAR[name]) for name in names])
    if dataset.superclasses is None:
        return None
    _, groups = np.unique(dataset.superclasses, return_inverse=True)
    successors = np.arange(len(names))
    for group in range(groups.max() + 1):
        members = np.flatnonzero(groups == group)
        successors[members] = np.roll(members, -1)
    return None if (successors == np.arange(len(names))).all() else successors
