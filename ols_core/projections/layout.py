"""Make layouts: of one run, or of several in one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ols_core.analysis.embedding import Faithfulness, faithfulness, project_aligned
from ols_core.projections.files import find_subject, store
from ols_core.projections.request import Layout, LayoutRequest, Member, Subject

__all__ = ["Progress", "compute_layout", "layout"]

Progress = Callable[[str, float], None]
"""Is told what is being done, and the share of all that is done, in [0, 1]."""

_SHARE_OF_LAYING_OUT = 0.9
_NEIGHBOURS = 15  # that count in the faithfulness, where there are enough images


def compute_layout(
    members: Sequence[Member], request: LayoutRequest, progress: Progress | None = None
) -> Layout:
    """Lay out the features of one run, or of several runs or epochs in one frame, and store that.

    Parameters
    ----------
    members : sequence of Member
        At least one, each once; each is aligned with those beside it.
    request : LayoutRequest
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Layout

    Raises
    ------
    ArgumentError
        If there is no member, one is named twice, or the request does not fit the features.
    RunError
        If a member lacks features or labels, or if the members' images differ.
    """
    subject = Subject.of(members, request)
    progress = progress or _silent
    made = _laid_out(subject, progress)
    faithful = _measured(subject, made, progress)
    return store(subject, replace(made, faithfulness=faithful))


def layout(members: Sequence[Member], request: LayoutRequest) -> Layout | None:
    """Read a stored layout, or make one by principal components, which takes hardly any time.

    How far such a one can be believed is not measured: that would take a second a member.

    Returns
    -------
    Layout or None
        None if it is not stored and the method is another one: see `compute_layout`.

    Raises
    ------
    ArgumentError, RunError
        As `find_layout`.
    """
    subject = Subject.of(members, request)
    found = find_subject(subject)
    return _laid_out(subject, _silent) if found is None and request.method == "pca" else found


def _laid_out(subject: Subject, progress: Progress) -> Layout:
    request = subject.request
    features = [subject.features(member) for member in subject.members]

    def told(share: float) -> None:
        progress("Laying out", _SHARE_OF_LAYING_OUT * share)

    told(0.0)
    found = project_aligned(
        features,
        request.method,
        request.seed,
        request.n_components,
        n_neighbors=request.n_neighbors,
        min_dist=request.min_dist,
        perplexity=request.perplexity,
        progress=told,
    )
    coordinates = tuple(projection.coordinates for projection in found)
    shares = [projection.explained_variance_ratio for projection in found]
    known = tuple(share for share in shares if share is not None)
    return Layout(
        indices=subject.indices,
        coordinates=coordinates,
        faithfulness=(None,) * len(found),
        parameters=subject.parameters | found[0].parameters,
        explained_variance_ratio=known or None,
    )


def _variance_shares(
    features: npt.NDArray[np.float16], coordinates: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Share of the variance of features along each axis; also of axes that were turned."""
    total = features.var(axis=0, dtype=np.float64).sum()
    shares: npt.NDArray[np.float64] = coordinates.var(axis=0, dtype=np.float64) / (total or 1.0)
    return shares


def _measured(subject: Subject, made: Layout, progress: Progress) -> tuple[Faithfulness, ...]:
    k = min(_NEIGHBOURS, (len(made.indices) - 1) // 2)
    found: list[Faithfulness] = []
    for member, points in zip(subject.members, made.coordinates, strict=True):
        done = len(found) / len(subject.members)
        progress("Measuring", _SHARE_OF_LAYING_OUT + (1 - _SHARE_OF_LAYING_OUT) * done)
        found.append(faithfulness(subject.features(member), points, k))
    progress("Measuring", 1.0)
    return tuple(found)


def _silent(stage: str, share: float) -> None:
    """Tell nobody."""
