"""One job of the queue, and how it is kept in a file."""

from __future__ import annotations

import os
import platform
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ols_core.errors import RunError
from ols_core.run_writer import write_atomically

__all__ = ["Job", "JobStatus", "read_job", "write_job"]

JobStatus = Literal["waiting", "running", "finished", "stopped", "failed", "interrupted"]


class Job(BaseModel):
    """One training of the queue, new or resumed.

    Attributes
    ----------
    number : int
        Its place in the order.
    run_id : str
        The run that it writes.
    arguments : list of str
        What `ols` is called with.
    config : dict
        Options of a new training, without the name; empty when an existing run is resumed.
    submitted : str
        ISO 8601 time in UTC.
    status : JobStatus
    process : dict or None
        The pid and host of the training while it runs.
    stopping : bool
        Whether it was asked to stop.
    error : str or None
        One-line cause of a failure.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    run_id: str
    arguments: list[str]
    config: dict[str, Any] = {}
    submitted: str
    status: JobStatus = "waiting"
    process: dict[str, Any] | None = None
    stopping: bool = False
    error: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.status in ("waiting", "running")

    def ask_to_stop(self) -> None:
        """Send SIGTERM to its process, if it has one on this machine.

        Raises
        ------
        RunError
            If it runs on another machine.
        """
        if self.process is None:
            return
        if self.process["host"] != platform.node():
            raise RunError(f"Run {self.run_id} runs on {self.process['host']}; stop it there.")
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self.process["pid"], signal.SIGTERM)


def read_job(file: Path) -> Job:
    """Read a job.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    RunError
        If the file is not a job.
    """
    try:
        return Job.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise RunError(f"{file}: not a job of the queue ({problem}); delete it.") from None


def write_job(file: Path, job: Job) -> None:
    """Write a job; a reader sees the old one or the new one."""
    text = job.model_dump_json(indent=1, exclude_none=True) + "\n"
    write_atomically(file, lambda opened: opened.write(text.encode()))
