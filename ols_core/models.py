"""The model registry: networks for small images, and those of timm and torchvision by name.

Every model ends in a linear classifier whose input are the penultimate features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from types import MethodType
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet as imagenet_resnet

from ols_core.errors import ArgumentError, DataError

__all__ = [
    "MODELS",
    "build_model",
    "captured_features",
    "classifier",
    "classifier_name",
    "expected_statistics",
    "freeze_backbone",
]


class _Residual(nn.Module):
    """`body(x) + shortcut(x)`, then ReLU; the shortcut is a 1×1 convolution where shapes differ."""

    def __init__(self, body: nn.Sequential, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = body
        same = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same else _conv(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


def _conv(n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(n_out))


def _basic(n_in: int, n_out: int, stride: int) -> _Residual:
    body = nn.Sequential(
        _conv(n_in, n_out, 3, stride), nn.ReLU(inplace=True), _conv(n_out, n_out, 3)
    )
    return _Residual(body, n_in, n_out, stride)


def _grouped(n_in: int, n_out: int, stride: int, *, groups: int, group_width: int) -> _Residual:
    """Bottleneck of ResNeXt; `group_width` is that of the first stage, where `n_out` is 256."""
    inner = groups * group_width * n_out // 256
    body = nn.Sequential(
        _conv(n_in, inner, 1),
        nn.ReLU(inplace=True),
        _conv(inner, inner, 3, stride, groups),
        nn.ReLU(inplace=True),
        _conv(inner, n_out, 1),
    )
    return _Residual(body, n_in, n_out, stride)


class CifarResNet(nn.Module):
    """A residual network of three stages for small images, 8 to 64 pixels a side.

    Sources: He et al. 2016, §4.2 (ResNet-20 to 110; here with projection shortcuts) and
    Xie et al. 2017, §5.2 (ResNeXt-29).

    Parameters
    ----------
    block : callable
        Makes one block from (n_in, n_out, stride).
    depth : int
        Blocks in each stage.
    widths : tuple of int
        Channels of the stem and of the three stages.
    n_classes, channels : int
        Outputs and input channels.
    """

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        depth: int,
        widths: tuple[int, int, int, int],
        n_classes: int,
        channels: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(channels, widths[0], 3), nn.ReLU(inplace=True))
        stages: list[nn.Module] = []
        n_in = widths[0]
        for stage, n_out in enumerate(widths[1:]):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                stages.append(block(n_in, n_out, stride))
                n_in = n_out
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, K), of images, (B, C, H, W)."""
        logits: Tensor = self.fc(self.stages(self.stem(x)).mean((2, 3)))
        return logits


def _imagenet_resnet(
    constructor: Callable[..., nn.Module], n_classes: int, channels: int
) -> nn.Module:
    """Torchvision's network with the stem for small images: 3×3, stride 1, no pooling."""
    model = constructor(num_classes=n_classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _resnext(groups: int, group_width: int) -> Callable[[int, int], nn.Module]:
    block = partial(_grouped, groups=groups, group_width=group_width)
    return partial(CifarResNet, block, 3, (64, 256, 512, 1024))


_AUXILIARY_HEADS = ("googlenet", "inception_v3")  # which change what the network returns

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    **{
        f"resnet{6 * depth + 2}": partial(CifarResNet, _basic, depth, (16, 16, 32, 64))
        for depth in (3, 5, 9, 18)
    },
    "resnext29-2x64d": _resnext(2, 64),
    "resnext29-32x4d": _resnext(32, 4),
    **{
        f"resnet{depth}": partial(_imagenet_resnet, getattr(imagenet_resnet, f"resnet{depth}"))
        for depth in (18, 34, 50, 101)
    },
}
"""Name → constructor of (n_classes, channels): the paper's networks for small images."""


