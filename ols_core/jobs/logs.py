"""Log files of trainings: what they end with."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["cause_of_failure", "tail"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TAIL_BYTES = 32_768


def tail(file: Path, lines: int) -> str:
    """Return the last lines of a log as plain text; empty if there is none.

    Colours are left out; of a line that was overwritten in place, as progress bars do, only what
    stood there last is kept.
    """
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in _ANSI.sub("", text).split("\n")]
    return "\n".join("\n".join(shown).strip("\n").split("\n")[-lines:])


def cause_of_failure(file: Path) -> str:
    """Say in one line why a training failed: its last error, else the last line of its log."""
    text = f"\n{tail(file, 100)}"
    _, found, error = text.rpartition("\nError: ")
    if found:
        return " ".join(error.split())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "It wrote nothing."
