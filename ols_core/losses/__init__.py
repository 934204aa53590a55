"""Loss functions: Online Label Smoothing, and what it is compared with.

Every loss is a `torch.nn.Module` that is called like `torch.nn.CrossEntropyLoss` and closes its
epochs with `step_epoch`. All of them gather the same statistics, so that runs can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ols_core.checks import check_choice
from ols_core.errors import ArgumentError
from ols_core.losses._base import HardLabelLoss, ObservedLoss
from ols_core.losses.classic import CrossEntropyLoss, LabelSmoothingLoss
from ols_core.losses.noise import (
    BootstrapHardLoss,
    BootstrapSoftLoss,
    DisturbLabelLoss,
    GeneralizedCrossEntropyLoss,
    SymmetricCrossEntropyLoss,
)
from ols_core.losses.online import PRESETS, OnlineLabelSmoothingLoss
from ols_core.losses.regularised import (
    ConfidencePenaltyLoss,
    FocalLoss,
    MarginLabelSmoothingLoss,
    MaxSupLoss,
    VirtualTeacherLoss,
)

__all__ = [
    "METHODS",
    "PRESETS",
    "BootstrapHardLoss",
    "BootstrapSoftLoss",
    "ConfidencePenaltyLoss",
    "CrossEntropyLoss",
    "DisturbLabelLoss",
    "FocalLoss",
    "GeneralizedCrossEntropyLoss",
    "HardLabelLoss",
    "LabelSmoothingLoss",
    "MarginLabelSmoothingLoss",
    "MaxSupLoss",
    "ObservedLoss",
    "OnlineLabelSmoothingLoss",
    "SymmetricCrossEntropyLoss",
    "VirtualTeacherLoss",
    "build_loss",
]

METHODS: Mapping[str, type[ObservedLoss]] = MappingProxyType(
    {
        "ce": CrossEntropyLoss,
        "ls": LabelSmoothingLoss,
        "ols": OnlineLabelSmoothingLoss,
        "bootstrap-soft": BootstrapSoftLoss,
        "bootstrap-hard": BootstrapHardLoss,
        "sce": SymmetricCrossEntropyLoss,
        "gce": GeneralizedCrossEntropyLoss,
        "focal": FocalLoss,
        "maxsup": MaxSupLoss,
        "mbls": MarginLabelSmoothingLoss,
        "tf-kd": VirtualTeacherLoss,
        "confidence-penalty": ConfidencePenaltyLoss,
        "disturb-label": DisturbLabelLoss,
    }
)
"""Every training method by the name that users type; the class says what it is and its source."""


def build_loss(
    method: str, n_classes: int, *, alpha: float = 0.5, smoothing: float = 0.1, **options: Any
) -> ObservedLoss:
    """Build the loss of a training method.

    Parameters
    ----------
    method : str
        A name in `METHODS`.
    n_classes : int
        Number of classes K, at least 2.
    alpha : float, default 0.5
        Weight of the one-hot target in [0, 1]; for method ``"ols"``, others leave it out.
    smoothing : float, default 0.1
        Mass in [0, 1] that is spread evenly; for method ``"ls"``, others leave it out.
    **options
        Further arguments of the method's class.

    Returns
    -------
    ObservedLoss
        A new module in training mode.

    Raises
    ------
    ArgumentError
        If the method or an option of it is unknown, or an argument is outside its range.

    Examples
    --------
    >>> build_loss("ls", 2, smoothing=0.2).effective_target
    tensor([[0.9000, 0.1000],
            [0.1000, 0.9000]])
    >>> build_loss("focal", 10, gamma=3.0).gamma
    3.0
    """
    check_choice("method", method, METHODS)
    loss = METHODS[method]
    shared = {"alpha": alpha, "smoothing": smoothing}
    arguments: dict[str, Any] = {name: shared[name] for name in loss.takes}
    try:
        return loss(n_classes, **arguments, **options)
    except TypeError as error:
        raise ArgumentError(f"Options of the loss {method!r}: {error}.") from error
