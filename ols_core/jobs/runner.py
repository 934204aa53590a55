"""The process that works off a queue, and ends when it is empty.

It runs one training at a time, or as many as `OLS_JOBS` says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ols_core.checks import invalid
from ols_core.jobs.job import Job
from ols_core.jobs.queue import Queue

__all__ = ["ensure_runner", "main"]

_COMMAND = (sys.executable, "-m", "ols_core.cli")
_RUNNER = (sys.executable, "-m", "ols_core.jobs")
# A tenth of the weight of what is not niced: pages come first, and yet a busy machine trains on.
_NICENESS = 10
_PAUSE = 0.2  # seconds between looks at the queue and the trainings


@dataclass(frozen=True)
class _Training:
    """A job at work; the log stays locked as long as its process lives, even without this one."""

    job: Job
    log: BinaryIO
    process: subprocess.Popen[bytes]


def ensure_runner(root: str | Path) -> None:
    """Start a process that works off the queue below `root`, unless there is one.

    It has a session of its own, and so outlives the process that starts it, its terminal
    and Ctrl-C in that.

    Raises
    ------
    ArgumentError
        If `OLS_JOBS` is no number of trainings.
    """
    _at_once()  # to refuse it here, where somebody reads it
    queue = Queue(root)
    office = queue.reserve_runner()
    if office is None:
        return
    with office, (queue.folder / "runner.log").open("ab") as log:
        process = subprocess.Popen(
            [*_RUNNER, str(root), str(office.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(office.fileno(),),
            start_new_session=True,
        )
    # A process that nobody waits for stays in the table of processes after its end.
    threading.Thread(target=process.wait, daemon=True).start()


def main(root: Path, office: int) -> None:
    """Work off the queue with a low priority.

    Parameters
    ----------
    root : Path
        Folder of the runs.
    office : int
        Descriptor of the locked file that `Queue.reserve_runner` returned.
    """
    os.nice(_NICENESS)
    # Where Linux groups processes by session, only the group's own value counts between sessions.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))
    work_off(Queue(root), os.fdopen(office, "ab"))


def work_off(queue: Queue, office: BinaryIO) -> None:
    """Run the waiting jobs in their order until there is none."""
    queue.wait_for_orphans()
    at_once = _at_once()
    running: list[_Training] = []
    while running or not queue.close_office(office):
        while len(running) < at_once and (taken := queue.take()) is not None:
            running.append(_start(queue, *taken, at_once))
        time.sleep(_PAUSE)
        ended = [training for training in running if training.process.poll() is not None]
        for training in ended:
            with training.log:
                queue.ended(training.job, training.process.returncode)
            running.remove(training)


def _start(queue: Queue, job: Job, log: BinaryIO, at_once: int) -> _Training:
    process = subprocess.Popen(
        [*_COMMAND, *job.arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(at_once),
    )
    queue.started(job, process.pid)
    return _Training(job, log, process)


def _at_once() -> int:
    """Trainings that may run at the same time."""
    given = os.environ.get("OLS_JOBS", "1")
    if not given.isdecimal() or int(given) < 1:
        raise invalid("OLS_JOBS", "a whole number of trainings at once, from 1 up", given)
    return int(given)


def _environment(at_once: int) -> dict[str, str]:
    """Environment of a training: one core is left to the pages, and lines are not cut short."""
    threads = max(1, ((os.cpu_count() or 1) - 1) // at_once)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "COLUMNS": "200"}
