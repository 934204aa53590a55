"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from ols_core.recipes import Recipe
from ols_core.runs import Run

__all__ = ["recipes_table", "runs_table", "summary_table"]

_METRICS = {
    "accuracy": ("accuracy", "{:.2%}"),
    "top5_accuracy": ("top-5", "{:.2%}"),
    "nll": ("NLL", "{:.3f}"),
    "brier": ("Brier", "{:.3f}"),
    "ece": ("ECE", "{:.2%}"),
}
# A terminal of 80 columns has room for these beside what a run is.
_OF_A_RUN = ("accuracy", "nll", "ece")


def _add_metrics(table: Table, keys: Sequence[str]) -> None:
    for key in keys:
        table.add_column(_METRICS[key][0], justify="right", no_wrap=True)


def _cells(summary: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    return [_METRICS[key][1].format(summary[key]) if key in summary else "–" for key in keys]


def runs_table(runs: Sequence[Run]) -> Table:
    """One row a run, with its test metrics."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("run", "status", "method", "model", "data set"):
        table.add_column(title, overflow="fold")
    _add_metrics(table, _OF_A_RUN)
    for run in runs:
        info = run.info
        status = f"{run.status}, archived" if info.archived else run.status
        about = [run.id, status, info.method, info.model.name, info.dataset.name]
        table.add_row(*about, *_cells(info.summary.get("test", {}), _OF_A_RUN))
    return table


def summary_table(summary: Mapping[str, Mapping[str, float]]) -> Table:
    """One row an evaluated split."""
    table = Table("split")
    _add_metrics(table, tuple(_METRICS))
    for split, metrics in summary.items():
        table.add_row(split, *_cells(metrics, tuple(_METRICS)))
    return table


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """One row a recipe, with what was published about it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("recipe", no_wrap=True)
    table.add_column("about")
    table.add_column("published figure", min_width=18)
    for recipe in recipes:
        figures = "\n".join(map(str, recipe.published))
        table.add_row(recipe.name, recipe.about, figures or "none was checked")
    return table
