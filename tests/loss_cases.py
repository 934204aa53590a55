"""What the tests of the losses share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on a busy machine are many times slower with several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch(seed: int, n: int, k: int, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of which about half are right; the last class never is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, k, n)
    logits = random.normal(size=(n, k)).astype(np.float32) * scale
    logits[np.arange(n), labels] += np.where(labels == k - 1, -50, scale).astype(np.float32)
    return torch.from_numpy(logits), torch.from_numpy(labels)


def random_matrix(k: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(k, k, generator=torch.Generator().manual_seed(seed)).softmax(1)
