"""Write a run directory: each file under a temporary name beside its target, then renamed."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from ols_core.errors import RunError
from ols_core.runs import Run, RunInfo, check_run_id, load_run, read_history

__all__ = ["RunWriter", "write_atomically"]


def write_atomically(target: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `target`, then rename it into place.

    A reader sees the old content or the new, never a part; a crash leaves the old content.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.strerror:  # the system's, which names no file if it was open already
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


class RunWriter:
    """The only writer of one run directory.

    Parameters
    ----------
    path : Path
        An existing run directory; `create` makes a new one.
    info : RunInfo
        What its `run.json` says now.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self._lock = FileLock(path / ".lock")

    @classmethod
    def create(cls, root: str | Path, info: RunInfo) -> RunWriter:
        """Make the directory of a new run; its status is `running` from now on.

        Raises
        ------
        RunError
            If a run of that id exists: nothing is ever overwritten.
        """
        path = Path(root) / check_run_id(info.id)
        # Renamed once complete: a crash leaves either a run that can be read, or none.
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True)
        try:
            writer = cls(temporary, info)
            writer._acquire()
            writer._mark_running()
            temporary.rename(path)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not path.exists():
                raise
            raise RunError(
                f"{path} exists already and is not overwritten; choose another --name."
            ) from None
        writer.path = path
        return writer

    @classmethod
    def reopen(cls, run: Run) -> RunWriter:
        """Go on writing an existing run, whose last writer is gone.

        Raises
        ------
        RunError
            If another process writes it now; the message names its pid and host. If one has
            finished it since `run` was read.
        """
        writer = cls(run.path, run.info)
        writer._acquire()
        writer.info = load_run(run.id, run.path.parent).info
        if writer.info.status == "finished" != run.info.status:
            writer._lock.release()
            raise RunError(f"Run {run.id} is finished; there is nothing to go on with.")
        writer._mark_running()
        for leftover in (*run.path.rglob(".*.tmp"), *run.path.glob("resume/cause-of-rank-*")):
            leftover.unlink()
        return writer

    @classmethod
    @contextmanager
    def amending(cls, run: Run) -> Iterator[RunWriter]:
        """Add parts to a run that nobody writes; its status stays as it is.

        At the end `run.json` is touched, since whoever caches goes by its modification time.

        Raises
        ------
        RunError
            If another process writes the run now.
        """
        writer = cls(run.path, run.info)
        writer._acquire()
        try:
            writer.info = load_run(run.id, run.path.parent).info
            yield writer
            writer.update()
        finally:
            writer._lock.release()

    def _acquire(self) -> None:
        """Lock the run.

        The operating system gives up the lock of a process that dies, so a dead owner's lock is
        taken over.
        """
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            owner = load_run(self.path.name, self.path.parent).info.process or {}
            raise RunError(
                f"Run {self.path.name} is being written by process {owner.get('pid', '?')} on "
                f"{owner.get('host', '?')}; stop that first."
            ) from None

    def _mark_running(self) -> None:
        """Set the status to `running`, in the name of this process."""
        process = {"pid": os.getpid(), "host": platform.node()}
        self.update(status="running", error=None, process=process)

    def close(self, status: str, error: str | None = None) -> None:
        """Set the final status and unlock; `error` is the one-line cause of a failure."""
        try:
            self.update(status=status, error=error, process=None)
        finally:
            self._lock.release()

    def update(self, **changes: Any) -> None:
        """Change fields of `run.json`; without changes, only its modification time."""
        self.info = RunInfo.model_validate(self.info.model_dump() | changes)
        text = json.dumps(self.info.model_dump(exclude_none=True), indent=1, ensure_ascii=False)
        self._write("run.json", lambda file: file.write(text.encode() + b"\n"))

    def append_history(self, record: Mapping[str, Any]) -> None:
        """Append one epoch's record to `history.jsonl`, on disk when this returns."""
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rewind(self, epoch: int) -> None:
        """Forget what was written after `epoch`, so that a resumed run appends to it."""
        kept = [record for record in read_history(self.path) if record["epoch"] <= epoch]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        self._write("history.jsonl", lambda file: file.write(text.encode()))
        for folder in ("soft_labels", "features/*_epochs"):
            for file in self.path.glob(f"{folder}/[0-9]*.npy"):
                if int(file.stem) > epoch:
                    file.unlink()

    def save_soft_labels(
        self, epoch: int, matrix: npt.ArrayLike, counts: npt.NDArray[np.int64]
    ) -> None:
        """Store the matrix after `epoch`, (K, K), and the counts behind its rows, (K,)."""
        self._save_array(f"soft_labels/{epoch:04d}.npy", np.asarray(matrix, dtype=np.float32))
        file = self.path / "soft_labels" / "counts.npy"
        rows = np.asarray(counts, dtype=np.int64)[None]
        if epoch > 0:
            rows = np.concatenate([np.load(file, allow_pickle=False)[:epoch], rows])
        self._save_array("soft_labels/counts.npy", rows)

    def save_label_noise(self, given: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> None:
        """Store the training labels as given and as they were before noise, (N,) each."""
        self._save_array("label_noise/given.npy", given.astype(np.int64))
        self._save_array("label_noise/true.npy", true.astype(np.int64))

    def save_predictions(
        self, split: str, logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
    ) -> None:
        """Store logits, (N, K) float16 or float32, and labels, (N,), of a split."""
        self._save_array(f"predictions/{split}_logits.npy", logits)
        self._save_array(f"predictions/{split}_labels.npy", labels.astype(np.int64))

    def save_features(
        self, split: str, features: npt.NDArray[np.floating], epoch: int | None = None
    ) -> None:
        """Store penultimate features, (N, D), of a split as float16.

        Without `epoch` they are those of the finished network.
        """
        part = split if epoch is None else f"{split}_epochs/{epoch:04d}"
        self._save_array(f"features/{part}.npy", features.astype(np.float16))

    def save_weights(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Store the network's parameters and buffers as safetensors."""
        from safetensors.numpy import save

        content = save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        self._write("weights.safetensors", lambda file: file.write(content))

    def _save_array(self, part: str, array: npt.NDArray[Any]) -> None:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        self._write(part, lambda file: file.write(buffer.getbuffer()))

    def _write(self, part: str, write: Callable[[BinaryIO], object]) -> None:
        write_atomically(self.path / part, write)


def utc_now() -> str:
    """Return the present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
