"""How the trainings of the queue come along: what runs, what waits, what can be resumed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.scan import root, scan
from app.views.train_live import draw_job, resume
from ols_core.errors import OLSError
from ols_core.jobs import Job, Queue, ensure_runner, is_resumable
from ols_core.runs import Run

__all__ = ["draw_progress"]

_REFRESH = 2.0  # seconds
_MANY = 6  # rows: more of them scroll
_SCROLLED = 280  # pixels


def draw_progress(is_active: bool) -> None:
    """Draw the queue; again every other second, if something is in it."""
    st.fragment(_draw, run_every=_REFRESH if is_active else None)(is_active)


def _draw(was_active: bool) -> None:
    try:
        queue = Queue(root())
        jobs = queue.jobs()
        if was_active and not any(job.is_active for job in jobs):
            st.rerun()  # the whole page: there is nothing to watch any more
        begun = [job for job in jobs if job.status != "waiting"]
        queued = {job.run_id for job in jobs if job.is_active}
        st.subheader("Progress")
        if begun:
            running = [job for job in begun if job.status == "running"]
            shown = _pick(running) if len(running) > 1 else [*begun, *running][-1]
            draw_job(queue, shown, shown.run_id in queued)
            queued.add(shown.run_id)
        else:
            st.info("Nothing was started from here yet.", icon=":material/info:")
        _draw_waiting(queue, [job for job in jobs if job.status == "waiting"])
        _draw_resumable(queue, [run for run in scan().runs if run.id not in queued])
        _draw_ended([job for job in begun if job.status != "running"])
    except OLSError as error:
        st.error(str(error), icon=":material/error:")


def _pick(running: Sequence[Job]) -> Job:
    """Let the user pick which of several trainings at work to look at."""
    by_run = {job.run_id: job for job in running}
    ids = list(by_run)
    picked: str = st.segmented_control(
        "Running now", ids, default=ids[0], required=True, key="train_shown"
    )
    return by_run[picked]


def _draw_waiting(queue: Queue, waiting: Sequence[Job]) -> None:
    if not waiting:
        return
    st.subheader("Queue")
    if not queue.has_runner():
        st.warning(
            "Nothing works off the queue: the machine was restarted, or the process was ended.",
            icon=":material/warning:",
        )
        if st.button("Start the queue"):
            ensure_runner(root())
            st.rerun()
    for place, job in enumerate(waiting, 1):
        if _row(f"{place}. {job.run_id}", "Remove", f"train_remove_{job.number}"):
            queue.remove(job.number)
            st.rerun()


def _draw_resumable(queue: Queue, candidates: Sequence[Run]) -> None:
    """List the runs that were trained in part, wherever they were started."""
    runs = [run for run in candidates if is_resumable(run)]
    if not runs:
        return
    st.subheader("To be resumed")
    with st.container(height=_SCROLLED if len(runs) > _MANY else "content", border=False):
        for run in runs:
            if _row(
                f"{run.id}: {run.status} after epoch {len(run.history)}",
                "Resume",
                f"train_resume_{run.id}",
            ):
                resume(queue, run.id)


def _row(text: str, action: str, key: str) -> bool:
    """Draw a line of text with a button; returns whether that was clicked."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(text, width="stretch")
        return st.button(action, key=key)


def _draw_ended(ended: Sequence[Job]) -> None:
    if not ended:
        return
    with st.expander("Earlier trainings"):
        rows = [
            {
                "Run": job.run_id,
                "Started as": job.arguments[0],
                "Ended": job.status,
                "Cause": job.error or "",
                "Submitted": pd.Timestamp(job.submitted),
            }
            for job in reversed(ended)
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trainings that have ended")
