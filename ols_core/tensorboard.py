"""Runs as TensorBoard reads them: scalars, soft labels as images, features for its projector.

TensorBoard's own record writer is used, so that neither torch nor TensorFlow is loaded. Every file
has a name that depends on the run alone: writing a run again replaces what was written of it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ols_core.analysis.similarity import OrderKind, class_order
from ols_core.optional import require
from ols_core.run_writer import write_atomically
from ols_core.runs import Run
from ols_core.sample import shown_sample
from ols_core.thumbnails import Thumbnails, thumbnails_of
from ols_core.top_labels import load_top_labels

__all__ = ["MAX_IMAGES", "Exported", "export_run"]

MAX_IMAGES = 30
"""Epochs whose matrix is written, evenly spread if there are more."""
_LEAST_SIDE = 300  # pixels of a matrix, so that TensorBoard does not blur it
_DARKEST = 0.01  # of the uniform mass 1 / K, and below
# Ten colours of cividis (Nuñez et al. 2018), evenly spaced.
_CIVIDIS = np.array(
    [
        (0, 34, 78),
        (18, 53, 112),
        (59, 73, 108),
        (87, 93, 109),
        (112, 113, 115),
        (138, 134, 120),
        (165, 156, 116),
        (195, 179, 105),
        (225, 204, 85),
        (254, 232, 56),
    ]
)
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Exported:
    """What was written of a run.

    Attributes
    ----------
    scalars : int
        Quantities that have a value at one epoch at least.
    images : int
        Matrices.
    epochs : int
        Epochs whose matrix the run holds.
    points : int
        Images in the projector.
    sprites : bool
        Whether the projector shows them as thumbnails.
    """

    scalars: int
    images: int
    epochs: int
    points: int
    sprites: bool


def export_run(run: Run, folder: Path) -> Exported:
    """Write the event file of a run, and the files of its embedding, into a folder of its own.

    What the run does not hold is left out.

    Parameters
    ----------
    run : Run
    folder : Path
        Made if it is absent; TensorBoard takes its name for that of the run.

    Raises
    ------
    MissingPackageError
        If TensorBoard is not installed.
    RunError
        If a part of the run is damaged.
    """
    scalars = _scalars(run)
    epochs = run.soft_label_epochs
    drawn = _spread(epochs)
    _write_events(run, folder, scalars, drawn)
    tags = {tag for values in scalars.values() for tag in values}
    points, sprites = _write_embedding(run, folder)
    return Exported(len(tags), len(drawn), len(epochs), points, sprites)


def _write_events(
    run: Run, folder: Path, scalars: Mapping[int, Mapping[str, float]], drawn: Sequence[int]
) -> None:
    purpose = ("Writing event files", "tensorboard")
    protos = require("tensorboard.compat.proto.event_pb2", *purpose)
    records = require("tensorboard.summary.writer.record_writer", *purpose)
    times = _times(run)

    def write(stream: Any) -> None:
        writer = records.RecordWriter(stream)
        start = protos.Event(wall_time=times[0], file_version="brain.Event:2")
        writer.write(start.SerializeToString())
        for epoch in sorted({*scalars, *drawn}):
            event = protos.Event(wall_time=times[min(epoch, len(times) - 1)], step=epoch)
            for tag, number in scalars.get(epoch, {}).items():
                event.summary.value.add(tag=tag, simple_value=number)
            if epoch in drawn:
                _add_image(event.summary, "soft labels", _picture(run, epoch))
            writer.write(event.SerializeToString())

    # TensorBoard knows event files by this name; the number is the time of their first event.
    write_atomically(folder / f"events.out.tfevents.{times[0]:.0f}.ols-core", write)


def _scalars(run: Run) -> dict[int, dict[str, float]]:
    """Numbers of the history by epoch and tag, and the test metrics at the last epoch."""
    found = {
        int(record["epoch"]): {
            _tag(name): float(value)
            for name, value in record.items()
            if name != "epoch" and _is_number(value)
        }
        for record in run.history
    }
    test = {
        _tag(f"test_{name}"): value
        for name, value in run.info.summary.get("test", {}).items()
        if name != "n_samples"
    }
    if test:
        found.setdefault(max(found, default=0), {}).update(test)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tag(name: str) -> str:
    """Put what TensorBoard shall draw beside each other under one heading.

    Examples
    --------
    >>> _tag("val_nll"), _tag("lr")
    ('nll/val', 'training/lr')
    """
    split, _, quantity = name.partition("_")
    return f"{quantity}/{split}" if split in _SPLITS and quantity else f"training/{name}"


def _times(run: Run) -> list[float]:
    """Seconds since 1970 at the run's start and after each epoch, as far as they are recorded."""
    start = datetime.fromisoformat(run.info.created).timestamp()
    seconds = [float(record.get("seconds") or 0.0) for record in run.history]
    return [float(time) for time in start + np.cumsum([0.0, *seconds])]


