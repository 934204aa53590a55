"""The process that works off a queue, one training at a time, and ends when it is empty."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ols_core.jobs.queue import Queue

__all__ = ["ensure_runner", "main"]

_COMMAND = (sys.executable, "-m", "ols_core.cli")
_RUNNER = (sys.executable, "-m", "ols_core.jobs")
# A tenth of the weight of what is not niced: pages come first, and yet a busy machine trains on.
_NICENESS = 10


def ensure_runner(root: str | Path) -> None:
    """Start a process that works off the queue below `root`, unless there is one.

    It has a session of its own, and so outlives the process that starts it, its terminal
    and Ctrl-C in that.
    """
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
    while (taken := queue.take(office)) is not None:
        job, log = taken
        # The log stays locked as long as the training lives, even if this process does not.
        with log:
            process = subprocess.Popen(
                [*_COMMAND, *job.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
            queue.started(job, process.pid)
            queue.ended(job, process.wait())


def _environment() -> dict[str, str]:
    """Environment of a training: one core is left to the pages, and lines are not cut short."""
    threads = max(1, (os.cpu_count() or 1) - 1)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "COLUMNS": "200"}
