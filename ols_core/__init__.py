"""Online Label Smoothing: losses, training, run directories and analysis.

Importing this package loads neither torch nor umap: names that need them, or that take long to
load, are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ols_core.errors import OLSError
from ols_core.runs import Run, list_runs, load_run

if TYPE_CHECKING:
    from ols_core.config import TrainConfig
    from ols_core.losses import OnlineLabelSmoothingLoss, build_loss
    from ols_core.recorder import RunRecorder
    from ols_core.training import resume, train

__version__ = "0.1.0"

__all__ = [
    "OLSError",
    "OnlineLabelSmoothingLoss",
    "Run",
    "RunRecorder",
    "TrainConfig",
    "__version__",
    "build_loss",
    "list_runs",
    "load_run",
    "resume",
    "train",
]

_LAZY = {
    "OnlineLabelSmoothingLoss": "ols_core.losses",
    "RunRecorder": "ols_core.recorder",
    "TrainConfig": "ols_core.config",
    "build_loss": "ols_core.losses",
    "resume": "ols_core.training",
    "train": "ols_core.training",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