def build_model(name: str, n_classes: int, channels: int, pretrained: bool = False) -> nn.Module:
    """Make a network by name, with its classifier computing in float32 under any precision.

    Parameters
    ----------
    name : str
        A key of `MODELS`, `timm:NAME` or `torchvision:NAME`.
    n_classes, channels : int
        Outputs K and input channels (1 or 3).
    pretrained : bool
        Ask timm for its published weights.

    Raises
    ------
    ArgumentError
        If the name is unknown, or `pretrained` is asked of a network that has none.

    Examples
    --------
    >>> build_model("resnet20", 10, 1)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    if name.startswith("timm:"):
        model = _timm_model(name.removeprefix("timm:"), n_classes, channels, pretrained)
    elif name not in MODELS and not name.startswith("torchvision:"):
        raise ArgumentError(
            f"model must be one of {', '.join(MODELS)}, timm:NAME or torchvision:NAME, got "
            f"{name!r}."
        )
    elif pretrained:
        raise ArgumentError(f"pretrained: {name} has no published weights; use --weights FILE.")
    elif name.startswith("torchvision:"):
        model = _torchvision_model(name.removeprefix("torchvision:"), n_classes, channels)
    else:
        model = MODELS[name](n_classes, channels)
    _classify_in_float32(model)
    return model


def _timm_model(name: str, n_classes: int, channels: int, pretrained: bool) -> nn.Module:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "see timm.list_models()"
        raise ArgumentError(
            f"model timm:{name} is unknown to timm {timm.__version__}; near: {near}."
        )
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=n_classes, in_chans=channels
        )
    except (RuntimeError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise DataError(
            f"timm:{name}: its weights cannot be had ({cause}). Fetch them elsewhere and pass "
            "--weights FILE."
        ) from None
    return model


def _torchvision_model(name: str, n_classes: int, channels: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models, exclude=_AUXILIARY_HEADS)
    if name not in known:
        near = ", ".join(get_close_matches(name, known)) or "see torchvision.models.list_models()"
        raise ArgumentError(
            f"model torchvision:{name} is no classifier of torchvision that can be used here; "
            f"near: {near}."
        )
    if channels != 3:
        raise ArgumentError(
            f"model torchvision:{name} takes images of 3 channels, got {channels}; timm:NAME takes "
            "any number."
        )
    model: nn.Module = models.get_model(name, num_classes=n_classes)
    linear = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)]
    published = next(iter(models.get_model_weights(name))).transforms()
    # What timm's networks say of themselves, for `classifier_name` and `expected_statistics`.
    model.pretrained_cfg = {  # type: ignore[assignment]
        "classifier": linear[-1] if linear else "",
        "mean": tuple(published.mean),
        "std": tuple(published.std),
    }
    return model


def expected_statistics(
    model: nn.Module, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation of each channel, in [0, 1], that published weights expect.

    Returns
    -------
    mean, std : tuple of float, or None
        None for networks of this package, or if `channels` is not what published weights take.

    Examples
    --------
    >>> expected_statistics(build_model("timm:tf_efficientnet_lite0", 10, 3), 3)
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    published = getattr(model, "pretrained_cfg", {})
    mean, std = (tuple(published.get(key, ())) for key in ("mean", "std"))
    return (mean, std) if len(mean) == len(std) == channels else None


def classifier_name(model: nn.Module) -> str:
    """Name of the linear layer that gives the logits.

    Raises
    ------
    ArgumentError
        If the network does not end in one linear layer; also if timm names several, as for
        distilled transformers, whose logits are a mean over heads on different features.
    """
    configured = getattr(model, "pretrained_cfg", {}).get("classifier")
    name = configured if isinstance(configured, str) else "fc"
    try:
        found = model.get_submodule(name)
    except AttributeError:
        found = None
    if not isinstance(found, nn.Linear):
        raise ArgumentError(
            f"model {type(model).__name__} does not end in a linear classifier, which the "
            "penultimate features are taken from; choose another architecture."
        )
    return name


def classifier(model: nn.Module) -> nn.Linear:
    """Return the linear layer that gives the logits; see `classifier_name`."""
    return cast(nn.Linear, model.get_submodule(classifier_name(model)))


class _Float32Linear(nn.Linear):
    # bf16 logits carry 8 bits: too coarse for NLL, calibration and soft labels.
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)


def _classify_in_float32(model: nn.Module) -> None:
    classifier(model).__class__ = _Float32Linear


@contextmanager
def captured_features(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the classifier's input, (B, D), of every forward pass inside the block.

    Examples
    --------
    >>> model = build_model("resnet20", 10, 3)
    >>> with captured_features(model) as features:
    ...     _ = model(torch.zeros(2, 3, 32, 32))
    >>> features[0].shape
    torch.Size([2, 64])
    """
    features: list[Tensor] = []
    handle = classifier(model).register_forward_pre_hook(
        lambda _, inputs: features.append(inputs[0])
    )
    try:
        yield features
    finally:
        handle.remove()


def freeze_backbone(model: nn.Module) -> None:
    """Let only the classifier train; every parameter and buffer before it stays as it is.

    The frozen layers remain in evaluation mode through ``model.train()``, so that normalisation
    uses and keeps its running statistics; only the network as such and its classifier switch.

    Parameters
    ----------
    model : nn.Module
        Changed in place. It can be copied, compiled and wrapped afterwards.

    Examples
    --------
    >>> model = build_model("resnet20", 10, 3)
    >>> freeze_backbone(model)
    >>> _ = model.train()
    >>> model.training, model.stem.training, model.fc.training
    (True, False, True)
    """
    model.requires_grad_(False)
    classifier(model).requires_grad_(True)
    # A bound method, unlike a closure or a hook that holds the model, is copied with the model.
    model.train = MethodType(_train_classifier_only, model)  # type: ignore[method-assign]
    model.train(model.training)


def _train_classifier_only(model: nn.Module, mode: bool = True) -> nn.Module:
    nn.Module.train(model, False)
    classifier(model).train(mode)
    model.training = mode  # what callers read to restore the mode later
    return model
