"""How far a library has come with a layout, heard from what it prints about it."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, TypeAlias

__all__ = ["Progress", "hear_tsne", "stage", "tqdm_settings"]

Progress: TypeAlias = Callable[[float], None]
"""Called with the share in [0, 1] that is done."""

_COUNT = re.compile(r"(\d+)/(\d+)")
_ITERATION = re.compile(r"\[t-SNE\] Iteration (\d+):")


def stage(progress: Progress | None, index: int, count: int) -> Progress | None:
    """Progress of one of `count` stages of about the same length; the first has index 0."""
    if progress is None:
        return None
    return lambda share: progress((index + share) / count)


def tqdm_settings(progress: Progress | None) -> dict[str, Any]:
    """Settings for tqdm, with which UMAP counts its epochs, that make it tell `progress`."""
    if progress is None:
        return {"disable": True}
    # with a fixed miniters the bar is never refreshed from tqdm's own thread
    form = "{n_fmt}/{total_fmt}"
    return {"disable": False, "file": _Bar(progress), "bar_format": form, "miniters": 1}


@contextmanager
def hear_tsne(progress: Progress | None, n_iterations: int) -> Iterator[int]:
    """Tell `progress` of the iterations of scikit-learn's t-SNE; yields the `verbose` to set.

    Its only way to tell of them is to print every fiftieth. What others print meanwhile is passed
    on to standard output.
    """
    if progress is None:
        yield 0
        return
    with redirect_stdout(_Listener(sys.stdout, progress, n_iterations)):
        yield 2


class _Bar(io.TextIOBase):
    """A file that hears the counts of a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str, /) -> int:
        for done, total in _COUNT.findall(text):
            self._progress(int(done) / int(total))
        return len(text)


class _Listener(io.TextIOBase):
    """A standard output that keeps what t-SNE prints to itself."""

    def __init__(self, passed_on: TextIO, progress: Progress, n_iterations: int) -> None:
        self._passed_on = passed_on
        self._progress = progress
        self._n_iterations = n_iterations
        self._line = ""

    def write(self, text: str, /) -> int:
        if text.startswith("[t-SNE]"):
            self._line = text
        elif self._line and text == "\n":  # `print` writes the end of the line by itself
            line, self._line = self._line, ""
            if found := _ITERATION.match(line):
                self._progress(min(1.0, int(found[1]) / self._n_iterations))
        else:
            self._passed_on.write(text)
        return len(text)

    def flush(self) -> None:
        self._passed_on.flush()
