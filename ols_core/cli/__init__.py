"""The `ols` command: one module a verb, registered here."""

from ols_core.cli.app import main

__all__ = ["main"]
