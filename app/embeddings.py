"""What the embedding page knows of the samples it shows: classes, predictions and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from app import cache
from app.charts.palettes import DIMMED, TOP_CODE, Legend
from app.components.scatter_viewer import Atlas
from app.scan import cached
from ols_core.analysis.embedding import (
    ClassGeometry,
    EmbeddingMetrics,
    Neighbours,
    Suspects,
    ThreeClassPlane,
    class_geometry,
    embedding_metrics,
    nearest_neighbours,
    suspects,
    three_class_plane,
)
from ols_core.runs import SPLITS, DatasetInfo, Run
from ols_core.sample import shown_sample
from ols_core.top_labels import load_top_labels

__all__ = [
    "MAX_COLORS",
    "N_NEIGHBOURS",
    "ColorKind",
    "Samples",
    "atlas",
    "centroids",
    "color_codes",
    "color_kinds",
    "compared",
    "flipped",
    "geometry",
    "legend",
    "metrics",
    "most_suspect",
    "plane",
    "samples",
    "splits_of",
]

ColorKind = Literal[
    "class", "superclass", "predicted class", "correctness", "confidence", "label noise"
]
MAX_COLORS = 50
"""Groups that can be told apart: ten hues with five symbols."""
N_NEIGHBOURS = 20
_MAX_COMPARED = 10_000
_RIGHT_WRONG = ("right", "wrong")
_KEPT_FLIPPED = ("label kept", "label flipped")


@dataclass(frozen=True)
class Samples:
    """Samples of a split, as one run sees them.

    Attributes
    ----------
    labels : ndarray of shape (N,), int64
        Classes as the split gives them; with label noise, those that were trained on.
    predicted : ndarray of shape (N,), int64, or None
        None if the run has no predictions for the split.
    confidence : ndarray of shape (N,), or None
    flipped : ndarray of shape (N,), bool, or None
        Where label noise has changed the class; None without a record of it.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64] | None
    confidence: npt.NDArray[np.floating] | None
    flipped: npt.NDArray[np.bool_] | None

    def take(self, indices: npt.NDArray[np.int64]) -> Samples:
        """Return some of the samples."""
        parts = (self.labels, self.predicted, self.confidence, self.flipped)
        return Samples(*(None if part is None else part[indices] for part in parts))  # type: ignore[arg-type]  # labels are never None


def splits_of(run: Run) -> list[str]:
    """Splits that the run has features of, the test split first."""
    return [split for split in SPLITS if run.has(f"features/{split}.npy")]


@cached
def samples(run: Run, split: str) -> Samples:
    """All samples of a split, in its order."""
    labels = np.asarray(run.labels(split))
    top = load_top_labels(run, split)
    if top is None:
        return Samples(labels, None, None, flipped(run, split))
    return Samples(labels, top.predicted, top.confidence, flipped(run, split))


def flipped(run: Run, split: str) -> npt.NDArray[np.bool_] | None:
    """Where label noise has changed the class of a training sample, (N,); None if unrecorded."""
    if split != "train" or not run.has("label_noise/given.npy"):
        return None
    given, true = run.label_noise()
    return np.not_equal(given, true)


def color_kinds(shown: Sequence[Samples], dataset: DatasetInfo) -> list[ColorKind]:
    """Ways to colour the samples that all the runs allow."""
    found: list[ColorKind] = ["class"]
    if dataset.superclasses:
        found.append("superclass")
    if all(sample.predicted is not None for sample in shown):
        found += ["predicted class", "correctness", "confidence"]
    if all(sample.flipped is not None for sample in shown):
        found.append("label noise")
    return found


def legend(kind: ColorKind, dataset: DatasetInfo, classes: Sequence[str]) -> Legend:
    """What the colours mean; `classes` are those in colour where each has its own."""
    match kind:
        case "class" | "predicted class":
            return Legend(kind, classes)
        case "superclass":
            return Legend(kind, sorted(set(dataset.superclasses or ())))
        case "correctness":
            return Legend("prediction", _RIGHT_WRONG)
        case "label noise":
            return Legend("label noise", _KEPT_FLIPPED)
        case "confidence":
            return Legend("confidence", low=0.0, high=1.0)


