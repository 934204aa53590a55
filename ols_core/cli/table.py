"""`ols table`: runs side by side, as mean and spread over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from ols_core.analysis.comparison import Group, differences_to, group_results
from ols_core.checks import check_choice
from ols_core.cli.common import Root, check_readable, errors, output
from ols_core.cli.formats import Differences, Format, csv_table, grids, text_tables
from ols_core.errors import ArgumentError, OLSError, RunError
from ols_core.grid import render
from ols_core.remedies import typed_command
from ols_core.results import METRICS, RunResult, collect, export, read_export, selected
from ols_core.runs import DEFAULT_ROOT, scan_runs
from ols_core.sweep import METHOD_OPTIONS

__all__ = ["table_verb"]


def table_verb(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help="Names of runs, or what they begin with."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Method to take paired differences to, such as ce.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="text, markdown, latex (booktabs) or csv.")
    ] = "text",
    export_to: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Also write the runs' figures as JSON."),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Read such files instead of runs; repeatable."),
    ] = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Compare finished runs: mean and standard deviation over seeds of the test metrics.

    Runs that differ in nothing but the seed make one row. T is the temperature that was fitted on
    the validation split; "at T" is after scaling with it.

    **Examples**

    `ols table cifar100-resnet34 --baseline ce`

    `ols table --format latex --export results.json`

    `ols table --from results.json --format markdown`
    """
    check_choice("--format", form, get_args(Format))
    wanted = runs or []
    found = _from_files(sources, wanted) if sources else _from_runs(root, wanted)
    groups = group_results([one.result() for one in found])
    _note_repeated(groups)
    differences: Differences = {}
    if baseline is not None:
        differences = differences_to(groups, baseline, METRICS, tuple(METHOD_OPTIONS))
    _show(groups, differences, baseline, cast(Format, form))
    if export_to is not None:
        try:
            export(found, export_to)
        except OSError as error:
            raise OLSError(f"{export_to} cannot be written: {error.strerror}.") from None


def _from_files(files: Sequence[Path], wanted: Sequence[str]) -> list[RunResult]:
    found: dict[str, RunResult] = {}
    for file in files:
        for result in read_export(file):
            if found.setdefault(result.id, result) != result:
                raise ArgumentError(f"--from {file}: run {result.id} is another one elsewhere.")
    return [found[run_id] for run_id in selected(sorted(found), wanted)]


def _from_runs(root: Path, wanted: Sequence[str]) -> list[RunResult]:
    """Results of the finished runs; the others are named."""
    check_readable(root)
    scan = scan_runs(root)
    by_id = {run.id: run for run in scan.runs}
    chosen = [by_id[run_id] for run_id in selected(sorted(by_id), wanted)]
    found, left_out = [], list(scan.problems.values())
    pending = [f"{run.id} ({run.status})" for run in chosen if run.status != "finished"]
    if pending:
        left_out.append(f"Left out, not finished: {', '.join(pending)}.")
    for run in chosen:
        if run.status == "finished":
            try:
                found.append(collect(run))
            except RunError as error:
                left_out.append(f"Left out: {error}")
    _note(left_out)
    if not found:
        command = typed_command("runs", root=root)
        raise RunError(f"No finished run in {root} to make a table of; see: {command}")
    return found


def _note_repeated(groups: Sequence[Group]) -> None:
    repeated = [run_id for group in groups for run_id in group.repeated]
    if repeated:
        _note([f"Left out, another run has the same settings and seed: {', '.join(repeated)}."])


def _show(
    groups: Sequence[Group], differences: Differences, baseline: str | None, form: Format
) -> None:
    if form == "csv":
        typer.echo(csv_table(groups, differences))
    else:
        for grid in grids(groups, differences, baseline):
            if form == "text":
                output.print(f"{grid.caption}:", highlight=False)
                for table in text_tables(grid, output.width):
                    output.print(table)
            else:
                typer.echo(render(grid, form) + "\n")
    _note(_without_test(differences))


def _without_test(differences: Differences) -> list[str]:
    """One line for each reason why there is no p-value, with the rows that it holds for."""
    reasons: dict[str, dict[str, None]] = {}
    for label, metrics in differences.items():
        for found in metrics.values():
            # A constant difference of one metric is no matter; a row without a test is.
            if found.reason and all(other.p is None for other in metrics.values()):
                reasons.setdefault(found.reason, {})[label] = None
    return [f"No p for {', '.join(rows)}: {reason}." for reason, rows in reasons.items()]


def _note(sentences: Sequence[str]) -> None:
    # To standard error, so that a table can be piped into a file.
    for sentence in sentences:
        errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False)
