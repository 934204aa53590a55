"""Start trainings, watch them, stop them, and go on with them."""

from __future__ import annotations

import streamlit as st

from app.scan import root
from app.views.train_form import draw_form
from app.views.train_progress import draw_progress
from ols_core.jobs import Queue


def page() -> None:
    """Draw the form of a new training beside the progress of those in the queue."""
    is_active = any(job.is_active for job in Queue(root()).jobs())
    left, right = st.columns([2, 3], gap="large")
    with left:
        draw_form(is_active)
    with right:
        draw_progress(is_active)


page()
