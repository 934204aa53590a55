"""Locks that a child process inherits with the open file.

The operating system gives up such a lock when the last process that has the file open ends: it
tells reliably whether somebody still lives, where the number of a process may belong to another
one after a restart of the machine.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_locked", "lock", "try_lock"]


def lock(file: Path) -> BinaryIO:
    """Open a file for appending as soon as nobody else has it locked; closing it unlocks."""
    opened = file.open("ab")
    fcntl.flock(opened, fcntl.LOCK_EX)
    return opened


def try_lock(file: Path) -> BinaryIO | None:
    """Do the same without waiting; None if somebody else has it locked."""
    opened = file.open("ab")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        return None
    return opened


def is_locked(file: Path) -> bool:
    """Whether somebody has the file locked.

    Looking takes a shared lock for a moment: a `try_lock` at the same time could fail for it.
    """
    with suppress(FileNotFoundError), file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
