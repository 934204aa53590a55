"""`python -m ols_core.cli` is the `ols` command."""

from ols_core.cli import main

main()
