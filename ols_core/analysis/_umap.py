"""UMAP of one matrix of features, and of several of the same samples together.

Both are put together from umap-learn's own functions. What its classes do beside costs more than
the layout: `UMAP` compares up to 4,096 samples pair by pair in Python, and above that compiles a
search that is only approximate; `AlignedUMAP` lays each matrix out alone before it does so
together, and ignores `min_dist`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.analysis._alignment import rotation
from ols_core.analysis._layout_progress import Progress, tqdm_settings
from ols_core.analysis._neighbours import nearest_neighbours

__all__ = ["UmapSettings", "aligned_umap", "umap"]

# as in `AlignedUMAP`
_ALIGNED_EPOCHS = 200
_WINDOW = 3
_PULL = 0.01
_EXTENT = 10.0


@dataclass(frozen=True, slots=True)
class UmapSettings:
    """Parameters of `project`, after their limits for few samples."""

    seed: int
    n_components: int
    n_neighbors: int
    min_dist: float


def umap(
    values: npt.NDArray[np.float32], settings: UmapSettings, progress: Progress | None
) -> npt.NDArray[np.float32]:
    """Lay out samples (n, n_features) in (n, n_components); equal to `umap.UMAP`.

    McInnes, Healy and Melville 2018, "UMAP: Uniform manifold approximation and projection for
    dimension reduction".
    """
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    random = np.random.RandomState(settings.seed)  # what the library takes
    a, b = find_ab_params(spread=1.0, min_dist=settings.min_dist)
    placed, _ = simplicial_set_embedding(
        values,
        _graph(values, settings.n_neighbors),
        settings.n_components,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=None,
        init="spectral",
        random_state=random,
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        tqdm_kwds=tqdm_settings(progress),
    )
    return np.asarray(placed)


def aligned_umap(
    values: Sequence[npt.NDArray[np.float32]], settings: UmapSettings, progress: Progress | None
) -> list[npt.NDArray[np.float32]]:
    """Lay out several matrices of the same samples so that a sample keeps its place.

    The method of `umap.AlignedUMAP`: each layout is improved by itself, and every step also pulls
    a sample towards where it is in the up to three layouts before and two after, by more the more
    neighbours it shares with itself there.
    """
    from numba.typed import List
    from umap.layouts import optimize_layout_aligned_euclidean
    from umap.umap_ import find_ab_params, make_epochs_per_sample

    random = np.random.RandomState(settings.seed)  # what the library takes
    a, b = find_ab_params(spread=1.0, min_dist=settings.min_dist)
    graphs = [_graph(matrix, settings.n_neighbors) for matrix in values]
    edges = [graph.tocoo() for graph in graphs]
    start = List(_starts(values, graphs, settings.n_components, random))
    limits = np.iinfo(np.int32)
    placed = optimize_layout_aligned_euclidean(
        start,
        start,
        List([edge.row for edge in edges]),
        List([edge.col for edge in edges]),
        _ALIGNED_EPOCHS,
        List([make_epochs_per_sample(edge.data, _ALIGNED_EPOCHS) for edge in edges]),
        _likeness(graphs),
        _relations(len(graphs), len(values[0])),
        random.randint(limits.min + 1, limits.max - 1, 3).astype(np.int64),
        a=a,
        b=b,
        lambda_=_PULL,
        parallel=False,  # its loops are not parallel, it would only take longer to compile
        move_other=True,
        tqdm_kwds=tqdm_settings(progress),
    )
    return [np.array(layout) for layout in placed]


def _graph(values: npt.NDArray[np.float32], n_neighbors: int) -> Any:
    """Sparse weights of who is near whom; like the library, it counts a sample as its neighbour."""
    from umap.umap_ import fuzzy_simplicial_set

    found = nearest_neighbours(values, n_neighbors - 1)
    own = np.arange(len(values), dtype=np.int32)[:, None]
    graph, *_ = fuzzy_simplicial_set(
        values,
        n_neighbors,
        None,
        "euclidean",
        knn_indices=np.hstack([own, found.indices.astype(np.int32)]),
        knn_dists=np.hstack([np.zeros(own.shape, dtype=np.float32), found.distances]),
        return_dists=False,
    )
    return graph.tocsr()


def _starts(
    values: Sequence[npt.NDArray[np.float32]],
    graphs: Sequence[Any],
    n_components: int,
    random: np.random.RandomState,
) -> Iterator[npt.NDArray[np.float32]]:
    """Spectral layouts, each turned onto the one before."""
    from umap.spectral import spectral_layout

    before = None
    for matrix, graph in zip(values, graphs, strict=True):
        start = spectral_layout(matrix, graph, n_components, random)
        start = start * (_EXTENT / np.abs(start).max())
        if before is not None:
            start = start @ rotation(start, before)
        before = np.ascontiguousarray(start, dtype=np.float32)
        yield before


def _relations(n_layouts: int, n_samples: int) -> npt.NDArray[np.int32]:
    """Where a sample is in the layouts around each one: at its own index, or -1 beyond the ends.

    Of shape (n_layouts, 2 window + 1, n_samples), from the third layout before to the third after.
    """
    others = np.add.outer(np.arange(n_layouts), np.arange(-_WINDOW, _WINDOW + 1))
    exists = (others >= 0) & (others < n_layouts)
    same = np.arange(n_samples, dtype=np.int32)
    return np.where(exists[:, :, None], same, np.int32(-1))


def _likeness(graphs: Sequence[Any]) -> npt.NDArray[np.float32]:
    """Share of common neighbours of a sample in two layouts, in the places of `_relations`."""
    nearby = [graph.astype(bool).astype(np.int32) for graph in graphs]
    degrees = [np.diff(graph.indptr) for graph in nearby]
    found = np.zeros((len(graphs), 2 * _WINDOW + 1, nearby[0].shape[0]), dtype=np.float32)
    for i in range(len(graphs)):
        for j in range(max(0, i - _WINDOW), min(len(graphs), i + _WINDOW + 1)):
            common = np.asarray(nearby[i].multiply(nearby[j]).sum(axis=1)).ravel()
            either = degrees[i] + degrees[j] - common
            found[i, j - i + _WINDOW] = common / np.maximum(either, 1)
    return found
