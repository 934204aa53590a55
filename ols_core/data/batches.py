"""Batches on the training device: small images held in memory, or images through a DataLoader."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ols_core.checks import check_range
from ols_core.config import TrainConfig
from ols_core.data.augment import (
    Step,
    crop_margin,
    draw_cutout,
    draw_erasing,
    fill_boxes,
    image_steps,
)
from ols_core.data.folders import read_image
from ols_core.data.order import BatchPlan, Part
from ols_core.data.types import Dataset, ImageSet
from ols_core.errors import DataError
from ols_core.seeding import derive_seed

__all__ = [
    "Batch",
    "Batches",
    "LoaderBatches",
    "TensorBatches",
    "make_batches",
    "pixel_statistics",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
_EVALUATION_FACTOR = 4  # without gradients a batch needs a fraction of the memory


class Batch(NamedTuple):
    """Images and labels on the device.

    Attributes
    ----------
    images : Tensor of shape (B, C, H, W), float32
        Normalised, in channels_last memory format.
    labels : Tensor of shape (B,), int64
        Class indices, noisy where noise was added.
    flipped : Tensor of shape (B,), bool, or None
        Whether noise changed the label; None where no noise was added.
    share : float
        Number of images of this process divided by the mean over all processes, in this batch
        when training, in the whole pass when evaluating: exactly 1.0 in a single process. The mean
        loss times it, averaged over the processes, is the mean loss of the whole batch.
    """

    images: Tensor
    labels: Tensor
    flipped: Tensor | None
    share: float


class Batches(Protocol):
    """What trainings and evaluations iterate over.

    `n_samples` counts the images of all processes together. Its `len` is that of this process; in
    training it is the same in all of them.
    """

    n_samples: int

    def __len__(self) -> int:
        """Number of batches."""

    def __iter__(self) -> Iterator[Batch]: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the random order and augmentation of one epoch, whatever ran before."""


def make_batches(
    config: TrainConfig,
    dataset: Dataset,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    statistics: Statistics | None = None,
) -> dict[str, Batches]:
    """Build the batches of every split: `train` shuffled and augmented, the others as they are.

    Images in files, and those that a policy transforms one by one, go through worker processes;
    all others are augmented on the device.

    Parameters
    ----------
    config : TrainConfig
        Uses `batch_size`, `augment`, `policy`, `erasing`, `cutout`, `workers` and `seed`.
        Evaluation takes four times `batch_size`.
    dataset : Dataset
    device : torch.device
    rank, world : int
        This process and the number of processes; `batch_size` is that of all together in training
        and of each in evaluation.
    statistics : tuple, optional
        Mean and standard deviation of each channel that the network expects; by default
        `pixel_statistics` of the training images.

    Raises
    ------
    ArgumentError
        If `rank` is not in [0, world), or `batch_size` or a split is smaller than `world`.
    """
    mean, std = statistics or pixel_statistics(dataset.splits["train"])
    augment = dataset.augment if config.augment == "auto" else config.augment
    batches: dict[str, Batches] = {}
    for split, images in dataset.splits.items():
        training = split == "train"
        check_range(f"the number of {split} images", len(images), world, math.inf)
        common: dict[str, Any] = {
            "images": images,
            "batch_size": config.batch_size * (1 if training else _EVALUATION_FACTOR),
            "size": dataset.image_shape[:2],
            "mean": mean,
            "std": std,
            "device": device,
            "augment": augment if training else "none",
            "shuffle": training,
            "seed": config.seed,
            "erasing": config.erasing if training else 0.0,
            "cutout": config.cutout if training else 0,
            "rank": rank,
            "world": world,
        }
        policy = config.policy if training else "none"
        if images.pixels is None or policy != "none":
            batches[split] = LoaderBatches(**common, policy=policy, workers=config.workers)
        else:
            batches[split] = TensorBatches(**common)
    return batches


def pixel_statistics(images: ImageSet) -> Statistics:
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


