"""Two-dimensional layouts of a run's test features, stored with the run so that none is made twice.

File `projections/<method>.npz`: `indices` (n,) int64 into the test split, `coordinates` (n, 2)
float32, and `parameters`, a JSON text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ols_core.analysis.embedding import ProjectionMethod, project, stratified_sample
from ols_core.checks import check_choice
from ols_core.errors import RunError
from ols_core.run_writer import write_atomically
from ols_core.runs import Run

__all__ = ["METHODS", "StoredProjection", "compute_projection", "load_projection"]

METHODS = ("umap", "tsne", "pca")


@dataclass(frozen=True)
class StoredProjection:
    """A layout as it is on disk; see the module's description."""

    file: Path
    indices: npt.NDArray[np.int64]
    coordinates: npt.NDArray[np.float32]
    parameters: dict[str, Any]


def compute_projection(
    run: Run, method: str = "umap", samples: int = 3000, seed: int = 0
) -> StoredProjection:
    """Project a stratified sample of the test features and store the result.

    Parameters
    ----------
    run : Run
        Must hold test features.
    method : {"umap", "tsne", "pca"}
    samples : int
        At most so many images.
    seed : int
        Draws the sample and drives the projection.

    Raises
    ------
    ArgumentError
        If the method is unknown.
    RunError
        If the run has no test features.
    """
    check_choice("method", method, METHODS)
    labels = run.labels("test")
    indices = stratified_sample(labels, min(samples, len(labels)), seed)
    layout = project(run.features("test")[indices], cast(ProjectionMethod, method), seed)
    file = _file(run, method)
    parameters = {"method": method, "samples": len(indices), **layout.parameters}
    content: dict[str, Any] = {
        "indices": indices,
        "coordinates": layout.coordinates,
        "parameters": np.array(json.dumps(parameters)),
    }
    write_atomically(file, lambda stream: np.savez_compressed(stream, **content))
    return StoredProjection(file, indices, layout.coordinates, parameters)


def load_projection(run: Run, method: str) -> StoredProjection | None:
    """Read a stored layout, or None if it has not been computed.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    file = _file(run, method)
    try:
        with np.load(file, allow_pickle=False) as content:
            parameters = json.loads(str(content["parameters"]))
            return StoredProjection(file, content["indices"], content["coordinates"], parameters)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise RunError(f"{file} is damaged ({error}); delete it and compute it again.") from None


def _file(run: Run, method: str) -> Path:
    return run.path / "projections" / f"{method}.npz"
