"""The plane through three classes' templates, on which smoothing is best seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._features import check_features, feature_chunks
from ols_core.checks import invalid

__all__ = ["ThreeClassPlane", "three_class_plane"]

# Templates whose triangle is flatter than this are on a line, up to rounding.
_FLAT = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ThreeClassPlane:
    """Samples and templates on the plane through three templates, in units of the features.

    Attributes
    ----------
    points : ndarray of shape (n, 2), float64
        Orthogonal projections of the samples.
    templates : ndarray of shape (3, 2), float64
        Their centre is the origin; the first lies straight above it, the second to the left.
    """

    points: npt.NDArray[np.float64]
    templates: npt.NDArray[np.float64]


def three_class_plane(features: npt.ArrayLike, weights: npt.ArrayLike) -> ThreeClassPlane:
    """Project features orthogonally onto the plane through three classifier templates.

    Parameters
    ----------
    features : array-like of shape (n, n_features)
        Penultimate features, float16 upwards.
    weights : array-like of shape (3, n_features)
        Rows of the final layer's weight, one a class: the templates.

    Returns
    -------
    ThreeClassPlane

    Raises
    ------
    ArgumentError
        If the shapes do not fit, a number is not finite, or the templates lie on a line.

    Notes
    -----
    Müller, Kornblith and Hinton 2019, "When does label smoothing help?", section 2. Whatever the
    run, the first template points up and the second lies left, so that panels can be compared.

    Examples
    --------
    >>> plane = three_class_plane([[0.0, 0.0, 9.0]], [[0, 2, 0], [-1, -1, 0], [1, -1, 0]])
    >>> np.round(plane.templates, 6).tolist()
    [[0.0, 2.0], [-1.0, -1.0], [1.0, -1.0]]
    >>> plane.points.tolist()
    [[0.0, 0.0]]
    """
    values = check_features("features", features)
    templates = check_features("weights", weights).astype(np.float64)
    if templates.shape != (3, values.shape[1]):
        raise invalid("weights", f"of shape (3, {values.shape[1]})", templates.shape)
    centre = templates.mean(axis=0)
    axes = _axes(templates - centre)
    points = np.empty((len(values), 2))
    for rows, centred in feature_chunks(values, centre):
        points[rows] = centred @ axes
    return ThreeClassPlane(points, (templates - centre) @ axes)


def _axes(centred: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Orthonormal directions to the right and up, as columns."""
    basis, triangle = np.linalg.qr(np.stack([centred[0], centred[1]], axis=1))
    if np.abs(np.diag(triangle)).min() <= _FLAT * np.abs(triangle).max():
        raise invalid(
            "weights",
            "three templates that span a plane",
            "templates on a line",
            "Choose other classes.",
        )
    # The first direction is along the first template, the second leads to the second one's side.
    up = basis[:, 0] * np.sign(triangle[0, 0])
    left = basis[:, 1] * np.sign(triangle[1, 1])
    return np.stack([-left, up], axis=1)
