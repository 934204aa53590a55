"""What permutation tests share: the permutations, a block at a time, and the p-value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ols_core.analysis._arrays import IntArray
from ols_core.checks import check_integer

__all__ = ["p_value", "permutation_blocks"]

# entries of a block of permutations: 8 MB, so that any number of permutations fits in memory
_BLOCK = 2**20


def permutation_blocks(n_permutations: int, size: int, seed: int) -> Iterator[IntArray]:
    """Draw permutations of ``range(size)``, as blocks of shape (some, size) that add up to all.

    The permutations depend on the seed and the size alone, not on how they are cut into blocks,
    and the first ones are the same however many are drawn.
    """
    check_integer("n_permutations", n_permutations, 1)
    check_integer("seed", seed, 0)
    random = np.random.default_rng(seed)
    rows = max(1, _BLOCK // size)
    for start in range(0, n_permutations, rows):
        count = min(rows, n_permutations - start)
        yield random.permuted(np.tile(np.arange(size), (count, 1)), axis=1)


def p_value(n_reached: int, n_permutations: int) -> float:
    """P-value where `n_reached` permutations came at least as far as the observation.

    The observation counts as one of the permutations, so the value is never 0 (Phipson and Smyth
    2010, "Permutation P-values should never be zero").
    """
    return (1 + n_reached) / (1 + n_permutations)
