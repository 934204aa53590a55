"""Exceptions of the package: one base class, and the standard class that callers already catch."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "DataError",
    "OLSError",
    "RunError",
    "RunNotFoundError",
    "TrainingError",
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
