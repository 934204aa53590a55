"""Readers of single data sets: scikit-learn's digits, IDX files, CIFAR through torchvision."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ols_core.data.splits import hold_out
from ols_core.data.superclasses import cifar100_superclasses
from ols_core.data.types import Dataset, ImageSet
from ols_core.errors import DataError

__all__ = ["read_cifar", "read_digits", "read_fashion_mnist"]

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_IDX_UINT8 = 0x08
_DIGITS_TEST_SHARE = 0.2


def read_digits() -> Dataset:
    """Scikit-learn's 1,797 digits of 8 by 8 pixels, which need no download.

    A fifth of every class is the test split, always the same one, so that all runs compare.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    images = ImageSet(bunch.target.astype(np.int64), pixels)
    train, test = hold_out(images.labels, _DIGITS_TEST_SHARE, seed=0)
    return Dataset(
        name="digits",
        class_names=tuple(str(digit) for digit in range(10)),
        splits={"train": images.take(train), "test": images.take(test)},
        image_shape=(8, 8, 1),
        augment="none",
    )


def read_fashion_mnist(folder: Path, download: bool = False) -> Dataset:
    """Fashion-MNIST (Xiao et al. 2017) from its four IDX files, gzipped or not.

    Parameters
    ----------
    folder : Path
        Holds `train-images-idx3-ubyte[.gz]` and its three siblings, itself or in
        `FashionMNIST/raw`, where torchvision puts them.
    download : bool
        Fetch them with torchvision first if they are absent.

    Raises
    ------
    DataError
        If a file is absent or not IDX.
    """
    raw = folder / "FashionMNIST" / "raw"
    source = raw if raw.is_dir() else folder
    if download and _find_idx(source, "train-images-idx3-ubyte") is None:
        from torchvision.datasets import FashionMNIST

        try:
            FashionMNIST(str(folder), download=True)
        except (RuntimeError, OSError) as error:
            raise _not_downloaded("fashion-mnist", error) from None
        source = raw
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels = _read_idx(source, f"{prefix}-images-idx3-ubyte", 3)
        labels = _read_idx(source, f"{prefix}-labels-idx1-ubyte", 1)
        if len(pixels) != len(labels):
            raise DataError(f"{source}: {len(pixels)} {split} images but {len(labels)} labels.")
        splits[split] = ImageSet(labels.astype(np.int64), pixels[..., None])
    return Dataset("fashion-mnist", FASHION_CLASSES, splits, (28, 28, 1), "crop-flip")


def _not_downloaded(name: str, error: Exception) -> DataError:
    cause = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return DataError(
        f"{name} could not be downloaded: {cause}. Check the connection, or fetch it elsewhere and "
        "name its folder with --data-dir."
    )


def read_cifar(name: str, folder: Path, download: bool = False) -> Dataset:
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009) through torchvision.

    Parameters
    ----------
    name : {"cifar10", "cifar100"}
    folder : Path
        The root that torchvision unpacks into.
    download : bool
        Fetch it first if it is absent.

    Raises
    ------
    DataError
        If it is absent (or damaged) and `download` is off.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    try:
        parts = {
            "train": reader(str(folder), train=True, download=download),
            "test": reader(str(folder), train=False, download=download),
        }
    except (RuntimeError, OSError) as error:
        if download:
            raise _not_downloaded(name, error) from None
        raise DataError(
            f"{name} is not in {folder}. Fetch it with --download, or name the folder that holds "
            f"{reader.base_folder}/ with --data-dir; images in folders by class are read with "
            "--dataset folder:PATH."
        ) from None
    splits = {k: ImageSet(np.asarray(v.targets, np.int64), v.data) for k, v in parts.items()}
    classes = tuple(parts["train"].classes)
    return Dataset(name, classes, splits, (32, 32, 3), "crop-flip", cifar100_superclasses(classes))


def _find_idx(folder: Path, name: str) -> Path | None:
    # Some copies have a dot in place of the dash before "idx".
    candidates = [
        folder / (stem + end)
        for stem in (name, name.replace("-idx", ".idx"))
        for end in ("", ".gz")
    ]
    return next((file for file in candidates if file.is_file()), None)


def _read_idx(folder: Path, name: str, n_dims: int) -> npt.NDArray[np.uint8]:
    """Read one IDX file: 0, 0, type, rank, the big-endian sizes, then the bytes."""
    file = _find_idx(folder, name)
    if file is None:
        raise DataError(
            f"fashion-mnist: {name}[.gz] is not in {folder}. Name the folder that holds the IDX "
            "files with --data-dir, or fetch them with --download."
        )
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{file}: cannot be unpacked: {error}") from None
    header = 4 + 4 * n_dims
    if len(content) < header or tuple(content[:4]) != (0, 0, _IDX_UINT8, n_dims):
        raise DataError(f"{file}: not an IDX file of unsigned bytes with {n_dims} dimension(s).")
    shape = np.frombuffer(content, ">u4", n_dims, offset=4).astype(np.int64)
    if len(content) - header != shape.prod():
        raise DataError(
            f"{file}: {len(content) - header} bytes of data, expected {shape.prod()} for shape "
            f"{tuple(shape.tolist())}; the file is incomplete."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
