"""What the verbs share: consoles, parameters, and where options come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from ols_core.config import load_config
from ols_core.errors import ArgumentError
from ols_core.recipes import Scale, load_recipe
from ols_core.runs import DEFAULT_ROOT

__all__ = [
    "ConfigFile",
    "RecipeName",
    "RecipeScale",
    "Root",
    "RunId",
    "errors",
    "output",
    "starting_options",
]

output = Console()
errors = Console(stderr=True)

Root = Annotated[Path, typer.Option(help="Folder of the runs.", show_default=str(DEFAULT_ROOT))]
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
