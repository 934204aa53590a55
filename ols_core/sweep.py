"""Sweeps: plan a grid of trainings, and run them as processes of their own.

Planning is a pure function of what was asked for; what is already on disk decides, run by run,
whether it is skipped, resumed or trained. A second sweep of the same arguments therefore goes on
where the first one stopped.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ols_core.checks import check_integer, invalid
from ols_core.config import TrainConfig
from ols_core.errors import ArgumentError, RunNotFoundError
from ols_core.runs import Run, check_run_id, load_run

__all__ = [
    "INCIDENTAL",
    "METHOD_OPTIONS",
    "Action",
    "Outcome",
    "PlannedRun",
    "Step",
    "concerns",
    "existing_run",
    "next_step",
    "plan_sweep",
    "run_steps",
]

METHOD_OPTIONS: Mapping[str, str] = {"alpha": "ols", "smoothing": "ls", "update_period": "ols"}
"""Options that mean something for one method only."""

Action = Literal["skip", "resume", "train"]

# What a sweep sets itself, and what a comma cannot separate.
_OWN = {"method": "--methods", "seed": "--seeds", "name": "--name"}
_COMPOUND = ("loss_options", "milestones")
_NEUTRAL = {
    "name": None,
    "data_dir": "data",
    "workers": 0,
    "compile": False,
    "save_features_every": 0,
}
INCIDENTAL = tuple(_NEUTRAL)
"""Options that say where and how fast a run is computed, not what comes out."""

_COMMAND = (sys.executable, "-m", "ols_core.cli")
_GRACE = 60.0  # seconds that a stopped child has to finish its step and mark its run
_POLL = 0.2  # seconds between two looks at the children


@dataclass(frozen=True)
class PlannedRun:
    """One training of a sweep: its id and its configuration, which bears that name."""

    id: str
    config: TrainConfig


@dataclass(frozen=True)
class Step:
    """What is to be done about a planned run; `reason` says why, for the user."""

    run: PlannedRun
    action: Action
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How a step ended: `error` is a one-line cause, and None after success."""

    id: str
    error: str | None


def concerns(method: str, option: str) -> bool:
    """Whether an option of `TrainConfig` changes what a method does.

    Examples
    --------
    >>> concerns("ols", "alpha"), concerns("ce", "alpha"), concerns("ce", "lr")
    (True, False, True)
    """
    return METHOD_OPTIONS.get(option, method) == method


def plan_sweep(
    base: Mapping[str, Any],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Sequence[str]],
    prefix: str,
) -> list[PlannedRun]:
    """Plan every combination of method, setting and seed.

    Parameters
    ----------
    base : mapping
        Options of `TrainConfig` that all runs share.
    methods : sequence of str
        Training methods, at least one.
    seeds : sequence of int
        At least one.
    settings : mapping of str to sequence of str
        Further options, each with the values to try, as they are typed. One that does not concern
        a method (`concerns`) is left out of that method's runs instead of repeating them.
    prefix : str
        What the ids begin with; method, settings and seed follow.

    Returns
    -------
    list of PlannedRun
        Ordered by seed, then method, then settings: the first seed of everything comes first.

    Raises
    ------
    ArgumentError
        If an option is unknown, not to be varied or out of its range, two runs would have the same
        id, or an id would not be valid.

    Examples
    --------
    >>> plan = plan_sweep({"epochs": 1}, ["ce", "ols"], [0], {"alpha": ["0.25", "0.5"]}, "digits")
    >>> [run.id for run in plan]
    ['digits-ce-s0', 'digits-ols-alpha-0.25-s0', 'digits-ols-alpha-0.5-s0']
    """
    _check_settings(settings)
    for name, values in (("--methods", methods), ("--seeds", seeds)):
        if not values:
            raise invalid(name, "at least one value", "")
    planned = []
    for seed, method in itertools.product(seeds, methods):
        varied = {name: values for name, values in settings.items() if concerns(method, name)}
        for values in itertools.product(*varied.values()):
            chosen = dict(zip(varied, values, strict=True))
            planned.append(_planned(base, method, seed, chosen, prefix))
    repeated = [run_id for run_id, count in Counter(run.id for run in planned).items() if count > 1]
    if repeated:
        raise ArgumentError(
            f"The sweep would make {repeated[0]} twice; name every method, seed and value once."
        )
    return planned


def next_step(planned: PlannedRun, existing: Run | None) -> Step:
    """Decide what to do about a planned run, given what is on disk under its id.

    Raises
    ------
    ArgumentError
        If the existing run was made with other options.
    """
    if existing is None:
        return Step(planned, "train", "new")
    different = _differences(planned.config, existing.info.config)
    if different:
        raise ArgumentError(
            f"Run {planned.id} exists with other options ({different}) and is not overwritten; "
            "choose another --name for the sweep, or delete that run."
        )
    if existing.status in ("finished", "running"):
        return Step(planned, "skip", existing.status)
    return Step(planned, "resume", existing.status)


def existing_run(run_id: str, root: Path) -> Run | None:
    """Return the run of that id, or None.

    Raises
    ------
    RunError
        If it is there and cannot be read.
    """
    try:
        return load_run(run_id, root)
    except RunNotFoundError:
        return None


