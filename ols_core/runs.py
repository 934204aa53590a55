"""The run directory, `schema_version` 1: list and read runs. Writing is in `run_writer`.

A run directory is all that training and the dashboard share. Every part but `run.json` may be
absent. Nothing that is read here is ever executed, and arrays are memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ols_core.errors import ArgumentError, RunError, RunNotFoundError

__all__ = [
    "DEFAULT_ROOT",
    "ROOT_VARIABLE",
    "SCHEMA_VERSION",
    "SPLITS",
    "UNKNOWN_COUNT",
    "DatasetInfo",
    "ModelInfo",
    "Run",
    "RunInfo",
    "RunScan",
    "Status",
    "check_run_id",
    "label_fingerprint",
    "list_runs",
    "load_run",
    "scan_runs",
]

SCHEMA_VERSION = 1
DEFAULT_ROOT = Path("checkpoints")
ROOT_VARIABLE = "OLS_ROOT"
"""Environment variable of another default, for the command line and the dashboard."""
SPLITS = ("test", "train", "val")
UNKNOWN_COUNT = -1
"""Stands for the samples behind a soft label where nobody has counted them."""
Status = Literal["running", "finished", "stopped", "failed", "interrupted"]
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class _Record(BaseModel):
    # Unknown keys survive a rewrite: a newer version may have put them there.
    model_config = ConfigDict(extra="allow", frozen=True)


class DatasetInfo(_Record):
    """What a run remembers of its data set.

    `fingerprints` maps a split to the hash of its labels in order: two runs can be compared
    sample by sample only where these agree. `superclasses` names the superclass of each class.
    """

    name: str
    class_names: list[str]
    splits: dict[str, int] = Field(default_factory=dict)
    fingerprints: dict[str, str] = Field(default_factory=dict)
    superclasses: list[str] | None = None


class ModelInfo(_Record):
    """Architecture name, number of trainable parameters and width of the penultimate layer."""

    name: str
    n_parameters: int | None = None
    n_features: int | None = None


class RunInfo(_Record):
    """The content of `run.json`; `created` is an ISO 8601 time in UTC.

    `summary` maps a split to its metrics (`ols_core.analysis.calibration.PredictionSummary`);
    `process` holds the pid and host of a running training. `name`, `tags` and `archived` are the
    user's to change (`ols_core.run_manager`).
    """

    schema_version: Literal[1] = 1
    id: str
    name: str
    tags: tuple[str, ...] = ()
    archived: bool = False
    created: str
    status: Literal["running", "finished", "stopped", "failed"]
    error: str | None = None
    source: Literal["trained", "recorded", "imported", "evaluated"]
    method: str
    config: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    model: ModelInfo
    environment: dict[str, Any] = Field(default_factory=dict)
    summary: dict[str, dict[str, float]] = Field(default_factory=dict)
    process: dict[str, Any] | None = None


@dataclass(frozen=True)
class Run:
    """One run directory, read lazily.

    Attributes
    ----------
    path : Path
        The run's directory.
    info : RunInfo
        Its `run.json`.
    modified : int
        Modification time of `run.json` in ns. It is rewritten after every epoch and every
        later change, so (`id`, `modified`) is a sound cache key for all that the run holds.
    """

    path: Path
    info: RunInfo
    modified: int

    @property
    def id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.info.dataset.class_names)

    @property
    def status(self) -> Status:
        """The recorded status, or `interrupted` when a running run's process is gone."""
        if self.info.status == "running" and not _is_alive(self.info.process):
            return "interrupted"
        return self.info.status

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One record an epoch, oldest first; an incomplete last line (a crash) is left out."""
        return read_history(self.path)

    @cached_property
    def n_epochs(self) -> int:
        """Number of epochs in the history, counted without reading what they recorded."""
        try:
            return (self.path / "history.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    @cached_property
    def soft_label_epochs(self) -> list[int]:
        """Epochs whose soft-label matrix is stored; 0 is the initial matrix."""
        return _epochs_in(self.path / "soft_labels")

    def soft_labels(self, epoch: int) -> npt.NDArray[np.float32]:
        """Soft-label matrix after `epoch`, float32 (K, K), row = target class, memory-mapped.

        Raises
        ------
        RunError
            If this epoch is not stored.
        """
        matrix = self._array(f"soft_labels/{epoch:04d}.npy", f"soft labels of epoch {epoch}")
        if matrix.shape != (self.n_classes, self.n_classes):
            raise RunError(
                f"Run {self.id}: soft_labels/{epoch:04d}.npy has shape {matrix.shape}, expected "
                f"({self.n_classes}, {self.n_classes}) for its {self.n_classes} classes."
            )
        return matrix

    def soft_label_counts(self) -> npt.NDArray[np.int64]:
        """Correct samples behind each row, int64 (T+1, K); 0 marks a fallback row.

        `UNKNOWN_COUNT` stands where somebody's own loop has not counted them.
        """
        return self._array("soft_labels/counts.npy", "counts of its soft labels")

    def logits(self, split: str = "test") -> npt.NDArray[np.floating]:
        """Logits of a split, (N, K) float16 or float32, memory-mapped."""
        return self._array(f"predictions/{split}_logits.npy", f"predictions for the {split} split")

    def labels(self, split: str = "test") -> npt.NDArray[np.int64]:
        """Classes of a split, int64 (N,); with label noise, those that it was trained on."""
        return self._array(f"predictions/{split}_labels.npy", f"labels of the {split} split")

    def true_labels(self, split: str = "test") -> npt.NDArray[np.int64]:
        """Classes of a split before any label noise, int64 (N,)."""
        noisy = split == "train" and self.has("label_noise/true.npy")
        return self.label_noise()[1] if noisy else self.labels(split)

    def fingerprint(self, split: str = "test") -> str | None:
        """Hash of the true labels of a split, which tells its images; None where not known."""
        recorded = self.info.dataset.fingerprints.get(split)
        if recorded is not None:
            return recorded
        try:
            return label_fingerprint(self.true_labels(split))
        except RunError:
            return None

    def label_noise(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Training labels as given and before noise, int64 (N,) each, of a run with label noise."""
        given, true = (
            self._array(f"label_noise/{which}.npy", "label noise") for which in ("given", "true")
        )
        return given, true

    def features(self, split: str = "test", epoch: int | None = None) -> npt.NDArray[np.float16]:
        """Penultimate features of a split, float16 (N, D), memory-mapped.

        Those of the finished network, or after one of `feature_epochs`.
        """
        if epoch is None:
            return self._array(f"features/{split}.npy", f"features of the {split} split")
        part = f"features/{split}_epochs/{epoch:04d}.npy"
        return self._array(part, f"features of the {split} split after epoch {epoch}")

    def feature_epochs(self, split: str = "test") -> list[int]:
        """Epochs after which the features of a split are stored, ascending."""
        return _epochs_in(self.path / "features" / f"{split}_epochs")

    def classifier_weight(self) -> npt.NDArray[np.floating]:
        """Weight of the final linear layer, (K, D): the last tensor of that shape.

        Raises
        ------
        RunError
            If the weights are absent, unreadable, or hold no such tensor.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self.path / "weights.safetensors"
        try:
            tensors = load_file(file)
        except FileNotFoundError:
            raise RunError(f"Run {self.id} has no weights: {file.name} is absent.") from None
        except (SafetensorError, OSError) as error:
            raise RunError(f"Run {self.id}: {file.name} cannot be read: {error}") from None
        width = self.info.model.n_features
        found = [
            tensor
            for tensor in tensors.values()
            if tensor.ndim == 2
            and len(tensor) == self.n_classes
            and width in (None, tensor.shape[1])
        ]
        if not found:
            raise RunError(f"Run {self.id}: {file.name} holds no classifier of its classes.")
        return found[-1]

    def has(self, part: str) -> bool:
        """Whether a part, given as a path inside the run such as `features/test.npy`, exists."""
        return (self.path / part).exists()

    def _array(self, part: str, what: str) -> npt.NDArray[Any]:
        try:
            array: npt.NDArray[Any] = np.load(self.path / part, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise RunError(f"Run {self.id} has no {what}: {part} is absent.") from None
        except (ValueError, OSError, EOFError) as error:
            raise RunError(f"Run {self.id}: {part} cannot be read: {error}") from None
        return array


@dataclass(frozen=True)
class RunScan:
    """All run directories below a root: the readable ones, newest first, and what ails the rest."""

    runs: list[Run]
    problems: dict[str, str]


def check_run_id(run_id: str) -> str:
    """Return `run_id` if it is a safe directory name.

    Raises
    ------
    ArgumentError
        If it does not match ``[a-z0-9][a-z0-9._-]{0,99}``.

    Examples
    --------
    >>> check_run_id("cifar100-resnet20-ols")
    'cifar100-resnet20-ols'
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ArgumentError(
            f"run name must be 1 to 100 of a-z, 0-9, '.', '_', '-' and begin with a letter or a "
            f"digit, got {run_id!r}."
        )
    return run_id


