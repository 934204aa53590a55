"""Keep runs in order: name, tag and archive them, and move them to the trash."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from ols_core.checks import invalid
from ols_core.errors import RunError
from ols_core.run_writer import RunWriter
from ols_core.runs import Run, load_run

__all__ = ["MAX_NAME", "MAX_TAG", "MAX_TAGS", "TRASH", "edit_run", "trash_run"]

MAX_NAME = 100
MAX_TAG = 40
MAX_TAGS = 20
TRASH = "_trash"
"""Folder beside the runs that holds what was deleted; its name is no run's."""


def edit_run(
    run: Run,
    *,
    name: str | None = None,
    tags: Sequence[str] | None = None,
    archived: bool | None = None,
) -> Run:
    """Change what a run is called and how it is filed; its id and its directory stay.

    Parameters
    ----------
    run : Run
    name : str, optional
        New name, 1 to `MAX_NAME` characters in one line.
    tags : sequence of str, optional
        All tags that it is to have: at most `MAX_TAGS`, of 1 to `MAX_TAG` characters each.
    archived : bool, optional
        Whether lists leave it out unless asked for.

    Returns
    -------
    Run
        As it is now.

    Raises
    ------
    ArgumentError
        If a name or a tag is empty, too long or holds control characters; if there are too many.
    RunError
        If another process writes the run now, or it is gone.
    """
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _clean("name", name, MAX_NAME)
    if tags is not None:
        changes["tags"] = _clean_tags(tags)
    if archived is not None:
        changes["archived"] = archived
    with RunWriter.amending(_present(run)) as writer:
        writer.update(**changes)
    return _present(run)


def trash_run(run: Run) -> Path:
    """Move a run to the trash, whence it can be moved back.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Path
        Its new directory, ``_trash/<id>-<UTC time>`` beside the runs; never one that existed.

    Raises
    ------
    RunError
        If another process writes the run now, it is gone, or cannot be moved.
    """
    with RunWriter.amending(_present(run)) as writer:
        target = _unused(run.path.parent / TRASH, f"{run.id}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        try:
            target.parent.mkdir(exist_ok=True)
            run.path.rename(target)
        except OSError as error:
            raise RunError(f"Run {run.id} cannot be moved to {target.parent}: {error}") from None
        writer.path = target
    return target


def _present(run: Run) -> Run:
    """Read the run again: locking one that is gone would make its directory anew."""
    return load_run(run.id, run.path.parent)


def _unused(folder: Path, name: str) -> Path:
    candidates = (folder / (name if n == 1 else f"{name}-{n}") for n in count(1))
    return next(path for path in candidates if not path.exists())


def _clean_tags(tags: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_clean("tag", tag, MAX_TAG) for tag in tags))
    if len(found) > MAX_TAGS:
        raise invalid("tags", f"at most {MAX_TAGS}", len(found))
    return found


def _clean(what: str, text: str, longest: int) -> str:
    """One line without space around it or more than one space between words."""
    words = " ".join(text.split())
    # Control characters and halves of surrogate pairs, which no file can hold.
    plain = not any(unicodedata.category(character) in ("Cc", "Cs") for character in words)
    if not plain or not 1 <= len(words) <= longest:
        raise invalid(what, f"1 to {longest} characters without control characters", text)
    return words
