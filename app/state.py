"""Choices that outlive a page: the chosen runs, and what the URL carries.

The only user of session state and query parameters, but for components, which hold their own state.
"""

from __future__ import annotations

import os
from typing import Any

import streamlit as st

from app.scan import scan, signature
from ols_core.runs import Run

__all__ = [
    "MAX_RUNS",
    "choose",
    "choose_runs",
    "chosen",
    "chosen_runs",
    "in_url",
    "kept",
    "link_number",
    "linked_number",
    "missing_runs",
    "open_dialog",
    "opened_dialog",
    "read_only",
    "remember",
    "remembered",
    "watch_runs",
]

MAX_RUNS = 6
_METHOD_ORDER = ("ce", "ls", "ols")
_WATCH_SECONDS = 5


def read_only() -> bool:
    """Whether the dashboard must not write: `OLS_READ_ONLY` is set, and not to 0."""
    return os.environ.get("OLS_READ_ONLY", "0") not in ("", "0")


def in_url(key: str) -> dict[str, Any]:
    """Widget arguments that keep its value in the URL, and over page changes."""
    return {"key": key, "bind": "query-params"}


def kept(key: str, initial: Any) -> dict[str, Any]:
    """Widget arguments that keep its value over page changes, and out of the URL."""
    st.session_state.setdefault(key, initial)
    return {"key": key, "persist_state": "session"}


def linked_number(key: str) -> int | None:
    """Return a whole number that the URL carries, or did before another page was visited."""
    text = st.query_params.get(key, st.session_state.get(f"_linked_{key}", ""))
    return int(text) if text.isdecimal() else None


def link_number(key: str, value: int | None) -> None:
    """Let the URL carry a number that no widget holds; None takes it out."""
    if value is not None:
        # Streamlit clears the URL of what belongs to no widget when the page changes.
        st.query_params[key] = st.session_state[f"_linked_{key}"] = str(value)
        return
    st.session_state.pop(f"_linked_{key}", None)
    if key in st.query_params:
        del st.query_params[key]


def chosen(key: str) -> Any:
    """Value of a widget, for its callback."""
    return st.session_state.get(key)


def choose(key: str, value: Any) -> None:
    """Set a widget that is drawn later in this run."""
    st.session_state[key] = value


def open_dialog(name: str | None) -> None:
    """Say which dialog is open: it stays so when the page is drawn again. None closes it."""
    st.session_state["_dialog"] = name


def opened_dialog() -> str | None:
    """Name of the dialog that is open."""
    name: str | None = st.session_state.get("_dialog")
    return name


def remember(name: str, value: Any) -> None:
    """Keep what happened, so that redrawing the page does not take its message away."""
    st.session_state[f"_remembered_{name}"] = value


def remembered(name: str) -> Any:
    """Return what was remembered last under a name, or None."""
    return st.session_state.get(f"_remembered_{name}")


def choose_runs(runs: list[Run]) -> None:
    """Draw the one control that says which runs all pages show."""
    known = {run.id for run in runs}
    chosen = st.session_state.get("runs")
    if chosen is None:
        remember("linked_runs", st.query_params.get_all("runs"))
    if chosen is None and "runs" not in st.query_params:
        # A widget's own default is never written to the URL: a first visit sets both.
        st.session_state["runs"] = st.query_params["runs"] = _first_choice(runs)
    elif chosen is not None and not known.issuperset(chosen):
        st.session_state["runs"] = [run_id for run_id in chosen if run_id in known]
    st.multiselect(
        "Runs to show",
        [run.id for run in runs],
        max_selections=MAX_RUNS,
        placeholder="Choose one or more",
        help=f"Up to {MAX_RUNS} runs; the choice holds on every page.",
        on_change=lambda: remember("linked_runs", []),
        **in_url("runs"),
    )


def missing_runs() -> list[str]:
    """Runs that the link to this page names, and that are not here."""
    known = {run.id for run in scan().runs}
    return [name for name in remembered("linked_runs") or [] if name and name not in known]


def chosen_runs() -> list[Run]:
    """Return the chosen runs, in the order they were chosen."""
    by_id = {run.id: run for run in scan().runs}
    return [by_id[run_id] for run_id in st.session_state.get("runs", []) if run_id in by_id]


def _first_choice(runs: list[Run]) -> list[str]:
    """Newest run with predictions, and those beside it on the same test labels."""
    listed = [run for run in runs if not run.info.archived] or runs
    evaluated = [run for run in listed if "test" in run.info.summary] or listed
    labels = evaluated[0].info.dataset.fingerprints.get("test")
    peers = [r for r in evaluated if r.info.dataset.fingerprints.get("test") == labels]

    def by_method(run: Run) -> int:
        method = run.info.method
        return _METHOD_ORDER.index(method) if method in _METHOD_ORDER else len(_METHOD_ORDER)

    return [run.id for run in sorted(peers[:MAX_RUNS], key=by_method)]


@st.fragment(run_every=_WATCH_SECONDS)
def watch_runs() -> None:
    """Redraw the page soon after a run has appeared, changed or gone, or the page turned dark.

    Not while a dialog is open: what it says would go with it.
    """
    if opened_dialog() is not None:
        return
    # Streamlit tells the theme with the next event only, so that a switch is noticed here.
    seen = (signature(), st.context.theme.type)
    if st.session_state.setdefault("_seen", seen) != seen:
        st.session_state["_seen"] = seen
        st.rerun()
