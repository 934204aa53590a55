"""Independent random streams from one seed."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["derive_seed"]


def derive_seed(seed: int, stream: str, epoch: int = 0) -> int:
    """Seed of one component in one epoch.

    Since it depends on nothing that ran before, a resumed run draws the same numbers as one that
    was never interrupted.

    Examples
    --------
    >>> derive_seed(0, "batches", 1) == derive_seed(0, "batches", 1)
    True
    >>> derive_seed(0, "batches", 1) == derive_seed(0, "batches", 2)
    False
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), epoch])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
