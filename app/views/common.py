"""What several pages need: the chosen runs that hold a part, and a sentence about the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import streamlit as st

from app import state
from app.missing import absences
from ols_core.analysis.similarity import OrderKind
from ols_core.runs import Run

__all__ = [
    "draw_section",
    "escaped",
    "pick_order",
    "pick_run",
    "runs_with",
    "same_classes",
    "tell_left_out",
    "with_probabilities",
]

_ORDER_NAMES = {
    "given": "as given",
    "alphabetical": "alphabetical",
    "superclass": "by superclass",
    "clustered": "clustered",
    "entropy": "by entropy",
}


def runs_with(what: str, remedy: str, *parts: str) -> list[Run]:
    """Chosen runs that hold one of `parts`; for the others say what is missing and how to get it.

    Parameters
    ----------
    what : str
        What they hold, in the plural, for the sentence.
    remedy : str
        A sentence that says how a training gets it.
    *parts : str
        Paths inside the run, such as `features/test.npy`; the sentence names the first.
    """
    chosen = state.chosen_runs()
    if not chosen:
        st.info("Choose one or more runs above.", icon=":material/arrow_upward:")
        return []
    for sentence in absences(chosen, what, remedy, *parts):
        st.info(sentence, icon=":material/info:")
    return [run for run in chosen if any(map(run.has, parts))]


def same_classes(runs: Sequence[Run]) -> list[Run]:
    """Runs with the classes of the first one; says which are left out."""
    if not runs:
        return []
    names = runs[0].info.dataset.class_names
    kept = [run for run in runs if run.info.dataset.class_names == names]
    tell_left_out(runs, kept, f"Left out, since their classes are not those of {runs[0].id}")
    return kept


def with_probabilities(runs: Sequence[Run], consequence: str) -> list[Run]:
    """Runs that predict all classes; says of the others what follows from it."""
    kept = [run for run in runs if run.has("predictions/test_logits.npy")]
    known = "only the best class and its confidence are known"
    tell_left_out(runs, kept, f"As {known}, {consequence}")
    return kept


def tell_left_out(runs: Sequence[Run], kept: Sequence[Run], sentence: str) -> None:
    """End the sentence with those of the runs that are not kept; without any, say nothing."""
    left_out = ", ".join(run.id for run in runs if run not in kept)
    if left_out:
        st.info(f"{sentence}: {left_out}.", icon=":material/info:")


def escaped(text: str) -> str:
    """Text that Streamlit shows as it is, though it may quote what a user typed."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~:$^=])", r"\\\1", text)


def draw_section(key: str, sections: Mapping[str, Callable[..., None]], *arguments: Any) -> None:
    """Let the user pick a section of the page, at first the first one, and draw it."""
    names = list(sections)
    chosen = st.segmented_control(
        "Show",
        names,
        default=names[0],
        required=True,
        label_visibility="collapsed",
        **state.in_url(key),
    )
    sections[chosen](*arguments)


def pick_run(runs: Sequence[Run], prefer: str | None = None) -> Run:
    """Let the user pick one of the chosen runs; at first the newest of method `prefer`."""
    by_id = {run.id: run for run in runs}
    first = next((run.id for run in runs if run.info.method == prefer), runs[0].id)
    picked = st.segmented_control(
        "Run", list(by_id), default=first, required=True, **state.in_url("run")
    )
    return by_id[picked]


def pick_order(run: Run) -> OrderKind:
    """Let the user pick the order of the classes; by superclass at first, where known."""
    superclasses = run.info.dataset.superclasses
    kinds = [k for k in get_args(OrderKind) if k != "superclass" or superclasses]
    order: OrderKind = st.selectbox(
        "Order of classes",
        kinds,
        index=kinds.index("superclass" if superclasses else "given"),
        format_func=_ORDER_NAMES.__getitem__,
        help=f"All runs have one order; clusters and entropies are those of {run.id}.",
        width=220,
        **state.in_url("order"),
    )
    return order
