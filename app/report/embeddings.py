"""Where the test images lie as the networks see them."""

from __future__ import annotations

from collections.abc import Sequence

from app import embeddings as samples
from app import layouts, predictions
from app.charts.scatter import ScatterPanel, scatter_panels
from app.embeddings import ColorKind
from app.report.content import Block, Chart, Missing, Section
from app.report.figures import plain_names
from app.report.runs import runs_with, same_classes
from ols_core.analysis.embedding import ProjectionMethod
from ols_core.projections import Layout, LayoutRequest, Member
from ols_core.runs import DatasetInfo, Run

__all__ = ["embeddings"]

_IN_ROW = 3
_MOST_CLASSES = 10  # in colour, where no superclasses put them together
_READING: dict[ProjectionMethod, str] = {
    "umap": "UMAP: distances between far groups, and the size of groups, mean little.",
    "tsne": "t-SNE: distances between far groups, and the size of groups, mean little.",
    "pca": "PCA: the widest directions are shown as they are, all others are hidden.",
}


def embeddings(runs: Sequence[Run]) -> Section:
    """Draw a layout that is stored with the runs, else their principal components."""
    remedy = "ols features adds them to a run that has its weights."
    with_features, missing = runs_with(runs, "features", remedy, "features/test.npy")
    shown, left_out = same_classes(with_features)
    blocks: list[Block] = [*missing, *left_out]
    if not shown:
        return Section("Embeddings", tuple(blocks))
    peers = predictions.comparable(shown)
    others = ", ".join(run.id for run in shown if run not in peers)
    if others:
        text = f"Left out, since their test labels are not those of {peers[0].id}: {others}."
        blocks.append(Missing(text))
    return Section("Embeddings", (*blocks, *_maps(peers)))


def _maps(runs: Sequence[Run]) -> list[Block]:
    layout = _layout(runs)
    dataset = plain_names(runs[0].info.dataset)
    kind, classes = _colors(dataset)
    panels = []
    for run, points in zip(runs, layout.coordinates, strict=True):
        seen = samples.samples(run, "test").take(layout.indices)
        colors = samples.color_codes(kind, seen, dataset, classes)
        panels.append(ScatterPanel(run.id, points, colors))
    blocks: list[Block] = []
    for number, first in enumerate(range(0, len(panels), _IN_ROW), 1):
        figure = scatter_panels(
            panels[first : first + _IN_ROW], samples.legend(kind, dataset, classes)
        )
        # Beside a long legend it would push the last name of a line out of the figure.
        figure.update_layout(legend={"title": {"text": ""}})
        name = "embeddings" if len(panels) <= _IN_ROW else f"embeddings-{number}"
        caption = f"{_caption(runs, layout, first)} Coloured by {kind}."
        blocks.append(Chart(name, figure, caption))
    return blocks


def _layout(runs: Sequence[Run]) -> Layout:
    """Return the first layout of these runs together that is stored; PCA is always to be had."""
    members = [Member(run) for run in runs]
    found = (layouts.find(members, LayoutRequest(method)) for method in _READING)
    return next(layout for layout in found if layout is not None)


def _colors(dataset: DatasetInfo) -> tuple[ColorKind, list[str]]:
    """What is coloured, and the classes that have a colour of their own."""
    if dataset.superclasses and len(set(dataset.superclasses)) <= samples.MAX_COLORS:
        return "superclass", []
    return "class", dataset.class_names[:_MOST_CLASSES]


def _caption(runs: Sequence[Run], layout: Layout, first: int) -> str:
    method = layout.parameters["method"]
    parts = [
        f"Features of {len(layout.indices):,} test images, a point each, in proportion to the "
        f"classes. {_READING[method]}"
    ]
    if len(runs) > 1:
        parts.append("The runs were laid out together, so that places can be compared.")
    if method == "pca":
        command = f"ols project {' '.join(run.id for run in runs)}"
        parts.append(f"No other layout of these runs is stored: {command} makes one by UMAP.")
    for run, faithful in list(zip(runs, layout.faithfulness, strict=True))[first:][:_IN_ROW]:
        if faithful is not None:
            parts.append(
                f"{run.id}: trustworthiness {faithful.trustworthiness:.3f}, continuity "
                f"{faithful.continuity:.3f} (1 is best)."
            )
    return " ".join(parts)
