"""Samples whose neighbours disagree with their label: outliers, or labels to be checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app import embeddings
from app.charts.detection import precision_recall_curves
from app.components.figure import show_figure
from app.components.gallery import Caption
from app.embeddings import N_NEIGHBOURS, Samples
from app.views.common import pick_run
from app.views.selected import Shown, image_gallery
from ols_core.analysis.embedding import Detection, Suspects, suspect_detection
from ols_core.runs import Run

__all__ = ["draw"]

_N_LISTED = 500


def draw(runs: Sequence[Run], split: str) -> None:
    """Rank the samples of one run, and score the ranking where the truth is recorded."""
    run = pick_run(runs, prefer="ols")
    indices = embeddings.compared(run, split)
    samples = embeddings.samples(run, split).take(indices)
    with st.spinner("Comparing every sample with every other …"):
        found = embeddings.most_suspect(run, split)
    listed = found.order[:_N_LISTED]
    st.caption(
        f"Ranked by the share of a sample's {N_NEIGHBOURS} nearest neighbours, by the features of "
        f"{run.id}, that have another label; those of equal share by how many neighbours agree on "
        "one label, which stands below the image. An outlier is not yet a wrong label: look at it."
    )
    shown = Shown(run, split, indices, {run.id: samples})
    captions = partial(_captions, run, samples, found)
    image_gallery(shown, listed, run.id, captions, "suspects")
    _table(shown, samples, found, listed)
    _detections(runs, split)


def _captions(
    run: Run, samples: Samples, found: Suspects, listed: npt.NDArray[np.int64]
) -> list[Caption]:
    names = np.asarray(run.info.dataset.class_names)
    labels, majority = names[samples.labels[listed]], names[found.majority[listed]]
    flipped = np.zeros(len(listed), bool) if samples.flipped is None else samples.flipped[listed]
    rows = zip(labels, majority, found.agreement[listed], flipped, strict=True)
    return [
        Caption(f"labelled {label}", f"{share:.0%} near {near}", bool(wrong))
        for label, near, share, wrong in rows
    ]


def _table(shown: Shown, samples: Samples, found: Suspects, listed: npt.NDArray[np.int64]) -> None:
    names = np.asarray(shown.run.info.dataset.class_names)
    columns = {
        "Image": shown.indices[listed],
        "Label": names[samples.labels[listed]],
        "Disagreeing": found.score[listed],
        "Neighbours are mostly": names[found.majority[listed]],
        "Of that label": found.agreement[listed],
    }
    if samples.predicted is not None and samples.confidence is not None:
        columns["Predicted"] = names[samples.predicted[listed]]
        columns["Confidence"] = samples.confidence[listed].astype(np.float64)
    if samples.flipped is not None:
        columns["Label was flipped"] = samples.flipped[listed]
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys(("Disagreeing", "Of that label", "Confidence"), share),
        alt="Most suspect samples",
    )
    st.caption(f"The first {len(listed)} of {len(found.score):,}. Image: its place in the split.")


def _detections(runs: Sequence[Run], split: str) -> None:
    """Where label noise was recorded: how much of it the ranking finds."""
    scored = {}
    for run in runs:
        flipped = embeddings.flipped(run, split)
        if flipped is not None and flipped.any():
            scored[run.id] = suspect_detection(
                embeddings.most_suspect(run, split).score,
                flipped[embeddings.compared(run, split)],
            )
    if not scored:
        if split == "train":
            st.caption("These runs have no record of label noise, so nothing scores the ranking.")
        return
    st.subheader("Does it find the flipped labels?")
    show_figure(
        precision_recall_curves(scored),
        key="detection",
        alt="Precision and recall of finding the flipped labels",
        name=f"flipped-labels-found-{split}",
        data=lambda: _curves(scored),
    )


def _curves(scored: dict[str, Detection]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "run": name,
                    "samples_looked_at": found.n_checked,
                    "precision": found.precision,
                    "recall": found.recall,
                }
            )
            for name, found in scored.items()
        ],
        ignore_index=True,
    )
