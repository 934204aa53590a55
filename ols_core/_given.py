"""What users hand over, turned into checked numpy arrays and plain data.

Tensors of any framework are taken by their methods, so that nothing here imports the framework.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.analysis.calibration import top_label
from ols_core.checks import invalid

__all__ = [
    "MIN_SAMPLES",
    "PROBABILITY_FLOOR",
    "as_array",
    "check_config",
    "check_features",
    "check_images",
    "check_n_samples",
    "finite_number",
    "is_plain",
    "log_probabilities",
    "oddities",
    "stored_scores",
]

PROBABILITY_FLOOR = 2.0**-52
"""What a probability below it counts as, so that logarithms stay finite; scikit-learn's `log_loss`
clips float64 at the same number."""

MIN_SAMPLES = 2
"""Fewer samples allow neither an interval nor a temperature that is fitted on others."""

_FLOAT16_MAX = float(np.finfo(np.float16).max)
_USUAL = 0.05  # what guessing reaches as often as this is no proof of anything better


def as_array(values: Any) -> npt.NDArray[Any]:
    """Array of what is an array, a nested list or a tensor of any framework and device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # numpy has no such type
            values = values.float()
        values = values.numpy()
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def finite_number(name: str, value: Any) -> float:
    """Return the number behind a metric, or refuse it."""
    array = as_array(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise invalid(name, "a number", value)
    number: float = array.item()
    if not math.isfinite(number):
        raise invalid(name, "a finite number", number, "Leave it out of epochs that have none.")
    return number


def is_plain(value: Any) -> bool:
    """Whether JSON holds a value as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a dict, refusing what JSON cannot hold."""
    for key, value in config.items():
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError):
            raise invalid(
                f"config[{key!r}]", "something that JSON can hold", value, "Pass its str()."
            ) from None
    return dict(config)


def log_probabilities(
    probabilities: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.float32], int]:
    """Natural logarithms of probabilities, and how many were raised to `PROBABILITY_FLOOR`.

    Examples
    --------
    >>> logarithms, n_raised = log_probabilities(np.array([[1.0, 0.0]]))
    >>> logarithms.round().tolist(), n_raised
    ([[0.0, -36.0]], 1)
    """
    raised = int(np.count_nonzero(probabilities < PROBABILITY_FLOOR))
    logarithms = np.maximum(probabilities, PROBABILITY_FLOOR, dtype=np.float64)
    np.log(logarithms, out=logarithms)
    return logarithms.astype(np.float32), raised


def stored_scores(
    logits: npt.ArrayLike | None, probabilities: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.floating], dict[str, Any]]:
    """Return what is stored as logits, and what is to be remembered of how they were given."""
    if logits is not None:
        array = as_array(logits)
        if array.dtype.kind not in "fiu":
            raise invalid("logits", "an array of real numbers", str(array.dtype))
        return array.astype(np.float16 if array.dtype == np.float16 else np.float32), {
            "given": "logits"
        }
    array = as_array(probabilities)
    top_label(array)  # refuses rows that are no distributions
    stored, raised = log_probabilities(array)
    facts = {"given": "probabilities", "stored": "natural logarithms"}
    return stored, facts | {"floor": PROBABILITY_FLOOR, "raised_to_floor": raised}


def check_features(features: npt.ArrayLike, n_samples: int) -> npt.NDArray[np.floating]:
    """Return features, (N, D), within the range of float16."""
    array = as_array(features)
    if array.ndim != 2 or len(array) != n_samples or array.dtype.kind not in "fiu":
        got = f"{array.dtype} of shape {array.shape}"
        raise invalid("features", f"numbers of shape ({n_samples}, D)", got)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise invalid(f"features[{row}]", "free of NaN and infinity", "NaN or infinity")
    clipped: npt.NDArray[np.floating] = np.clip(array, -_FLOAT16_MAX, _FLOAT16_MAX)
    return clipped


def check_images(images: npt.ArrayLike, n_samples: int) -> npt.NDArray[np.uint8]:
    """Return images with a channel axis, (N, H, W, C)."""
    array = as_array(images)
    array = array[..., None] if array.ndim == 3 else array
    fits = array.ndim == 4 and len(array) == n_samples and array.shape[3] in (1, 3)
    if not fits or array.dtype != np.uint8:
        expected = f"uint8 of shape ({n_samples}, H, W) or ({n_samples}, H, W, 3)"
        got = f"{array.dtype} of shape {array.shape}"
        raise invalid("images", expected, got, "Channels come last, and values are 0 to 255.")
    return array


def check_n_samples(name: str, n_samples: int) -> None:
    """Refuse fewer samples than anything can be computed from.

    Raises
    ------
    ArgumentError
        If there are fewer than `MIN_SAMPLES`.
    """
    if n_samples < MIN_SAMPLES:
        raise invalid(
            name,
            f"of at least {MIN_SAMPLES} samples",
            n_samples,
            "Intervals and temperatures cannot be computed from fewer.",
        )


def oddities(labels: npt.NDArray[np.int64], accuracy: float, n_classes: int) -> list[str]:
    """Sentences about predictions that are possible, but seldom meant.

    Examples
    --------
    >>> oddities(np.repeat([0, 1], 50), 0.9, n_classes=3)
    ['1 of 3 classes has no sample.']
    """
    found = []
    if _is_guessed(accuracy, len(labels), n_classes):
        found.append(
            f"The accuracy, {accuracy:.2%}, is that of guessing: are the classes in the order of "
            "the columns, and the labels in that of the rows?"
        )
    absent = n_classes - len(np.unique(labels))
    if absent:
        verb = "has" if absent == 1 else "have"
        found.append(f"{absent} of {n_classes} classes {verb} no sample.")
    return found


def _is_guessed(accuracy: float, n_samples: int, n_classes: int) -> bool:
    """Whether guessing often does as well: an exact binomial tail, however few the samples are.

    Of few samples guessing reaches even an accuracy that is nearer to 100 % than to chance; it is
    not called guessing all the same.

    Examples
    --------
    >>> _is_guessed(0.5, 10, 2), _is_guessed(0.6, 1000, 2), _is_guessed(1.0, 2, 2)
    (True, False, False)
    """
    from scipy.special import bdtrc

    chance = 1 / n_classes
    n_correct = round(accuracy * n_samples)
    usual = float(bdtrc(n_correct - 1, n_samples, chance)) > _USUAL
    return usual and accuracy < (1 + chance) / 2