def _spread(epochs: Sequence[int]) -> list[int]:
    places = np.linspace(0, len(epochs) - 1, min(len(epochs), MAX_IMAGES)).round()
    return [epochs[int(place)] for place in places]


def _picture(run: Run, epoch: int) -> Image.Image:
    """Soft labels on a logarithmic scale that is the same at every epoch and for every run."""
    dataset = run.info.dataset
    names, superclasses = dataset.class_names, dataset.superclasses
    kind: OrderKind = "superclass" if superclasses else "given"
    order = class_order(kind, run.n_classes, names=names, superclasses=superclasses)
    matrix = run.soft_labels(epoch)[np.ix_(order, order)]
    low = math.log10(_DARKEST / run.n_classes)
    places = 1 - np.log10(np.clip(matrix, 10.0**low, 1.0)) / low
    colors = [np.interp(places, np.linspace(0, 1, len(_CIVIDIS)), c) for c in _CIVIDIS.T]
    picture = Image.fromarray(np.stack(colors, axis=-1).round().astype(np.uint8))
    side = run.n_classes * -(-_LEAST_SIDE // run.n_classes)
    return picture.resize((side, side), Image.Resampling.NEAREST)


def _add_image(summary: Any, tag: str, picture: Image.Image) -> None:
    file = io.BytesIO()
    picture.save(file, "PNG")
    value = summary.value.add(tag=tag)
    value.image.width, value.image.height = picture.size
    value.image.colorspace = 3  # RGB
    value.image.encoded_image_string = file.getvalue()


def _write_embedding(run: Run, folder: Path) -> tuple[int, bool]:
    """Write the final test features for the projector; returns how many, and whether with sprites.

    Those of the images that have thumbnails, else of as many as would have: the projector draws
    them all at once.
    """
    if not (run.has("features/test.npy") and run.has("predictions/test_labels.npy")):
        return 0, False
    atlas = thumbnails_of(run)
    indices = shown_sample(run.true_labels()) if atlas is None else atlas.indices
    features = run.features()[indices].astype(np.float32)
    write_atomically(folder / "features.tsv", lambda f: np.savetxt(f, features, "%.6g", "\t"))
    lines = "\n".join("\t".join(cells) for cells in _metadata(run, indices))
    write_atomically(folder / "metadata.tsv", lambda f: f.write(f"{lines}\n".encode()))
    if atlas is not None:
        sprite = _sprite(atlas)
        write_atomically(folder / "sprite.png", lambda f: sprite.save(f, "PNG"))
    config = _projector_config(None if atlas is None else atlas.side)
    write_atomically(folder / "projector_config.pbtxt", lambda f: f.write(config.encode()))
    return len(indices), atlas is not None


def _metadata(run: Run, indices: npt.NDArray[np.int64]) -> Iterator[Sequence[str]]:
    """Header and one line an image, of what the projector can colour by."""
    dataset = run.info.dataset
    names = np.array([" ".join(name.split()) for name in dataset.class_names])
    labels = run.labels()[indices]
    columns = {"class": names[labels], "image": indices.astype(str)}
    if dataset.superclasses:
        groups = np.array([" ".join(name.split()) for name in dataset.superclasses])
        columns["superclass"] = groups[labels]
    top = load_top_labels(run)
    if top is not None:
        columns["predicted class"] = names[top.predicted[indices]]
        columns["prediction"] = np.where(top.correct[indices], "right", "wrong")
        columns["confidence"] = np.char.mod("%.4f", top.confidence[indices].astype(np.float64))
    yield list(columns)
    yield from zip(*(column.tolist() for column in columns.values()), strict=True)


def _sprite(atlas: Thumbnails) -> Image.Image:
    """All thumbnails row by row in a square."""
    columns = math.isqrt(len(atlas.indices) - 1) + 1
    sheet = Image.new("RGB", (columns * atlas.side, columns * atlas.side), "white")
    sheet.paste(atlas.montage(np.arange(len(atlas.indices)), columns))
    return sheet


def _projector_config(sprite_side: int | None) -> str:
    purpose = ("Writing embeddings", "tensorboard")
    protos = require("tensorboard.plugins.projector.projector_config_pb2", *purpose)
    text_format = require("google.protobuf.text_format", *purpose)
    config = protos.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="features of the test images",
        tensor_path="features.tsv",
        metadata_path="metadata.tsv",
    )
    if sprite_side is not None:
        embedding.sprite.image_path = "sprite.png"
        embedding.sprite.single_image_dim.extend([sprite_side, sprite_side])
    text: str = text_format.MessageToString(config)
    return text
