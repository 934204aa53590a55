"""What can be done with the chosen runs: rename, tag, archive, and delete to the trash."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app import state
from app.scan import scan
from app.views.common import escaped
from ols_core.errors import OLSError
from ols_core.run_manager import MAX_NAME, TRASH, edit_run, trash_run
from ols_core.runs import Run

__all__ = ["draw_manage"]

_EDIT = "Rename and tag"
_ARCHIVE = "Archive"
_UNARCHIVE = "Take out of the archive"
_DELETE = "Delete"
_MENU = "manage"


def draw_manage(runs: Sequence[Run]) -> None:
    """Draw the menu of the chosen runs; nothing where the dashboard must not write."""
    if state.read_only():
        return
    archived = bool(runs) and all(run.info.archived for run in runs)
    st.menu_button(
        "Manage",
        [_EDIT, _UNARCHIVE if archived else _ARCHIVE, _DELETE],
        icon=":material/more_vert:",
        help="Rename, tag, archive or delete the runs that are shown.",
        disabled=not runs,
        # At once, and not where the script comes to the menu: it may be interrupted before.
        on_click=_act,
        args=(runs,),
        key=_MENU,
    )
    if not runs:  # they may be gone while a dialog is open
        state.open_dialog(None)
    dialog = state.opened_dialog()
    if dialog in _DIALOGS:
        _DIALOGS[dialog](runs)


def _act(runs: Sequence[Run]) -> None:
    action = state.chosen(_MENU)
    if action in _DIALOGS:
        state.open_dialog(action)
        return
    for problem in _each(runs, lambda run: edit_run(run, archived=action == _ARCHIVE)):
        st.toast(escaped(problem), icon=":material/error:", duration="long")


@st.dialog(_EDIT, width="medium", on_dismiss=lambda: state.open_dialog(None))
def _edit(runs: Sequence[Run]) -> None:
    """One row a run."""
    known = sorted({tag for run in scan().runs for tag in run.info.tags})
    with st.form("edit_runs", border=False):
        wanted = {run.id: _fields(run, known) for run in runs}
        st.caption("The id stays: links, charts and commands go by it.")
        if not st.form_submit_button("Save", type="primary"):
            return
    changed = [run for run in runs if wanted[run.id] != (run.info.name, list(run.info.tags))]

    def change(run: Run) -> None:
        name, tags = wanted[run.id]
        edit_run(run, name=name, tags=tags)

    _close_unless(_each(changed, change))


def _fields(run: Run, known: Sequence[str]) -> tuple[str, list[str]]:
    """Name and tags as the user wants them; those of a run that is being written are fixed."""
    left, right = st.columns(2)
    fixed = run.status == "running"
    name = left.text_input(
        f"Name of {run.id}",
        run.info.name,
        max_chars=MAX_NAME,
        placeholder=run.id,
        disabled=fixed,
        help="It is being written: wait until its training has ended." if fixed else None,
        key=f"name-{run.id}",
    )
    tags = right.multiselect(
        "Tags",
        known,
        list(run.info.tags),
        accept_new_options=True,
        placeholder="Choose or type a word",
        disabled=fixed,
        key=f"tags-{run.id}",
    )
    return name or run.id, tags


@st.dialog("Delete?", on_dismiss=lambda: state.open_dialog(None))
def _confirm(runs: Sequence[Run]) -> None:
    for run in runs:
        # as text: a name is the user's, and could be Markdown
        st.text(run.id if run.info.name == run.id else f"{run.id}: {run.info.name}")
    st.caption(
        f"What is deleted is moved to `{TRASH}` beside the runs. Nothing is erased: a folder that "
        "is moved back is a run again."
    )
    with st.container(horizontal=True):
        confirmed = st.button("Move to the trash", type="primary", key="delete_runs")
        if st.button("Cancel", key="keep_runs"):
            state.open_dialog(None)
            st.rerun()
    if confirmed:
        _close_unless(_each(runs, trash_run))


_DIALOGS = {_EDIT: _edit, _DELETE: _confirm}


def _each(runs: Sequence[Run], change: Callable[[Run], object]) -> list[str]:
    """Change one run after the other, and return why some could not be."""
    problems = []
    for run in runs:
        try:
            change(run)
        except OLSError as error:
            problems.append(str(error))
    return problems


def _close_unless(problems: Sequence[str]) -> None:
    for problem in problems:
        st.error(escaped(problem), icon=":material/error:")
    if not problems:
        state.open_dialog(None)
        st.rerun()
