"""Analysis of runs, computed once."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.scan import cached, cached_large, root, run_key
from ols_core.analysis import calibration, similarity, soft_labels
from ols_core.analysis.calibration import (
    BinScheme,
    Reliability,
    TemperatureScaling,
)
from ols_core.analysis.similarity import (
    ClassMap,
    ClassPair,
    Dendrogram,
    Hierarchy,
    Mantel,
    OrderKind,
    PairComparison,
    SuperclassRecovery,
    TaxonomyAgreement,
)
from ols_core.analysis.soft_labels import Convergence
from ols_core.errors import RunError
from ols_core.runs import Run
from ols_core.thumbnails import Thumbnails, load_thumbnails
from ols_core.top_labels import TopLabels, load_top_labels

__all__ = [
    "PREDICTIONS",
    "SAMPLED_EPOCHS",
    "SOURCE_PARTS",
    "Source",
    "atlas_bytes",
    "class_dendrogram",
    "class_map",
    "class_orders",
    "class_picture",
    "class_similarity",
    "clusters",
    "compared_pairs",
    "convergence",
    "final_epoch",
    "hierarchy",
    "holds",
    "leading_pairs",
    "logits",
    "n_permutations",
    "reliability",
    "row_entropies",
    "row_history",
    "run_agreement",
    "sampled_epochs",
    "scaling",
    "similar_pairs",
    "source_agreement",
    "sources_of",
    "superclass_recovery",
    "taxonomy",
    "temperature",
    "thumbnails",
    "top_labels",
]

Source = Literal["soft labels", "confusions", "features", "classifier"]
PREDICTIONS = ("predictions/test_logits.npy", "predictions/test_top_label.npz")
"""What a run must hold, one of these, to know the predicted class of each test sample."""
SOURCE_PARTS: dict[Source, tuple[str, ...]] = {
    "soft labels": ("soft_labels/counts.npy",),
    "confusions": PREDICTIONS,
    "features": ("features/test.npy",),
    "classifier": ("weights.safetensors",),
}
"""What a run must hold, one of these, for each source of class similarity."""
SAMPLED_EPOCHS = 12
"""Most epochs of a run that a curve of something slow has."""
_PICTURE_IMAGES = 3
# Each permutation of 1000 classes takes 3 ms: fewer of them above so many classes.
_MANTEL_LARGE = 200
_MOST_PAIRS = 20_000  # points of a figure


@cached_large
def scaling(run: Run) -> TemperatureScaling:
    """Test logits after temperature scaling, fitted on `val` where the run has it."""
    if not run.has("predictions/val_logits.npy"):
        return calibration.temperature_scaled(run.logits(), run.labels())
    fit = run.logits("val"), run.labels("val")
    return calibration.temperature_scaled(run.logits(), run.labels(), *fit)


def logits(run: Run, scaled: bool) -> npt.NDArray[np.floating]:
    """Test logits, before or after temperature scaling."""
    return scaling(run).logits if scaled else run.logits()


def temperature(run: Run) -> float:
    """Fitted temperature; the mean of both where the test split was cross-fitted."""
    fitted = scaling(run).temperatures
    return sum(fitted) / len(fitted)


@cached
def top_labels(run: Run, scaled: bool = False) -> TopLabels:
    """Best classes of the test split; those after temperature scaling need the logits."""
    if scaled:
        confidence, predicted = calibration.top_label_from_logits(scaling(run).logits)
        return TopLabels(np.asarray(run.labels()), predicted, confidence)
    found = load_top_labels(run)
    if found is None:
        raise RunError(f"Run {run.id} has no predictions of the test split.")
    return found


@cached
def reliability(run: Run, n_bins: int, scheme: BinScheme, scaled: bool = False) -> Reliability:
    """Reliability diagram of the test split."""
    top = top_labels(run, scaled)
    return calibration.reliability(top.confidence, top.correct, n_bins, scheme)


@cached_large
def class_similarity(run: Run, source: Source) -> npt.NDArray[np.float64]:
    """Similarity of classes at the end of the run, (K, K)."""
    if source == "soft labels":
        return _soft_label_similarity(run, run.soft_label_epochs[-1])
    if source == "confusions":
        top = top_labels(run)
        counts = similarity.confusion_matrix(top.predicted, top.labels, run.n_classes)
        return similarity.similarity_from_confusion(counts)
    if source == "classifier":
        return similarity.similarity_from_classifier(run.classifier_weight())
    return similarity.similarity_from_centroids(run.features(), run.labels(), run.n_classes)


def _soft_label_similarity(run: Run, epoch: int) -> npt.NDArray[np.float64]:
    return similarity.similarity_from_soft_labels(run.soft_labels(epoch))


def sources_of(run: Run) -> list[Source]:
    """Sources of class similarity that the run holds."""
    return [source for source in SOURCE_PARTS if holds(run, source)]


def holds(run: Run, source: Source) -> bool:
    """Whether the run has what the source of class similarity needs."""
    return any(map(run.has, SOURCE_PARTS[source]))


def final_epoch(run: Run, source: Source) -> int:
    """Epoch of a source's similarity at the end of the run; 0 for what has but one."""
    return run.soft_label_epochs[-1] if source == "soft labels" else 0