class _DeviceBatches(ABC):
    """What both kinds share: order, normalisation, erasing and cutout.

    All random numbers of an epoch come from one generator on the CPU, so that every device and
    every rank draws the same ones: first the order, then what `_read` draws, then for each batch
    erasing and cutout.
    """

    def __init__(
        self,
        images: ImageSet,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        seed: int,
        erasing: float,
        cutout: int,
        plan: BatchPlan,
    ) -> None:
        self.n_samples = len(images)
        self._size = size
        self._device = device
        self._seed = seed
        self._erasing = erasing
        self._cutout = cutout
        self._plan = plan
        self._epoch = 0
        self._labels = torch.from_numpy(images.labels).to(device)
        flipped = images.flipped
        self._flipped = None if flipped is None else torch.from_numpy(flipped).to(device)
        self._mean = torch.tensor(mean, device=device).mul(255).view(1, -1, 1, 1)
        self._scale = torch.tensor(std, device=device).mul(255).reciprocal().view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self._plan)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        random = torch.Generator().manual_seed(derive_seed(self._seed, "batches", self._epoch))
        for part, pixels in self._read(self._plan.parts(random), random):
            # (B, H, W, C) seen as (B, C, H, W) is channels_last already.
            images = (pixels.permute(0, 3, 1, 2).float() - self._mean) * self._scale
            if images.shape[2:] != self._size:
                images = F.interpolate(images, self._size, mode="bilinear", antialias=True)
            for boxes in self._draw_boxes(len(part.batch), random):
                fill_boxes(images, self._sent(boxes[part.rows]))
            index = self._sent(part.batch[part.rows])
            flipped = None if self._flipped is None else self._flipped[index]
            yield Batch(images, self._labels[index], flipped, part.share)

    def _sent(self, values: Tensor) -> Tensor:
        """Copy to the device; to CUDA from pinned memory, for which the loop need not wait."""
        if self._device.type != "cuda":
            return values.to(self._device)
        return values.pin_memory().to(self._device, non_blocking=True)

    def _draw_boxes(self, n: int, random: torch.Generator) -> Iterator[Tensor]:
        if self._erasing > 0:
            yield draw_erasing(n, *self._size, self._erasing, random)
        if self._cutout > 0:
            yield draw_cutout(n, *self._size, self._cutout, random)

    @abstractmethod
    def _read(
        self, parts: Iterator[Part], random: torch.Generator
    ) -> Iterator[tuple[Part, Tensor]]:
        """Yield each part with its rows' pixels, uint8 (B, H, W, C), on the device."""


