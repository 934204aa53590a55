"""Which images make up each batch, and which of them one process of several serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ols_core.checks import check_integer, invalid

__all__ = ["BatchPlan", "Part"]


class Part(NamedTuple):
    """What one process serves of one batch.

    Attributes
    ----------
    batch : Tensor of shape (B,), int64
        Positions of the images of the batch; in training the same on every rank, so that random
        numbers drawn for all B rows agree.
    rows : slice
        The rows of `batch` that this rank serves.
    share : float
        Number of images that this rank serves, divided by the mean over the ranks.
    """

    batch: Tensor
    rows: slice
    share: float


@dataclass(frozen=True)
class BatchPlan:
    """Batches of one pass over `n_samples` images, dealt out to `world` processes.

    With `shuffle`, all ranks draw one order, cut it into batches, and rank r serves the rows
    r, r + world, … of each: together they see what a single process sees. A last batch that would
    leave a process with fewer than two images joins the one before it: batch normalisation cannot
    train on a single value, and each process must take part in every step.

    Without `shuffle`, rank r serves the r-th of `world` contiguous parts, as equal as can be (as
    `numpy.array_split` cuts): every image once. The number of batches may then differ by one.

    Attributes
    ----------
    n_samples : int
        Images of all ranks together.
    batch_size : int
        With `shuffle`, images a batch of all ranks together; without, of this rank.
    shuffle : bool
    rank, world : int
        This process and the number of processes.

    Raises
    ------
    ArgumentError
        If `rank` is not in [0, world), or a shuffled batch cannot reach every process.

    Examples
    --------
    >>> plan = BatchPlan(n_samples=7, batch_size=3, shuffle=False, rank=1, world=2)
    >>> [part.batch.tolist() for part in plan.parts(torch.Generator())]
    [[4, 5, 6]]
    """

    n_samples: int
    batch_size: int
    shuffle: bool
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        check_integer("batch_size", self.batch_size, 1)
        check_integer("world", self.world, 1)
        check_integer("rank", self.rank, 0)
        if self.rank >= self.world:
            raise invalid("rank", f"below the number of processes, {self.world}", self.rank)
        if self.shuffle and self.batch_size < self.world:
            raise invalid(
                "batch_size",
                f"at least the number of processes, {self.world}",
                self.batch_size,
                "Enlarge it, or train with fewer processes.",
            )
        if self.shuffle and self.n_samples < self.world:
            raise invalid(
                "the number of training images",
                f"at least the number of processes, {self.world}",
                self.n_samples,
                "Train with fewer processes.",
            )

    def __len__(self) -> int:
        if self.shuffle:
            full, rest = divmod(self.n_samples, self.batch_size)
            return max(1, full + (rest >= 2 * self.world))
        return -(-self._n_contiguous // self.batch_size)

    @property
    def _n_contiguous(self) -> int:
        """Number of images in this rank's contiguous part."""
        return self.n_samples // self.world + (self.rank < self.n_samples % self.world)

    def parts(self, random: torch.Generator) -> Iterator[Part]:
        """Yield the batches of one epoch.

        Parameters
        ----------
        random : torch.Generator
            On the CPU, in the same state on all ranks. With `shuffle`, one permutation is drawn
            from it before the first part; without, nothing.
        """
        if self.shuffle:
            served = torch.randperm(self.n_samples, generator=random)
            rows = slice(self.rank, None, self.world)
        else:
            served = torch.tensor_split(torch.arange(self.n_samples), self.world)[self.rank]
            rows = slice(None)
        starts = [i * self.batch_size for i in range(len(self))]
        for batch in torch.tensor_split(served, starts[1:]) if starts else ():
            n_all = len(batch) if self.shuffle else self.n_samples
            n_mine = len(batch[rows]) if self.shuffle else len(served)
            yield Part(batch, rows, n_mine * self.world / n_all)
