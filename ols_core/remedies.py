"""Commands and sentences that messages offer as the remedy."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ols_core.runs import DEFAULT_ROOT, ROOT_VARIABLE, Run

__all__ = ["dashboard_command", "features_remedy", "typed_command"]


def typed_command(*arguments: str, root: str | Path) -> str:
    """Command of `ols` that can be pasted into a shell, with the folder of the runs if needed.

    Examples
    --------
    >>> typed_command("resume", "mine", root="my runs")
    "ols resume mine --root 'my runs'"
    """
    return shlex.join(["ols", *arguments, *([] if _is_default(root) else ["--root", str(root)])])


def dashboard_command(root: str | Path) -> str:
    """Command that opens the dashboard on a folder of runs.

    Examples
    --------
    >>> dashboard_command("my runs")
    "OLS_ROOT='my runs' make dashboard"
    """
    folder = "" if _is_default(root) else f"{ROOT_VARIABLE}={shlex.quote(str(root))} "
    return f"{folder}make dashboard"


def features_remedy(run: Run, split: str) -> str:
    """Sentence that says how a run comes by its features of a split."""
    if run.info.source == "recorded":
        return (
            "Its network is not known, as it was recorded: record it again under another name, and "
            "give `features` to `log_predictions`."
        )
    if run.info.source == "imported":
        return (
            "Its network is not known, as it was imported: import it again under another name, "
            "from an NPZ file that also holds `features` (N, D)."
        )
    if run.info.source == "evaluated":
        return (
            "It was evaluated, and where its weights lie is not stored: evaluate them again with "
            f"--split {split} under another --name."
        )
    command = typed_command("features", run.id, "--split", split, root=run.path.parent)
    return f"Add them with: {command}"


def _is_default(root: str | Path) -> bool:
    """Whether a command without --root means this folder, in a shell with any environment."""
    here = os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    return Path(root) == DEFAULT_ROOT == Path(here)
