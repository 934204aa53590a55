"""Trainings that wait for their turn: a queue of files, and the process that works it off.

Nothing here loads torch; every training is a process of its own.
"""

from __future__ import annotations

from ols_core.jobs.command import command_line, option_text, train_arguments
from ols_core.jobs.job import Job, JobStatus
from ols_core.jobs.logs import tail
from ols_core.jobs.preflight import DATASETS, DOWNLOADABLE, NETWORKS, check_startable
from ols_core.jobs.queue import Queue, is_resumable
from ols_core.jobs.runner import ensure_runner

__all__ = [
    "DATASETS",
    "DOWNLOADABLE",
    "NETWORKS",
    "Job",
    "JobStatus",
    "Queue",
    "check_startable",
    "command_line",
    "ensure_runner",
    "is_resumable",
    "option_text",
    "tail",
    "train_arguments",
]
