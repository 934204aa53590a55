"""What can be refused before a training is queued, without loading torch or reading images."""

from __future__ import annotations

from pathlib import Path

from ols_core.checks import invalid
from ols_core.config import TrainConfig
from ols_core.data.folders import check_folder
from ols_core.errors import DataError

__all__ = ["DATASETS", "DOWNLOADABLE", "NETWORKS", "check_startable"]

# Where each reader looks, below `data_dir`: the training images.
_FILES = {
    "fashion-mnist": (
        "train-images[-.]idx3-ubyte*",
        "FashionMNIST/raw/train-images[-.]idx3-ubyte*",
    ),
    "cifar10": ("cifar-10-batches-py",),
    "cifar100": ("cifar-100-python",),
}
DOWNLOADABLE = tuple(_FILES)
"""Data sets that can be fetched."""
DATASETS = ("digits", *DOWNLOADABLE)
"""Data sets known by name; any other one is ``folder:PATH``."""
NETWORKS = (
    "resnet20",
    "resnet32",
    "resnet56",
    "resnet110",
    "resnext29-2x64d",
    "resnext29-32x4d",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
)
"""Names in `ols_core.models.MODELS`, which cannot be read without loading torch."""


def check_startable(config: TrainConfig, download: bool = False) -> None:
    """Refuse what is certain to fail as soon as the training begins.

    Whether a ``timm:`` network exists and whether all images can be read is left to the training.

    Parameters
    ----------
    config : TrainConfig
    download : bool
        Whether an absent data set will be fetched.

    Raises
    ------
    ArgumentError
        If the data set or the network is none of those known.
    DataError
        If the data set is not where it is looked for.
    """
    if config.model not in NETWORKS and not config.model.startswith("timm:"):
        raise invalid("model", f"one of {', '.join(NETWORKS)} or timm:NAME", config.model)
    kind, _, path = config.dataset.partition(":")
    if kind == "folder" and path:
        check_folder(Path(path))
    elif config.dataset not in DATASETS:
        raise invalid("dataset", f"{', '.join(DATASETS)} or folder:PATH", config.dataset)
    elif kind in _FILES and not download:
        _check_present(kind, Path(config.data_dir))


def _check_present(name: str, folder: Path) -> None:
    if not any(any(folder.glob(pattern)) for pattern in _FILES[name]):
        raise DataError(
            f"{name} is not in {folder}: expected {_FILES[name][0].rstrip('*')} there. Let it be "
            "downloaded, or name the folder that holds it."
        )
