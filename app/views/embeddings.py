"""Penultimate features of the samples: maps, a plane of three classes, numbers, and suspects."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import embeddings, state
from app.scan import root
from app.views import (
    embedding_classes,
    embedding_map,
    embedding_numbers,
    suspects,
    three_classes,
)
from app.views.common import draw_section, runs_with, same_classes, tell_left_out
from ols_core.remedies import typed_command
from ols_core.runs import Run


def page() -> None:
    """Draw the choice of the split and the chosen section."""
    chosen = state.chosen_runs()
    splits = list(dict.fromkeys(split for run in chosen for split in embeddings.splits_of(run)))
    split = _pick_split(splits) if splits else "test"
    runs = _comparable(chosen, split)
    if runs:
        draw_section("view", _SECTIONS, runs, split)


def _pick_split(splits: Sequence[str]) -> str:
    if len(splits) == 1:
        return splits[0]
    picked: str = st.segmented_control(
        "Images of the split", splits, default=splits[0], required=True, **state.in_url("split")
    )
    return picked


def _comparable(chosen: Sequence[Run], split: str) -> list[Run]:
    """Runs with features of the split, of the same images as the first one's."""
    part = f"features/{split}.npy"
    names = [run.id for run in chosen if run.info.source == "trained" and not run.has(part)]
    command = typed_command("features", *names, "--split", split, root=root())
    remedy = f"This adds them to a finished run: `{command}`"
    runs = same_classes(runs_with("features", remedy, part))
    if not runs:
        return []
    first = runs[0].fingerprint(split)
    kept = [run for run in runs if run.fingerprint(split) == first]
    why = f"they have other {split} images than {runs[0].id}"
    tell_left_out(runs, kept, f"Left out, since {why}")
    return kept


_SECTIONS = {
    "Map": embedding_map.draw,
    "Three classes": three_classes.draw,
    "Numbers": embedding_numbers.draw,
    "Classes": embedding_classes.draw,
    "Suspects": suspects.draw,
}

page()
