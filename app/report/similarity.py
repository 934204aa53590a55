"""Which classes are alike, and whether people put the same ones together."""

from __future__ import annotations

from collections.abc import Sequence

from app import cache, matrices
from app.cache import SOURCE_PARTS, Source
from app.charts.class_map import class_map_figure
from app.report.content import Block, Cell, Chart, Heading, Missing, Number, Section, Table
from app.report.figures import plain_names
from app.report.runs import runs_with, same_classes
from ols_core.analysis.similarity import similar_pairs
from ols_core.runs import Run

__all__ = ["similarity"]

_N_PAIRS = 15
_QUANTITY = {
    "soft labels": "mean of the masses that the two classes give each other",
    "confusions": "mean of the rates at which the two are taken for each other",
}


def similarity(runs: Sequence[Run]) -> Section:
    """List the most similar pairs, draw a map of the classes, and compare with superclasses."""
    shown, left_out = same_classes(runs)
    source: Source = "soft labels"
    remedy = "They are written after every epoch of a training."
    with_source, missing = runs_with(shown, source, remedy, *SOURCE_PARTS[source])
    if not with_source:
        source, remedy = "confusions", "They come with the predictions of a finished training."
        with_source, more = runs_with(shown, source, remedy, *SOURCE_PARTS[source])
        missing += more
    blocks: list[Block] = [*left_out, *missing]
    if with_source:
        blocks += [*_pairs(with_source, source), *_map(with_source, source)]
    return Section("Similarity", (*blocks, Heading("Superclasses"), *_taxonomy(shown)))


def _pairs(runs: Sequence[Run], source: Source) -> list[Block]:
    reference = matrices.reference_run(runs)
    found = {run.id: cache.class_similarity(run, source) for run in runs}
    names = reference.info.dataset.class_names
    rows: list[tuple[Cell, ...]] = [
        (
            names[pair.first],
            names[pair.second],
            *(Number(float(matrix[pair.first, pair.second])) for matrix in found.values()),
        )
        for pair in similar_pairs(found[reference.id], _N_PAIRS)
    ]
    note = f"By {source}: {_QUANTITY[source]}, at the end of each run. Order: {reference.id}."
    header = ("first class", "second class", *(matrices.run_name(run, source) for run in runs))
    return [Table("similar-pairs", "Most similar pairs", header, tuple(rows), note)]


def _map(runs: Sequence[Run], source: Source) -> list[Block]:
    run = matrices.reference_run(runs)
    if run.n_classes < 3:
        return [Missing("A map of the classes needs at least three of them.")]
    found = cache.class_map(run, source)
    dataset = plain_names(run.info.dataset)
    title = f"{run.id}: classes near each other are alike, by {source}"
    figure = class_map_figure(found, dataset.class_names, dataset.superclasses, title)
    caption = (
        f"Map of the classes of {run.id} by {source} (metric multidimensional scaling). Stress "
        f"{found.stress:.2f}: how much of the distances a plane cannot show; about 0.4 is what "
        "remains of many classes that are all equally unlike. Directions mean nothing."
    )
    return [Chart("class-map", figure, caption)]


def _taxonomy(runs: Sequence[Run]) -> list[Block]:
    superclasses = runs[0].info.dataset.superclasses
    if not superclasses:
        name = runs[0].info.dataset.name
        return [
            Missing(
                f"The superclasses of {name} are not known. A folder of images may carry them in "
                "superclasses.csv (class,superclass)."
            )
        ]
    known = len(set(superclasses))
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        for source in cache.sources_of(run):
            found = cache.taxonomy(run, source, cache.final_epoch(run, source), known)
            numbers = (found.ari, found.nmi, found.purity, found.p_value)
            name = matrices.run_name(run, source)
            rows.append((name, source, *(Number(value, ".3f") for value in numbers)))
    note = (
        f"The classes are clustered into {known}, as many as there are superclasses. Adjusted Rand "
        "index and normalised mutual information are 1 for the same partition; purity is the share "
        "of classes in the main superclass of their cluster. p: how often random superclasses of "
        "the same sizes agree as well (999 permutations)."
    )
    header = ("run", "by", "adjusted Rand", "NMI", "purity", "p")
    return [Table("superclass-agreement", "Agreement with superclasses", header, tuple(rows), note)]
