"""`ols features`: features of a split that a finished run lacks."""

from __future__ import annotations

from typing import Annotated

import typer

from ols_core.cli.bar import progress_bar
from ols_core.cli.common import Root, RunId, output
from ols_core.runs import DEFAULT_ROOT, load_run

__all__ = ["features_verb"]


def features_verb(
    run: RunId,
    split: Annotated[str, typer.Option(help="test, train or val.")] = "test",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Compute features of a run's images from its stored weights, if it has none yet.

    The data set must be where it was when the run was trained. Predictions and thumbnails of the
    split are added too if they are absent.

    **Examples**

    `ols features cifar100-resnet20-ols`

    `ols features cifar100-resnet20-ols --split train`
    """
    part = f"features/{split}.npy"
    opened = load_run(run, root)
    if opened.has(part):
        output.print(f"{opened.path / part} is there already.")
        return
    with progress_bar(f"Opening {run}") as show:
        # Torch takes seconds to import.
        from ols_core.training.features import add_features

        stage = f"Features of the {split} split"
        found = add_features(run, root, split, lambda share: show(stage, share))
    n_images, width = found.features(split).shape
    output.print(f"{width} features of {n_images} images written to {found.path / part}")
