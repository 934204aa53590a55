"""Plain cross-entropy and uniform label smoothing."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from ols_core.checks import check_range
from ols_core.losses._base import ObservedLoss
from ols_core.soft_labels import Targets

__all__ = ["CrossEntropyLoss", "LabelSmoothingLoss"]


class LabelSmoothingLoss(ObservedLoss):
    """Cross-entropy with uniform label smoothing, computed by `torch.nn.functional.cross_entropy`.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    smoothing : float, default 0.1
        The mass ε in [0, 1] that is spread evenly over all classes, the label's own included.
    **options
        `weight`, `ignore_index` and `reduction`, see `ObservedLoss`.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
    section 7.

    Examples
    --------
    >>> import torch
    >>> criterion = LabelSmoothingLoss(n_classes=2, smoothing=0.2)
    >>> criterion(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    >>> criterion.effective_target
    tensor([[0.9000, 0.1000],
            [0.1000, 0.9000]])
    """

    takes: ClassVar[tuple[str, ...]] = ("smoothing",)

    def __init__(self, n_classes: int, smoothing: float = 0.1, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("smoothing", smoothing, 0.0, 1.0)
        self.smoothing = float(smoothing)

    @property
    def effective_target(self) -> Tensor:
        """The matrix ``(1 - smoothing) · I + smoothing / K``, of shape (K, K)."""
        return (1.0 - self.smoothing) * super().effective_target + self.smoothing / self.n_classes

    def _sample_losses(self, logits: Tensor, targets: Targets) -> Tensor:
        return F.cross_entropy(
            logits,
            targets.labels if targets.soft is None else targets.soft.to(logits.dtype),
            weight=None if self.weight is None else self.weight.to(logits.dtype),
            reduction="none",
            label_smoothing=self.smoothing,
        )


class CrossEntropyLoss(LabelSmoothingLoss):
    """Plain cross-entropy, computed by `torch.nn.functional.cross_entropy`.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    **options
        `weight`, `ignore_index` and `reduction`, see `ObservedLoss`.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.

    Examples
    --------
    >>> import torch
    >>> CrossEntropyLoss(n_classes=2)(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    takes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, n_classes: int, **options: Any) -> None:
        super().__init__(n_classes, 0.0, **options)
