"""Import predictions of any framework from a file: look at them first, then write a run.

`read_predictions` reads and checks, and writes nothing; `write_import` makes the run. Nothing that
is read is executed.
"""

from ols_core.importing._predictions import Kind, Predictions, read_predictions
from ols_core.importing._writing import suggested_id, write_import

__all__ = ["Kind", "Predictions", "read_predictions", "suggested_id", "write_import"]
