"""Trains in children of this process and kills them.

Usage: python -m tests.crash_child ROOT CONFIG KILL…

A KILL is `write:N`, at the N-th file that is being written (its content is on disk, its name not
yet in place), `torn:N`, the same with half of that content (of history.jsonl, half of the line that
is appended), or `time:SECONDS` after the child began. The last child runs to the end, unless an
earlier one did. Forking once torch and scikit-learn are imported, but before they have started
threads, saves importing them for every child.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import sklearn.datasets  # noqa: F401 - the training would import it

from ols_core.config import TrainConfig
from ols_core.runs import load_run
from ols_core.training import resume, train


def _die_at_write(n: int, torn: bool) -> None:
    fsync, left = os.fsync, [n]

    def counted(descriptor: int) -> None:
        fsync(descriptor)
        left[0] -= 1
        if left[0] == 0:
            if torn:
                _tear(descriptor)
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = counted


def _tear(descriptor: int) -> None:
    """Take half of what was just written away, and say of what."""
    file = Path(f"/proc/self/fd/{descriptor}").readlink()
    content = file.read_bytes()
    kept = content[:-1].rfind(b"\n") + 1 if file.name == "history.jsonl" else 0
    os.ftruncate(descriptor, (kept + len(content)) // 2)
    print("torn", file.name, flush=True)


def _child(root: Path, config: TrainConfig, kill: str | None) -> None:
    kind, _, moment = (kill or "").partition(":")
    if kind in ("write", "torn"):
        _die_at_write(int(moment), torn=kind == "torn")
    if not (root / str(config.name) / "run.json").exists():
        train(config, root)
    elif load_run(str(config.name), root).status != "finished":
        resume(str(config.name), root)


def main() -> None:
    root = Path(sys.argv[1])
    config = TrainConfig.model_validate_json(sys.argv[2])
    for kill in [*sys.argv[3:], None]:
        child = os.fork()
        if child == 0:
            _child(root, config, kill)
            os._exit(0)
        if kill is not None and kill.startswith("time:"):
            time.sleep(float(kill.removeprefix("time:")))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(kill, code, flush=True)


if __name__ == "__main__":
    main()
