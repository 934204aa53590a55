"""The queue of trainings: one JSON file a job, so that it outlives whoever submitted it.

Jobs are kept in `_queue/` below the folder of the runs, numbered in their order, each with its
log; no run can have that name. Whoever changes a job holds `.lock`; the one process that works
off the queue holds `.runner`; the log of a running training is locked by that training.
"""

from __future__ import annotations

import platform
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ols_core.config import TrainConfig
from ols_core.errors import RunError
from ols_core.jobs import logs
from ols_core.jobs.command import resume_arguments, train_arguments
from ols_core.jobs.job import Job, JobStatus, read_job, write_job
from ols_core.jobs.locks import is_locked, lock, try_lock
from ols_core.run_names import default_ids
from ols_core.run_writer import utc_now
from ols_core.runs import DEFAULT_ROOT, Run, check_run_id, load_run
from ols_core.sweep import INCIDENTAL

__all__ = ["Queue", "is_resumable"]

# With and without a handler for the signal.
_STOPPED = {sign for s in (signal.SIGINT, signal.SIGTERM) for sign in (128 + s, -s)}


def is_resumable(run: Run) -> bool:
    """Whether a run was trained in part and nobody trains it now."""
    return run.info.source == "trained" and run.status in ("stopped", "failed", "interrupted")


