"""`ols sweep`: a grid of trainings, with a line for each."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ols_core.checks import check_integer, invalid
from ols_core.cli.common import (
    ConfigFile,
    RecipeName,
    RecipeScale,
    Root,
    check_writable,
    errors,
    output,
    starting_options,
)
from ols_core.errors import ArgumentError
from ols_core.jobs.preflight import check_startable
from ols_core.runs import DEFAULT_ROOT, Run
from ols_core.sweep import Outcome, Step, existing_run, next_step, plan_sweep, run_steps

__all__ = ["sweep_verb"]


def sweep_verb(
    recipe: RecipeName = None,
    scale: RecipeScale = None,
    config: ConfigFile = None,
    methods: Annotated[str, typer.Option(help="Methods, with commas between.")] = "ce,ls,ols",
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between.")] = "0,1,2",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE,…",
            help="Another option of `ols train`, with one value or several to try; repeatable.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at a time.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="What the runs' names begin with (default: the recipe).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Train a grid of methods, seeds and options, each in a process of its own.

    What is finished is skipped and what was stopped or failed is resumed, so the same command goes
    on where it was interrupted. Output goes to `_logs` in the folder of the runs.

    **Examples**

    `ols sweep --recipe cifar100-resnet34 --scale small --methods ce,ls,ols --seeds 0,1,2`

    `ols sweep --config my.toml --methods ols --set alpha=0.25,0.5,0.75 --jobs 2 --dry-run`
    """
    if config is None and recipe is None:
        raise ArgumentError("A sweep needs its options: add --recipe NAME or --config FILE.")
    check_integer("--jobs", jobs, 1)
    if not dry_run:
        check_writable(root)
    steps = _planned_steps(
        starting_options(config, recipe, scale),
        methods,
        seeds,
        settings or [],
        name or _prefix(config, recipe, scale),
        root,
    )
    if dry_run:
        for step in steps:
            output.print(f"{step.action:<7}{step.run.id}  ({step.reason})", highlight=False)
        return
    for step in steps:
        if step.action != "skip":
            check_startable(step.run.config)
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        with SweepProgress(steps) as progress:
            outcomes = run_steps(steps, root, jobs, progress.watch)
    finally:
        signal.signal(signal.SIGTERM, previous)
    _summarize(steps, outcomes, root)


class SweepProgress:
    """A live line for each running step; the line of one that has ended stays.

    A context manager, so that the terminal is restored however the sweep ends.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._todo = sum(step.action != "skip" for step in steps)
        self._done = 0
        self._tasks: dict[str, TaskID] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            console=output,
        )

    def __enter__(self) -> SweepProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._bar.stop()
        if kind in (KeyboardInterrupt, SystemExit):
            errors.print("Stopped. The same command goes on from here.")

    def watch(self, step: Step, run: Run | None, outcome: Outcome | None) -> None:
        """Move a step's line, or replace it by what came out."""
        task = self._tasks.get(step.run.id)
        if task is None:
            task = self._bar.add_task(step.run.id, total=step.run.config.epochs, state="starting")
            self._tasks[step.run.id] = task
        if outcome is None:
            done = len(run.history) if run is not None else 0
            state = f"epoch {done}/{step.run.config.epochs}" if run is not None else "starting"
            self._bar.update(task, completed=done, state=state)
            return
        self._bar.remove_task(task)
        self._done += 1
        self._bar.console.print(
            f"{self._done}/{self._todo} {step.run.id}: {_ending(run, outcome)}", highlight=False
        )


def _planned_steps(
    base: dict[str, object],
    methods: str,
    seeds: str,
    settings: Sequence[str],
    prefix: str,
    root: Path,
) -> list[Step]:
    planned = plan_sweep(
        base, _split(methods), _integers(seeds), _settings(settings), prefix=prefix
    )
    return [next_step(run, existing_run(run.id, root)) for run in planned]


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _integers(text: str) -> list[int]:
    try:
        return [int(item) for item in _split(text)]
    except ValueError:
        raise invalid("--seeds", "integers with commas between, such as 0,1,2", text) from None


def _settings(typed: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in typed:
        name, equals, values = item.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise invalid("--set", "NAME=VALUE or NAME=VALUE,VALUE", item)
        if name in found:
            raise ArgumentError(f"--set {name} is given twice; name its values in one.")
        found[name] = _split(values)
    return found


def _prefix(config: Path | None, recipe: str | None, scale: str | None) -> str:
    if recipe is not None:
        return f"{recipe}-{scale}" if scale == "small" else recipe
    assert config is not None
    # A run.json is told apart by its directory, which is the run's name.
    return config.resolve().parent.name if config.name == "run.json" else config.stem


def _ending(run: Run | None, outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"[red]failed[/] {escape(outcome.error)}"
    accuracy = run.info.summary.get("test", {}).get("accuracy") if run is not None else None
    return "finished" if accuracy is None else f"finished, test accuracy {accuracy:.2%}"


def _summarize(steps: Sequence[Step], outcomes: Sequence[Outcome], root: Path) -> None:
    """Print the counts and the failures; exit with 1 if there is any."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    skipped = Counter(step.reason for step in steps if step.action == "skip")
    parts = ["Nothing to do"]
    if outcomes:
        parts = [f"{len(outcomes) - len(failed)} of {len(outcomes)} trainings finished"]
    if skipped["finished"]:
        parts.append(f"{skipped['finished']} had finished before")
    if skipped["running"]:
        parts.append(f"{skipped['running']} left to the processes that train them now")
    output.print("; ".join(parts) + ".", highlight=False)
    for outcome in failed:
        log = root / "_logs" / f"{outcome.id}.log"
        errors.print(
            f"[red]{outcome.id}:[/] {escape(str(outcome.error))}  See {escape(str(log))}",
            highlight=False,
            soft_wrap=True,
        )
    if failed:
        raise typer.Exit(1)


def _terminated(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
