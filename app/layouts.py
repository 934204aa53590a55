"""Layouts for the pages: read from disk, or computed by a process beside the server.

A layout by UMAP or t-SNE takes up to minutes and libraries that the server must not load, so that
`ols project` computes it, at a low priority and once however many browsers ask.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from app.scan import run_key
from ols_core.projections import Layout, LayoutRequest, Member, layout

__all__ = ["Job", "Key", "cancel", "find", "job", "key_of", "start"]

Key = tuple[tuple[tuple[str, int | None], ...], LayoutRequest]
"""What tells a job from any other one: the members' directories and epochs, and the request."""

_FLAGS = {"n_components": "--dimensions", "n_neighbors": "--neighbors", "min_dist": "--min-dist"}
_PRIORITY = 10
_GRACE = 5.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class Job:
    """A computation as it is now.

    Attributes
    ----------
    status : {"running", "done", "failed", "cancelled"}
    share : float or None
        What is done of it, in [0, 1]; None while that is not known.
    stage : str
        What it is doing or did last, to show to the user.
    error : str or None
        Why it failed, as a sentence.
    seconds : float
        Since its start, until now or its end.
    """

    status: Literal["running", "done", "failed", "cancelled"]
    share: float | None
    stage: str
    error: str | None
    seconds: float


def find(members: Sequence[Member], request: LayoutRequest) -> Layout | None:
    """Read a layout that holds these members; by principal components it is made at once.

    Returns
    -------
    Layout or None
        None if it has to be computed first: see `start`.

    Raises
    ------
    ArgumentError, RunError
        As `ols_core.projections.find_layout`.
    """
    return _find(list(members), request, [_stamp(member) for member in members])


@st.cache_resource(
    max_entries=32,
    show_spinner=False,
    hash_funcs={Member: lambda member: (run_key(member.run), member.epoch)},
)
def _find(members: list[Member], request: LayoutRequest, stamps: list[int]) -> Layout | None:
    del stamps  # another layout was stored since
    return layout(members, request)


def _stamp(member: Member) -> int:
    """Modification time of the folder of a run's layouts in ns, 0 without one."""
    try:
        return (member.run.path / "projections").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def key_of(members: Sequence[Member], request: LayoutRequest) -> Key:
    """Name the job that computes this layout."""
    return tuple((str(m.run.path), m.epoch) for m in members), request


def start(members: Sequence[Member], request: LayoutRequest) -> Key:
    """Begin to compute a layout, unless that is under way; returns the job's key.

    Parameters
    ----------
    members : sequence of Member
        At least one, all below one root.
    request : LayoutRequest
    """
    key = key_of(members, request)
    _jobs().start(key, _command(members, request))
    return key


def job(key: Key) -> Job | None:
    """Look at a job; None if it was never begun."""
    worker = _jobs().workers.get(key)
    return None if worker is None else worker.job


def cancel(key: Key) -> None:
    """End a job; nothing half-done is left. One that has ended stays as it is."""
    worker = _jobs().workers.get(key)
    if worker is not None:
        worker.cancel()


def _command(members: Sequence[Member], request: LayoutRequest) -> list[str]:
    options = []
    for name, value in vars(request).items():
        options += [_FLAGS.get(name, f"--{name}"), str(value)]
    root = str(members[0].run.path.parent)
    verb = [sys.executable, "-m", "ols_core.cli", "project", "--progress-json", "--root", root]
    return [*verb, *options, *map(str, members)]


class _Worker:
    """A process, and the thread that reads what it says of its progress."""

    def __init__(self, command: Sequence[str]) -> None:
        self._started = time.monotonic()
        self._cancelled = False
        self._latest: tuple[str, float | None] = ("Starting", None)
        self._ended: Job | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - read and closed by the thread
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # the pages need the others
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **threads, "COLUMNS": "10000"},  # so that no sentence is broken
            start_new_session=True,
        )
        os.setpriority(os.PRIO_PROCESS, self._process.pid, _PRIORITY)
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    @property
    def job(self) -> Job:
        if self._ended is not None:
            return self._ended
        stage, share = self._latest
        return Job("running", share, stage, None, time.monotonic() - self._started)

    def cancel(self) -> None:
        self._cancelled = True
        self._process.terminate()
        # Code of a library that is not Python may keep the signal waiting.
        last = threading.Timer(_GRACE, self._process.kill)
        last.daemon = True
        last.start()

    def stop(self) -> None:
        """End the process before this one ends."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):  # a library may print, too
                    said = json.loads(line)
                    self._latest = (said["stage"], said["share"])
        code = self._process.wait()
        seconds = time.monotonic() - self._started
        stage, share = self._latest
        with self._errors as errors:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
        if code == 0:
            self._ended = Job("done", 1.0, stage, None, seconds)
        elif self._cancelled:
            self._ended = Job("cancelled", share, stage, None, seconds)
        else:
            self._ended = Job("failed", share, stage, _cause(code, text), seconds)


def _cause(code: int, text: str) -> str:
    """Sentence on why a process failed: the last that it said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if code < 0:
        return f"Its process was ended by signal {-code}, perhaps for want of memory."
    return lines[-1].removeprefix("Error: ") if lines else f"Its process ended with code {code}."


class _Jobs:
    """All jobs since the server was started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.workers: dict[Key, _Worker] = {}
        atexit.register(self._stop)

    def start(self, key: Key, command: Sequence[str]) -> None:
        with self._lock:
            earlier = self.workers.get(key)
            if earlier is None or earlier.job.status != "running":
                self.workers[key] = _Worker(command)

    def _stop(self) -> None:
        for worker in self.workers.values():
            if worker.job.status == "running":
                worker.stop()


@st.cache_resource(show_spinner=False)
def _jobs() -> _Jobs:
    return _Jobs()
