"""What a data set is, independent of where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset", "ImageSet"]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, either decoded or still in files.

    Attributes
    ----------
    labels : ndarray of shape (N,), int64
        Class indices, as a training sees them.
    pixels : ndarray of shape (N, H, W, C), uint8, or None
        Decoded images, when they are small enough to keep in memory.
    files : tuple of Path, or None
        One file an image, when they are not.
    true_labels : ndarray of shape (N,), int64, or None
        Labels before noise was added; None where none was.
    """

    labels: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.uint8] | None = None
    files: tuple[Path, ...] | None = None
    true_labels: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def flipped(self) -> npt.NDArray[np.bool_] | None:
        """Whether noise changed each label, (N,); None where no noise was added."""
        return None if self.true_labels is None else self.labels != self.true_labels

    def take(self, indices: npt.NDArray[np.int64]) -> ImageSet:
        """Return the images at `indices`, in that order."""
        return ImageSet(
            self.labels[indices],
            None if self.pixels is None else self.pixels[indices],
            None if self.files is None else tuple(self.files[i] for i in indices),
            None if self.true_labels is None else self.true_labels[indices],
        )


@dataclass(frozen=True)
class Dataset:
    """A classification data set, split.

    Attributes
    ----------
    name : str
        Short name, shown to users.
    class_names : tuple of str
        One name a class, in label order.
    splits : mapping
        `train`, `val` and `test`, each an `ImageSet`.
    image_shape : tuple
        (height, width, channels) that the network sees.
    augment : {"none", "crop", "crop-flip"}
        What suits these images: digits must not be mirrored.
    superclasses : tuple of str, or None
        Superclass of each class, where known.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, ImageSet]
    image_shape: tuple[int, int, int]
    augment: str
    superclasses: tuple[str, ...] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)
