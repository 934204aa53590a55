"""The page of an empty folder of runs."""

from __future__ import annotations

import streamlit as st

from app import state
from app.scan import root, root_option


def page() -> None:
    """Show the one command that makes a first run."""
    st.write(
        f"There are no runs in `{root()}` yet. This command trains a small network on "
        "scikit-learn's digits, in less than a minute on a laptop, without any download:"
    )
    command = f".venv/bin/ols train --dataset digits --method ols --epochs 10{root_option()}"
    st.code(command, language="bash")
    if not state.read_only():
        st.write("The page Train starts it without a terminal, and Import takes predictions.")
    st.write("This page shows the run as soon as it has begun; nothing has to be restarted.")


page()
