"""One split to evaluate on, with its classes in the order of a network's outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ols_core.class_names import distinct_names
from ols_core.config import TrainConfig
from ols_core.data import load_dataset
from ols_core.data.batches import Statistics, pixel_statistics
from ols_core.data.folders import SMALL_SIDE, decode, list_class_folders, native_size
from ols_core.data.superclasses import cifar100_superclasses, read_superclasses
from ols_core.data.types import ImageSet
from ols_core.errors import DataError
from ols_core.runs import SPLITS

__all__ = ["OWN_STATISTICS", "EvaluatedSplit", "in_order_of", "read_split"]

OWN_STATISTICS = "the evaluated images"
"""Where statistics come from if there are no training images that could give them."""


@dataclass(frozen=True)
class EvaluatedSplit:
    """Images of one split and what they are.

    Attributes
    ----------
    name : str
        Of the data set.
    class_names : tuple of str
        In the order of the labels.
    images : ImageSet
        Decoded if they are small.
    image_shape : tuple of int
        (height, width, channels).
    statistics : tuple
        Mean and standard deviation of each channel to normalise with, where a network brings none.
    superclasses : tuple of str or None
    notices : tuple of str
        Sentences for the user.
    statistics_source : str
        What the statistics were taken from, for the user.
    """

    name: str
    class_names: tuple[str, ...]
    images: ImageSet
    image_shape: tuple[int, int, int]
    statistics: Statistics
    superclasses: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    statistics_source: str = "the training images"


def read_split(data: str, split: str, data_dir: str, download: bool = False) -> EvaluatedSplit:
    """Read a split of a data set, without any other images where they are large.

    Parameters
    ----------
    data : str
        As `TrainConfig.dataset`. ``folder:PATH`` may hold a folder called like the split (or
        `val/` for the test split), or class folders alone, all of whose images are taken.
    split : {"test", "train", "val"}
    data_dir : str
        Folder that holds the downloaded data sets.
    download : bool
        Fetch an absent data set, where torchvision can.

    Raises
    ------
    ArgumentError, DataError
        If there is no such data set, or it cannot be read.
    """
    kind, _, path = data.partition(":")
    if kind == "folder" and path:
        return _read_folder(Path(path), split)
    dataset = load_dataset(TrainConfig(dataset=data, data_dir=data_dir), download)
    notices: tuple[str, ...] = ()
    if split == "val":
        notices = (
            f"The validation split of {dataset.name} is the share of its training images that `ols "
            "train` holds out with seed 0: weights that were trained on them look too good here.",
        )
    return EvaluatedSplit(
        dataset.name,
        dataset.class_names,
        dataset.splits[split],
        dataset.image_shape,
        pixel_statistics(dataset.splits["train"]),
        dataset.superclasses,
        notices,
    )


def _read_folder(folder: Path, split: str) -> EvaluatedSplit:
    if not folder.is_dir():
        raise DataError(f"folder:{folder}: no such folder.")
    trained_on = folder / "train" if (folder / "train").is_dir() else None
    usual = [folder / split, *([folder / "val"] if split == "test" else [])]
    place = next((path for path in usual if path.is_dir()), folder)
    others = [f"{name}/" for name in SPLITS if (folder / name).is_dir()]
    if place == folder and others:
        present = " and ".join(others)
        raise DataError(f"{folder}: has {present} but no {split}/; choose another --split.")
    class_names, images = list_class_folders(place, trained_on)
    superclasses = read_superclasses(folder / "superclasses.csv", class_names)
    side = native_size(images)
    found = EvaluatedSplit(
        folder.resolve().name,
        class_names,
        images,
        (side, side, 3),
        pixel_statistics(images),
        superclasses or cifar100_superclasses(class_names),
        statistics_source="ImageNet",
    )
    return found if side > SMALL_SIDE else _decoded(found, folder, trained_on is not None)


def _decoded(found: EvaluatedSplit, folder: Path, has_training: bool) -> EvaluatedSplit:
    """Decode small images, and take the statistics that a training on them would have had."""
    pixels = decode(found.images, found.image_shape)
    if has_training:
        trained = load_dataset(TrainConfig(dataset=f"folder:{folder}")).splits["train"]
        statistics, source = pixel_statistics(trained), "the training images"
    else:
        statistics, source = pixel_statistics(pixels), OWN_STATISTICS
    return replace(found, images=pixels, statistics=statistics, statistics_source=source)


def in_order_of(found: EvaluatedSplit, lines: Sequence[str], file: str) -> EvaluatedSplit:
    """Bring classes and labels into the order of a list of names.

    The list may name the classes as the data set does, in any order and with others among them; or
    begin each line with that name, as ``n01440764 tench`` does for a folder ``n01440764``; or give
    other names altogether, as many as there are classes and in the same order.

    Parameters
    ----------
    found : EvaluatedSplit
    lines : sequence of str
        One line a class, in the order of the network's outputs.
    file : str
        Where they come from, for messages.

    Raises
    ------
    DataError
        If they are none of these.
    """
    split_lines = [re.split(r"[\s,]+", line, maxsplit=1) for line in lines]
    heads = [parts[0] for parts in split_lines]
    wanted = set(found.class_names)
    if wanted <= set(lines):
        keys, names = list(lines), list(lines)
    elif wanted <= set(heads):
        keys, names = heads, [parts[-1] for parts in split_lines]
    elif len(lines) == len(found.class_names):
        return _renamed(found, lines, file)
    else:
        absent = sorted(wanted - set(lines) - set(heads))
        raise DataError(
            f"{file}: names {len(lines)} classes, but not these of {found.name}: "
            f"{', '.join(absent[:5])}. Expected the {len(wanted)} names of its classes among the "
            "lines, at their beginning, or one line for each in the same order."
        )
    return _reordered(found, keys, names)


def _renamed(found: EvaluatedSplit, lines: Sequence[str], file: str) -> EvaluatedSplit:
    names, notices = distinct_names(lines)
    pairs = list(zip(found.class_names, names, strict=True))
    shown = ", ".join(f"{old} = {new}" for old, new in (*pairs[:3], pairs[-1]))
    checked = f"{file} names the classes in other words, so that only you can check: {shown}."
    return replace(found, class_names=tuple(names), notices=(*found.notices, checked, *notices))


def _reordered(found: EvaluatedSplit, keys: list[str], names: list[str]) -> EvaluatedSplit:
    place = {key: index for index, key in enumerate(keys)}
    if len(place) < len(keys):
        repeated = next(key for index, key in enumerate(keys) if place[key] != index)
        raise DataError(f"The class {repeated!r} is named twice; name each of them once.")
    moved = np.array([place[name] for name in found.class_names], dtype=np.int64)
    shown, notices = distinct_names(names)
    superclasses = None
    if found.superclasses is not None and len(keys) == len(moved):
        given = dict(zip(found.class_names, found.superclasses, strict=True))
        superclasses = tuple(given[key] for key in keys)
    if (np.diff(moved) < 0).any():
        notices = ["Labels were brought into the order of the class names.", *notices]
    return replace(
        found,
        class_names=tuple(shown),
        images=replace(found.images, labels=moved[found.images.labels]),
        superclasses=superclasses,
        notices=(*found.notices, *notices),
    )
