"""Images in folders by class: `train/<class>/…` and `test/` (or `val/`), or without a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ols_core.data.splits import hold_out
from ols_core.data.superclasses import cifar100_superclasses, read_superclasses
from ols_core.data.types import Dataset, ImageSet
from ols_core.errors import DataError

__all__ = [
    "check_folder",
    "decode",
    "list_class_folders",
    "native_size",
    "read_folder",
    "read_image",
]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
SMALL_SIDE = 64  # pixels: up to this size all images of a data set fit in memory
LARGE_SIZE = 224  # pixels: what ImageNet networks expect
_TEST_SHARE = 0.2


def read_folder(folder: Path, seed: int, image_size: int | None = None) -> Dataset:
    """List the images of a folder; their pixels are decoded later, after subsets are drawn.

    Parameters
    ----------
    folder : Path
        `train/` beside `test/` (and perhaps `val/`; alone, `val/` is the test split), or class
        folders directly below, of which a stratified fifth becomes the test split.
    seed : int
        Draws that fifth.
    image_size : int, optional
        Side in pixels; by default that of the images up to 64 pixels, else 224.

    Raises
    ------
    DataError
        If the folder, its classes or its images are absent, or the splits' classes differ.
    """
    check_folder(folder)
    if (folder / "train").is_dir():
        class_names, splits = _read_splits(folder)
    else:
        class_names, images = list_class_folders(folder)
        train, test = hold_out(images.labels, _TEST_SHARE, seed)
        splits = {"train": images.take(train), "test": images.take(test)}
    superclasses = read_superclasses(folder / "superclasses.csv", class_names)
    size = image_size or native_size(splits["train"])
    return Dataset(
        name=folder.resolve().name,
        class_names=class_names,
        splits=splits,
        image_shape=(size, size, 3),
        augment="crop-flip",
        superclasses=superclasses or cifar100_superclasses(class_names),
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder of images that is not there, and say how it is to look.

    Raises
    ------
    DataError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"folder:{folder}: no such folder. Expected train/CLASS/* and test/CLASS/*, or "
            "CLASS/* alone; name it with --dataset folder:PATH."
        )


def list_class_folders(
    folder: Path, names_from: Path | None = None
) -> tuple[tuple[str, ...], ImageSet]:
    """List all images of the class folders directly below a folder, in the order of their names.

    Parameters
    ----------
    folder : Path
    names_from : Path, optional
        Another folder, such as `train/`, whose class folders are all the classes.

    Raises
    ------
    DataError
        If there are fewer than two classes, or no image, or one is of no class.
    """
    class_names = _class_names(names_from or folder)
    if names_from is not None:
        unknown = sorted(set(_class_names(folder)) - set(class_names))
        if unknown:
            raise DataError(
                f"{folder}: classes absent from {names_from.name}/: {', '.join(unknown[:5])}."
            )
    return class_names, _list_images(folder, class_names)


def decode(images: ImageSet, shape: tuple[int, int, int]) -> ImageSet:
    """Decode image files to uint8 pixels of shape (N, H, W, C), resizing those of another size.

    Raises
    ------
    DataError
        If a file is not a readable image.
    """
    assert images.files is not None
    height, width, _ = shape

    def read(file: Path) -> npt.NDArray[np.uint8]:
        rgb = read_image(file)
        if rgb.size != (width, height):
            rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(rgb)

    with ThreadPoolExecutor() as pool:
        pixels = np.stack(list(pool.map(read, images.files, chunksize=64)))
    return replace(images, pixels=pixels, files=None)


def read_image(file: Path) -> Image.Image:
    """Decode one image file to mode RGB.

    Raises
    ------
    DataError
        If the file is absent or not a readable image; the message is a single line.
    """
    with _reading(file), Image.open(file) as image:
        return image.convert("RGB")


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into a sentence that names it."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Of an operating system's error, only the reason: it repeats the path.
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{file}: not a readable image: {' '.join(reason.split())}. Restore the file, or "
            "take it out of the folder and start a new run."
        ) from None


def _read_splits(folder: Path) -> tuple[tuple[str, ...], dict[str, ImageSet]]:
    class_names = _class_names(folder / "train")
    splits = {"train": _list_images(folder / "train", class_names)}
    for split in ("val", "test"):
        if (folder / split).is_dir():
            _, splits[split] = list_class_folders(folder / split, folder / "train")
    if "val" not in splits and "test" not in splits:
        raise DataError(f"{folder}: has train/ but neither test/ nor val/; add one of them.")
    if "test" not in splits:
        splits["test"] = splits.pop("val")
    return class_names, splits


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."))
    if len(names) < 2:
        raise DataError(
            f"{folder}: expected one folder for each of at least 2 classes, got {len(names)}."
        )
    return names


def _list_images(folder: Path, class_names: tuple[str, ...]) -> ImageSet:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        found = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"{folder}: no image found; expected <class>/*.png, .jpg, .jpeg or .webp.")
    return ImageSet(np.asarray(labels, dtype=np.int64), files=tuple(files))


def native_size(images: ImageSet) -> int:
    """Commonest larger side of a sample of images in files, or 224 when they are not small."""
    assert images.files is not None
    sides: Counter[int] = Counter()
    for file in images.files[:: max(1, len(images) // 100)]:
        with _reading(file), Image.open(file) as image:
            sides[max(image.size)] += 1
    side = sides.most_common(1)[0][0]
    return side if max(sides) <= SMALL_SIDE else LARGE_SIZE
