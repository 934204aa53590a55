"""The `ols` command: one module a verb, registered in `ols_core.cli.app`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; see `ols_core.cli.app.main`."""
    try:
        # Here, since importing takes long enough for a Ctrl-C.
        from ols_core.cli import app

        app.main()
    except KeyboardInterrupt:
        sys.exit(130)
