"""Adding the rows of a batch to rows of a matrix: exact for many, fast when compiled."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["add_rows"]


def add_rows(sums: Tensor, slot: Tensor, rows: Tensor) -> None:
    """Add each row of `rows` to a row of `sums`, in place.

    Parameters
    ----------
    sums : Tensor of shape (M, K)
        float32.
    slot : Tensor of shape (N,)
        int64 in [0, M): the row of `sums` that each row is added to.
    rows : Tensor of shape (N, K)
        float32.

    Examples
    --------
    >>> sums = torch.zeros(2, 3)
    >>> add_rows(sums, torch.tensor([1, 1]), torch.ones(2, 3))
    >>> sums
    tensor([[0., 0., 0.],
            [2., 2., 2.]])
    """
    n_groups = slot.shape[0] // (16 * sums.shape[1])
    if n_groups > 0:
        _add_in_groups(sums, slot, rows, n_groups)
    elif torch.compiler.is_dynamo_compiling() and rows.is_cpu and _n_threads() > 1:
        _add_without_contention(sums, slot, rows)
    else:
        sums.index_add_(0, slot, rows)


def _add_in_groups(sums: Tensor, slot: Tensor, rows: Tensor, n_groups: int) -> None:
    """Sum up small groups first: thousands of rows one by one would cost float32 its last digits.

    So many samples a class are in batches of pixels, and in those of few classes.
    """
    shape = (n_groups, *sums.shape)
    group = torch.arange(len(slot), device=slot.device) % n_groups
    grouped = rows.new_zeros(shape).flatten(0, 1)
    grouped.index_add_(0, group * len(sums) + slot, rows)
    sums.add_(grouped.view(shape).sum(0))


def _add_without_contention(sums: Tensor, slot: Tensor, rows: Tensor) -> None:
    """Add the rows under `torch.compile`, with several threads on the CPU.

    There the compiler makes an atomic addition of every number, and the threads wait for each
    other. A loop over less than 512 numbers a thread it leaves to one thread. Many such loops cost
    more than an operator that it leaves whole: `benchmarks/loss.py` at (128, 10) and (128, 100).
    """
    if rows.numel() > 2**12:
        torch.ops.ols_core.add_rows(sums, slot, rows)
        return
    n_parts = rows.numel() // 1024 + 1
    for some_slots, some_rows in zip(slot.chunk(n_parts), rows.chunk(n_parts), strict=True):
        sums.index_add_(0, some_slots, some_rows)


# the compiler builds upon the number too, and guards it
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator] # as torch has it
def _n_threads() -> int:
    return torch.get_num_threads()


torch.library.define("ols_core::add_rows", "(Tensor(a!) sums, Tensor slot, Tensor rows) -> ()")


@torch.library.impl("ols_core::add_rows", "CPU")
def _add_rows(sums: Tensor, slot: Tensor, rows: Tensor) -> None:
    sums.index_add_(0, slot, rows)


@torch.library.register_fake("ols_core::add_rows")  # type: ignore[untyped-decorator] # as torch has it
def _add_no_rows(sums: Tensor, slot: Tensor, rows: Tensor) -> None:
    """Tell the compiler that nothing is returned."""