def run_steps(
    steps: Sequence[Step],
    root: Path,
    jobs: int,
    watch: Callable[[Step, Run | None, Outcome | None], None],
) -> list[Outcome]:
    """Run steps as processes, `jobs` at a time; the failure of one does not end the others.

    Parameters
    ----------
    steps : sequence of Step
        Those to skip are passed over.
    root : Path
        Folder of the runs; output goes to `_logs/<id>.log` in it.
    jobs : int
        Processes at a time, at least 1.
    watch : callable
        Is told of each running step a few times a second: the step, its run as far as it is on
        disk, and its outcome, which is None until it has ended.

    Returns
    -------
    list of Outcome
        In the order in which they ended.

    Raises
    ------
    ArgumentError
        If `jobs` is below 1.
    KeyboardInterrupt, SystemExit
        If either is raised meanwhile, after the children were stopped, each leaving a run that
        can be resumed.
    """
    check_integer("--jobs", jobs, 1)
    waiting = [step for step in steps if step.action != "skip"]
    running: dict[str, tuple[Step, subprocess.Popen[bytes]]] = {}
    outcomes: list[Outcome] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                step = waiting.pop(0)
                running[step.run.id] = (step, _start(step, root, jobs))
            for run_id, (step, process) in list(running.items()):
                outcome = None
                if process.poll() is not None:
                    del running[run_id]
                    outcome = Outcome(run_id, _cause(run_id, process.returncode, root))
                    outcomes.append(outcome)
                watch(step, _readable(run_id, root), outcome)
            if running:
                time.sleep(_POLL)
    finally:
        _stop([process for _, process in running.values()])
    return outcomes


def _check_settings(settings: Mapping[str, Sequence[str]]) -> None:
    for name, values in settings.items():
        if name in _OWN:
            raise ArgumentError(f"--set {name}: use {_OWN[name]} for this.")
        if name in _COMPOUND:
            raise ArgumentError(
                f"--set {name}: its values hold commas themselves; put it in the file of --config."
            )
        if not values:
            raise invalid(f"--set {name}", "NAME=VALUE or NAME=VALUE,VALUE", f"{name}=")


def _planned(
    base: Mapping[str, Any], method: str, seed: int, chosen: Mapping[str, str], prefix: str
) -> PlannedRun:
    config = TrainConfig.from_options({**base, "method": method, "seed": seed, **chosen})
    parts = [f"{name}-{_shown(getattr(config, name))}" for name in chosen]
    text = "-".join([prefix, method, *parts, f"s{seed}"]).lower()
    run_id = check_run_id(re.sub(r"[^a-z0-9._-]+", "-", text))
    return PlannedRun(run_id, config.model_copy(update={"name": run_id}))


def _shown(value: Any) -> str:
    """Return a value as part of an id; `0.50` and `0.5` are one value."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _differences(planned: TrainConfig, recorded: Mapping[str, Any]) -> str:
    """Options in which a recorded configuration differs, as one phrase; empty if in none."""
    try:
        # An older run lacks the options that came later: their defaults were in force.
        found = TrainConfig.model_validate(recorded).model_copy(update=_NEUTRAL)
    except ValueError:
        return "its configuration is of another kind"
    wanted = planned.model_copy(update=_NEUTRAL)
    names = [
        name
        for name in TrainConfig.model_fields
        if concerns(planned.method, name) and getattr(wanted, name) != getattr(found, name)
    ]
    return ", ".join(
        f"{name} {getattr(found, name)!r} instead of {getattr(wanted, name)!r}" for name in names
    )


def _start(step: Step, root: Path, jobs: int) -> subprocess.Popen[bytes]:
    logs = root / "_logs"
    logs.mkdir(parents=True, exist_ok=True)
    run_id = step.run.id
    command = [*_COMMAND]
    if step.action == "resume":
        command += ["resume", run_id]
    else:
        options = step.run.config.model_dump(mode="json", exclude_none=True, exclude={"name"})
        file = logs / f"{run_id}.json"
        file.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")
        command += ["train", "--config", str(file), "--name", run_id]
    environment = {**os.environ, "COLUMNS": "200"}
    if jobs > 1:
        # Several processes that each take every core slow one another down.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    with (logs / f"{run_id}.log").open("ab") as log:
        # In a process group of its own, Ctrl-C reaches a child once: through `_stop`.
        return subprocess.Popen(
            [*command, "--root", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,
        )


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask children to stop after their step; end those that do not, at once on a second Ctrl-C."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _cause(run_id: str, code: int, root: Path) -> str | None:
    """One line on why a child failed: what its run recorded, else the end of its log."""
    if code == 0:
        return None
    run = _readable(run_id, root)
    if run is not None and run.info.error:
        return run.info.error
    log = (root / "_logs" / f"{run_id}.log").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[-1].removeprefix("Error: ") if lines else "it wrote nothing"
    return f"{last} (exit code {code})"


def _readable(run_id: str, root: Path) -> Run | None:
    # A child that is just starting or has crashed may leave anything: that is its outcome's matter.
    with suppress(Exception):
        return load_run(run_id, root)
    return None
