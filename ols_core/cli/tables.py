"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from ols_core.runs import Run

__all__ = ["runs_table", "summary_table"]

_METRICS = {
    "accuracy": ("accuracy", "{:.2%}"),
    "top5_accuracy": ("top-5", "{:.2%}"),
    "nll": ("NLL", "{:.3f}"),
    "brier": ("Brier", "{:.3f}"),
    "ece": ("ECE", "{:.2%}"),
}


def _cells(summary: Mapping[str, float]) -> list[str]:
    return [
        form.format(summary[key]) if key in summary else "–" for key, (_, form) in _METRICS.items()
    ]


def runs_table(runs: Sequence[Run]) -> Table:
    """One row a run, with its test metrics."""
    table = Table("run", "status", "method", "model", "data set")
    for title, _ in _METRICS.values():
        table.add_column(title, justify="right")
    for run in runs:
        info = run.info
        about = [run.id, run.status, info.method, info.model.name, info.dataset.name]
        table.add_row(*about, *_cells(info.summary.get("test", {})))
    return table


def summary_table(summary: Mapping[str, Mapping[str, float]]) -> Table:
    """One row an evaluated split."""
    table = Table("split")
    for title, _ in _METRICS.values():
        table.add_column(title, justify="right")
    for split, metrics in summary.items():
        table.add_row(split, *_cells(metrics))
    return table
