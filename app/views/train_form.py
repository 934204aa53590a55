"""The form of a new training: options, the command that does the same, and the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st

from app import state
from app.scan import cached, root
from app.views.train_options import GROUPS, draw_option, fill
from ols_core.config import TrainConfig
from ols_core.errors import OLSError, RunError
from ols_core.jobs import (
    DOWNLOADABLE,
    Queue,
    check_startable,
    command_line,
    ensure_runner,
    train_arguments,
)
from ols_core.recipes import Recipe, Scale, list_recipes
from ols_core.sweep import concerns

__all__ = ["draw_form"]

_WHAT = ("dataset", "model")
_HOW = ("epochs", "batch_size", "lr", "seed", "name")
_OF_METHOD = ("alpha", "smoothing")
_PLACED = {*_WHAT, "data_dir", "method", *_OF_METHOD, *_HOW, *sum(GROUPS.values(), ())}
_REST = tuple(name for name in TrainConfig.model_fields if name not in _PLACED)


@st.fragment
def draw_form(is_active: bool) -> None:
    """Draw the form; what is chosen is checked, and shown as a command, at every change.

    Parameters
    ----------
    is_active : bool
        Whether a new training has to wait.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("New training")
        _draw_recipes()
    options, download = _main_options()
    with st.expander("More options"):
        for title, names in (GROUPS | {"Computing": _REST}).items():
            st.markdown(f"**{title}**")
            options |= _draw_rows([n for n in names if concerns(options["method"], n)])
    config, problem = _checked(options, download)
    if config is not None:
        st.caption("The same in a terminal, from the folder in which the dashboard was started:")
        command = command_line(train_arguments(config, root(), download))
        st.code(command, language=None, wrap_lines=True)
    if isinstance(problem, RunError):
        st.info(str(problem), icon=":material/info:")
    elif problem is not None:
        st.error(str(problem).replace("\n", "\n\n"), icon=":material/error:")
    label = "Add to the queue" if is_active else "Start training"
    clicked = st.button(label, type="primary", disabled=problem is not None)
    if clicked and config is not None:
        _start(config, download)


def _start(config: TrainConfig, download: bool) -> None:
    try:
        Queue(root()).submit(config, download)
    except OLSError as error:  # another page was faster, or nothing can be written
        st.error(str(error), icon=":material/error:")
        return
    ensure_runner(root())
    st.rerun()


def _draw_recipes() -> None:
    """Let the user fill the form from a recipe."""
    with st.popover("Recipes", icon=":material/menu_book:"):
        recipes = _recipes()
        name = st.selectbox(
            "Recipe", list(recipes), help="Settings of the paper and of the bundled runs."
        )
        scale: Scale = st.segmented_control(
            "Scale",
            get_args(Scale),
            default="small",
            required=True,
            help="full, or small for a machine with 2 cores",
        )
        st.caption(recipes[name].about)
        st.button("Fill in", on_click=fill, args=(recipes[name].options(scale),))


@cached
def _recipes() -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in list_recipes()}


def _main_options() -> tuple[dict[str, Any], bool]:
    """Draw the options that every training has, and whether to fetch the data set."""
    options = _draw_rows(_WHAT)
    download = False
    if options["dataset"] in DOWNLOADABLE:
        options["data_dir"] = draw_option("data_dir")
        download = st.toggle("Download the data set if absent", **state.kept("train_fetch", False))
    options["method"] = draw_option("method")
    of_method = [name for name in _OF_METHOD if concerns(options["method"], name)]
    return options | _draw_rows([*of_method, *_HOW]), download


def _draw_rows(names: Sequence[str]) -> dict[str, Any]:
    """Draw options in two columns; returns their values."""
    values = {}
    for start in range(0, len(names), 2):
        row = names[start : start + 2]
        for name, column in zip(row, st.columns(2, vertical_alignment="bottom"), strict=False):
            with column:
                values[name] = draw_option(name)
    return values


def _checked(options: dict[str, Any], download: bool) -> tuple[TrainConfig | None, OLSError | None]:
    """Configuration of the options, if they are valid, and what prevents its start, if anything."""
    config = None
    try:
        config = TrainConfig.from_options(options)
        check_startable(config, download)
        Queue(root()).run_id_for(config)
    except OLSError as error:
        return config, error
    return config, None
