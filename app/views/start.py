"""The page of an empty folder of runs."""

from __future__ import annotations

import streamlit as st

from app import state
from app.scan import root
from ols_core.remedies import typed_command


def page() -> None:
    """Show the one command that makes a first run."""
    st.write(
        f"There are no runs in `{root()}` yet. This command trains a small network on "
        "scikit-learn's digits, in less than a minute on a laptop, without any download:"
    )
    options = "train --dataset digits --method ols --epochs 10"
    st.code(f".venv/bin/{typed_command(*options.split(), root=root())}", language="bash")
    if not state.read_only():
        st.write("The page Train starts it without a terminal, and Import takes predictions.")
    st.write("This page shows the run as soon as it has begun; nothing has to be restarted.")


page()
