"""The class-by-class matrices that the viewer shows: what they hold, in which order and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from app import cache
from app.cache import Source
from app.charts.scale import Scale, ScaleKind, scale_of
from app.components.frames import Frames, encode, max_side, pool, prepare_frames
from app.components.matrix_viewer import Panel
from app.scan import cached, cached_large
from ols_core.analysis.similarity import OrderKind
from ols_core.analysis.soft_labels import (
    Change,
    hide_diagonal,
    largest_changes,
    training_target,
    uniform_reference,
)
from ols_core.runs import UNKNOWN_COUNT, Run

__all__ = [
    "END",
    "MatrixKind",
    "Moment",
    "changes",
    "difference_panel",
    "epochs_of",
    "fallback_name",
    "fallback_rows",
    "kinds_of",
    "matrix",
    "moment_name",
    "panels",
    "reference_run",
    "run_name",
    "sides",
    "similarity_panel",
    "soft_label_name",
    "soft_label_origin",
]

MatrixKind = Literal["soft labels", "training targets", "confusions"]
Moment = tuple[Run, int]
"""A run after an epoch."""
END = -1
"""The epoch of what is measured once, when the training has ended."""


def kinds_of(runs: Sequence[Run]) -> list[MatrixKind]:
    """Matrices that all of the runs have; soft labels are taken for granted."""
    found: list[MatrixKind] = ["soft labels"]
    if all(_target_settings(run) is not None for run in runs):
        found.append("training targets")
    if all(cache.holds(run, "confusions") for run in runs):
        found.append("confusions")
    return found


def soft_label_name(run: Run) -> str:
    """Name of a run where its soft labels are shown: those it was not trained on are observed."""
    return run.id if run.info.method in ("ols", "custom") else f"{run.id} (observed)"


def soft_label_origin(run: Run) -> tuple[str, str]:
    """What the soft labels of a run are, and a sentence about it."""
    if run.info.method == "ols":
        return "Learned soft labels", f"{run.id} was trained on them."
    if run.info.method == "custom":
        return "Soft labels", f"whether {run.id} was trained on them is not recorded."
    return "Observed soft labels", (
        f"{run.id} was trained with {run.info.method.upper()}, which does not use them; they "
        "average its correct predictions, as OLS would."
    )


def fallback_name(run: Run) -> str:
    """Say what the soft label of a class is when no sample of it was classified correctly."""
    options = (run.info.config or {}).get("loss_options") or {}
    kept = options.get("fallback") == "previous"
    return "row kept from before" if kept else "uniform fallback"


def epochs_of(run: Run, kind: MatrixKind) -> list[int]:
    """Epochs that a run has the matrix of."""
    return [END] if kind == "confusions" else run.soft_label_epochs


def matrix(run: Run, kind: MatrixKind, epoch: int) -> npt.NDArray[np.floating]:
    """Soft labels or targets after an epoch, or confusion rates by true class, (K, K)."""
    if kind == "confusions":
        return cache.confusion_rates(run)
    soft_labels = run.soft_labels(epoch)
    if kind == "soft labels":
        return soft_labels
    return training_target(run.info.method, soft_labels, **(_target_settings(run) or {}))


def reference_run(runs: Sequence[Run]) -> Run:
    """Return the run whose classes' order all share: the first with OLS, else the first."""
    return next((run for run in runs if run.info.method == "ols"), runs[0])


def panels(
    shown: Sequence[Run],
    runs: Sequence[Run],
    kind: MatrixKind,
    order: OrderKind,
    log: bool,
    diagonal: bool,
) -> list[Panel]:
    """One panel for each run that is shown, over the epochs of the first.

    Order and colours are those of all chosen `runs`, so that what differs between two of them is
    not how they are drawn. A run that was trained for fewer epochs shows its last one.
    """
    made = []
    for run in shown:
        epochs = _until(run, kind, epochs_of(shown[0], kind))
        view = _View(kind, order, "log" if log else "linear", diagonal, len(shown))
        made.append(
            Panel(
                title=soft_label_name(run) if kind == "soft labels" else run.id,
                frames=_frames(run, tuple(epochs), tuple(runs), view),
                exact=partial(_frame, run, kind, epochs, diagonal),
                counts=_counts(run, kind, epochs),
                empty=_empty(run, kind),
            )
        )
    return made


