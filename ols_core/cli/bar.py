"""A progress bar for work that is not a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ols_core.cli.common import output

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(stage: str) -> Iterator[Callable[[str, float], None]]:
    """Show a bar; yields what moves it, by what is being done and the share that is done.

    Until it moves, `stage` says what is being done. The terminal is restored however the work ends.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=output, transient=True) as bar:
        task = bar.add_task(stage, total=None)
        yield lambda stage, share: bar.update(task, description=stage, completed=share, total=1.0)
