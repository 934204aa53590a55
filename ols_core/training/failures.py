"""What torch or the operating system stopped a training with, in a sentence with a remedy."""

from __future__ import annotations

from pathlib import Path

import torch

from ols_core.config import TrainConfig
from ols_core.errors import OLSError, TrainingError, one_line
from ols_core.remedies import typed_command

__all__ = ["explain_failure"]


def explain_failure(error: Exception, run: Path, config: TrainConfig) -> Exception:
    """Put a failure into one line, with its remedy.

    Parameters
    ----------
    error : Exception
    run : Path
        Directory of the run.
    config : TrainConfig

    Returns
    -------
    Exception
        A `TrainingError` in place of an `OSError` or a `RuntimeError`; any other as it is.

    Examples
    --------
    >>> full = OSError(28, "No space left on device", "mine/a/run.json")
    >>> print(explain_failure(full, Path("mine/a"), TrainConfig()))
    mine/a/run.json: No space left on device. Solve that, then: ols resume a --root mine
    """
    resume = typed_command("resume", run.name, root=run.parent)
    if isinstance(error, OLSError):
        return error
    if isinstance(error, OSError):
        place, what = error.filename or run, error.strerror or one_line(error)
        return TrainingError(f"{place}: {what}. Solve that, then: {resume}")
    if not isinstance(error, RuntimeError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        remedy = "Train with a lower --batch-size, or with its images in parts: --accumulate."
    elif config.compile:
        remedy = "If it is the compiler that failed, train without --compile."
    else:
        remedy = f"Solve that, then: {resume}"
    return TrainingError(f"{one_line(error).rstrip('.')}. {remedy}")