@cached
def class_map(run: Run, source: Source) -> ClassMap:
    """Classes in the plane, by `class_similarity`."""
    return similarity.class_map(class_similarity(run, source))


@cached
def source_agreement(run: Run) -> dict[tuple[str, str], Mantel]:
    """Whether each two sources of the run agree by more than chance."""
    matrices = {str(source): class_similarity(run, source) for source in sources_of(run)}
    return similarity.mantel_tests(matrices, n_permutations(run))


@cached
def run_agreement(runs: tuple[Run, ...], source: Source) -> dict[tuple[str, str], Mantel]:
    """Whether each two runs agree by more than chance, by one source."""
    matrices = {run.id: class_similarity(run, source) for run in runs}
    return similarity.mantel_tests(matrices, n_permutations(runs[0]))


def n_permutations(run: Run) -> int:
    """How many permutations a test of the agreement of similarities has."""
    return 999 if run.n_classes <= _MANTEL_LARGE else 99


@cached
def similar_pairs(run: Run, source: Source, n: int) -> tuple[ClassPair, ...]:
    """Most similar pairs of classes."""
    return similarity.similar_pairs(class_similarity(run, source), n)


@cached
def compared_pairs(
    runs: tuple[Run, ...], source: Source, pairs: tuple[tuple[int, int], ...]
) -> PairComparison:
    """What each run says about the same pairs of classes, and how that differs from the first."""
    return similarity.compare_pairs([class_similarity(run, source) for run in runs], pairs)


@cached
def leading_pairs(run: Run, sources: tuple[Source, ...]) -> PairComparison:
    """All pairs of classes by each source; of very many those most similar in any of them."""
    matrices = [class_similarity(run, source) for source in sources]
    return similarity.compare_pairs(matrices, similarity.leading_pairs(matrices, _MOST_PAIRS))


@cached
def clusters(run: Run, source: Source, n_clusters: int) -> npt.NDArray[np.int64]:
    """Cluster of each class, (K,), numbered from 0 in the order of the clustering."""
    return similarity.cut_clusters(hierarchy(run, source), n_clusters)


@cached
def superclass_recovery(run: Run, source: Source) -> tuple[SuperclassRecovery, ...]:
    """How well `class_similarity` holds the classes of each superclass together, best first."""
    superclasses = run.info.dataset.superclasses or ()
    return similarity.superclass_recovery(class_similarity(run, source), superclasses)


def sampled_epochs(run: Run) -> list[int]:
    """At most `SAMPLED_EPOCHS` of the stored ones, evenly spread, with the first and the last."""
    stored = run.soft_label_epochs
    places = np.linspace(0, len(stored) - 1, min(len(stored), SAMPLED_EPOCHS)).round()
    return [stored[int(place)] for place in places]


