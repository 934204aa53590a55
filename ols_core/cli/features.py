"""`ols features`: features of a split that finished runs lack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ols_core.checks import check_choice
from ols_core.cli.bar import progress_bar
from ols_core.cli.common import Root, check_readable, output, show_error
from ols_core.errors import OLSError
from ols_core.runs import DEFAULT_ROOT, SPLITS, check_run_id, load_run

__all__ = ["features_verb"]


def features_verb(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Names of runs.")],
    split: Annotated[str, typer.Option(help="test, train or val.")] = "test",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Compute features of runs' images from their stored weights, where there are none yet.

    The data set must be where it was when the run was trained. Predictions and thumbnails of the
    split are added too if they are absent. Where a run has no network, the others go on.

    **Examples**

    `ols features cifar100-resnet20-ols`

    `ols features cifar100-resnet20-ce cifar100-resnet20-ols --split train`
    """
    check_choice("split", split, SPLITS)
    check_readable(root)
    for run_id in runs:
        check_run_id(run_id)
    failed = False
    for run_id in runs:
        try:
            line = f"{run_id}: {_outcome(run_id, split, root)}"
            output.print(escape(line), soft_wrap=True, highlight=False)
        except (OLSError, OSError) as error:
            show_error(error)
            failed = True
    if failed:
        raise typer.Exit(1)


def _outcome(run_id: str, split: str, root: Path) -> str:
    """Add the features if they are absent; says what came of it."""
    part = f"features/{split}.npy"
    opened = load_run(run_id, root)
    if opened.has(part):
        return f"{opened.path / part} is there already."
    with progress_bar(f"Opening {run_id}") as show:
        # Torch takes seconds to import.
        from ols_core.training.features import add_features

        stage = f"{run_id}, features of the {split} split"
        found = add_features(run_id, root, split, lambda share: show(stage, share))
    n_images, width = found.features(split).shape
    return f"{width} features of {n_images} images written to {found.path / part}"
