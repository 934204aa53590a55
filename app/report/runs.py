"""Which of the runs hold what a section needs, and a sentence about the others."""

from __future__ import annotations

from collections.abc import Sequence

from app.report.content import Missing
from ols_core.runs import Run

__all__ = ["runs_with", "same_classes"]


def runs_with(
    runs: Sequence[Run], part: str, what: str, remedy: str
) -> tuple[list[Run], list[Missing]]:
    """Runs that hold `part`, and a sentence on each of the others.

    Parameters
    ----------
    runs : sequence of Run
    part : str
        A path inside the run, such as `features/test.npy`.
    what : str
        What it holds, in the plural, for the sentence.
    remedy : str
        A sentence that says how to get it.
    """
    missing = [
        Missing(f"{run.id} ({run.status}) has no {what}: {part} is absent. {remedy}")
        for run in runs
        if not run.has(part)
    ]
    return [run for run in runs if run.has(part)], missing


def same_classes(runs: Sequence[Run]) -> tuple[list[Run], list[Missing]]:
    """Runs with the classes of the first one, and a sentence on the others."""
    names = runs[0].info.dataset.class_names if runs else []
    left_out = ", ".join(run.id for run in runs if run.info.dataset.class_names != names)
    text = f"Left out, since their classes are not those of {runs[0].id}: " if left_out else ""
    kept = [run for run in runs if run.info.dataset.class_names == names]
    return kept, [Missing(f"{text}{left_out}.")] if left_out else []
