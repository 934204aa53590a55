"""What is laid out, and what tells one layout from another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ols_core.analysis.embedding import Faithfulness, ProjectionMethod
from ols_core.checks import check_choice, check_integer, check_range
from ols_core.errors import ArgumentError, RunError
from ols_core.remedies import features_remedy
from ols_core.runs import SPLITS, Run
from ols_core.sample import DEFAULT_SAMPLES, shown_sample

__all__ = ["METHODS", "Layout", "LayoutRequest", "Member", "Subject", "feature_digest"]

METHODS: tuple[ProjectionMethod, ...] = get_args(ProjectionMethod)
_FEWEST_SAMPLES = 10
# The parameters of each method beside those that all have.
_OWN_PARAMETERS = {
    "umap": ("seed", "n_neighbors", "min_dist"),
    "tsne": ("seed", "perplexity"),
    "pca": (),
}


@dataclass(frozen=True)
class LayoutRequest:
    """How features are to be laid out.

    Attributes
    ----------
    method : {"umap", "tsne", "pca"}
    n_components : {2, 3}
        Dimensions.
    samples : int
        Images, in proportion to the classes, at least 10; see `ols_core.sample`.
    seed : int
        Of UMAP and t-SNE. The images do not depend on it, so that seeds can be compared.
    n_neighbors, min_dist
        Of UMAP, see `ols_core.analysis.embedding.project`.
    perplexity : float
        Of t-SNE.
    split : {"test", "train", "val"}

    Raises
    ------
    ArgumentError
        If a value is not as described.

    Examples
    --------
    >>> LayoutRequest("pca", seed=3).parameters(n_samples=500)
    {'method': 'pca', 'n_components': 2, 'samples': 500, 'split': 'test'}
    """

    method: ProjectionMethod = "umap"
    n_components: int = 2
    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    n_neighbors: int = 15
    min_dist: float = 0.1
    perplexity: float = 30.0
    split: str = "test"

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("n_components", self.n_components, (2, 3))
        check_integer("samples", self.samples, _FEWEST_SAMPLES)
        check_integer("seed", self.seed, 0)
        check_integer("n_neighbors", self.n_neighbors, 2)
        check_range("min_dist", self.min_dist, 0.0, 1.0)
        check_range("perplexity", self.perplexity, 1.0, 1000.0)
        check_choice("split", self.split, SPLITS)

    def parameters(self, n_samples: int) -> dict[str, int | float | str]:
        """Return what decides over the result: no parameters of other methods.

        Parameters
        ----------
        n_samples : int
            Images in the split, of which there may be fewer than asked for.
        """
        own = {name: getattr(self, name) for name in _OWN_PARAMETERS[self.method]}
        return {
            "method": self.method,
            "n_components": self.n_components,
            "samples": min(self.samples, n_samples),
            "split": self.split,
            **own,
        }


@dataclass(frozen=True)
class Member:
    """One set of features in a layout: a run's final ones, or those after an epoch."""

    run: Run
    epoch: int | None = None

    def __str__(self) -> str:
        """The member as it is typed: `RUN` or `RUN@EPOCH`."""
        return self.run.id if self.epoch is None else f"{self.run.id}@{self.epoch}"


