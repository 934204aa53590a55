"""`ols report`: what the dashboard shows of some runs, as one file."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.markup import escape

import ols_core
from ols_core.cli.common import Root, check_readable, output, write_output
from ols_core.errors import ArgumentError, OLSError
from ols_core.optional import require
from ols_core.runs import DEFAULT_ROOT, load_run

__all__ = ["Force", "RunIds", "check_free", "load_charts", "report_verb"]

RunIds = Annotated[list[str], typer.Argument(metavar="RUN…", help="Names of runs.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def report_verb(
    runs: RunIds,
    file: Annotated[Path, typer.Option("--output", metavar="FILE", help="File to write.")] = Path(
        "report.html"
    ),
    force: Force = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Write an HTML file with all that the dashboard shows of up to six runs.

    The file needs no network: figures that can be zoomed, tables and texts are all in it.

    **Examples**

    `ols report cifar100-resnet20-ols`

    `ols report cifar100-resnet20-ce cifar100-resnet20-ols --output ce-and-ols.html`
    """
    check_readable(root)
    opened = [load_run(run_id, root) for run_id in runs]
    check_free([file], force)
    with output.status("Drawing the report …"):
        report = load_charts("A report", "app.report")
        page: str = report.to_html(report.build_report(opened))
        write_output(file, page.encode())
    size = file.stat().st_size / 1e6
    line = f"Report on {', '.join(runs)} written to {file} ({size:.1f} MB)."
    output.print(escape(line), soft_wrap=True, highlight=False)


def check_free(files: list[Path], force: bool) -> None:
    """Refuse to replace files unless that is wanted.

    Raises
    ------
    ArgumentError
        If one of the files exists, or is a folder.
    """
    for file in files:
        if file.is_dir():
            raise ArgumentError(f"{file} is a folder; name a file.")
        if file.exists() and not force:
            raise ArgumentError(f"{file} exists already; name another, or replace it with --force.")


def load_charts(what: str, module: str) -> ModuleType:
    """Import a part of the dashboard, which lies beside this package in the repository.

    Parameters
    ----------
    what : str
        What it is needed for, as the beginning of a sentence.
    module : str
        Such as `app.report`.

    Raises
    ------
    OLSError
        If this package was installed without the dashboard.
    MissingPackageError
        If a package that the dashboard needs is not installed.
    """
    repository = Path(ols_core.__file__).resolve().parents[1]
    if not (repository / "app" / "report").is_dir():
        raise OLSError(
            f"{what} is drawn with the charts of the dashboard, which this installation does not "
            "hold: clone the repository and run ols there."
        )
    for package in ("plotly", "streamlit"):
        require(package, what, "dashboard")
    # In front: another package may be called app.
    sys.path[:] = dict.fromkeys([str(repository), *sys.path])
    return import_module(module)
