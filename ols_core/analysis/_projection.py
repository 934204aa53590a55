"""Features in the plane or in space: by PCA, UMAP or t-SNE, alone or several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ols_core.analysis._alignment import procrustes
from ols_core.analysis._arrays import FloatArray
from ols_core.analysis._features import check_features
from ols_core.analysis._layout_progress import Progress, hear_tsne, stage
from ols_core.analysis._umap import UmapSettings, aligned_umap, umap
from ols_core.checks import check_choice, check_integer, check_range, invalid

__all__ = ["Projection", "ProjectionMethod", "project", "project_aligned"]

ProjectionMethod = Literal["pca", "umap", "tsne"]

# neighbours make no sense among fewer samples, and both libraries fail on them in their own ways
_FEWEST_FOR_NEIGHBOURS = 5
_TSNE_ITERATIONS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Low-dimensional coordinates of samples, and how they came about.

    Attributes
    ----------
    coordinates : ndarray of shape (n_samples, n_components), float32
        In the units of the features for PCA; without a unit otherwise.
    method : {"pca", "umap", "tsne"}
    parameters : dict
        All that is needed to make the projection again, as it was used: the seed, and the
        parameters of the method after their limits for few samples.
    explained_variance_ratio : ndarray of shape (n_components,) or None
        Share of the total variance along each axis, in [0, 1]; PCA only.
    """

    coordinates: npt.NDArray[np.float32]
    method: ProjectionMethod
    parameters: dict[str, int | float | str]
    explained_variance_ratio: npt.NDArray[np.float64] | None = None


def project(
    features: npt.ArrayLike,
    method: ProjectionMethod = "pca",
    seed: int = 0,
    n_components: int = 2,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    perplexity: float = 30.0,
    progress: Progress | None = None,
) -> Projection:
    """Project features to a few dimensions.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Float16 upwards; PCA computes in float64, the others in float32.
    method : {"pca", "umap", "tsne"}
        PCA shows distances as they are but only the widest directions. UMAP and t-SNE show who is
        near whom; the size of clusters and the distance between them mean little.
    seed : int
        Of UMAP and t-SNE; PCA draws nothing.
    n_components : int
        Dimensions of the result, 2 or 3 to look at; PCA allows up to min(n_samples, n_features).
    n_neighbors : int
        UMAP: size of the neighbourhoods, at least 2, and at most n_samples - 1 is used. Higher
        values show more of the whole and less of the detail.
    min_dist : float
        UMAP: how closely points may lie, in [0, 1].
    perplexity : float
        t-SNE: about the number of neighbours that count, in [1, 1000]; at most (n_samples - 1) / 3
        is used.
    progress : callable, optional
        Called from time to time with the share that is done, in [0, 1]: of the epochs of UMAP, of
        the iterations of t-SNE. What comes before the first one takes its time at a share of 0.

    Returns
    -------
    Projection

    Raises
    ------
    ArgumentError
        If an argument is not as described, a feature is not finite, or there are fewer than 5
        samples for UMAP or t-SNE.

    Notes
    -----
    McInnes et al. 2018 (UMAP), van der Maaten and Hinton 2008 (t-SNE). Each axis of the PCA is
    turned so that its largest loading is positive, which makes runs comparable by eye.

    Examples
    --------
    >>> flat = project([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], n_components=1)
    >>> flat.coordinates.tolist(), flat.explained_variance_ratio.tolist()
    ([[-2.0], [0.0], [2.0]], [1.0])
    """
    (found,) = project_aligned(
        [features],
        method,
        seed,
        n_components,
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        perplexity=perplexity,
        progress=progress,
    )
    return found


def project_aligned(
    features: Sequence[npt.ArrayLike],
    method: ProjectionMethod = "pca",
    seed: int = 0,
    n_components: int = 2,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    perplexity: float = 30.0,
    progress: Progress | None = None,
) -> list[Projection]:
    """Project the same samples as several networks see them, so that each keeps its place.

    UMAP lays all of them out together, so that each draws the others' samples to their places. PCA
    and t-SNE are made one by one, and turned onto the first by `procrustes`.

    Parameters
    ----------
    features : sequence of array-like of shape (n_samples, n_features)
        One entry a network or epoch, at least one, of as many samples; row i is the same sample
        in all. The number of features may differ.
    method, seed, n_components, n_neighbors, min_dist, perplexity, progress
        As for `project`.

    Returns
    -------
    list of Projection
        One an entry, in their order. A single entry is projected as `project` does it.

    Raises
    ------
    ArgumentError
        As `project`; or if there is no entry, or their numbers of samples differ.

    Notes
    -----
    The method of `umap.AlignedUMAP`, which ties each entry to the three before and the two after
    it: list epochs in order. Ties move points a little from where they would lie alone;
    `faithfulness` measures how much less they can be believed. Nothing is scaled: how far a
    network spreads its samples is part of the picture.
    """
    check_choice("method", method, ("pca", "umap", "tsne"))
    check_integer("seed", seed, 0)
    check_integer("n_components", n_components, 1)
    check_integer("n_neighbors", n_neighbors, 2)
    check_range("min_dist", min_dist, 0.0, 1.0)
    check_range("perplexity", perplexity, 1.0, 1000.0)
    values = _check_entries(features, method)
    if method == "umap":
        neighbours = min(n_neighbors, len(values[0]) - 1)
        settings = UmapSettings(seed, n_components, neighbours, min_dist)
        return _umap(values, settings, progress)
    return _one_by_one(values, method, seed, n_components, perplexity, progress)


