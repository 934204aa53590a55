"""Which of the runs hold what a section needs, and a sentence about the others."""

from __future__ import annotations

from collections.abc import Sequence

from app.missing import absences
from app.report.content import Missing
from ols_core.runs import Run

__all__ = ["runs_with", "same_classes"]


def runs_with(
    runs: Sequence[Run], what: str, remedy: str, *parts: str
) -> tuple[list[Run], list[Missing]]:
    """Runs that hold one of `parts`, and a sentence on each of the others.

    Parameters
    ----------
    runs : sequence of Run
    what : str
        What the parts hold, in the plural, for the sentence.
    remedy : str
        A sentence that says how a training gets it.
    *parts : str
        Paths inside the run, such as `features/test.npy`; the sentence names the first.
    """
    missing = [Missing(sentence) for sentence in absences(runs, what, remedy, *parts)]
    return [run for run in runs if any(map(run.has, parts))], missing


def same_classes(runs: Sequence[Run]) -> tuple[list[Run], list[Missing]]:
    """Runs with the classes of the first one, and a sentence on the others."""
    names = runs[0].info.dataset.class_names if runs else []
    left_out = ", ".join(run.id for run in runs if run.info.dataset.class_names != names)
    text = f"Left out, since their classes are not those of {runs[0].id}: " if left_out else ""
    kept = [run for run in runs if run.info.dataset.class_names == names]
    return kept, [Missing(f"{text}{left_out}.")] if left_out else []
