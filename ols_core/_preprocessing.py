"""How images are brought to the size and scale that a network's weights expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ols_core.checks import invalid
from ols_core.data.augment import Step, image_steps
from ols_core.data.batches import Statistics
from ols_core.models import expected_statistics

__all__ = ["Preprocessing", "preprocessing_of"]


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every image.

    Attributes
    ----------
    size : tuple of int
        (height, width) that the network sees.
    statistics : tuple
        Mean and standard deviation of each channel, in [0, 1], to normalise with.
    steps : tuple of callable
        Resizing and cropping of a PIL image to `size`, for images in files.
    size_source, statistics_source : str
        Where size and statistics come from, for the user.
    """

    size: tuple[int, int]
    statistics: Statistics
    steps: tuple[Step, ...]
    size_source: str
    statistics_source: str


def preprocessing_of(
    network: nn.Module,
    name: str,
    own_size: tuple[int, int],
    own_statistics: Statistics,
    in_files: bool,
    own_source: str = "the data set",
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Preprocessing:
    """Choose the preprocessing: that of published weights for images in files, else the data's.

    Small images keep their size whatever the network was published for. A network of timm or
    torchvision is normalised with its published statistics, as `ols train` does, if it takes as
    many channels.

    Parameters
    ----------
    network : nn.Module
    name : str
        As for `build_model`.
    own_size : tuple of int
        (height, width) of the data set.
    own_statistics : tuple
        Mean and standard deviation of each channel of its images.
    in_files : bool
        Whether the images are too large to have been decoded.
    own_source : str
        What `own_statistics` were taken from, for the user.
    image_size : int, optional
        Side in pixels that the user asks for.
    mean, std : sequence of float, optional
        Statistics that the user asks for, one number a channel.

    Raises
    ------
    ArgumentError
        If only one of `mean` and `std` is given, or their length is not the number of channels.
    """
    channels = len(own_statistics[0])
    published = expected_statistics(network, channels)
    chosen = Preprocessing(
        own_size,
        published or own_statistics,
        image_steps(own_size, "none", "none", True),
        "the data set",
        f"what is published for {name}" if published else own_source,
    )
    if in_files and published is not None:
        chosen = _published(network, name, published)
    if image_size is not None:
        size = (image_size, image_size)
        steps = image_steps(size, "none", "none", in_files=True)
        chosen = replace(chosen, size=size, steps=steps, size_source="--image-size")
    given = _given_statistics(mean, std, channels)
    if given is None:
        return chosen
    return replace(chosen, statistics=given, statistics_source="--mean and --std")


def _published(network: nn.Module, name: str, statistics: Statistics) -> Preprocessing:
    """Size, resizing and cropping as published for a network of timm or torchvision."""
    if name.startswith("timm:"):
        from timm.data.config import resolve_data_config
        from timm.data.transforms_factory import create_transform

        published: Any = network
        config = resolve_data_config(pretrained_cfg=published.pretrained_cfg)  # type: ignore[no-untyped-call]
        # Its last step would make a tensor, which is done for whole batches here.
        steps = create_transform(**config, use_prefetcher=True).transforms[:-1]
        size, source = config["input_size"][1:], "timm's data config"
        return Preprocessing(size, statistics, tuple(steps), source, source)
    from torchvision.models import get_model_weights
    from torchvision.transforms import v2

    first = next(iter(get_model_weights(name.removeprefix("torchvision:"))))
    known = first.transforms()
    crop = known.crop_size[0]
    steps = (v2.Resize(known.resize_size, known.interpolation), v2.CenterCrop(crop))
    source = f"torchvision's {first.name}"
    return Preprocessing((crop, crop), statistics, steps, source, source)


def _given_statistics(
    mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> Statistics | None:
    if mean is None and std is None:
        return None
    for option, values in (("--mean", mean), ("--std", std)):
        if values is None or len(values) != channels:
            expected = f"{channels} numbers, given together with --mean and --std"
            raise invalid(option, expected, None if values is None else list(values))
    assert mean is not None
    assert std is not None
    if min(std) <= 0:
        raise invalid("--std", "above 0", list(std))
    return tuple(mean), tuple(std)
