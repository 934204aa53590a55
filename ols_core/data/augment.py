"""Augmentation: transforms of single images, and rectangles erased from whole batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

__all__ = ["crop_margin", "draw_cutout", "draw_erasing", "fill_boxes", "image_steps"]

Step = Callable[[Image.Image], Image.Image]

# Zhong et al., "Random erasing data augmentation", AAAI 2020, section 4.
ERASED_AREA = (0.02, 0.33)  # share of the image
ERASED_ASPECT = (0.3, 3.3)  # height divided by width


def crop_margin(height: int) -> int:
    """Pixels by which a crop may shift an image of that height: an eighth of it.

    Examples
    --------
    >>> crop_margin(32)
    4
    """
    return height // 8


def draw_erasing(n: int, height: int, width: int, share: float, random: torch.Generator) -> Tensor:
    """Draw the rectangles of random erasing (Zhong et al. 2020), one an image.

    The area is uniform in 2 to 33 % of the image. The aspect ratio is log-uniform in 0.3 to 3.3,
    so that upright and lying rectangles are equally likely, and confined to what fits into the
    image, where the paper draws again. Sides are rounded to whole pixels.

    Parameters
    ----------
    n : int
        Number of images.
    height, width : int
        Of the images, in pixels.
    share : float in [0, 1]
        Probability that an image is erased at all; if not, its rectangle is empty.
    random : torch.Generator
        On the CPU.

    Returns
    -------
    boxes : Tensor of shape (n, 4), int64
        top, bottom, left, right; bottom and right are exclusive.

    Examples
    --------
    >>> boxes = draw_erasing(4, 32, 32, 0.0, torch.Generator())
    >>> (boxes[:, 1] - boxes[:, 0]).tolist()
    [0, 0, 0, 0]
    """
    # float64: a float32 below 1, times a number of positions, may round up to one too many.
    chosen, u_area, u_aspect, u_top, u_left = torch.rand(
        5, n, generator=random, dtype=torch.float64
    )
    smallest, largest = ERASED_AREA
    area = height * width * (smallest + (largest - smallest) * u_area)
    low = (area / width**2).clamp(min=ERASED_ASPECT[0]).log()
    high = (height**2 / area).clamp(max=ERASED_ASPECT[1]).log()
    aspect = torch.lerp(low, high, u_aspect).exp()
    # The clamp also serves images so narrow that no allowed aspect ratio fits.
    box_height = (area * aspect).sqrt().round().clamp(1, height)
    box_width = (area / aspect).sqrt().round().clamp(1, width)
    top = (u_top * (height - box_height + 1)).floor()
    left = (u_left * (width - box_width + 1)).floor()
    erased = chosen < share
    bottom = torch.where(erased, top + box_height, top)
    return torch.stack([top, bottom, left, left + box_width], dim=1).long()


def draw_cutout(n: int, height: int, width: int, side: int, random: torch.Generator) -> Tensor:
    """Draw the squares of cutout (DeVries & Taylor 2017, arXiv 1708.04552), one an image.

    The centre is a uniformly drawn pixel, so that squares near the border are clipped there.

    Parameters
    ----------
    n, height, width, random
        As in `draw_erasing`.
    side : int
        Of the square, in pixels.

    Returns
    -------
    boxes : Tensor of shape (n, 4), int64
        As of `draw_erasing`.

    Examples
    --------
    >>> draw_cutout(1, 8, 8, 100, torch.Generator()).tolist()
    [[0, 8, 0, 8]]
    """
    limits = torch.tensor([[height], [width]])
    uniform = torch.rand(2, n, generator=random, dtype=torch.float64)
    start = (uniform * limits).long() - side // 2
    end = torch.minimum(start + side, limits)
    start = start.clamp(min=0)
    return torch.stack([start[0], end[0], start[1], end[1]], dim=1)


def fill_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Set a rectangle of each image to 0, in place.

    Parameters
    ----------
    images : Tensor of shape (B, C, H, W), float
        Normalised, so that 0 is the mean colour.
    boxes : Tensor of shape (B, 4), int64
        top, bottom, left, right on the images' device.

    Returns
    -------
    images : Tensor of shape (B, C, H, W)
        The argument.

    Examples
    --------
    >>> fill_boxes(torch.ones(1, 1, 2, 3), torch.tensor([[0, 1, 1, 3]])).tolist()
    [[[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]]
    """
    top, bottom, left, right = boxes.T[:, :, None]
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    return images.masked_fill_((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)


def image_steps(
    size: tuple[int, int], augment: str, policy: str, in_files: bool
) -> tuple[Step, ...]:
    """List the transforms of a single image, which draw from torch's global CPU generator.

    Parameters
    ----------
    size : tuple of int
        (height, width) of the result; images in memory must have it already.
    augment : {"none", "crop", "crop-flip"}
        For images in files a crop takes a random 8 to 100 % of the area; without it, the centre.
        For images in memory it shifts by up to `crop_margin`, zeros outside. Flip: mirror half.
    policy : {"none", "randaugment", "autoaugment"}
        RandAugment: 2 operations of magnitude 9 of 30 (Cubuk et al. 2020). AutoAugment: the
        policy found for CIFAR-10 for images in memory, for ImageNet otherwise (Cubuk et al. 2019).
    in_files : bool
        Whether images come from files, of any size.

    Returns
    -------
    steps : tuple of callable
        Each takes and returns a PIL image of mode L or RGB.
    """
    steps: list[Step] = []
    if in_files and augment == "none":
        # The usual margin of ImageNet evaluation: resize to 8/7 of the crop.
        steps += [v2.Resize(round(min(size) * 8 / 7), antialias=True), v2.CenterCrop(size)]
    elif in_files:
        steps.append(v2.RandomResizedCrop(size, antialias=True))
    elif augment != "none":
        steps.append(v2.RandomCrop(size, padding=crop_margin(size[0])))
    if augment == "crop-flip":
        steps.append(v2.RandomHorizontalFlip())
    if policy == "randaugment":
        steps.append(v2.RandAugment())
    elif policy == "autoaugment":
        policies = v2.AutoAugmentPolicy
        steps.append(v2.AutoAugment(policies.IMAGENET if in_files else policies.CIFAR10))
    return tuple(steps)