def load_run(run_id: str, root: str | Path = DEFAULT_ROOT) -> Run:
    """Open one run.

    Parameters
    ----------
    run_id : str
        Name of its directory.
    root : str or Path
        Folder of the runs.

    Raises
    ------
    RunNotFoundError
        If there is no such run; the message lists a few that exist.
    RunError
        If its `run.json` cannot be read.
    """
    path = Path(root) / check_run_id(run_id)
    if not (path / "run.json").is_file():
        known = ", ".join(_run_directories(Path(root))[:5]) or "none yet"
        raise RunNotFoundError(f"No run {run_id!r} in {root}; there are: {known}.")
    return _open(path)


def scan_runs(root: str | Path = DEFAULT_ROOT, known: Sequence[Run] = ()) -> RunScan:
    """Read every run directory below `root`; a damaged one becomes a problem, not an error.

    Of the runs of an earlier scan, `known`, only those are read again that have changed since.
    """
    earlier = {run.path: run for run in known}
    runs: list[Run] = []
    problems: dict[str, str] = {}
    for run_id in _run_directories(Path(root)):
        path = Path(root) / run_id
        try:
            runs.append(_open(path, earlier.get(path)))
        except RunError as error:
            problems[run_id] = str(error)
    runs.sort(key=lambda run: (run.info.created, run.id), reverse=True)
    return RunScan(runs, problems)


