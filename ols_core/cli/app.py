"""The `ols` command: its verbs, and how their errors become exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from ols_core import __version__
from ols_core.cli.common import (
    ConfigFile,
    RecipeName,
    RecipeScale,
    Root,
    RunId,
    check_readable,
    check_writable,
    errors,
    output,
    show_error,
    starting_options,
)
from ols_core.cli.evaluate import evaluate_verb
from ols_core.cli.export import export_verb
from ols_core.cli.features import features_verb
from ols_core.cli.importing import import_verb
from ols_core.cli.options import config_options
from ols_core.cli.project import project_verb
from ols_core.cli.recipes import recipes_verb
from ols_core.cli.report import report_verb
from ols_core.cli.sweep import sweep_verb
from ols_core.cli.table import table_verb
from ols_core.cli.tables import runs_table
from ols_core.config import TrainConfig
from ols_core.errors import ArgumentError, OLSError
from ols_core.remedies import typed_command
from ols_core.runs import DEFAULT_ROOT, scan_runs

__all__ = ["main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Online Label Smoothing: train image classifiers with soft labels that the network learns,"
    " and look at the result in the dashboard.",
)


def _version(show: bool) -> None:
    if show:
        output.print(f"ols {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


@app.command(name="train")
@config_options
def train_verb(
    options: dict[str, Any],
    recipe: RecipeName = None,
    scale: RecipeScale = None,
    config: ConfigFile = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set if it is absent.")
    ] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Train a classifier and write a run directory.

    **Examples**

    `ols train --dataset digits --method ols --epochs 10`

    `ols train --dataset cifar100 --download --model resnet56 --method ls --smoothing 0.1`

    `ols train --recipe cifar100-resnet34 --scale small --method ce --download`

    `ols train --config recipes/cifar100-100-per-class.toml --method ce --name my-baseline`
    """
    check_writable(root)
    chosen = TrainConfig.from_options(starting_options(config, recipe, scale) | options)
    # Torch takes seconds to import: the other verbs do without it.
    from ols_core.cli.progress import TrainingProgress
    from ols_core.training import train

    with TrainingProgress(output, errors) as progress:
        train(chosen, root, progress, download)


@app.command()
def resume(run: RunId, root: Root = DEFAULT_ROOT) -> None:
    """Go on with a stopped or failed run from its last complete epoch.

    **Example**: `ols resume digits-resnet20-ols-s0`
    """
    check_readable(root)
    from ols_core.cli.progress import TrainingProgress
    from ols_core.training import resume as resume_training

    with TrainingProgress(output, errors) as progress:
        resume_training(run, root, progress)


@app.command()
def runs(root: Root = DEFAULT_ROOT) -> None:
    """List the runs, newest first, with their test metrics.

    **Example**: `ols runs --root checkpoints`
    """
    check_readable(root)
    scan = scan_runs(root)
    if not scan.runs:
        command = typed_command("train", "--dataset", "digits", "--method", "ols", root=root)
        line = f"No runs in {root} yet. Make one: {command}"
        output.print(escape(line), soft_wrap=True, highlight=False)
    else:
        output.print(runs_table(scan.runs))
    for problem in scan.problems.values():
        errors.print(f"[yellow]{escape(problem)}[/]")


app.command(name="project")(project_verb)
app.command(name="features")(features_verb)
app.command(name="evaluate")(evaluate_verb)
app.command(name="import")(import_verb)
app.command(name="sweep")(sweep_verb)
app.command(name="table")(table_verb)
app.command(name="report")(report_verb)
app.command(name="export")(export_verb)
app.command(name="recipes")(recipes_verb)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad arguments, 130/143 stopped."""
    try:
        app()
    except OLSError as error:
        show_error(error)
        sys.exit(2 if isinstance(error, ArgumentError) else 1)
    except OSError as error:
        show_error(error)
        sys.exit(1)
