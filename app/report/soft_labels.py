"""What each class resembles at the end of the training, and how that settled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from app import cache, matrices
from app.charts.convergence import QUANTITIES, convergence_curves
from app.charts.matrix import Axis, heatmap, make_axis
from app.charts.scale import Scale, scale_of
from app.components.frames import pool
from app.matrices import soft_label_name, soft_label_origin
from app.report.content import Block, Chart, Heading, Section, Table
from app.report.figures import in_column, plain_names
from app.report.runs import runs_with, same_classes
from ols_core.analysis.soft_labels import hide_diagonal, settled_epoch
from ols_core.runs import Run

__all__ = ["soft_labels"]

_MOST_CELLS = 300  # a side; a figure of more is larger than all else in the report
_REST = 0.10
_HEIGHT = 680
_SQUARE = 860  # pixels: the matrix, the names beside it and the colour bar


def soft_labels(runs: Sequence[Run]) -> Section:
    """Draw the last matrix of each run and the convergence of all."""
    remedy = "They are written after every epoch of a training."
    with_labels, missing = runs_with(runs, "soft labels", remedy, "soft_labels/counts.npy")
    shown, left_out = same_classes(with_labels)
    blocks: list[Block] = [*missing, *left_out]
    if not shown:
        return Section("Soft labels", tuple(blocks))
    return Section("Soft labels", (*blocks, *_matrices(shown), *_convergence(shown)))


def _matrices(runs: Sequence[Run]) -> list[Block]:
    """One matrix a run, in one order of classes and on one scale of colours."""
    reference = matrices.reference_run(runs)
    dataset = plain_names(reference.info.dataset)
    superclasses = dataset.superclasses
    order = cache.class_orders(reference, "superclass" if superclasses else "clustered")
    last = [hide_diagonal(run.soft_labels(run.soft_label_epochs[-1])) for run in runs]
    scale = scale_of(np.stack(last), "log")
    axis = make_axis(dataset.class_names, order, superclasses)
    ordered = "by superclass" if superclasses else f"as the clustering of {reference.id} puts them"
    blocks: list[Block] = []
    for run, matrix in zip(runs, last, strict=True):
        epoch = run.soft_label_epochs[-1]
        figure, pooled = _heatmap(
            matrix, order, axis, scale, f"{soft_label_name(run)}, after epoch {epoch}"
        )
        caption = (
            f"{': '.join(soft_label_origin(run))} After epoch {epoch}: mass that each target class "
            f"(row) gives to the other classes (column), on a logarithmic scale that all runs "
            f"share. Classes are ordered {ordered}; the diagonal is left out.{pooled}"
        )
        name = f"soft-labels-{run.id}"
        blocks.append(Chart(name, figure, caption, most_width=_SQUARE))
    return blocks


def _heatmap(
    matrix: npt.NDArray[np.floating],
    order: npt.NDArray[np.int64],
    axis: Axis,
    scale: Scale,
    title: str,
) -> tuple[go.Figure, str]:
    n_classes, pooled = len(matrix), ""
    if n_classes > _MOST_CELLS:
        starts = np.arange(_MOST_CELLS) * n_classes // _MOST_CELLS
        axis = Axis([axis.names[start] for start in starts], [])
        pooled = (
            f" {n_classes} classes are drawn as {_MOST_CELLS} cells a side, each the largest of "
            "those it covers."
        )
    figure = heatmap(
        pool(matrix, _MOST_CELLS, scale.kind, order),
        axis,
        title=title,
        quantity="mass",
        row="target class",
        column="class that receives the mass",
        scale=scale,
        height=_HEIGHT,
    )
    return figure, pooled


def _convergence(runs: Sequence[Run]) -> list[Block]:
    results = {soft_label_name(run): cache.convergence(run) for run in runs}
    captions = {
        "Change": "Mean total variation of a row since the epoch before: the share of its mass "
        "that moved.",
        "Row entropy": "Entropy of the rows in nats: 0 for a hard label.",
        "Own mass": "Mass that the rows leave on their own class.",
    }
    charts = [
        Chart(
            f"convergence-{title.lower().replace(' ', '-')}",
            in_column(convergence_curves(results, title), len(results)),
            captions[title],
            narrow=True,
        )
        for title in QUANTITIES
    ]
    rows = []
    for name, found in results.items():
        epoch = settled_epoch(found, _REST)
        rows.append((name, "not within this run" if epoch is None else f"epoch {epoch}"))
    note = f"At rest: no row moves by more than {_REST:.0%} of its mass from one epoch to the next."
    rest = Table("convergence", "Rest", ("run", "all rows at rest after"), tuple(rows), note)
    return [Heading("Convergence"), *charts, rest]