def list_runs(root: str | Path = DEFAULT_ROOT) -> list[Run]:
    """Return the readable runs below `root`, newest first.

    Examples
    --------
    >>> list_runs("no/such/folder")
    []
    """
    return scan_runs(root).runs


def label_fingerprint(labels: npt.ArrayLike) -> str:
    """Hash of labels in order: 16 hexadecimal digits of SHA-256 over their little-endian int64.

    Examples
    --------
    >>> label_fingerprint([0, 1, 2]) == label_fingerprint(np.array([0, 1, 2], dtype=np.uint8))
    True
    """
    array = np.ascontiguousarray(labels, dtype="<i8")
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def read_history(path: Path) -> list[dict[str, Any]]:
    """Records of `history.jsonl` below a run directory; see `Run.history`."""
    try:
        lines = (path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise RunError(
                    f"Run {path.name}: history.jsonl, line {number} is not JSON."
                ) from None
    return records


def _epochs_in(folder: Path) -> list[int]:
    files = folder.glob("[0-9]*.npy")
    return sorted(int(file.stem) for file in files if file.stem.isdigit())


def _run_directories(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if _RUN_ID.fullmatch(entry.name)]
    return sorted(name for name in names if (root / name / "run.json").is_file())


def _open(path: Path, known: Run | None = None) -> Run:
    file = path / "run.json"
    try:
        modified = file.stat().st_mtime_ns
        if known is not None and known.modified == modified:
            return known
        info = RunInfo.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "top level"
        raise RunError(f"Run {path.name}: run.json, {where}: {problem['msg']}.") from None
    except OSError as error:
        raise RunError(f"Run {path.name}: run.json cannot be read: {error}") from None
    return Run(path, info, modified)


def _is_alive(process: dict[str, Any] | None) -> bool:
    if not process:
        return False
    if process.get("host") != platform.node():
        return True  # another machine's process cannot be looked at: believe the record
    try:
        os.kill(int(process["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True
