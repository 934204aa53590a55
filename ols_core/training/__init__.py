"""Training: `train` a configuration into a run directory, `resume` an interrupted run."""

from ols_core.training.observer import Observer
from ols_core.training.trainer import resume, train

__all__ = ["Observer", "resume", "train"]
