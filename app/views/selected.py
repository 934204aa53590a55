"""The samples that were selected on a map: their images, a table, and what they are taken for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from app import cache
from app.charts.matrix import heatmap, make_axis
from app.charts.scale import scale_of
from app.components.figure import show_figure
from app.components.gallery import Caption, gallery
from app.embeddings import Samples
from app.views.common import draw_section
from ols_core.analysis.similarity import confusion_matrix
from ols_core.runs import Run

__all__ = ["Shown", "draw", "image_gallery"]

_MAX_IMAGES = 50
_MAX_MATRIX = 40  # classes of a confusion matrix that can be read


@dataclass(frozen=True)
class Shown:
    """The samples on the maps.

    Attributes
    ----------
    run : Run
        Whose data set it is.
    split : str
    indices : ndarray of shape (n,), int64
        Places of the samples in the split.
    by_panel : mapping of str to Samples
        What each panel's run says of them, by the panel's title.
    """

    run: Run
    split: str
    indices: npt.NDArray[np.int64]
    by_panel: Mapping[str, Samples]


def draw(shown: Shown, inside: npt.NDArray[np.bool_]) -> None:
    """Draw what is known of the selected samples.

    Parameters
    ----------
    shown : Shown
    inside : ndarray of shape (n,), bool
        The selected ones.
    """
    chosen = np.flatnonzero(inside)
    noun = "image is" if len(chosen) == 1 else "images are"
    st.subheader(f"{len(chosen):,} {noun} selected")
    if not len(chosen):
        st.caption("There is no point inside the line.")
        return
    _accuracies(shown, chosen)
    draw_section("selected", _SECTIONS, shown, chosen)


def image_gallery(
    shown: Shown,
    chosen: npt.NDArray[np.int64],
    panel: str,
    captions: Callable[[npt.NDArray[np.int64]], list[Caption]],
    key: str,
) -> None:
    """Draw the first thumbnails of the samples at `chosen`, those that there are, in this order.

    `captions` is asked for those only that are drawn.
    """
    atlas = cache.thumbnails(shown.run, shown.split)
    if atlas is None:
        st.info(
            "There are no images to show: the run came without them, as predictions do.",
            icon=":material/info:",
        )
        return
    tiles = atlas.positions(shown.indices[chosen])
    kept = np.flatnonzero(tiles >= 0)[:_MAX_IMAGES]
    if not len(kept):
        st.caption(
            f"Of these images there is no thumbnail; {len(atlas.indices):,} others have one."
        )
        return
    columns = min(len(kept), 10)
    gallery(
        atlas.montage(tiles[kept], columns),
        atlas.side,
        columns,
        captions(chosen[kept]),
        key,
    )
    if len(kept) < len(chosen):
        stored = "" if (tiles >= 0).all() else " that have a thumbnail"
        images = f"The first {len(kept)}{stored} of {len(chosen):,} images"
        st.caption(f"{images}, as {panel} sees them.")


def _accuracies(shown: Shown, chosen: npt.NDArray[np.int64]) -> None:
    parts = []
    for title, samples in shown.by_panel.items():
        if samples.predicted is None or samples.confidence is None:
            continue
        right = (samples.predicted == samples.labels)[chosen].mean()
        sure = samples.confidence[chosen].mean()
        parts.append(f"{title}: {right:.1%} right, mean confidence {sure:.1%}")
    if parts:
        st.caption(" · ".join(parts))


def _images(shown: Shown, chosen: npt.NDArray[np.int64]) -> None:
    title = _pick_panel(shown)
    samples = shown.by_panel[title]
    image_gallery(shown, chosen, title, partial(_captions, shown, samples), "selected_images")


def _pick_panel(shown: Shown) -> str:
    titles = list(shown.by_panel)
    if len(titles) == 1:
        return titles[0]
    picked: str = st.segmented_control(
        "As seen by", titles, default=titles[0], required=True, key="selected_panel"
    )
    return picked


def _captions(shown: Shown, samples: Samples, chosen: npt.NDArray[np.int64]) -> list[Caption]:
    names = np.asarray(shown.run.info.dataset.class_names)
    true = names[samples.labels[chosen]].tolist()
    if samples.predicted is None or samples.confidence is None:
        return [Caption(name) for name in true]
    predicted = names[samples.predicted[chosen]].tolist()
    confidence = samples.confidence[chosen].tolist()
    return [
        Caption(t, f"{c:.0%} {p}", t != p)
        for t, p, c in zip(true, predicted, confidence, strict=True)
    ]


def _table(shown: Shown, chosen: npt.NDArray[np.int64]) -> None:
    names = np.asarray(shown.run.info.dataset.class_names)
    first = next(iter(shown.by_panel.values()))
    columns = {"Image": shown.indices[chosen], "Class": names[first.labels[chosen]]}
    if first.flipped is not None:
        columns["Label flipped"] = first.flipped[chosen]
    several = len(shown.by_panel) > 1
    for title, samples in shown.by_panel.items():
        suffix = f", {title}" if several else ""
        if samples.predicted is not None and samples.confidence is not None:
            columns[f"Predicted{suffix}"] = names[samples.predicted[chosen]]
            columns[f"Confidence{suffix}"] = samples.confidence[chosen].astype(np.float64)
    number = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config={name: number for name in columns if name.startswith("Confidence")},
        alt="Selected images",
    )
    st.caption("Image: its place in the split, counted from 0.")


def _confusion(shown: Shown, chosen: npt.NDArray[np.int64]) -> None:
    title = _pick_panel(shown)
    samples = shown.by_panel[title]
    if samples.predicted is None:
        st.info(f"{title} has no predictions for this split.", icon=":material/info:")
        return
    names = shown.run.info.dataset.class_names
    counts = confusion_matrix(samples.predicted[chosen], samples.labels[chosen], len(names))
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    most = present[np.argsort(-(counts + counts.T)[present].sum(axis=1), kind="stable")]
    kept = np.sort(most[:_MAX_MATRIX])
    part = counts[np.ix_(kept, kept)].astype(np.float32)
    axis = make_axis(names, kept)
    show_figure(
        heatmap(
            np.where(part > 0, part, np.nan),
            axis,
            title=f"Selected images by class, {title}",
            quantity="images",
            row="true class",
            column="predicted class",
            scale=scale_of(part, "linear"),
            height=560,
        ),
        key="selected_confusion",
        alt=f"True and predicted classes of the selected images, {title}",
        name=f"selected-confusion-{title}",
        data=lambda: _pairs(counts, names),
        width=820,
    )
    if len(present) > len(kept):
        st.caption(f"The {len(kept)} classes with most images, of {len(present)}; the CSV has all.")


def _pairs(counts: npt.NDArray[np.integer], names: Sequence[str]) -> pd.DataFrame:
    """One row a pair of classes that occurs, most frequent first."""
    true, predicted = np.nonzero(counts)
    table = pd.DataFrame(
        {
            "true_class": np.asarray(names)[true],
            "predicted_class": np.asarray(names)[predicted],
            "images": counts[true, predicted],
        }
    )
    return table.sort_values("images", ascending=False, kind="stable")


_SECTIONS = {"Images": _images, "Table": _table, "Confusion": _confusion}