class Queue:
    """The jobs of a folder of runs.

    Parameters
    ----------
    root : str or Path
        Folder of the runs; the queue's own folder in it is made when the first job comes.
    """

    def __init__(self, root: str | Path = DEFAULT_ROOT) -> None:
        self.root = Path(root)
        self.folder = self.root / "_queue"

    def jobs(self) -> list[Job]:
        """Return all jobs in their order; one whose process is gone has the fate of its run.

        Raises
        ------
        RunError
            If a job's file cannot be read.
        """
        return [self._with_fate(job) for job in self._recorded()]

    def log_file(self, job: Job) -> Path:
        """File that holds what the training of a job has written to its terminal."""
        return self.folder / f"{job.number:04d}.log"

    def has_runner(self) -> bool:
        """Whether a process works off the queue now."""
        if not self.folder.is_dir():
            return False
        with self._changing():
            return is_locked(self._runner_file)

    def run_id_for(self, config: TrainConfig) -> str:
        """Id of the run that a configuration would make: its name, else one made of its options.

        Raises
        ------
        ArgumentError
            If the name is not a valid id.
        RunError
            If the name is taken; without a name, if a run of the same options exists or is queued.
        """
        queued = {job.run_id: job for job in self.jobs() if job.is_active}
        if config.name is not None:
            self._refuse_taken(check_run_id(config.name), queued)
            return config.name
        for run_id in default_ids(config):
            if run_id not in queued and not (self.root / run_id).exists():
                return run_id
            if _same(config, self._options_of(run_id, queued)):
                self._refuse_taken(run_id, queued)
        raise RunError("There are 10,000 runs of this name already; choose another one.")

    def submit(self, config: TrainConfig, download: bool = False) -> Job:
        """Add a new training at the end of the queue.

        Raises
        ------
        ArgumentError, RunError
            As `run_id_for`; also if the queue's folder cannot be written.
        """
        with self._changing():
            run_id = self.run_id_for(config)
            named = config.model_copy(update={"name": run_id})
            options = config.model_dump(mode="json", exclude_none=True, exclude={"name"})
            return self._add(run_id, train_arguments(named, self.root, download), options)

    def submit_resume(self, run_id: str) -> Job:
        """Add the rest of a stopped, failed or interrupted training at the end of the queue.

        Raises
        ------
        RunError
            If there is no such run, it cannot be resumed, or it is in the queue already.
        """
        run = load_run(run_id, self.root)
        if not is_resumable(run):
            raise RunError(f"Run {run_id} ({run.info.source}, {run.status}) cannot be resumed.")
        with self._changing():
            if any(job.is_active and job.run_id == run_id for job in self.jobs()):
                raise RunError(f"Run {run_id} is in the queue already.")
            return self._add(run_id, resume_arguments(run_id, self.root), {})

    def remove(self, number: int) -> None:
        """Take a waiting job out of the queue.

        Raises
        ------
        RunError
            If it does not wait any more.
        """
        with self._changing():
            job = self._get(number)
            if job.status != "waiting":
                raise RunError(f"Run {job.run_id} does not wait any more: it is {job.status}.")
            self._file(number).unlink()

    def stop(self, number: int) -> None:
        """Ask a running training to stop after its step; its run can be resumed.

        A second call does nothing: a second signal would end the training at once.

        Raises
        ------
        RunError
            If it does not run, or runs on another machine.
        """
        with self._changing():
            job = self._get(number)
            if job.status != "running":
                raise RunError(f"Run {job.run_id} does not run: it is {job.status}.")
            if not job.stopping:
                job.ask_to_stop()
                self._save(job, stopping=True)

    def reserve_runner(self) -> BinaryIO | None:
        """Lock the office of the runner; None if somebody holds it.

        It is held by whoever has the returned file open, until `close_office` gives it up.
        """
        with self._changing():
            return try_lock(self._runner_file)

    def take(self) -> tuple[Job, BinaryIO] | None:
        """Mark the next waiting job as running; only for the runner.

        Returns
        -------
        job, log : Job and file, or None
            The log is open and locked, for the training to inherit. None if no job waits.
        """
        with self._changing():
            waiting = self._waiting()
            if not waiting:
                return None
            log = lock(self.log_file(waiting[0]))
            return self._save(waiting[0], status="running"), log

    def close_office(self, office: BinaryIO) -> bool:
        """Give up what `reserve_runner` returned, unless a job waits; returns whether it is closed.

        Finding that none waits and closing are one step, so that a job that comes later starts
        another runner.
        """
        with self._changing():
            if self._waiting():
                return False
            office.close()
            return True

    def started(self, job: Job, pid: int) -> None:
        """Note the process of a job that `take` returned."""
        with self._changing():
            process = {"pid": pid, "host": platform.node()}
            job = self._save(self._get(job.number), process=process)
            if job.stopping:  # asked for before there was a process
                job.ask_to_stop()

    def ended(self, job: Job, exit_code: int) -> None:
        """Note how the process of a job has ended; to be called before its log is closed."""
        status, error = self._outcome(job, exit_code)
        with self._changing():
            self._save(job, status=status, error=error, process=None)

    def wait_for_orphans(self) -> None:
        """Wait for what an earlier runner, now gone, has started; note the fate of each job."""
        for job in self._recorded():
            if job.status == "running":
                with lock(self.log_file(job)), self._changing():
                    self._save(self._with_fate_of_run(job), process=None)

    @property
    def _runner_file(self) -> Path:
        return self.folder / ".runner"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            held = lock(self.folder / ".lock")
        except OSError as error:
            raise RunError(f"{self.folder} cannot be written: {error.strerror}.") from None
        with held:
            yield

    def _add(self, run_id: str, arguments: list[str], config: dict[str, Any]) -> Job:
        number = max((job.number for job in self._recorded()), default=0) + 1
        return self._save(
            Job(
                number=number,
                run_id=run_id,
                arguments=arguments,
                config=config,
                submitted=utc_now(),
            )
        )

    def _recorded(self) -> list[Job]:
        found = []
        for file in sorted(self.folder.glob("[0-9]*.json")):
            with suppress(FileNotFoundError):  # taken out meanwhile
                found.append(read_job(file))
        return sorted(found, key=lambda job: job.number)

    def _waiting(self) -> list[Job]:
        return [job for job in self._recorded() if job.status == "waiting"]

    def _get(self, number: int) -> Job:
        try:
            return self._with_fate(read_job(self._file(number)))
        except FileNotFoundError:
            raise RunError("This job is not in the queue any more.") from None

    def _save(self, job: Job, **changes: Any) -> Job:
        changed = job.model_copy(update=changes)
        write_job(self._file(job.number), changed)
        return changed

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04d}.json"

    def _with_fate(self, job: Job) -> Job:
        if job.status != "running" or is_locked(self.log_file(job)):
            return job
        return self._with_fate_of_run(job)

    def _with_fate_of_run(self, job: Job) -> Job:
        """Give a job whose end nobody saw the status of its run."""
        status: JobStatus = "interrupted"
        error = None
        with suppress(RunError):
            run = load_run(job.run_id, self.root)
            if run.status != "running":
                status, error = run.status, run.info.error
        return job.model_copy(update={"status": status, "error": error})

    def _outcome(self, job: Job, exit_code: int) -> tuple[JobStatus, str | None]:
        if exit_code == 0:
            return "finished", None
        if exit_code in _STOPPED:
            return "stopped", None
        if exit_code < 0:
            return "interrupted", f"It was ended by {signal.Signals(-exit_code).name}."
        return "failed", logs.cause_of_failure(self.log_file(job))

    def _refuse_taken(self, run_id: str, queued: Mapping[str, Job]) -> None:
        if run_id in queued:
            raise RunError(f"Run {run_id} is in the queue already.")
        if (self.root / run_id).exists():
            raise RunError(
                f"Run {run_id} exists already and is not overwritten; give this one another name."
            )

    def _options_of(self, run_id: str, queued: Mapping[str, Job]) -> dict[str, Any]:
        """Recorded options of a run, or those it is queued with."""
        if run_id in queued and queued[run_id].config:
            return queued[run_id].config
        with suppress(RunError):
            return load_run(run_id, self.root).info.config
        return {}


def _same(config: TrainConfig, recorded: Mapping[str, Any]) -> bool:
    """Whether recorded options would give the same result as `config`."""
    left_out = set(INCIDENTAL)
    with suppress(ValueError):  # options of another version
        found = TrainConfig.model_validate(recorded)
        return found.model_dump(exclude=left_out) == config.model_dump(exclude=left_out)
    return False
