"""`ols export`: figures and tables for a paper, and event files for TensorBoard."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.markup import escape

from ols_core.checks import check_choice
from ols_core.cli.common import Root, check_readable, errors, output, write_output
from ols_core.cli.report import Force, RunIds, check_free, load_charts
from ols_core.errors import ArgumentError
from ols_core.grid import render
from ols_core.optional import require
from ols_core.runs import DEFAULT_ROOT, Run, load_run

__all__ = ["export_verb"]

_PICTURES = ("png", "svg")
_TABLES = {"csv": "csv", "latex": "tex"}


def _folder(purpose: str) -> Any:
    return typer.Option(metavar="DIR", help=f"Folder for {purpose}.", file_okay=False)


def export_verb(
    runs: RunIds,
    figures: Annotated[Path | None, _folder("the figures")] = None,
    form: Annotated[str, typer.Option("--format", help="Of figures: png or svg.")] = "png",
    tables: Annotated[Path | None, _folder("the tables")] = None,
    tables_format: Annotated[str, typer.Option(help="csv or latex.")] = "csv",
    tensorboard: Annotated[
        Path | None, _folder("event files, a folder a run: tensorboard --logdir DIR")
    ] = None,
    force: Force = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Write the figures and tables of a report one by one, or runs for TensorBoard.

    Figures are 3.4 or 7 inches wide, for one or both columns of a paper; PNG at 300 dots an inch.
    CSV tables have full precision; LaTeX ones need the package booktabs.

    **Examples**

    `ols export cifar100-resnet20-ce cifar100-resnet20-ols --figures figures --format svg`

    `ols export cifar100-resnet20-ols --tables tables --tables-format latex`

    `ols export cifar100-resnet20-ols --tensorboard logs`
    """
    check_choice("--format", form, _PICTURES)
    check_choice("--tables-format", tables_format, _TABLES)
    if figures is None and tables is None and tensorboard is None:
        raise ArgumentError("Nothing to write: give --figures, --tables or --tensorboard a folder.")
    check_readable(root)
    opened = [load_run(run_id, root) for run_id in runs]
    # Before anything is written.
    logs = {} if tensorboard is None else _log_folders(opened, tensorboard, force)
    if figures is not None or tables is not None:
        _export_report(opened, figures, form, tables, tables_format, force)
    if tensorboard is not None:
        _export_tensorboard(logs)
        line = f"Look at them: {shlex.join(['tensorboard', '--logdir', str(tensorboard)])}"
        output.print(escape(line), soft_wrap=True, highlight=False)


def _export_report(
    runs: Sequence[Run],
    figures: Path | None,
    form: str,
    tables: Path | None,
    tables_format: str,
    force: bool,
) -> None:
    charts = load_charts("An export", "app.report")
    if figures is not None:
        require("kaleido", "Drawing pictures", "pictures")
    with output.status("Reading the runs …"):
        report = charts.build_report(runs)
    for sentence in report.missing():
        errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False)
    pictures = {} if figures is None else _files(figures, report.charts(), form)
    sheets = {} if tables is None else _files(tables, report.tables(), _TABLES[tables_format])
    check_free([*pictures, *sheets], force)
    if sheets:
        for file, table in sheets.items():
            write_output(file, _source(table, tables_format))
        output.print(escape(f"{len(sheets)} tables written to {tables}."))
    if pictures:
        _draw(charts, pictures, form)
        output.print(escape(f"{len(pictures)} figures written to {figures}."))


def _files(folder: Path, parts: Sequence[Any], ending: str) -> dict[Path, Any]:
    return {folder / f"{part.name}.{ending}": part for part in parts}


def _source(table: Any, form: str) -> bytes:
    source: str = table.csv() if form == "csv" else render(table.grid(), "latex") + "\n"
    return source.encode()


def _draw(charts: ModuleType, pictures: dict[Path, Any], form: str) -> None:
    with output.status(f"Drawing {len(pictures)} figures, about a second each …"):
        drawn = charts.draw_pictures(list(pictures.values()), form)
    for file, content in zip(pictures, drawn, strict=True):
        write_output(file, content)


def _log_folders(runs: Sequence[Run], folder: Path, force: bool) -> dict[Path, Run]:
    """Folder of each run's events; refuses those that exist unless that is wanted."""
    folders = {folder / run.id: run for run in runs}
    for own in folders:
        if own.exists() and not force:
            raise ArgumentError(
                f"{own} exists already; name another folder, or replace what is in it of this run "
                "with --force."
            )
    return folders


def _export_tensorboard(folders: Mapping[Path, Run]) -> None:
    from ols_core.tensorboard import export_run

    for folder, run in folders.items():
        with output.status(f"{run.id} …"):
            found = export_run(run, folder)
        matrices = f"{found.images} matrices"
        if found.images < found.epochs:
            matrices += f" (of {found.epochs}, evenly spread)"
        points = f"{found.points} images in the projector"
        if found.points and not found.sprites:
            points += " (without thumbnails: the data set has none)"
        line = f"{run.id}: {found.scalars} scalars, {matrices}, {points}."
        output.print(escape(line), soft_wrap=True, highlight=False)
