"""Recipes: named training configurations, with what was published about them.

A family of recipes is one TOML file: `base` holds the options that all of them share (or `extends`
names a plain file of options beside it), each table below `variants` is one recipe, and `small`
turns any of them into a twin that fits a machine with 2 cores.
"""

from __future__ import annotations

import difflib
import sysconfig
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ols_core.checks import check_choice
from ols_core.config import load_config
from ols_core.errors import ArgumentError

__all__ = ["Published", "Recipe", "Scale", "list_recipes", "load_recipe", "recipe_folder"]

Scale = Literal["full", "small"]

_Frozen = ConfigDict(extra="forbid", frozen=True)


class Published(BaseModel):
    """A figure that somebody else reports for a recipe's settings.

    `value` is a share in [0, 1] on the test split; `source` says where it was read.
    """

    model_config = _Frozen

    method: str
    metric: Literal["accuracy"]
    value: float = Field(ge=0, le=1)
    source: str

    def __str__(self) -> str:
        return f"{self.method} {self.metric} {self.value:.2%}"


class _Variant(BaseModel):
    model_config = _Frozen

    about: str
    published: tuple[Published, ...] = ()
    options: dict[str, Any] = {}
    small: dict[str, Any] = {}


class _Family(BaseModel):
    model_config = _Frozen

    extends: str | None = None
    base: dict[str, Any] = {}
    small: dict[str, Any]
    variants: dict[str, _Variant]


@dataclass(frozen=True)
class Recipe:
    """A named configuration.

    Attributes
    ----------
    name, about : str
        What to call it, and one line that says what it is.
    published : tuple of Published
        Figures that were looked up at their source; empty if none was.
    full, small : mapping
        Options for `TrainConfig.from_options` at either scale.
    """

    name: str
    about: str
    published: tuple[Published, ...]
    full: Mapping[str, Any]
    small: Mapping[str, Any]

    def options(self, scale: Scale = "full") -> dict[str, Any]:
        """Return the options at a scale, ready to be overridden.

        Raises
        ------
        ArgumentError
            If `scale` is neither ``"full"`` nor ``"small"``.
        """
        check_choice("scale", scale, get_args(Scale))
        return dict(self.full if scale == "full" else self.small)


def recipe_folder() -> Path:
    """Folder of the recipes: beside the package in a checkout, else where pip installed them.

    Raises
    ------
    ArgumentError
        If there are none in either place.
    """
    beside = Path(__file__).resolve().parents[1] / "recipes"
    installed = Path(sysconfig.get_path("data")) / "share" / "ols-core" / "recipes"
    for folder in (beside, installed):
        if any(folder.glob("*.toml")):
            return folder
    raise ArgumentError(f"No recipes in {beside} or {installed}; pass --config FILE instead.")


def list_recipes(folder: Path | None = None) -> list[Recipe]:
    """Return all recipes, sorted by name.

    Parameters
    ----------
    folder : Path, optional
        Where to look; by default `recipe_folder`. A TOML file without `variants` is a plain file
        of options for ``--config``, and is passed over.

    Raises
    ------
    ArgumentError
        If a file is not readable as a family of recipes, or two recipes share a name.

    Examples
    --------
    >>> [recipe.name for recipe in list_recipes() if "resnext" in recipe.name]
    ['cifar100-resnext29-2x64d', 'cifar100-resnext29-32x4d']
    """
    found: dict[str, Recipe] = {}
    for file in sorted((folder or recipe_folder()).glob("*.toml")):
        for recipe in _read_family(file):
            if recipe.name in found:
                raise ArgumentError(f"{file}: a recipe {recipe.name!r} exists already; rename it.")
            found[recipe.name] = recipe
    return [found[name] for name in sorted(found)]


def load_recipe(name: str, folder: Path | None = None) -> Recipe:
    """Return one recipe.

    Raises
    ------
    ArgumentError
        If there is no recipe of that name; the message names near ones.

    Examples
    --------
    >>> load_recipe("cifar100-resnet34").options("small")["model"]
    'resnet20'
    """
    recipes = {recipe.name: recipe for recipe in list_recipes(folder)}
    if name not in recipes:
        near = ", ".join(difflib.get_close_matches(name, recipes, n=4, cutoff=0.4))
        hint = f"near: {near}" if near else "see ols recipes"
        raise ArgumentError(f"recipe {name!r} does not exist; {hint}.")
    return recipes[name]


def _read_family(file: Path) -> list[Recipe]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArgumentError(f"{file}: cannot be read as TOML: {error}") from None
    if "variants" not in content:
        return []
    try:
        family = _Family.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ArgumentError(f"{file}: {where}: {problem['msg']}.") from None
    base = family.base
    if family.extends is not None:
        base = load_config(file.with_name(family.extends)) | base
    recipe = partial(_recipe, base, family.small)
    return [recipe(name, variant) for name, variant in family.variants.items()]


def _recipe(
    base: dict[str, Any], family_small: dict[str, Any], name: str, variant: _Variant
) -> Recipe:
    full = base | variant.options
    small = full | family_small | variant.small
    return Recipe(name, variant.about, variant.published, full, small)
