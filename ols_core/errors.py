"""Exceptions of the package: one base class, and the standard class that callers already catch."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "DataError",
    "OLSError",
    "RunError",
    "RunNotFoundError",
    "TrainingError",
    "one_line",
]


class OLSError(Exception):
    """Base of every error that this package raises on purpose.

    The message names the argument or the file, what was expected, what came, and the remedy,
    in words that can be shown to a user as they are.
    """


class ArgumentError(OLSError, ValueError):
    """An argument or a configuration value is not acceptable."""


class DataError(OLSError):
    """A data set is absent, incomplete or unreadable."""


class RunError(OLSError):
    """A run directory is damaged, incomplete or in the wrong state."""


class RunNotFoundError(RunError, FileNotFoundError):
    """No run of that id exists below the root."""


class TrainingError(OLSError):
    """Training cannot go on, for example because the loss is not finite."""


def one_line(error: Exception) -> str:
    """First line of what went wrong, with its kind unless it is a sentence of this package.

    Examples
    --------
    >>> one_line(RunError("It is gone.")), one_line(ValueError("bad"))
    ('It is gone.', 'ValueError: bad')
    """
    cause = str(error).splitlines()[0] if str(error) else ""
    return cause if isinstance(error, OLSError) else f"{type(error).__name__}: {cause}"
