"""Features of samples, read a part at a time: they may be memory-mapped and of half precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, as_matrix, first_true
from ols_core.analysis._chunks import row_chunks
from ols_core.checks import invalid

__all__ = ["check_features", "feature_chunks", "feature_mean", "working_type"]


def check_features(name: str, features: npt.ArrayLike) -> FloatArray:
    """Return features of shape (n_samples, n_features), unchanged, if all of them are finite."""
    values = as_matrix(name, features, "n_features", min_columns=1)
    for rows in row_chunks(*values.shape):
        bad = first_true(~np.isfinite(values[rows]).all(axis=1))
        if bad is not None:
            row = rows.start + bad
            raise invalid(f"{name}[{row}]", "finite", values[row].tolist())
    return values


def working_type(features: FloatArray) -> np.dtype[np.floating[Any]]:
    """Precision to compute in: that of the features, but at least float32."""
    return np.promote_types(features.dtype, np.float32)


def feature_mean(features: FloatArray) -> npt.NDArray[np.float64]:
    """Mean of each feature over the samples."""
    total = np.zeros(features.shape[1])
    for rows in row_chunks(*features.shape):
        total += features[rows].sum(axis=0, dtype=np.float64)
    return total / len(features)


def feature_chunks(
    features: FloatArray, mean: npt.NDArray[np.float64]
) -> Iterator[tuple[slice, FloatArray]]:
    """Rows of the features and what is left of them without `mean`, in the working type."""
    kind = working_type(features)
    origin = mean.astype(kind)
    for rows in row_chunks(*features.shape):
        yield rows, features[rows].astype(kind) - origin
