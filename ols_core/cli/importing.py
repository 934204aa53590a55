"""`ols import`: predictions of any framework, from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ols_core.class_names import read_class_names
from ols_core.cli.common import Root, check_writable, errors, output
from ols_core.cli.tables import summary_table
from ols_core.errors import ArgumentError
from ols_core.importing import Predictions, read_predictions, suggested_id, write_import
from ols_core.runs import DEFAULT_ROOT, check_run_id

__all__ = ["import_verb", "listed_class_names"]


def import_verb(
    file: Annotated[
        Path, typer.Argument(help="NPZ, NPY, CSV, TSV or Parquet file of predictions.")
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLUMN", help="True labels: another file, or a column of this one."
        ),
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|A,B,C", help="Names in the order of the columns: one a line, or a list."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run (default: from the file's name).")
    ] = None,
    logits: Annotated[
        bool | None,
        typer.Option("--logits/--probabilities", help="What they are; otherwise recognised."),
    ] = None,
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    method: Annotated[
        str, typer.Option(help="For tables: ce, ls, ols or any other word.")
    ] = "custom",
    dataset: Annotated[
        str | None, typer.Option(help="For tables (default: that of a run with these labels).")
    ] = None,
    model: Annotated[str, typer.Option(help="For tables.")] = "unknown",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what was recognised; write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Make a run of predictions that any program wrote, for the dashboard and `ols table`.

    A table needs a column `label` and one column a class, or the columns `true`, `pred` and
    `confidence`. An NPZ file needs an array of shape (N, K) and `labels`.

    **Examples**

    `ols import predictions.npz --class-names cat,dog --name mine`

    `ols import logits.npy --labels labels.npy --class-names names.txt --dry-run`

    `ols import table.csv --labels truth --probabilities --yes`
    """
    if not dry_run:
        check_writable(root)
    run_id = check_run_id(name if name is not None else suggested_id(file.name))
    found = read_predictions(
        file,
        labels=labels,
        class_names=None if class_names is None else listed_class_names(class_names),
        kind=None if logits is None else "logits" if logits else "probabilities",
        split=split,
    )
    _show(found)
    if dry_run:
        output.print("Nothing was written (--dry-run).")
        return
    if not yes:
        _ask(run_id)
    run = write_import(found, root, run_id, method=method, dataset=dataset, model=model)
    output.print(f"Written to {run.path}", highlight=False)


def listed_class_names(text: str) -> list[str]:
    """Read class names from a file, or from a list separated by commas.

    Raises
    ------
    DataError
        If it is a file that holds none.

    Examples
    --------
    >>> listed_class_names("cat, dog")
    ['cat', 'dog']
    """
    if "," in text and not Path(text).exists():
        return [name.strip() for name in text.split(",")]
    return read_class_names(text)


def _show(found: Predictions) -> None:
    names = ", ".join(found.class_names[:5]) + (" …" if found.n_classes > 5 else "")
    output.print(
        f"{found.n_samples:,} samples, {found.n_classes} classes ({names}), split {found.split}",
        markup=False,
    )
    for sentence in found.recognised:
        output.print(f"· {sentence}", markup=False, highlight=False)
    output.print(summary_table({found.split: found.summary}))
    for sentence in found.warnings:
        errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False)


def _ask(run_id: str) -> None:
    if not sys.stdin.isatty():
        raise ArgumentError(
            f"Nothing was written: add --yes to make the run {run_id}, or --dry-run to look only."
        )
    typer.confirm(f"Make the run {run_id}?", default=True, abort=True)
