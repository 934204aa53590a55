"""`ols project`: lay out the features of runs, alone or together, and store the result."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, cast

import typer
from rich.markup import escape

from ols_core.analysis.embedding import ProjectionMethod
from ols_core.checks import invalid
from ols_core.cli.bar import progress_bar
from ols_core.cli.common import Root, check_readable, output
from ols_core.errors import ArgumentError, RunError
from ols_core.projections import Layout, LayoutRequest, Member, compute_layout, find_layout
from ols_core.runs import DEFAULT_ROOT, load_run
from ols_core.sample import DEFAULT_SAMPLES

__all__ = ["project_verb"]


def project_verb(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="Runs; RUN@EPOCH for its features after an epoch."),
    ],
    method: Annotated[str, typer.Option(help="umap, tsne or pca.")] = "umap",
    samples: Annotated[
        int, typer.Option(min=10, help="Images, in proportion to the classes.")
    ] = DEFAULT_SAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Seed of UMAP and t-SNE.")] = 0,
    dimensions: Annotated[int, typer.Option(min=2, max=3, help="2 or 3.")] = 2,
    neighbors: Annotated[int, typer.Option(min=2, help="UMAP: size of a neighbourhood.")] = 15,
    min_dist: Annotated[
        float, typer.Option(min=0, max=1, help="UMAP: how closely points may lie.")
    ] = 0.1,
    perplexity: Annotated[
        float, typer.Option(min=1, max=1000, help="t-SNE: about the neighbours that count.")
    ] = 30.0,
    split: Annotated[str, typer.Option(help="test, train or val.")] = "test",
    epochs: Annotated[
        bool, typer.Option("--epochs", help="Lay out all stored epochs of the one run.")
    ] = False,
    progress_json: Annotated[bool, typer.Option("--progress-json", hidden=True)] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Lay out the features of one or more runs in a plane or in space, and store the result.

    Several runs, or several epochs of a run, are laid out together, so that the same place means
    the same thing in all of them. What is stored already is not computed again.

    **Examples**

    `ols project cifar100-resnet20-ols`

    `ols project cifar100-resnet20-ce cifar100-resnet20-ols --method tsne`

    `ols project my-run --epochs --dimensions 3`
    """
    request = LayoutRequest(
        method=cast(ProjectionMethod, method),
        n_components=dimensions,
        samples=samples,
        seed=seed,
        n_neighbors=neighbors,
        min_dist=min_dist,
        perplexity=perplexity,
        split=split,
    )
    check_readable(root)
    members = _members(runs, epochs, split, root)
    found = find_layout(members, request)
    said = "are stored already" if found else "written"
    if found is None:
        shown = _json_lines() if progress_json else progress_bar("Starting")
        with _terminable(), shown as progress:
            found = compute_layout(members, request, progress)
    if not progress_json:
        _show(members, found, said)


def _members(texts: Sequence[str], epochs: bool, split: str, root: Path) -> list[Member]:
    if not epochs:
        return [_member(text, root) for text in texts]
    if len(texts) > 1 or "@" in texts[0]:
        raise ArgumentError("--epochs lays out the epochs of one run; name one RUN.")
    run = load_run(texts[0], root)
    stored = run.feature_epochs(split)
    if not stored:
        raise RunError(
            f"Run {run.id} has no features of the {split} split after single epochs. A training "
            "keeps them with --save-features-every."
        )
    return [Member(run, epoch) for epoch in stored]


def _member(text: str, root: Path) -> Member:
    run_id, at, epoch = text.partition("@")
    if at and not epoch.isdecimal():
        raise invalid("RUN@EPOCH", "a run and a whole number", text)
    return Member(load_run(run_id, root), int(epoch) if at else None)


@contextmanager
def _json_lines() -> Iterator[Callable[[str, float], None]]:
    """Write the progress to the standard output, for the dashboard."""

    def write(stage: str, share: float) -> None:
        print(json.dumps({"stage": stage, "share": share}), flush=True)

    yield write


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that nothing is left half-written."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _show(members: Sequence[Member], layout: Layout, said: str) -> None:
    of_runs = f" of each of {len(members)} sets of features" if len(members) > 1 else ""
    output.print(f"{len(layout.indices)} points{of_runs} {said}:")
    for file in layout.files:
        output.print(escape(str(file)), soft_wrap=True, highlight=False)
    for member, found in zip(members, layout.faithfulness, strict=True):
        assert found is not None  # it is measured for whatever is stored
        output.print(
            f"{member}: trustworthiness {found.trustworthiness:.3f}, continuity "
            f"{found.continuity:.3f} (neighbourhoods of {found.k})",
            soft_wrap=True,
            highlight=False,
        )
