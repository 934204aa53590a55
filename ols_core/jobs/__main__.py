"""`python -m ols_core.jobs ROOT DESCRIPTOR`: the process that `ensure_runner` starts."""

from __future__ import annotations

import sys
from pathlib import Path

from ols_core.jobs.runner import main

main(Path(sys.argv[1]), int(sys.argv[2]))
