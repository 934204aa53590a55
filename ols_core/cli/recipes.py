"""`ols recipes`: the named configurations."""

from __future__ import annotations

from rich.markup import escape

from ols_core.cli.common import output
from ols_core.cli.tables import recipes_table
from ols_core.recipes import list_recipes

__all__ = ["recipes_verb"]


def recipes_verb() -> None:
    """List the recipes: named settings for `ols train` and `ols sweep`.

    Each of them has a small twin, for a machine with 2 cores: add `--scale small`.

    **Example**: `ols recipes`, then `ols train --recipe cifar100-resnet34 --scale small`
    """
    recipes = list_recipes()
    output.print(recipes_table(recipes))
    for recipe in recipes:
        for figure in recipe.published:
            output.print(f"{recipe.name}, {figure}: {escape(figure.source)}.", highlight=False)