@dataclass(frozen=True, eq=False)
class Layout:
    """Coordinates of the same images, as each member's features lay them out.

    Attributes
    ----------
    indices : ndarray of shape (n,), int64
        The images' positions in their split, ascending.
    coordinates : tuple of ndarray of shape (n, d), float32
        One a member, in their order; all in one frame.
    faithfulness : tuple of Faithfulness or None
        How far each can be believed; None where that was not measured, see `layout`.
    parameters : dict
        Those of the request, and those that the method used.
    explained_variance_ratio : tuple of ndarray of shape (d,), float64, or None
        Share of the variance along each axis, for each member; PCA only.
    files : tuple of Path
        Where it is stored, one file a run; empty if it is not.
    """

    indices: npt.NDArray[np.int64]
    coordinates: tuple[npt.NDArray[np.float32], ...]
    faithfulness: tuple[Faithfulness | None, ...]
    parameters: dict[str, Any]
    explained_variance_ratio: tuple[npt.NDArray[np.float64], ...] | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """Members and request together, checked against what is stored: what a layout is of.

    Raises
    ------
    ArgumentError
        If there is no member, or one is named twice.
    RunError
        If a member lacks features or labels, or its images are not those of the first one.
    """

    members: tuple[Member, ...]
    request: LayoutRequest

    @classmethod
    def of(cls, members: Sequence[Member], request: LayoutRequest) -> Subject:
        """Check members and request and put them together."""
        _check_distinct(members)
        for member in members:
            _check_features(member, request.split)
            _check_images(member, members[0], request.split)
        return cls(tuple(members), request)

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Positions of the images that are laid out, (n,)."""
        return shown_sample(self._labels, self.request.samples)

    @cached_property
    def parameters(self) -> dict[str, int | float | str]:
        """What decides over the result beside the features."""
        return self.request.parameters(len(self._labels))

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Hash of each member's features of these images."""
        split, indices = self.request.split, self.indices
        return tuple(feature_digest(m.run, split, m.epoch, indices) for m in self.members)

    def features(self, member: Member) -> npt.NDArray[np.float16]:
        """Features of these images, (n, D)."""
        return member.run.features(self.request.split, member.epoch)[self.indices]

    @property
    def runs(self) -> list[Run]:
        """The members' runs, each once, in their order."""
        return list({member.run.path: member.run for member in self.members}.values())

    @property
    def _labels(self) -> npt.NDArray[np.int64]:
        return self.members[0].run.true_labels(self.request.split)


def feature_digest(run: Run, split: str, epoch: int | None, indices: npt.NDArray[np.int64]) -> str:
    """Hash of features: 16 hexadecimal digits of SHA-256 over the rows at `indices`.

    A run that was copied or renamed has the same; one that was trained again has another one.

    Parameters
    ----------
    run : Run
    split : str
    epoch : int or None
        None for the features of the finished network.
    indices : ndarray of shape (n,), int64

    Raises
    ------
    RunError
        If they are not stored.
    """
    rows = np.ascontiguousarray(run.features(split, epoch)[indices])
    content = hashlib.sha256(f"{rows.dtype.str} {rows.shape} ".encode())
    content.update(rows.tobytes())
    return content.hexdigest()[:16]


def _check_distinct(members: Sequence[Member]) -> None:
    if not members:
        raise ArgumentError("A layout needs the features of at least one run.")
    names = [(member.run.path, member.epoch) for member in members]
    for place, member in enumerate(members):
        if names[place] in names[:place]:
            raise ArgumentError(f"{member} is named twice; name each run once.")


def _check_features(member: Member, split: str) -> None:
    run, epoch = member.run, member.epoch
    if epoch is not None and epoch not in run.feature_epochs(split):
        stored = ", ".join(map(str, run.feature_epochs(split))) or "none"
        raise RunError(
            f"Run {run.id} has no features of the {split} split after epoch {epoch}; stored: "
            f"{stored}. A training keeps them with --save-features-every."
        )
    if epoch is None and not run.has(f"features/{split}.npy"):
        raise RunError(
            f"Run {run.id} has no features of the {split} split. {features_remedy(run, split)}"
        )


def _check_images(member: Member, first: Member, split: str) -> None:
    run = member.run
    n_features, n_labels = len(run.features(split, member.epoch)), len(run.true_labels(split))
    if n_features != n_labels:
        raise RunError(
            f"Run {run.id} has features of {n_features} images of the {split} split, but "
            f"{n_labels} labels. Delete {run.path / 'features' / split}.npy. "
            f"{features_remedy(run, split)}"
        )
    if run.fingerprint(split) != first.run.fingerprint(split):
        raise RunError(
            f"Runs {first.run.id} and {run.id} cannot be laid out together: the labels of their "
            f"{split} splits differ, so that their images are not the same."
        )
