"""Which arrays of a file are scores, labels and names, told by their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ols_core.errors import DataError
from ols_core.importing._content import Content

__all__ = ["Found", "Kind", "find_label_column", "find_scores"]

Kind = Literal["logits", "probabilities", "top-label"]
Array = npt.NDArray[Any]

_LABELS = (
    *("label", "labels", "true", "true_label", "true_class", "y_true", "y", "target", "targets"),
    *("ground_truth", "truth", "class"),
)
_PREDICTED = (
    *("pred", "predicted", "prediction", "predictions", "predicted_label", "predicted_class"),
    *("pred_label", "pred_class", "y_pred"),
)
_CONFIDENCE = (
    *("confidence", "confidences", "conf", "max_prob", "max_probability", "top1_prob", "top_prob"),
    *("probability", "prob", "score"),
)
_LOGITS = ("logits", "logit")
_PROBABILITIES = ("probabilities", "probability", "probs", "prob", "proba", "p", "softmax")
_ROWS = ("", "id", "index", "image_id", "sample", "sample_id", "row", "unnamed:_0")
# Names that say it only together with values that count: "idx", "image_nr", "Unnamed: 0.1".
_ROW_NUMBER = re.compile(
    r"(?:(?:row|sample|image|line|case|item)_?)?(?:idx|index|id|nr|num|number)|#|row|rows|line"
    r"|unnamed:?_[\d.]+|level_0"
)
_MIN_COUNTED = 5
_NAMES = ("class_names", "classes", "names")
_FEATURES = ("features", "embeddings")

_WORDS = "|".join((*_LOGITS, *_PROBABILITIES, "scores", "score", "outputs", "output"))
# A word and an index, or a word, something between and a name: "logit3", "prob_cat", "p[cat]".
_PREFIXED = re.compile(rf"({_WORDS})(?:(\d+)|[_\-.:\s/\[(]+(.+?)[\])]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """What a file was taken to hold.

    Attributes
    ----------
    kind : {"logits", "probabilities", "top-label"} or None
        As the names say; None where they say nothing.
    scores : ndarray of shape (N, K) or None
        None for top labels.
    predicted, confidence : ndarray of shape (N,) or None
        For top labels only.
    names : list of str or None
        Names of the classes, where the file has them.
    columns : list of str
        The column of each class, for messages; empty for matrices.
    features : ndarray of shape (N, D) or None
    recognised, warnings : list of str
        Sentences for the user.
    """

    kind: Kind | None
    scores: Array | None = None
    predicted: Array | None = None
    confidence: Array | None = None
    names: list[str] | None = None
    columns: list[str] = field(default_factory=list)
    features: Array | None = None
    recognised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        array = self.scores if self.scores is not None else self.confidence
        assert array is not None
        return len(array)


def find_label_column(content: Content) -> str | None:
    """Name of the column that holds the true labels, by its name; None if there is none."""
    named = _named(content.columns, _LABELS)
    if named is not None or not content.matrices:
        return named
    whole = [name for name, array in content.columns.items() if array.dtype.kind in "iu"]
    return whole[0] if len(whole) == 1 else None


def find_scores(content: Content, label_column: str | None, expected: Sequence[str]) -> Found:
    """Take matrices for scores where there are some, otherwise columns.

    Parameters
    ----------
    content : Content
    label_column : str or None
        Left out of the scores.
    expected : sequence of str
        Names of the classes, if the user gave them.

    Raises
    ------
    DataError
        If the file can be read in no way, or in several.
    """
    if content.matrices:
        return _from_matrices(content)
    columns = {name: array for name, array in content.columns.items() if name != label_column}
    predicted, confidence = _named(columns, _PREDICTED), _named(columns, _CONFIDENCE)
    wide = _score_columns(content, columns, {predicted, confidence}, expected)
    if len(wide.columns) >= 2:
        return wide
    if predicted is not None and confidence is not None:
        return Found(
            "top-label",
            predicted=columns[predicted],
            confidence=_numbers(content, confidence, columns[confidence]),
            recognised=[f"Predicted class: {predicted!r}. Its confidence: {confidence!r}."],
            warnings=wide.warnings,
        )
    raise DataError(
        f"{content.file}: no predictions were found. Expected one column of logits or "
        "probabilities a class, or the columns true, pred and confidence; the file has "
        f"{content.listed()}."
    )


def _from_matrices(content: Content) -> Found:
    matrices = dict(content.matrices)
    features = _named(matrices, _FEATURES)
    others = {name: array for name, array in matrices.items() if name != features}
    kinds: dict[Kind, str | None] = {
        "logits": _named(others, _LOGITS),
        "probabilities": _named(others, _PROBABILITIES),
    }
    kind = next((kind for kind, name in kinds.items() if name is not None), None)
    chosen = kinds[kind] if kind is not None else None
    if chosen is None:
        if len(others) != 1:
            raise DataError(
                f"{content.file}: which array holds the predictions? Expected one of shape (N, K) "
                f"called logits or probabilities; the file has {content.listed()}."
            )
        chosen = next(iter(others))
    scores = others[chosen]
    if scores.dtype.kind not in "fiu":
        raise DataError(f"{content.file}: {chosen} holds {scores.dtype}; expected numbers.")
    if scores.shape[1] < 2:
        raise DataError(
            f"{content.file}: {chosen} has the shape {scores.shape}; expected (N, K), one column a "
            "class and two at least. Of a binary classifier give the probabilities of both "
            "classes: numpy.column_stack([1 - p, p])."
        )
    names = _named(content.columns, _NAMES)
    ignored = [name for name in others if name != chosen]
    return Found(
        kind,
        scores,
        names=None if names is None else content.columns[names].astype(str).tolist(),
        features=None if features is None else matrices[features],
        recognised=[f"Predictions: array {chosen!r} of shape {scores.shape}."],
        warnings=[f"Ignored: {', '.join(ignored)}."] if ignored else [],
    )


def _score_columns(
    content: Content, columns: dict[str, Array], other: set[str | None], expected: Sequence[str]
) -> Found:
    """Take one column a class; what is left out becomes a warning."""
    # neither labels, nor top labels, nor the number of a row
    rest = [name for name in columns if name not in other and _plain(name) not in _ROWS]
    kind, chosen = _prefixed(rest)
    if len(chosen) < 2:
        named = set(expected) if set(expected) <= set(rest) else set()
        numbers = [name for name in rest if name in named or not (named or _is_text(columns[name]))]
        if not named and len(numbers) != len(expected):
            numbers = _without_row_numbers({name: columns[name] for name in numbers})
        kind, chosen = None, {name: name for name in numbers}
    if set(expected) == set(chosen):
        chosen = {name: chosen[name] for name in expected}
    elif sorted(chosen) == sorted(map(str, range(len(chosen)))):
        chosen = {key: chosen[key] for key in sorted(chosen, key=int)}
    used = list(chosen.values()) if len(chosen) >= 2 else []
    ignored = [name for name in columns if name not in used and (used or name not in other)]
    warnings = [f"Ignored columns: {', '.join(map(repr, ignored))}."] if ignored else []
    if not used:
        return Found(None, warnings=warnings)
    return Found(
        kind,
        np.column_stack([_numbers(content, name, columns[name]) for name in used]),
        names=list(chosen) if content.has_names else None,
        columns=used,
        recognised=[f"Predictions: {len(used)} columns, {used[0]!r} to {used[-1]!r}."],
        warnings=warnings,
    )


def _without_row_numbers(columns: dict[str, Array]) -> list[str]:
    """Names of columns but those that number the rows, if two or more are left."""
    left = [name for name, array in columns.items() if not _numbers_rows(name, array)]
    return left if len(left) >= 2 else list(columns)


def _numbers_rows(name: str, values: Array) -> bool:
    """Whether integers count the rows in order, from 0 or 1.

    Of few rows scores may do so by chance; then the name must say it, too.

    Examples
    --------
    >>> _numbers_rows("idx", np.arange(2)), _numbers_rows("cat", np.arange(2))
    (True, False)
    >>> _numbers_rows("cat", np.arange(9)), _numbers_rows("logit_cat", np.arange(9))
    (True, False)
    """
    if values.dtype.kind not in "iu" or _PREFIXED.fullmatch(name):
        return False
    first = int(values[0]) if values.size else -1
    if first not in (0, 1) or (values != np.arange(first, first + len(values))).any():
        return False
    return len(values) >= _MIN_COUNTED or _ROW_NUMBER.fullmatch(_plain(name)) is not None


def _prefixed(columns: Sequence[str]) -> tuple[Kind | None, dict[str, str]]:
    """Columns called like "logit_cat", as class → column, and what the word says they are."""
    matches = {name: _PREFIXED.fullmatch(name) for name in columns}
    found = {m[2] or m[3]: name for name, m in matches.items() if m}
    words = {m[1].lower() for m in matches.values() if m}
    if words and words <= set(_LOGITS):
        return "logits", found
    return ("probabilities" if words and words <= set(_PROBABILITIES) else None), found


def _is_text(values: Array) -> bool:
    """Whether a column holds no number at all; one that holds some has a mistake in it."""
    return values.dtype.kind not in "fiu" and not _parsed(values)[1].any()


def _numbers(content: Content, name: str, values: Array) -> npt.NDArray[np.floating]:
    """Return a column as numbers, or refuse its first cell that is none."""
    if values.dtype.kind in "fiu":
        numbers = values.astype(np.float64)
        wrong = np.flatnonzero(np.isnan(numbers))
        shown = "an empty cell or NaN"
    else:
        numbers, good = _parsed(values)
        wrong = np.flatnonzero(~good)
        shown = repr(str(values[wrong[0]])) if wrong.size else ""
        shown = "an empty cell" if shown == "''" else shown
    if wrong.size:
        raise DataError(
            f"{content.place(int(wrong[0]))}, column {name!r}: expected a number, got {shown}. "
            "Correct the cell, or leave the row out."
        )
    return numbers


def _parsed(values: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Numbers behind texts, NaN where there is none, and where there is one."""
    found, inverse = np.unique(values.astype(str), return_inverse=True)
    numbers = np.array([_number(text) for text in found.tolist()])[inverse]
    return numbers, ~np.isnan(numbers)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _named(arrays: dict[str, Array], names: Sequence[str]) -> str | None:
    """The array that bears the first of these names, however it is written."""
    written = {_plain(name): name for name in reversed(arrays)}
    return next((written[name] for name in names if name in written), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip().lower())
