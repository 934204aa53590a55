"""What runs lack for a page, why, and how to get it: one wording for pages and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ols_core.remedies import features_remedy
from ols_core.runs import SPLITS, Run

__all__ = ["absences"]


def absences(runs: Sequence[Run], what: str, remedy: str, *parts: str) -> list[str]:
    """One sentence on all the runs that lack something for the same reason.

    Parameters
    ----------
    runs : sequence of Run
        Those that hold one of `parts` are left out.
    what : str
        What the parts hold, for the sentence.
    remedy : str
        A sentence that says how a training gets it.
    *parts : str
        Paths inside the run, such as `features/test.npy`; the sentence names the first.
    """
    by_reason: dict[str, list[str]] = {}
    for run in runs:
        if not any(map(run.has, parts)):
            name = run.id if run.status == "finished" else f"{run.id} ({run.status})"
            by_reason.setdefault(_reason(run, remedy, parts[0]), []).append(name)
    return [
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no {what}: {parts[0]} is "
        f"absent. {reason}".rstrip()
        for reason, names in by_reason.items()
    ]


def _reason(run: Run, remedy: str, part: str) -> str:
    if part.startswith("predictions/"):
        others = [split for split in SPLITS if run.has(f"predictions/{split}_labels.npy")]
        if others:
            return f"Those of its {others[0]} split are not shown: this is about the test split."
    if run.info.source == "trained":
        return remedy
    if run.status != "finished":
        return ""
    if part.startswith("features/"):
        return features_remedy(run, PurePath(part).stem)
    return {
        "imported": "An imported file of predictions has nothing of the kind.",
        "recorded": "Nothing of the kind was recorded; RunRecorder takes it.",
        "evaluated": "That comes of a training, not of evaluating weights.",
    }[run.info.source]
