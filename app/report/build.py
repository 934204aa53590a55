"""Puts the sections of a report together."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from app.charts.theme import RUN_COLORS
from app.predictions import Choices
from app.report.calibration import calibration
from app.report.content import Missing, Report, Section
from app.report.embeddings import embeddings
from app.report.overview import overview
from app.report.similarity import similarity
from app.report.soft_labels import soft_labels
from ols_core import __version__
from ols_core.checks import invalid
from ols_core.errors import OLSError
from ols_core.runs import Run

__all__ = ["MAX_RUNS", "build_report"]

MAX_RUNS = len(RUN_COLORS)
"""Runs that have a colour of their own."""
_CHOICES = Choices(n_bins=15, scheme="equal-width", scaled=False)


def build_report(runs: Sequence[Run]) -> Report:
    """Find all that there is to say about some runs.

    What a run does not hold is said in a sentence; a part that is damaged takes the place of its
    section with the reason.

    Parameters
    ----------
    runs : sequence of Run
        From 1 to `MAX_RUNS`, each once.

    Raises
    ------
    ArgumentError
        If there are none, too many, or one of them is there twice.
    """
    ids = tuple(run.id for run in runs)
    if not 1 <= len(ids) <= MAX_RUNS or len(set(ids)) < len(ids):
        raise invalid("RUN", f"1 to {MAX_RUNS} different runs", list(ids))
    sections = (
        _section("Overview", lambda: overview(runs, _CHOICES)),
        _section("Soft labels", lambda: soft_labels(runs)),
        _section("Similarity", lambda: similarity(runs)),
        _section("Calibration", lambda: calibration(runs, _CHOICES)),
        _section("Embeddings", lambda: embeddings(runs)),
    )
    packages = ("numpy", "scipy", "plotly")
    versions = (
        ("ols-core", __version__),
        *((name, version(name)) for name in packages),
        ("Python", platform.python_version()),
    )
    return Report(datetime.now(UTC), ids, versions, sections)


def _section(title: str, make: Callable[[], Section]) -> Section:
    try:
        return make()
    except OLSError as error:
        return Section(title, (Missing(str(error)),))
