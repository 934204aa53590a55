from __future__ import annotations

from pathlib import Path

import pytest

from ols_core.config import TrainConfig
from ols_core.runs import Run

REPOSITORY = Path(__file__).resolve().parents[1]
EPOCHS = 10


@pytest.fixture(scope="session")
def digits_runs(tmp_path_factory) -> dict[str, Run]:
    """One real training on scikit-learn's digits a method."""
    from ols_core.training import train

    root = tmp_path_factory.mktemp("digits")
    return {
        method: train(TrainConfig(dataset="digits", method=method, epochs=EPOCHS), root)
        for method in ("ce", "ls", "ols")
    }