@dataclass(frozen=True)
class _View:
    """How matrices are drawn, besides the epochs and the runs."""

    kind: MatrixKind
    order: OrderKind
    scale: ScaleKind
    diagonal: bool
    n_panels: int


def difference_panel(
    after: Moment, before: Moment | None, runs: Sequence[Run], order: OrderKind, diagonal: bool
) -> Panel:
    """One panel with what differs between two moments, or from uniform smoothing.

    Colours span what differs after the whole training, whatever the epochs: in all chosen `runs`
    from their first epoch or from uniform smoothing, or between any two of them.
    """
    run, epoch = after
    peer, since = before or (None, None)
    frames = _difference_frames(run, epoch, peer, since, tuple(runs), order, diagonal)
    counts = _counts(run, "soft labels", [epoch])
    if counts is not None and peer is not None and since is not None:
        others = _counts(peer, "soft labels", [since])
        counts = None if others is None else np.minimum(counts, others)
    fallbacks = {fallback_name(side) for side in (run, peer) if side is not None}
    earlier, later = sides(after, before)
    return Panel(
        title=f"{moment_name(after)} − {moment_name(before)}",
        frames=frames,
        exact=lambda _: _difference(earlier, later, diagonal),
        counts=counts,
        empty=" or ".join(sorted(fallbacks)),
    )


