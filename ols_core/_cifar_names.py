"""Names that other implementations give the parameters of the networks for small images."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

__all__ = ["TRAINING_ONLY", "as_cifar_resnet", "is_plain_resnet"]

TRAINING_ONLY = re.compile(
    # The heads of deep supervision in the authors' CIFAR scripts, which evaluation never calls.
    r"(downsample\d_1|bottleneck\d_1|middle_fc\d)\."
)
"""Beginning of parameters that a network is trained with, but not evaluated."""

_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|(?:downsample|shortcut)\.(\d))\.(\w+)")
_ENDS = {"conv1": "stem.0.0", "bn1": "stem.0.1", "fc": "fc", "linear": "fc"}


def is_plain_resnet(keys: Collection[str]) -> bool:
    """Whether a residual network names its parameters as torchvision's does, in three stages."""
    return {"conv1.weight", "layer3.0.conv1.weight"} <= set(keys) and not any(
        key.startswith("layer4.") for key in keys
    )


def as_cifar_resnet(keys: Sequence[str]) -> Mapping[str, str]:
    """Translate names of a residual network of three stages; others stay as they are.

    The authors' CIFAR scripts and common collections of CIFAR networks name their layers as
    torchvision does; `ols_core.models.CifarResNet` numbers the same layers throughout.

    Parameters
    ----------
    keys : sequence of str
        All names of the state dict.

    Examples
    --------
    >>> keys = ["bn1.bias", "layer1.0.conv2.weight", "layer2.0.downsample.1.bias"]
    >>> list(as_cifar_resnet(keys).values())
    ['stem.0.1.bias', 'stages.0.body.2.0.weight', 'stages.1.shortcut.1.bias']
    """
    depth = 1 + max((int(m[2]) for m in map(_BLOCK.fullmatch, keys) if m), default=0)
    names = {}
    for key in keys:
        block = _BLOCK.fullmatch(key)
        if block:
            stage, index, kind, number, of_shortcut, parameter = block.groups()
            layer = f"shortcut.{of_shortcut}" if kind is None else _in_body(kind, int(number))
            names[key] = f"stages.{(int(stage) - 1) * depth + int(index)}.{layer}.{parameter}"
        else:
            layer, dot, parameter = key.partition(".")
            names[key] = _ENDS.get(layer, layer) + dot + parameter
    return names


def _in_body(kind: str, number: int) -> str:
    """Place in a block's `body`, where each convolution is followed by its norm, then a ReLU."""
    return f"body.{2 * (number - 1)}.{int(kind == 'bn')}"