class TensorBatches(_DeviceBatches):
    """Batches of uint8 images that live on the device; crop and flip are done there, at once.

    Parameters
    ----------
    images : ImageSet
        With pixels.
    batch_size : int
        See `BatchPlan`.
    size : tuple of int
        (height, width) that the network sees; images of another size are interpolated.
    mean, std : tuple of float
        One a channel, in [0, 1].
    device : torch.device
    augment : {"none", "crop", "crop-flip"}
        Crop: shift by up to an eighth of the side, zeros outside. Flip: mirror half of them.
    shuffle : bool
        Draw a new order each epoch; a last incomplete batch is kept, see `BatchPlan`.
    seed : int
        Order and augmentation depend on it and the epoch only.
    erasing : float in [0, 1]
        Share of images with a random rectangle set to the mean.
    cutout : int
        Side in pixels, at `size`, of a square set to the mean in every image; 0 for none.
    rank, world : int
        This process and the number of processes. With `shuffle`, random numbers are drawn for the
        whole batch and its rows dealt out, so that the union over the ranks is, to the bit, what
        a single process sees.

    Raises
    ------
    ArgumentError
        See `BatchPlan`.
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
        erasing: float = 0.0,
        cutout: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        assert images.pixels is not None
        plan = BatchPlan(len(images), batch_size, shuffle, rank, world)
        super().__init__(images, size, mean, std, device, seed, erasing, cutout, plan)
        self._augment = augment
        self._height, self._width = images.pixels.shape[1:3]
        self._margin = margin = 0 if augment == "none" else crop_margin(self._height)
        pixels = torch.from_numpy(images.pixels)
        self._pixels = F.pad(pixels, (0, 0, margin, margin, margin, margin)).to(device)

    def _read(
        self, parts: Iterator[Part], random: torch.Generator
    ) -> Iterator[tuple[Part, Tensor]]:
        for part in parts:
            if self._augment == "none":
                yield part, self._pixels[self._sent(part.batch[part.rows])]
            else:
                yield part, self._crop(part, random)

    def _crop(self, part: Part, random: torch.Generator) -> Tensor:
        """Gather shifted, perhaps mirrored windows of the padded images, (B, H, W, C)."""
        device, n = self._device, len(part.batch)
        index = self._sent(part.batch[part.rows])
        shift = torch.randint(0, 2 * self._margin + 1, (2, n, 1), generator=random)
        shift = self._sent(shift[:, part.rows])
        rows = torch.arange(self._height, device=device) + shift[0]
        columns = torch.arange(self._width, device=device).expand(len(index), -1)
        if self._augment == "crop-flip":
            mirrored = self._sent((torch.rand(n, 1, generator=random) < 0.5)[part.rows])
            columns = torch.where(mirrored, columns.flip(1), columns)
        columns = columns + shift[1]
        return self._pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]]


class LoaderBatches(_DeviceBatches):
    """Batches of images that worker processes read and transform one by one.

    Images in files are cropped to a random 8 to 100 % of the area in training, resized and cropped
    at the centre in evaluation; those in memory as `TensorBatches` does it. Every image of an epoch
    has a seed of its own: results depend neither on the number of workers nor on the ranks.

    Parameters
    ----------
    images : ImageSet
        With pixels of 1 or 3 channels, or files.
    batch_size, size, mean, std, device, augment, shuffle, seed, erasing, cutout, rank, world
        As in `TensorBatches`.
    policy : {"none", "randaugment", "autoaugment"}
        Learned augmentation, see `image_steps`.
    workers : int
        Number of processes; 0 reads in this one.
    steps : sequence of callable, optional
        Transforms of a single image to `size`, in place of those of `augment` and `policy`.

    Raises
    ------
    ArgumentError
        See `BatchPlan`.
    DataError
        While iterating, if a file has vanished or is unreadable.
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
        erasing: float = 0.0,
        cutout: int = 0,
        rank: int = 0,
        world: int = 1,
        policy: str = "none",
        workers: int = 2,
        steps: Sequence[Step] | None = None,
    ) -> None:
        plan = BatchPlan(len(images), batch_size, shuffle, rank, world)
        super().__init__(images, size, mean, std, device, seed, erasing, cutout, plan)
        self._workers = workers
        in_files = images.pixels is None
        side = size if images.pixels is None else images.pixels.shape[1:3]
        if steps is None:
            steps = image_steps(side, augment, policy, in_files)
        self._images = _Images(images, steps)

    def _read(
        self, parts: Iterator[Part], random: torch.Generator
    ) -> Iterator[tuple[Part, Tensor]]:
        planned = list(parts)
        seeds = torch.randint(2**62, (self.n_samples,), generator=random)
        mine = [part.batch[part.rows] for part in planned]
        loader: DataLoader[Any] = DataLoader(
            self._images,
            batch_size=None,
            # numpy, since tensors sent to a worker each cost a shared file.
            sampler=[(index.numpy(), seeds[index].numpy()) for index in mine],
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            # Its own, though nothing depends on it: otherwise torch's global one is drawn from.
            generator=torch.Generator(),
        )
        for part, pixels in zip(planned, loader, strict=True):
            if isinstance(pixels, DataError):
                raise pixels
            yield part, self._sent(pixels)


class _Images(TorchDataset[Tensor | DataError]):
    """Reads and transforms a batch at a time, given its positions and seeds.

    An unreadable file is returned as its error: raised in a worker, it would arrive with the
    worker's whole traceback in its message.
    """

    def __init__(self, images: ImageSet, steps: Sequence[Step]) -> None:
        self._files = images.files
        # A tensor, so that workers which are spawned rather than forked share it too.
        self._pixels = None if images.pixels is None else torch.from_numpy(images.pixels)
        self._steps = steps

    def __getitem__(
        self, chosen: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    ) -> Tensor | DataError:
        positions, seeds = chosen
        try:
            with torch.random.fork_rng(devices=[]):
                images = [
                    self._transformed(int(i), int(s)) for i, s in zip(positions, seeds, strict=True)
                ]
        except DataError as error:
            return error
        stacked = np.stack(images)
        return torch.from_numpy(stacked.reshape(*stacked.shape[:3], -1))

    def _transformed(self, position: int, seed: int) -> npt.NDArray[np.uint8]:
        """One image, (H, W) or (H, W, 3)."""
        # Not torch.manual_seed, which seeds every GPU as well.
        torch.default_generator.manual_seed(seed)
        image = self._image(position)
        for step in self._steps:
            image = step(image)
        return np.asarray(image)

    def _image(self, position: int) -> Image.Image:
        if self._pixels is None:
            assert self._files is not None
            return read_image(self._files[position])
        pixels = self._pixels[position].numpy()
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
