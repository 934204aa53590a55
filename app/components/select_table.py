"""A table whose selected rows follow a choice that is made elsewhere too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    from streamlit.elements.arrow import DataframeStateInput

__all__ = ["select_table"]


def select_table(
    table: pd.DataFrame,
    names: Sequence[str],
    selected: Collection[str],
    on_select: Callable[[list[str]], None],
    *,
    key: str,
    **options: Any,
) -> None:
    """Draw a table with these rows selected, and report when the user selects others.

    Whatever `on_select` makes of it decides which rows are selected next: the table has no choice
    of its own. It is told of clicks only, so that the two cannot chase one another.

    Parameters
    ----------
    table : DataFrame
    names : sequence of str
        What each row is known by. Other names, or another order of them, make another table: the
        browser tells positions, and what it tells late must not be taken for other rows.
    selected : collection of str
        Names of the selected rows; those that are not in the table do not matter.
    on_select : callable
        Called, before the page is drawn again, with the names of the rows that are selected now.
    key : str
        Of the element.
    **options
        Further arguments of `st.dataframe`.
    """
    rows = [row for row, name in enumerate(names) if name in selected]
    state: DataframeStateInput = {"selection": {"rows": rows, "columns": [], "cells": []}}
    key = f"{key}-{hash(tuple(names))}"

    def report() -> None:
        now = st.session_state[key].selection.rows
        # The browser also reports rows that were selected for it.
        if set(now) != set(rows):
            on_select([names[row] for row in now])

    held = st.session_state.get(key)
    if held is not None and set(held["selection"]["rows"]) != set(rows):
        st.session_state[key] = state
    st.dataframe(
        table,
        key=key,
        on_select=report,
        selection_mode="multi-row",
        selection_default=state,
        hide_index=True,
        **options,
    )
