"""Make a run of an uploaded file of predictions: what was understood comes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import state
from app.scan import root
from app.views.common import escaped
from ols_core.errors import OLSError
from ols_core.importing import Predictions, read_predictions, suggested_id, write_import
from ols_core.runs import SPLITS

_TYPES = ["npz", "npy", "csv", "tsv", "parquet"]
_KINDS = {"recognise": None, "logits": "logits", "probabilities": "probabilities"}
_N_SHOWN = 5
_OF_PREDICTED = {"logits": "Its logit", "probabilities": "Its probability"}
# Options of the command line that messages name, and what does the same on this page.
_ON_PAGE = {
    "choose another --name": "choose another name",
    "say --logits": "choose logits",
    "Give names with --class-names.": "Give names on the left.",
    "Name it with --labels COLUMN or give their file with --labels FILE": (
        "Call it label, or give the file of the labels"
    ),
}
_METRICS = {
    "accuracy": "Accuracy",
    "top5_accuracy": "Top-5",
    "ece": "ECE",
    "nll": "NLL",
    "brier": "Brier score",
}


def page() -> None:
    """Draw the files, what they hold, and the button that writes the run."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        file = st.file_uploader(
            "Predictions",
            type=_TYPES,
            help="A table with a column `label` and one column a class, or the columns `true`, "
            "`pred` and `confidence`; or an array of shape (samples, classes), in NPZ with "
            "`labels` beside it.",
        )
        labels = st.file_uploader("True labels, if they are in another file", type=[*_TYPES, "txt"])
        names = st.text_area(
            "Class names, if the file has none",
            placeholder="cat, dog, …",
            help="In the order of the columns, separated by commas or one a line.",
        )
        kind = st.segmented_control(
            "What they are", list(_KINDS), default="recognise", required=True
        )
        split: str = st.segmented_control("Split", SPLITS, default="test", required=True)
    with right:
        if file is None:
            st.info(
                "Choose a file on the left. Nothing is written before you have seen what was "
                "understood. In a terminal, `ols import FILE` does the same.",
                icon=":material/upload_file:",
            )
            return
        found = _read(file, labels, _listed(names), _KINDS[kind], split)
        if isinstance(found, str):
            st.error(escaped(_on_page(found)), icon=":material/error:")
            return
        _preview(found)
        _write(found, file.name)


def _listed(text: str) -> tuple[str, ...]:
    parts = text.splitlines() if "\n" in text.strip() else text.split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _identity(file: UploadedFile) -> str:
    return file.file_id


@st.cache_resource(max_entries=2, show_spinner="Reading …", hash_funcs={UploadedFile: _identity})
def _read(
    file: UploadedFile,
    labels: UploadedFile | None,
    names: Sequence[str],
    kind: Any,
    split: str,
) -> Predictions | str:
    """Return what the files hold, or why they cannot be used."""
    try:
        return read_predictions(
            file, labels=labels, class_names=names or None, kind=kind, split=split
        )
    except OLSError as error:
        return str(error)


def _preview(found: Predictions) -> None:
    with st.container(horizontal=True):
        st.metric("Samples", f"{found.n_samples:,}")
        st.metric("Classes", found.n_classes)
        for key, title in _METRICS.items():
            value = found.summary.get(key)
            if value is not None:
                share = key in ("accuracy", "top5_accuracy", "ece")
                st.metric(title, f"{value:.2%}" if share else f"{value:.3f}")
    for sentence in found.recognised:
        st.markdown(f"- {escaped(sentence)}")
    for sentence in found.warnings:
        st.warning(escaped(_on_page(sentence)), icon=":material/warning:")
    st.dataframe(_first(found), hide_index=True, alt="The first samples")
    st.caption(f"The first {min(_N_SHOWN, found.n_samples)} samples.")


def _first(found: Predictions) -> pd.DataFrame:
    names = np.asarray(found.class_names, dtype=object)
    table = {"Label": names[found.labels[:_N_SHOWN]]}
    if found.top_labels is not None:
        table["Predicted"] = names[found.top_labels.predicted[:_N_SHOWN]]
        table["Confidence"] = found.top_labels.confidence[:_N_SHOWN]
    elif found.scores is not None:
        scores = found.scores[:_N_SHOWN]
        table["Predicted"] = names[scores.argmax(axis=1)]
        table[_OF_PREDICTED[found.kind]] = scores.max(axis=1)
    return pd.DataFrame(table)


def _write(found: Predictions, file: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the run", suggested_id(file), width=260)
        method = st.text_input("Method", "custom", width=120, help="For tables: ce, ls, ols, …")
        model = st.text_input("Model", "unknown", width=160)
        dataset = st.text_input(
            "Data set", "", width=160, placeholder="that of a run with these labels"
        )
    options = {"method": method, "model": model, "dataset": dataset or None}
    st.button(
        "Import",
        type="primary",
        icon=":material/save:",
        on_click=_import,
        args=(found, name, options),
    )
    match state.remembered("import"):
        case (Predictions() as last, str(run_id), None) if last is found:
            st.success(f"Written: {escaped(run_id)}.", icon=":material/check:")
            st.button("Show this run on all pages", on_click=state.choose, args=("runs", [run_id]))
        case (Predictions() as last, _, str(problem)) if last is found:
            st.error(escaped(_on_page(problem)), icon=":material/error:")


def _on_page(text: str) -> str:
    """Name what is on this page in place of options of the command line."""
    for option, control in _ON_PAGE.items():
        text = text.replace(option, control)
    return text


def _import(found: Predictions, name: str, options: dict[str, Any]) -> None:
    try:
        write_import(found, root(), name, **options)
    except OLSError as error:
        state.remember("import", (found, name, str(error)))
    else:
        state.remember("import", (found, name, None))


page()
