"""The runs on disk, and the cache that all results are kept in.

Results are keyed by run, epoch and modification time, never by arrays: hashing samples large ones,
so that two matrices may share a key. This module loads quickly: the first thing that is drawn, the
choice of runs, needs nothing else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import streamlit as st

from ols_core.runs import DEFAULT_ROOT, ROOT_VARIABLE, Run, RunScan, scan_runs

__all__ = ["cached", "cached_large", "root", "run_key", "scan", "signature"]


def run_key(run: Run) -> tuple[str, int]:
    """What tells a run from any other one, and from what it was before."""
    return str(run.path), run.modified


cached = st.cache_resource(max_entries=128, show_spinner=False, hash_funcs={Run: run_key})
# As many as the runs that a page shows: a matrix of a thousand classes takes 8 MB.
cached_large = st.cache_resource(max_entries=6, show_spinner=False, hash_funcs={Run: run_key})


def root() -> Path:
    """Folder of the runs: `OLS_ROOT`, else `checkpoints`."""
    return Path(os.environ.get(ROOT_VARIABLE, DEFAULT_ROOT))


def signature() -> tuple[tuple[str, int], ...]:
    """Name and modification time of every run: what changes when a run does."""
    found = []
    if root().is_dir():
        with os.scandir(root()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, NotADirectoryError):
                    # a Path for each of many runs would double the time
                    file = os.stat(f"{entry.path}/run.json")  # noqa: PTH116
                    found.append((entry.name, file.st_mtime_ns))
    return tuple(sorted(found))


def scan() -> RunScan:
    """All runs; those that have changed, and only those, are read again."""
    return _folder(str(root())).scan()


class _Folder:
    """The last scan of a folder, and the signature that it was made for."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last: tuple[tuple[tuple[str, int], ...], RunScan] = ((), RunScan([], {}))

    def scan(self) -> RunScan:
        now = signature()
        seen, found = self._last
        if seen != now:
            found = scan_runs(self._path, found.runs)
            self._last = now, found  # at once: other sessions look here too
        return found


@st.cache_resource(max_entries=4, show_spinner=False)
def _folder(path: str) -> _Folder:
    return _Folder(path)
