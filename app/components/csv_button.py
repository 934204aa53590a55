"""A button that saves a table, with names and numbers that stand for themselves."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import streamlit as st

__all__ = ["csv_button"]


def csv_button(data: Callable[[], pd.DataFrame], name: str, key: str) -> None:
    """Draw a button that saves what `data` returns; it is made when it is asked for.

    `name` is that of the file, without its ending; what does not belong into one becomes a hyphen.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    st.download_button(
        ":small[CSV table]",
        lambda: data().to_csv(index=False),
        f"{stem}.csv",
        "text/csv",
        key=key,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