def _umap(
    values: Sequence[FloatArray], settings: UmapSettings, progress: Progress | None
) -> list[Projection]:
    narrow = [entry.astype(np.float32) for entry in values]
    if len(values) == 1:
        layouts = [umap(narrow[0], settings, progress)]
    else:
        layouts = aligned_umap(narrow, settings, progress)
    return [Projection(layout, "umap", asdict(settings)) for layout in layouts]


def _one_by_one(
    values: Sequence[FloatArray],
    method: Literal["pca", "tsne"],
    seed: int,
    n_components: int,
    perplexity: float,
    progress: Progress | None,
) -> list[Projection]:
    parameters: dict[str, int | float | str] = {"seed": seed, "n_components": n_components}
    if method == "tsne":
        parameters["perplexity"] = min(perplexity, (len(values[0]) - 1) / 3)
    found: list[Projection] = []
    for place, entry in enumerate(values):
        told = stage(progress, place, len(values))
        if method == "pca":
            made = _pca(entry, parameters, n_components)
        else:
            made = Projection(_tsne(entry.astype(np.float32), parameters, told), method, parameters)
        found.append(_onto(found[0], made) if found else made)
        if told is not None:
            told(1.0)
    return found


def _onto(first: Projection, other: Projection) -> Projection:
    turned = procrustes(other.coordinates, first.coordinates)
    shares = other.explained_variance_ratio
    if shares is not None:
        # the axes are others now, but span the same plane: it keeps its share of the variance
        along = turned.var(axis=0)
        shares = along * (shares.sum() / (along.sum() or 1.0))
    return replace(other, coordinates=turned.astype(np.float32), explained_variance_ratio=shares)


def _check_entries(features: Sequence[npt.ArrayLike], method: str) -> list[FloatArray]:
    if not len(features):
        raise invalid("features", "at least one array", [])
    values = [check_features("features", entry) for entry in features]
    for place, entry in enumerate(values):
        if len(entry) != len(values[0]):
            expected = f"of {len(values[0])} samples, like features[0]"
            raise invalid(f"features[{place}]", expected, len(entry))
    if method != "pca" and len(values[0]) < _FEWEST_FOR_NEIGHBOURS:
        expected = f"at least {_FEWEST_FOR_NEIGHBOURS} samples for {method}"
        raise invalid("features", expected, len(values[0]), "Use method='pca'.")
    return values


def _pca(
    values: FloatArray, parameters: dict[str, int | float | str], n_components: int
) -> Projection:
    if n_components > min(values.shape):
        raise invalid("n_components", f"at most {min(values.shape)} for pca", n_components)
    centred = values.astype(np.float64)
    centred -= centred.mean(axis=0)
    # the smaller of the two products has all of the variance; eigh sorts upwards
    if values.shape[0] > values.shape[1]:
        variances, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors[:, ::-1][:, :n_components]
    else:
        variances, vectors = np.linalg.eigh(centred @ centred.T)
        axes = centred.T @ vectors[:, ::-1][:, :n_components]
        lengths = np.linalg.norm(axes, axis=0)
        np.divide(axes, lengths, out=axes, where=lengths > 0)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    coordinates = centred @ np.where(largest < 0, -axes, axes)
    total = float(np.einsum("nd,nd->", centred, centred))
    kept = np.maximum(variances[::-1][:n_components], 0.0)
    ratio = kept / total if total > 0 else np.zeros(n_components)
    return Projection(coordinates.astype(np.float32), "pca", parameters, ratio)


def _tsne(
    values: npt.NDArray[np.float32],
    parameters: dict[str, int | float | str],
    progress: Progress | None,
) -> npt.NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    settings = {name: value for name, value in parameters.items() if name != "seed"}
    # a start from the main axes keeps more of the whole, but there may be too few of them
    start = "pca" if settings["n_components"] <= min(values.shape) else "random"
    # on one thread the seed gives the same picture whatever the number of cores, and a training run
    # on the same machine does not slow it down many times over, as it does threads that spin
    with threadpool_limits(limits=1), hear_tsne(progress, _TSNE_ITERATIONS) as verbose:
        reducer = TSNE(
            random_state=parameters["seed"],
            init=start,
            max_iter=_TSNE_ITERATIONS,
            verbose=verbose,
            **settings,
        )
        return np.asarray(reducer.fit_transform(values))
