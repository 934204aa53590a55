"""Features in the plane: a sample of them, and its projection by PCA, UMAP or t-SNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import FloatArray, IntArray, as_matrix, first_true
from ols_core.checks import check_choice, check_integer, check_range, invalid

__all__ = ["Projection", "ProjectionMethod", "project", "stratified_sample"]

ProjectionMethod = Literal["pca", "umap", "tsne"]

# neighbours make no sense among fewer samples, and both libraries fail on them in their own ways
_FEWEST_FOR_NEIGHBOURS = 5


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
        Share of the total variance of each axis, in [0, 1]; PCA only.
    """

    coordinates: npt.NDArray[np.float32]
    method: ProjectionMethod
    parameters: dict[str, int | float | str]
    explained_variance_ratio: npt.NDArray[np.float64] | None = None


def stratified_sample(labels: npt.ArrayLike, n: int, seed: int) -> IntArray:
    """Draw samples without replacement in proportion to their classes.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Integers.
    n : int
        How many, at least 1; with `n` >= n_samples all are taken.
    seed : int
        The same seed draws the same samples.

    Returns
    -------
    ndarray of shape (min(n, n_samples),), int64
        Ascending indices. If `n` is at least the number of classes that occur, each of them has
        at least one.

    Raises
    ------
    ArgumentError
        If `labels` is empty or no vector of integers, or `n` or `seed` is out of range.

    Examples
    --------
    >>> labels = np.array([0] * 6 + [1] * 3 + [2])
    >>> labels[stratified_sample(labels, 5, seed=0)].tolist()
    [0, 0, 0, 1, 2]
    """
    check_integer("n", n, 1)
    check_integer("seed", seed, 0)
    values = np.asarray(labels)
    if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
        got = f"{values.dtype} of shape {values.shape}"
        raise invalid("labels", "a vector of at least one class index", got)
    if n >= values.size:
        return np.arange(values.size)
    random = np.random.default_rng(seed)
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    quotas = _quotas(counts, n, random)
    shuffled = random.permutation(values.size)
    by_class = shuffled[np.argsort(group[shuffled], kind="stable")]
    place = np.arange(values.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_class[place < np.repeat(quotas, counts)])


def project(
    features: npt.ArrayLike,
    method: ProjectionMethod = "pca",
    seed: int = 0,
    n_components: int = 2,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    perplexity: float = 30.0,
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
    check_choice("method", method, ("pca", "umap", "tsne"))
    check_integer("seed", seed, 0)
    check_integer("n_components", n_components, 1)
    check_integer("n_neighbors", n_neighbors, 2)
    check_range("min_dist", min_dist, 0.0, 1.0)
    check_range("perplexity", perplexity, 1.0, 1000.0)
    values = _check_features(features, method)
    parameters: dict[str, int | float | str] = {"seed": seed, "n_components": n_components}
    if method == "pca":
        return _pca(values, parameters, n_components)
    narrow = values.astype(np.float32)
    if method == "umap":
        parameters["n_neighbors"] = min(n_neighbors, len(values) - 1)
        parameters["min_dist"] = min_dist
        coordinates = _umap(narrow, parameters)
    else:
        parameters["perplexity"] = min(perplexity, (len(values) - 1) / 3)
        coordinates = _tsne(narrow, parameters)
    return Projection(coordinates.astype(np.float32), method, parameters)


def _quotas(counts: npt.NDArray[np.intp], n: int, random: np.random.Generator) -> IntArray:
    """Divide `n` among the classes in proportion, rounded by largest remainder."""
    share = counts * (n / counts.sum())
    if n >= counts.size:
        share = _at_least_one(share, n)
    quotas: IntArray = np.floor(share).astype(np.int64)
    # equal remainders are the rule in balanced data: chance decides, not the class index
    order = np.lexsort((random.random(counts.size), quotas - share))
    quotas[order[: n - quotas.sum()]] += 1
    return quotas


def _at_least_one(share: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """Raise shares below 1 to 1, at the cost of the larger ones in proportion."""
    raised = np.zeros(share.size, dtype=np.bool_)
    while (share[~raised] < 1).any():
        raised |= share < 1
        share = share * ((n - raised.sum()) / share[~raised].sum())
        share[raised] = 1.0
    return share


def _check_features(features: npt.ArrayLike, method: str) -> FloatArray:
    values = as_matrix("features", features, "n_features", min_columns=1)
    row = first_true(~np.isfinite(values).all(axis=1))
    if row is not None:
        raise invalid(f"features[{row}]", "finite", values[row].tolist())
    if method != "pca" and len(values) < _FEWEST_FOR_NEIGHBOURS:
        raise invalid(
            "features",
            f"at least {_FEWEST_FOR_NEIGHBOURS} samples for {method}",
            len(values),
            "Use method='pca'.",
        )
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


def _umap(
    values: npt.NDArray[np.float32], parameters: dict[str, int | float | str]
) -> npt.NDArray[np.float32]:
    from umap import UMAP

    settings = {name: value for name, value in parameters.items() if name != "seed"}
    # a fixed seed runs on one thread anyway; saying so keeps the library from warning about it
    reducer = UMAP(random_state=parameters["seed"], n_jobs=1, **settings)
    return np.asarray(reducer.fit_transform(values))


def _tsne(
    values: npt.NDArray[np.float32], parameters: dict[str, int | float | str]
) -> npt.NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    settings = {name: value for name, value in parameters.items() if name != "seed"}
    # a start from the main axes keeps more of the whole, but there may be too few of them
    start = "pca" if settings["n_components"] <= min(values.shape) else "random"
    reducer = TSNE(random_state=parameters["seed"], init=start, **settings)
    # on one thread the seed gives the same picture whatever the number of cores, and a training run
    # on the same machine does not slow it down many times over, as it does threads that spin
    with threadpool_limits(limits=1):
        return np.asarray(reducer.fit_transform(values))
