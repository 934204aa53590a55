"""What the verbs share: consoles, parameters, and where options come from."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape

from ols_core.config import load_config
from ols_core.errors import ArgumentError, OLSError
from ols_core.recipes import Scale, load_recipe
from ols_core.run_writer import write_atomically
from ols_core.runs import DEFAULT_ROOT, ROOT_VARIABLE

__all__ = [
    "ConfigFile",
    "RecipeName",
    "RecipeScale",
    "Root",
    "RunId",
    "check_readable",
    "check_writable",
    "errors",
    "output",
    "show_error",
    "starting_options",
    "write_output",
]

output = Console()
errors = Console(stderr=True)

Root = Annotated[
    Path,
    typer.Option(envvar=ROOT_VARIABLE, help="Folder of the runs.", show_default=str(DEFAULT_ROOT)),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML or JSON file of options, or the run.json of a run to repeat; flags win.",
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="Options of a recipe (see `ols recipes`); flags win."),
]
RecipeScale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        help="Of a recipe: full, or small for a machine with 2 cores. Default: full.",
    ),
]


def show_error(error: Exception) -> None:
    """Print what went wrong to standard error, unbroken: a command in it can be pasted."""
    errors.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)


def starting_options(config: Path | None, recipe: str | None, scale: str | None) -> dict[str, Any]:
    """Options from a file or a recipe, before the flags; empty without either.

    Raises
    ------
    ArgumentError
        If both are given, a scale is given without a recipe, or either cannot be had.
    """
    if config is not None and recipe is not None:
        raise ArgumentError("--config and --recipe both name the options; give one of them.")
    if scale is not None and recipe is None:
        raise ArgumentError(f"--scale {scale} is that of a recipe; add --recipe NAME.")
    if recipe is not None:
        return load_recipe(recipe).options(cast(Scale, scale or "full"))
    return load_config(config) if config is not None else {}


def check_readable(root: Path) -> None:
    """Refuse a folder of runs to read from that is none; the default one may be absent.

    Raises
    ------
    OLSError
        If it does not exist, or is a file.
    """
    if root.is_dir() or (root == DEFAULT_ROOT and not root.exists()):
        return
    what = "is not a folder" if root.exists() else "does not exist"
    raise OLSError(
        f"--root {root} {what}. Name the folder of the runs with --root or in {ROOT_VARIABLE}."
    )


def check_writable(root: Path) -> None:
    """Refuse a folder of runs in which nothing can be made; one that is absent is not made yet.

    Raises
    ------
    OLSError
        If it, or what it would have to be made in, is a file or cannot be written.
    """
    remedy = f"Name another folder with --root or in {ROOT_VARIABLE}."
    try:
        place = next(path for path in (root, *root.absolute().parents) if path.exists())
        if not place.is_dir():
            where = "" if place == root else f": {place}"
            raise OLSError(f"--root {root}{where} is not a folder. {remedy}")
        # Permissions alone do not tell: a file system may be read-only, or none of files.
        with TemporaryDirectory(prefix=".ols-", dir=place):
            pass
    except OSError as error:
        raise OLSError(f"--root {root} cannot be written: {error.strerror}. {remedy}") from None


def write_output(file: Path, content: bytes) -> None:
    """Write a file that the user named, or one in a folder that the user named.

    Raises
    ------
    OLSError
        If it cannot be written; the message names it, not the temporary file beside it.
    """
    try:
        write_atomically(file, lambda stream: stream.write(content))
    except OSError as error:
        raise OLSError(f"{file} cannot be written: {error.strerror}. Name another.") from None
