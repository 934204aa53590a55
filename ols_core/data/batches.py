"""Batches on the training device: small images held in memory, or files through a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from ols_core.data.types import ImageSet
from ols_core.seeding import derive_seed

__all__ = ["Batches", "FileBatches", "TensorBatches", "pixel_statistics"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Batches(Protocol):
    """Yields (images, labels) on the device; images float32 (B, C, H, W), normalised."""

    n_samples: int

    def __len__(self) -> int:
        """Number of batches."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the random order and augmentation of one epoch, whatever ran before."""


def pixel_statistics(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in [0, 1]; ImageNet's for images in files."""
    if images.pixels is None:
        return IMAGENET_MEAN, IMAGENET_STD
    flat = images.pixels.reshape(-1, images.pixels.shape[-1])
    # Through the 256 values of each channel: exact, and no float copy of all pixels.
    values = np.arange(256) / 255
    weights = np.stack([np.bincount(channel, minlength=256) for channel in flat.T]) / len(flat)
    mean = weights @ values
    variance = weights @ values**2 - mean**2
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(variance, 1e-12)).tolist())


class TensorBatches:
    """Batches of uint8 images that live on the device; crop and flip are done there, at once.

    Parameters
    ----------
    images : ImageSet
        With pixels.
    batch_size : int
    size : tuple of int
        (height, width) that the network sees; images of another size are interpolated.
    mean, std : tuple of float
        One a channel, in [0, 1].
    device : torch.device
    augment : {"none", "crop", "crop-flip"}
        Crop: shift by up to an eighth of the side, zeros outside. Flip: mirror half of them.
    shuffle : bool
        Draw a new order each epoch; a last incomplete batch is kept.
    seed : int
        Order and augmentation depend on it and the epoch only.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        augment: str = "none",
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        assert images.pixels is not None
        self.n_samples = len(images)
        self._batch_size = batch_size
        self._size = size
        self._augment = augment
        self._shuffle = shuffle
        self._seed = seed
        self._epoch = 0
        self._height, self._width = images.pixels.shape[1:3]
        self._margin = 0 if augment == "none" else self._height // 8
        pixels = torch.from_numpy(images.pixels)
        margin = self._margin
        self._pixels = F.pad(pixels, (0, 0, margin, margin, margin, margin)).to(device)
        self._labels = torch.from_numpy(images.labels).to(device)
        self._mean = torch.tensor(mean, device=device).mul(255).view(1, -1, 1, 1)
        self._scale = torch.tensor(std, device=device).mul(255).reciprocal().view(1, -1, 1, 1)

    def __len__(self) -> int:
        return -(-self.n_samples // self._batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(derive_seed(self._seed, "batches", self._epoch))
        n = self.n_samples
        order = torch.randperm(n, generator=random) if self._shuffle else torch.arange(n)
        for chosen in torch.split(order, self._batch_size):
            # Random numbers come from the CPU so that every device draws the same ones.
            index = chosen.to(self._pixels.device)
            pixels = self._crop(index, random) if self._augment != "none" else self._pixels[index]
            # (B, H, W, C) seen as (B, C, H, W) is channels_last already.
            images = (pixels.permute(0, 3, 1, 2).float() - self._mean) * self._scale
            if images.shape[2:] != self._size:
                images = F.interpolate(images, self._size, mode="bilinear", antialias=True)
            yield images, self._labels[index]

    def _crop(self, index: Tensor, random: torch.Generator) -> Tensor:
        """Gather shifted, perhaps mirrored windows of the padded images, (B, H, W, C)."""
        device, n = index.device, len(index)
        shift = torch.randint(0, 2 * self._margin + 1, (2, n, 1), generator=random).to(device)
        rows = torch.arange(self._height, device=device) + shift[0]
        columns = torch.arange(self._width, device=device).expand(n, -1)
        if self._augment == "crop-flip":
            mirrored = (torch.rand(n, 1, generator=random) < 0.5).to(device)
            columns = torch.where(mirrored, columns.flip(1), columns)
        columns = columns + shift[1]
        return self._pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]]


class FileBatches:
    """Batches of image files, decoded and augmented by torchvision in worker processes.

    Training crops a random 8 to 100 % of the area and mirrors half (unless `augment` says less);
    evaluation resizes and crops the centre. Parameters as in `TensorBatches`.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        augment: str = "none",
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 2,
    ) -> None:
        self.n_samples = len(images)
        self._device = device
        self._seed = seed
        self._random = torch.Generator()
        self._loader: DataLoader[Any] = DataLoader(
            _Files(images, _transform(size, mean, std, augment)),
            batch_size,
            shuffle=shuffle,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            generator=self._random,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self._random.manual_seed(derive_seed(self._seed, "batches", epoch))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self._loader:
            yield (
                images.to(self._device, non_blocking=True).contiguous(
                    memory_format=torch.channels_last
                ),
                labels.to(self._device, non_blocking=True),
            )


def _transform(
    size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...], augment: str
) -> Callable[[Any], Tensor]:
    if augment == "none":
        # The usual margin of ImageNet evaluation: resize to 8/7 of the crop.
        geometry = [v2.Resize(round(min(size) * 8 / 7), antialias=True), v2.CenterCrop(size)]
    else:
        geometry = [v2.RandomResizedCrop(size, antialias=True)]
        if augment == "crop-flip":
            geometry.append(v2.RandomHorizontalFlip())
    to_float = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    transform: Callable[[Any], Tensor] = v2.Compose([*geometry, *to_float])
    return transform


class _Files(TorchDataset[tuple[Tensor, int]]):
    def __init__(self, images: ImageSet, transform: Callable[[Any], Tensor]) -> None:
        assert images.files is not None
        self._files: tuple[Path, ...] = images.files
        self._labels = images.labels
        self._transform = transform

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self._files[index]) as image:
            return self._transform(image.convert("RGB")), int(self._labels[index])
