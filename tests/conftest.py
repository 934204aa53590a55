from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from ols_core.config import TrainConfig
from ols_core.runs import Run, scan_runs

# Read when torch is loaded, here and in every child. Threads that wait for one another by spinning
# make small trainings many times slower as soon as another process wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

REPOSITORY = Path(__file__).resolve().parents[1]
EPOCHS = 6


@pytest.fixture(scope="session")
def digits_runs(tmp_path_factory) -> dict[str, Run]:
    """One real training on scikit-learn's digits a method, not to be changed.

    The processes that share a run of the tests share these, too.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # then each has one inside that of all
        folder = folder.parent
    root = folder / "digits"
    with FileLock(folder / "digits.lock"):
        if not root.is_dir():
            _train_digits(folder / "unfinished-digits").rename(root)
    return {run.info.method: run for run in scan_runs(root).runs}


def _train_digits(root: Path) -> Path:
    from ols_core.training import train

    for method in ("ce", "ls", "ols"):
        train(TrainConfig(dataset="digits", method=method, epochs=EPOCHS), root)
    return root


@pytest.fixture
def run_ols(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; returns (exit code, stdout, stderr)."""
    from ols_core.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ols", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def ols(run_ols) -> Callable[..., tuple[int, str]]:
    """Do the same; returns (exit code, all it printed), one space a gap."""

    def run(*arguments):
        code, out, err = run_ols(*arguments)
        return code, " ".join((out + err).split())

    return run
