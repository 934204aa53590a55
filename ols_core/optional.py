"""Packages that only some parts need: imported where they are used, missed with a sentence."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ols_core.errors import OLSError

__all__ = ["MissingPackageError", "require"]


class MissingPackageError(OLSError, ImportError):
    """A package that this part needs is not installed."""


def require(name: str, purpose: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        The module.
    purpose : str
        What it is needed for, as the beginning of a sentence.
    extra : str
        The extra of this package that installs it.

    Raises
    ------
    MissingPackageError
        If the package is not installed; the message says how to install it.

    Examples
    --------
    >>> require("no_such_package", "Reading tea leaves", "tea")
    Traceback (most recent call last):
    ...
    ols_core.optional.MissingPackageError: Reading tea leaves needs the package no_such_package, \
which is not installed: pip install 'ols-core[tea]'.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # installed, but something that it needs itself is not
        raise MissingPackageError(
            f"{purpose} needs the package {package}, which is not installed: "
            f"pip install 'ols-core[{extra}]'."
        ) from None
