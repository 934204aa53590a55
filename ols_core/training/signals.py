"""Ctrl-C and SIGTERM while training or evaluating: finish the step at hand, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ols_core.data.batches import Batch, Batches

__all__ = ["StopSignals", "Watched"]


class StopSignals:
    """Notes SIGINT and SIGTERM inside its block; `check` acts on them.

    An exception that a handler raised inside of torch's C++ code could abort the process, so the
    handler only notes the signal. A second signal acts as it would without this class. Outside
    the main thread, where Python allows no handlers, the block does nothing.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    @property
    def received(self) -> bool:
        """Whether a signal came."""
        return self._received is not None

    def check(self) -> None:
        """Stop if a signal came.

        Raises
        ------
        KeyboardInterrupt
            After SIGINT.
        SystemExit
            After SIGTERM, with code 143.
        """
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        if self._received is not None:
            raise SystemExit(128 + self._received)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


class Watched:
    """Batches of one pass that end it when a signal came, and tell how far it is.

    Parameters
    ----------
    batches : Batches
    stop : StopSignals
    progress : callable, optional
        Called with the share of the images that are done, in [0, 1].
    """

    def __init__(
        self,
        batches: Batches,
        stop: StopSignals,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._batches = batches
        self._stop = stop
        self._progress = progress
        self.n_samples = batches.n_samples

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        done = 0
        for batch in self._batches:
            self._stop.check()
            yield batch
            done += len(batch.labels)
            if self._progress is not None:
                self._progress(done / self.n_samples)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the batches."""
        self._batches.set_epoch(epoch)