@cached
def taxonomy(run: Run, source: Source, epoch: int, n_clusters: int) -> TaxonomyAgreement:
    """How far clusters of the classes agree with the known superclasses.

    `epoch` counts only for soft labels.
    """
    found = similarity.cut_clusters(_tree(run, source, epoch), n_clusters)
    return similarity.taxonomy_agreement(found, run.info.dataset.superclasses or ())


@cached
def _tree(run: Run, source: Source, epoch: int) -> Hierarchy:
    """Clustering after an epoch, in no good order; matrices before the last one are not kept."""
    last = epoch == final_epoch(run, source)
    found = class_similarity(run, source) if last else _soft_label_similarity(run, epoch)
    return similarity.class_hierarchy(found, optimal_ordering=False)


@cached_large
def confusion_rates(run: Run) -> npt.NDArray[np.float64]:
    """Share of each true class's test images by predicted class, (K, K); NaN without images."""
    top = top_labels(run)
    counts = similarity.confusion_matrix(top.predicted, top.labels, run.n_classes)
    return similarity.confusion_rates(counts)


@cached
def class_orders(run: Run, kind: OrderKind) -> npt.NDArray[np.int64]:
    """Order of the classes: that of the last epoch, so that what moves over epochs is real."""
    last = run.soft_label_epochs[-1]
    if kind == "clustered":
        return hierarchy(run, "soft labels").order
    dataset = run.info.dataset
    return similarity.class_order(
        kind,
        run.n_classes,
        names=dataset.class_names,
        superclasses=dataset.superclasses,
        soft_labels=run.soft_labels(last),
    )


@cached
def class_dendrogram(run: Run, source: Source = "soft labels") -> Dendrogram:
    """Tree over the classes, for the order that comes from clustering them."""
    return similarity.dendrogram(hierarchy(run, source))


@cached
def convergence(run: Run) -> Convergence:
    """How the run's soft labels settled, one matrix in memory at a time."""
    matrices = (run.soft_labels(epoch) for epoch in run.soft_label_epochs)
    counts = run.soft_label_counts()[: len(run.soft_label_epochs)]
    return soft_labels.convergence(matrices, counts)


@cached
def row_entropies(run: Run, epoch: int) -> npt.NDArray[np.float64]:
    """Entropy of each class's soft label after an epoch, (K,)."""
    return soft_labels.row_entropy(run.soft_labels(epoch))


@cached
def row_history(run: Run, target: int) -> npt.NDArray[np.float32]:
    """Soft label of one class after every stored epoch, (T, K)."""
    return np.stack([run.soft_labels(epoch)[target] for epoch in run.soft_label_epochs])


@cached
def hierarchy(run: Run, source: Source) -> Hierarchy:
    """Hierarchical clustering of the classes by `class_similarity`."""
    return similarity.class_hierarchy(class_similarity(run, source))


def thumbnails(run: Run, split: str = "test") -> Thumbnails | None:
    """Thumbnails of the run's images of a split, if its data set has any."""
    fingerprint = run.fingerprint(split)
    return _thumbnails(str(root()), fingerprint, split) if fingerprint else None


@st.cache_resource(max_entries=16, show_spinner=False)
def _thumbnails(folder: str, fingerprint: str, split: str) -> Thumbnails | None:
    return load_thumbnails(folder, fingerprint, split)


@st.cache_resource(max_entries=8, show_spinner=False)
def atlas_bytes(file: str) -> bytes:
    """Content of a picture file."""
    return Path(file).read_bytes()


@st.cache_resource(max_entries=2000, show_spinner=False, hash_funcs={Run: run_key})
def class_picture(run: Run, index: int) -> str | None:
    """Some test images of a class side by side, as a data URI; None without thumbnails."""
    atlas = thumbnails(run)
    if atlas is None or not run.has("predictions/test_labels.npy"):
        return None
    positions = np.flatnonzero(run.labels()[atlas.indices] == index)[:_PICTURE_IMAGES]
    file = io.BytesIO()
    atlas.montage(positions, columns=_PICTURE_IMAGES).save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
