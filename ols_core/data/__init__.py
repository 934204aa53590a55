"""Data sets: read, split, hold out, subset, decode, and serve in batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ols_core.config import TrainConfig
from ols_core.data.folders import SMALL_SIDE, decode, read_folder
from ols_core.data.noise import flip_labels, similar_classes
from ols_core.data.readers import read_cifar, read_digits, read_fashion_mnist
from ols_core.data.splits import hold_out, per_class
from ols_core.data.types import Dataset, ImageSet
from ols_core.errors import ArgumentError

__all__ = ["Dataset", "ImageSet", "load_dataset"]


def load_dataset(config: TrainConfig, download: bool = False) -> Dataset:
    """Read the data set of a configuration and split it into train, val and test.

    `val` is held out of `train`, stratified, unless the data set brings its own; then
    `train_per_class` thins what is left. Label noise comes last and touches `train` only: `val`
    and `test` keep their true labels, so that what they measure can be compared between shares
    of noise. Images up to 64 pixels are decoded at once.

    Parameters
    ----------
    config : TrainConfig
        Uses `dataset`, `data_dir`, `image_size`, `val_fraction`, `train_per_class`, `label_noise`
        and `seed`.
    download : bool
        Fetch an absent data set, where torchvision can.

    Raises
    ------
    ArgumentError
        If no data set is called so, or asymmetric noise knows no similar classes.
    DataError
        If it is absent or unreadable.

    Examples
    --------
    >>> data = load_dataset(TrainConfig(dataset="digits"))
    >>> {split: len(images) for split, images in data.splits.items()}
    {'train': 1295, 'val': 143, 'test': 359}
    """
    dataset = _read(config, download)
    splits = dict(dataset.splits)
    if "val" not in splits:
        kept, held = hold_out(splits["train"].labels, config.val_fraction, config.seed)
        splits |= {"train": splits["train"].take(kept), "val": splits["train"].take(held)}
    if config.train_per_class is not None:
        chosen = per_class(splits["train"].labels, config.train_per_class, config.seed)
        splits["train"] = splits["train"].take(chosen)
    if config.label_noise is not None:
        splits["train"] = _noisy(splits["train"], dataset, config.label_noise, config.seed)
    shape = dataset.image_shape
    if config.image_size is not None:
        shape = (config.image_size, config.image_size, shape[2])
    if max(shape[:2]) <= SMALL_SIDE:
        splits = {k: v if v.files is None else decode(v, shape) for k, v in splits.items()}
    order = ("train", "val", "test")
    return replace(dataset, splits={k: splits[k] for k in order}, image_shape=shape)


def _noisy(images: ImageSet, dataset: Dataset, noise: str, seed: int) -> ImageSet:
    noisy = flip_labels(images.labels, dataset.n_classes, noise, seed, similar_classes(dataset))
    return replace(images, labels=noisy, true_labels=images.labels)


def _read(config: TrainConfig, download: bool) -> Dataset:
    kind, _, path = config.dataset.partition(":")
    folder = Path(config.data_dir)
    match kind:
        case "digits":
            return read_digits()
        case "fashion-mnist":
            return read_fashion_mnist(folder, download)
        case "cifar10" | "cifar100":
            return read_cifar(kind, folder, download)
        case "folder" if path:
            return read_folder(Path(path), config.seed, config.image_size)
    raise ArgumentError(
        f"dataset must be digits, fashion-mnist, cifar10, cifar100 or folder:PATH, got "
        f"{config.dataset!r}."
    )
