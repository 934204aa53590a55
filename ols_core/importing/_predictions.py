"""Predictions read from a file and checked, with what was recognised and what looks odd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ols_core._given import MIN_SAMPLES, oddities, stored_scores
from ols_core.analysis.calibration import summarize_predictions
from ols_core.checks import check_choice
from ols_core.class_names import distinct_names, read_class_names
from ols_core.errors import DataError
from ols_core.importing._content import Content, File, read_content
from ols_core.importing._labels import check_largest, class_indices, find_labels, names_of
from ols_core.importing._scores import Found, Kind, find_scores
from ols_core.importing._values import Declared, check_confidence, check_scores
from ols_core.runs import SPLITS
from ols_core.top_labels import TopLabels

__all__ = ["Kind", "Predictions", "read_predictions"]


@dataclass(frozen=True)
class Predictions:
    """Predictions on one split, ready to be shown and then written.

    Attributes
    ----------
    file : str
        Where they came from.
    kind : {"logits", "probabilities", "top-label"}
        What was given of each sample.
    split : str
    class_names : list of str
        K names, in the order of the columns.
    labels : ndarray of shape (N,), int64
        True classes.
    scores : ndarray of shape (N, K) or None
        Logits or probabilities, float16 or float32; None for top labels.
    top_labels : TopLabels or None
        For top labels only.
    features : ndarray of shape (N, D) or None
    summary : dict
        Metrics that can be had, named as in `PredictionSummary`.
    recognised : list of str
        How each part was told, as sentences.
    warnings : list of str
        What looks odd, as sentences.
    """

    file: str
    kind: Kind
    split: str
    class_names: list[str]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.floating] | None
    top_labels: TopLabels | None
    features: npt.NDArray[np.floating] | None
    summary: dict[str, float]
    recognised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def n_samples(self) -> int:
        """Number of samples N."""
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)

    @property
    def accuracy(self) -> float:
        """Share of samples whose most probable class is the true one, in [0, 1]."""
        return self.summary["accuracy"]


def read_predictions(
    file: File,
    *,
    labels: File | None = None,
    class_names: Sequence[str] | Path | None = None,
    kind: Declared | None = None,
    split: str = "test",
) -> Predictions:
    r"""Read predictions and check them; nothing is written, nothing is executed.

    Parameters
    ----------
    file : path or binary stream with a `name`
        NPZ, NPY, CSV, TSV or Parquet. Arrays: one of shape (N, K), called ``logits`` or
        ``probabilities`` if there are several, and one of shape (N,) called ``labels``; perhaps
        ``class_names`` and ``features``. Tables: a column ``label`` and one column a class, such as
        ``logit_cat`` or ``prob_cat``; or the columns ``true``, ``pred`` and ``confidence``.
    labels : str, path or stream, optional
        Another column of true labels, or a file of them.
    class_names : sequence of str or Path, optional
        Names in the order of the columns, or their file; see `read_class_names`.
    kind : {"logits", "probabilities"}, optional
        By default recognised from names and values.
    split : {"test", "train", "val"}

    Returns
    -------
    Predictions

    Raises
    ------
    ArgumentError
        If an argument fits nothing in the file.
    DataError
        If a file cannot be used; the message names it, the line or row, what was found, and what
        to do.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO(b"label,prob_cat,prob_dog\ncat,0.75,0.25\ncat,0.25,0.75\n")
    >>> file.name = "predictions.csv"
    >>> found = read_predictions(file)
    >>> found.kind, found.n_samples, found.class_names, found.accuracy
    ('probabilities', 2, ['cat', 'dog'], 0.5)
    """
    check_choice("split", split, SPLITS)
    content = read_content(file)
    source, column = find_labels(content, labels)
    given = read_class_names(class_names) if isinstance(class_names, Path) else class_names
    found = find_scores(content, column if source is content else None, given or ())
    _check_n_samples(content.file, found.n_samples)
    truth = source.columns[column]
    if len(truth) != found.n_samples:
        raise DataError(
            f"{source.file}: {len(truth)} labels for the {found.n_samples} predictions in "
            f"{content.file}; there must be one for each, in the same order."
        )
    if found.predicted is not None and found.names is None and not given:
        check_largest(truth, "label", source.place)
        check_largest(found.predicted, "predicted class", content.place)
    names, notices = _names(found, list(given) if given is not None else None, truth, content)
    classes = class_indices(truth, names, "label", source.place)
    if found.scores is None:
        values = _of_top_labels(found, content, classes, names)
    else:
        values = _of_scores(found, found.scores, content, classes, kind)
    odd = oddities(classes, values.summary["accuracy"], len(names))
    return Predictions(
        content.file,
        values.kind,
        split,
        names,
        classes,
        values.scores,
        values.top_labels,
        found.features,
        values.summary,
        [
            *found.recognised,
            *content.notices,
            f"True labels: {column!r} of {Path(source.file).name}.",
            *values.recognised,
        ],
        [*found.warnings, *notices, *odd, *values.warnings],
    )


def _check_n_samples(file: str, n_samples: int) -> None:
    if n_samples == 0:
        raise DataError(f"{file}: holds no rows. Save at least {MIN_SAMPLES} samples.")
    if n_samples < MIN_SAMPLES:
        raise DataError(
            f"{file}: holds {n_samples} sample; expected at least {MIN_SAMPLES}, since intervals "
            "and temperatures cannot be computed from fewer. Save more samples."
        )


def _names(
    found: Found, given: list[str] | None, truth: npt.NDArray[np.generic], content: Content
) -> tuple[list[str], list[str]]:
    """Class names as given, as in the file, or made up; and sentences about them."""
    n_classes = None if found.scores is None else found.scores.shape[1]
    names = given or found.names
    if names is None and n_classes is not None:
        return [str(i) for i in range(n_classes)], [
            "Classes have no names: numbers stand for them. Give names with --class-names."
        ]
    if names is None:
        assert found.predicted is not None
        names = names_of(truth, found.predicted)
    if n_classes is not None and len(names) != n_classes:
        raise DataError(
            f"{content.file}: {n_classes} columns of predictions, but {len(names)} class names; "
            "there must be one name a column, in the same order."
        )
    return distinct_names(names)


class _Values(NamedTuple):
    """What `Predictions` says of the scores or top labels."""

    kind: Kind
    scores: npt.NDArray[np.floating] | None
    top_labels: TopLabels | None
    summary: dict[str, float]
    recognised: list[str]
    warnings: list[str]


def _of_scores(
    found: Found,
    given: npt.NDArray[Any],
    content: Content,
    labels: npt.NDArray[np.int64],
    declared: Declared | None,
) -> _Values:
    said = declared or (found.kind if found.kind != "top-label" else None)
    kind, reason = check_scores(
        given,
        said,
        content.place,
        lambda i: f"column {found.columns[i]!r}" if found.columns else f"column {i}",
    )
    scores: npt.NDArray[np.floating] = given.astype(
        np.float16 if given.dtype == np.float16 else np.float32
    )
    logits, probabilities = (scores, None) if kind == "logits" else (None, scores)
    stored, _ = stored_scores(logits, probabilities)
    summary = asdict(summarize_predictions(stored, labels))
    return _Values(kind, scores, None, summary, [reason], [])


def _of_top_labels(
    found: Found, content: Content, labels: npt.NDArray[np.int64], names: list[str]
) -> _Values:
    assert found.predicted is not None
    assert found.confidence is not None
    check_confidence(found.confidence, content.place)
    predicted = class_indices(found.predicted, names, "predicted class", content.place)
    top = TopLabels.checked(labels, predicted, found.confidence, len(names))
    warnings = [
        "Only the best class is given: NLL, Brier score, top-5 accuracy and temperature scaling "
        "need the probabilities of all classes, and are left out."
    ]
    least = float(top.confidence.min())
    if least < 1 / len(names) - 1e-6:
        warnings.append(
            f"The smallest confidence is {least:.4g}; the most probable of {len(names)} classes "
            f"cannot have less than {1 / len(names):.4g}."
        )
    return _Values("top-label", None, top, top.summary(), [], warnings)