def color_codes(
    kind: ColorKind,
    shown: Samples,
    dataset: DatasetInfo,
    classes: Sequence[str],
    only: Sequence[str] = (),
) -> npt.NDArray[np.uint8]:
    """Colour of each sample as a place in the legend, or `DIMMED`.

    Parameters
    ----------
    kind : ColorKind
    shown : Samples
    dataset : DatasetInfo
    classes : sequence of str
        Those in colour where each class has its own.
    only : sequence of str
        True classes whose samples are not dimmed; empty for all.
    """
    codes = _codes(kind, shown, dataset, classes).astype(np.uint8)
    if only:
        kept = np.isin(dataset.class_names, only)
        codes[~kept[shown.labels]] = DIMMED
    return codes


def _codes(
    kind: ColorKind, shown: Samples, dataset: DatasetInfo, classes: Sequence[str]
) -> npt.NDArray[np.integer]:
    labels, predicted = shown.labels, shown.predicted
    if kind == "label noise" and shown.flipped is not None:
        return shown.flipped.astype(np.uint8)
    if kind == "confidence" and shown.confidence is not None:
        along: npt.NDArray[np.float64] = np.rint(shown.confidence * TOP_CODE)
        return along.astype(np.uint8)
    if kind == "correctness" and predicted is not None:
        return np.not_equal(labels, predicted).astype(np.uint8)
    places = {name: place for place, name in enumerate(legend(kind, dataset, classes).names)}
    of_class = dataset.superclasses or [] if kind == "superclass" else dataset.class_names
    by_class: npt.NDArray[np.int64] = np.array([places.get(name, DIMMED) for name in of_class])
    classes_of = predicted if kind == "predicted class" and predicted is not None else labels
    codes: npt.NDArray[np.int64] = by_class[classes_of]
    return codes


@cached
def compared(run: Run, split: str) -> npt.NDArray[np.int64]:
    """Places of the samples that are compared with each other: all, or 10,000 of more."""
    return shown_sample(run.true_labels(split), _MAX_COMPARED)


@cached
def _neighbours(run: Run, split: str) -> Neighbours:
    """Nearest of the compared samples to each of them, by features."""
    features = run.features(split)[compared(run, split)]
    return nearest_neighbours(features, min(N_NEIGHBOURS, len(features) - 1))


@cached
def metrics(run: Run, split: str) -> EmbeddingMetrics:
    """Numbers on a run's features, with their intervals."""
    everything = len(compared(run, split)) == len(run.labels(split))
    return embedding_metrics(
        run.features(split),
        run.labels(split),
        run.n_classes,
        neighbours=_neighbours(run, split) if everything else None,
        classifier=run.classifier_weight() if run.has("weights.safetensors") else None,
        predicted=samples(run, split).predicted,
    )


@cached
def geometry(run: Run, split: str) -> ClassGeometry:
    """How tight each class is, and which one is nearest."""
    soft_labels = run.soft_labels(run.soft_label_epochs[-1]) if run.soft_label_epochs else None
    return class_geometry(run.features(split), run.labels(split), run.n_classes, soft_labels)


@cached
def most_suspect(run: Run, split: str) -> Suspects:
    """How far the neighbours of each of the compared samples disagree with its label."""
    labels = run.labels(split)[compared(run, split)]
    return suspects(_neighbours(run, split), labels, run.n_classes)


@cached
def plane(run: Run, split: str, classes: tuple[int, int, int]) -> ThreeClassPlane:
    """Samples of three classes on the plane through the templates of these classes."""
    inside = np.flatnonzero(np.isin(run.labels(split), classes))
    return three_class_plane(run.features(split)[inside], run.classifier_weight()[list(classes)])


def centroids(
    points: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], classes: Sequence[int]
) -> list[npt.NDArray[np.floating]]:
    """Mean point of each of some classes; those without a point are NaN."""
    return [
        points[labels == index].mean(axis=0) if (labels == index).any() else points[0] * np.nan
        for index in classes
    ]


def atlas(run: Run, split: str, indices: npt.NDArray[np.int64]) -> Atlas | None:
    """Thumbnails of some samples for the viewer; None if the data set has no images."""
    found = cache.thumbnails(run, split)
    if found is None:
        return None
    return Atlas(
        key=str(found.file),
        image=cache.atlas_bytes(str(found.file)),
        mime="image/webp",
        columns=found.columns,
        side=found.side,
        tiles=found.positions(indices).astype(np.int32),
    )