def sides(
    after: Moment, before: Moment | None
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Soft labels before and after; without a moment before, uniform smoothing of those after."""
    run, epoch = after
    later = run.soft_labels(epoch)
    if before is None:
        return uniform_reference(later), later
    peer, since = before
    return peer.soft_labels(since), later


@cached
def changes(
    after: Moment, before: Moment | None, n: int, target: int | None, diagonal: bool
) -> tuple[Change, ...]:
    """Return the `n` largest differences, of one class or of all."""
    earlier, later = sides(after, before)
    return largest_changes(earlier, later, n, include_diagonal=diagonal, target=target)


def fallback_rows(moment: Moment | None) -> set[int]:
    """Classes whose row is none of the epoch's own: no sample was classified correctly."""
    if moment is None:
        return set()
    run, epoch = moment
    unseen = run.soft_label_counts()[epoch] == 0
    return set(np.flatnonzero(unseen).tolist()) if epoch > 0 else set()


def moment_name(moment: Moment | None) -> str:
    """Say which run at which epoch, or that it is uniform smoothing."""
    if moment is None:
        return "uniform smoothing"
    run, epoch = moment
    return f"{soft_label_name(run)}, epoch {epoch}"


def run_name(run: Run, source: Source) -> str:
    """Name of a run where its similarity by a source is shown."""
    return soft_label_name(run) if source == "soft labels" else run.id


def similarity_panel(run: Run, source: Source, runs: Sequence[Run], log: bool) -> Panel:
    """One panel with a run's class similarity, in the order of its own clustering.

    Colours are those of all chosen `runs`; cosines, which have a sign, are never logarithmic.
    """
    panel = Panel(
        title=f"{run_name(run, source)}: classes in the order of their clustering",
        frames=_similarity_frames(run, source, tuple(runs), log),
        exact=lambda _: cache.class_similarity(run, source),
    )
    if source not in ("soft labels", "confusions"):
        return panel
    epochs = [END if source == "confusions" else cache.final_epoch(run, source)]
    counts, empty = _counts(run, source, epochs), _empty(run, source)
    return replace(panel, counts=counts, empty=empty, symmetric=True)


@cached_large
def _similarity_frames(run: Run, source: Source, runs: tuple[Run, ...], log: bool) -> Frames:
    kind: ScaleKind = "log" if log else "linear"
    if source in ("features", "classifier"):
        kind = "diverging"
    scale = scale_of(np.stack([cache.class_similarity(peer, source) for peer in runs]), kind)
    order = cache.hierarchy(run, source).order
    shown = cache.class_similarity(run, source)
    return prepare_frames([shown], order, scale, max_side(run.n_classes, 1))


@cached_large
def _difference_frames(
    run: Run,
    epoch: int,
    peer: Run | None,
    since: int | None,
    runs: tuple[Run, ...],
    order: OrderKind,
    diagonal: bool,
) -> Frames:
    before = None if peer is None or since is None else (peer, since)
    shown = _difference(*sides((run, epoch), before), diagonal)
    permutation = cache.class_orders(reference_run(runs), order)
    other = None if peer is None else peer != run
    scale = _difference_scale(runs, other, diagonal)
    return prepare_frames([shown], permutation, scale, max_side(len(shown), 1))


@cached
def _difference_scale(runs: tuple[Run, ...], other: bool | None, diagonal: bool) -> Scale:
    """Colours for differences from another run, from an earlier epoch, or (None) from uniform."""
    last: list[Moment] = [(run, run.soft_label_epochs[-1]) for run in runs]
    pairs: list[tuple[Moment, Moment | None]]
    if other is None:
        pairs = [(moment, None) for moment in last]
    elif other:
        pairs = list(combinations(last, 2))
    else:
        pairs = [(moment, (moment[0], moment[0].soft_label_epochs[:2][-1])) for moment in last]
    found = [_difference(*sides(after, before), diagonal) for after, before in pairs]
    return scale_of(np.stack(found), "diverging")


def _difference(
    earlier: npt.NDArray[np.floating], later: npt.NDArray[np.floating], diagonal: bool
) -> npt.NDArray[np.floating]:
    return later - earlier if diagonal else hide_diagonal(later - earlier)


def _until(run: Run, kind: MatrixKind, epochs: Sequence[int]) -> list[int]:
    """For each of the epochs the run's own last one until then."""
    stored = np.asarray(epochs_of(run, kind))
    places = np.searchsorted(stored, epochs, side="right") - 1
    return [int(epoch) for epoch in stored[np.maximum(places, 0)]]


def _visible(run: Run, kind: MatrixKind, epoch: int, diagonal: bool) -> npt.NDArray[np.floating]:
    """Hide the diagonal, which would use up the whole colour scale, unless it is asked for."""
    whole = matrix(run, kind, epoch)
    return whole if diagonal else hide_diagonal(whole)


def _frame(
    run: Run, kind: MatrixKind, epochs: Sequence[int], diagonal: bool, frame: int
) -> npt.NDArray[np.floating]:
    return _visible(run, kind, epochs[frame], diagonal)


@cached_large
def _frames(run: Run, epochs: tuple[int, ...], runs: tuple[Run, ...], view: _View) -> Frames:
    scale = _common_scale(runs, view.kind, view.scale, view.diagonal)
    order = cache.class_orders(reference_run(runs), view.order)
    # Linear and logarithmic colours show the same pooled values.
    pooled = _pooled(run, epochs, reference_run(runs), replace(view, scale="linear"))
    return Frames(encode(pooled, scale), order, scale)


@cached_large
def _pooled(
    run: Run, epochs: tuple[int, ...], reference: Run, view: _View
) -> npt.NDArray[np.floating]:
    order = cache.class_orders(reference, view.order)
    side = max_side(run.n_classes, len(epochs), view.n_panels)
    matrices = (_visible(run, view.kind, epoch, view.diagonal) for epoch in epochs)
    return np.stack([pool(matrix, side, view.scale, order) for matrix in matrices])


@cached
def _common_scale(
    runs: tuple[Run, ...], kind: MatrixKind, scale: ScaleKind, diagonal: bool
) -> Scale:
    """Colours that span the last epoch of all runs."""
    last = [_visible(run, kind, epochs_of(run, kind)[-1], diagonal) for run in runs]
    return scale_of(np.stack(last), scale)


def _counts(run: Run, kind: MatrixKind, epochs: Sequence[int]) -> npt.NDArray[np.int64] | None:
    """Samples behind the rows, (n_epochs, K); None if there are none or nobody counted them."""
    if kind == "confusions":
        return np.bincount(run.labels(), minlength=run.n_classes)[None]
    if kind == "training targets" and run.info.method != "ols":
        return None
    counts = run.soft_label_counts()[list(epochs)]
    return None if (counts == UNKNOWN_COUNT).any() else counts


def _empty(run: Run, kind: MatrixKind) -> str:
    """What stands in a row without samples: without test images nothing does."""
    return "" if kind == "confusions" else fallback_name(run)


def _target_settings(run: Run) -> dict[str, float] | None:
    """Arguments of the run's training target, None if it has none of a class alone."""
    needed = {"ce": (), "ls": ("smoothing",), "ols": ("alpha",)}.get(run.info.method)
    config = run.info.config or {}
    if needed is None or config.get("loss_options") or not set(needed) <= set(config):
        return None
    return {name: config[name] for name in needed}
