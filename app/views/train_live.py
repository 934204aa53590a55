"""One training of the queue as it comes along: progress, curves, soft labels and log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import cache
from app.charts.matrix import heatmap, make_axis
from app.charts.scale import scale_of
from app.components.figure import show_figure
from app.scan import root
from app.views.curves import draw_curves
from ols_core.analysis.soft_labels import hide_diagonal
from ols_core.errors import RunError
from ols_core.jobs import Job, Queue, ensure_runner, is_resumable, tail
from ols_core.runs import Run, load_run

__all__ = ["draw_job", "resume"]

_LOG_LINES = 30
_HEIGHT = 300  # pixels
_RECENT = 5  # epochs that tell how long one takes
_LARGEST = 200  # classes: a larger matrix is better looked at, once, on its own page


def draw_job(queue: Queue, job: Job, is_queued: bool) -> None:
    """Draw how far a job is, and what its run has recorded so far.

    Parameters
    ----------
    queue : Queue
    job : Job
        One that runs, with a button to stop it, or has ended, with one to resume it.
    is_queued : bool
        Whether its run waits to be resumed already.
    """
    run = None
    with suppress(RunError):
        run = load_run(job.run_id, root())
    if job.status == "running":
        _draw_running(queue, job, run)
    else:
        _draw_outcome(job, run)
        if run is not None:
            _draw_what_next(queue, run, is_queued)
    if run is not None and run.history:
        for title, column in zip(("Accuracy", "Training loss"), st.columns(2), strict=True):
            with column:
                draw_curves({run.id: run.history}, title, _HEIGHT, f"train_{title}")
        _draw_soft_labels(run)
    log = tail(queue.log_file(job), _LOG_LINES)
    if log:
        st.caption(f"The end of `{queue.log_file(job)}`")
        with st.container(height=_HEIGHT, autoscroll=True, border=False):
            st.code(log, language=None, wrap_lines=True)


def _draw_running(queue: Queue, job: Job, run: Run | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(*_progress(job, run))
        if st.button("Stop", icon=":material/stop:", disabled=job.stopping, key="train_stop"):
            queue.stop(job.number)
            st.rerun()


def _progress(job: Job, run: Run | None) -> tuple[float, str]:
    """Share that is done, and what is done now."""
    share, text = 0.0, "loading the data set and the network …"
    if run is not None and run.status == "running":
        n_done, n_epochs = len(run.history), run.info.config["epochs"]
        share = n_done / n_epochs
        text = "evaluating …" if n_done == n_epochs else f"epoch {n_done + 1} of {n_epochs}"
        seconds = [record["seconds"] for record in run.history[-_RECENT:] if "seconds" in record]
        if seconds and n_done < n_epochs:
            text += f", about {_duration(float(np.mean(seconds)) * (n_epochs - n_done))} left"
    if job.stopping:
        text = "stops after the step at hand …"
    return share, f"**{job.run_id}**: {text}"


def _duration(seconds: float) -> str:
    """Roughly how long, in the unit that suits.

    Examples
    --------
    >>> _duration(45), _duration(400), _duration(9000)
    ('45 s', '7 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _draw_outcome(job: Job, run: Run | None) -> None:
    after = f" after epoch {len(run.history)}" if run is not None else ""
    match job.status:
        case "finished":
            test = run.info.summary.get("test", {}) if run is not None else {}
            st.success(f"**{job.run_id}** is finished{_metrics(test)}.", icon=":material/check:")
        case "failed":
            st.error(f"**{job.run_id}** failed{after}: {job.error}", icon=":material/error:")
        case "interrupted":
            cause = job.error or "The process that trained it is gone."
            st.warning(
                f"**{job.run_id}** was interrupted{after}. {cause}", icon=":material/warning:"
            )
        case _:
            st.info(f"**{job.run_id}** was stopped{after}.", icon=":material/stop:")


def _draw_what_next(queue: Queue, run: Run, is_queued: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        offered = is_resumable(run) and not is_queued
        if offered and st.button("Resume", icon=":material/play_arrow:"):
            resume(queue, run.id)
        # In a tab of its own: the choice of runs in this one stays, and the training is in sight.
        st.link_button("Look at this run", f"./?runs={run.id}", icon=":material/open_in_new:")


def resume(queue: Queue, run_id: str) -> None:
    """Queue the rest of a training, and draw the page anew."""
    queue.submit_resume(run_id)
    ensure_runner(queue.root)
    st.rerun()


def _metrics(test: Mapping[str, float]) -> str:
    if not test:
        return ""
    return f": test accuracy {test['accuracy']:.2%}, ECE {test['ece']:.2%}"


def _draw_soft_labels(run: Run) -> None:
    """Draw the newest soft-label matrix, without the diagonal."""
    dataset, epoch = run.info.dataset, run.soft_label_epochs[-1]
    if run.n_classes > _LARGEST:
        st.info(
            f"The soft labels of {run.n_classes} classes are on the page of that name.",
            icon=":material/grid_on:",
        )
        return
    order = cache.class_orders(run, "superclass" if dataset.superclasses else "given")
    axis = make_axis(dataset.class_names, order, dataset.superclasses)
    shown = hide_diagonal(run.soft_labels(epoch))[np.ix_(order, order)]
    figure = heatmap(
        shown,
        axis,
        title=f"Soft labels after epoch {epoch}",
        quantity="mass",
        row="target class",
        column="class that receives the mass",
        scale=scale_of(shown, "log"),
        height=440,
    )
    show_figure(
        figure,
        key="train_soft_labels",
        alt=f"Soft labels of {run.id} after epoch {epoch}",
        name=f"{run.id}-soft-labels-{epoch}",
        data=lambda: _table(run, epoch),
    )


def _table(run: Run, epoch: int) -> pd.DataFrame:
    names = run.info.dataset.class_names
    matrix: Any = run.soft_labels(epoch)
    return pd.DataFrame(matrix, columns=names).assign(**{"target class": names})
