"""Losses made for noisy labels, each after its paper. They take class indices only."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ols_core.checks import check_range, invalid
from ols_core.losses._base import HardLabelLoss, cross_entropy, entropy

__all__ = [
    "BootstrapHardLoss",
    "BootstrapSoftLoss",
    "DisturbLabelLoss",
    "GeneralizedCrossEntropyLoss",
    "SymmetricCrossEntropyLoss",
]


class BootstrapSoftLoss(HardLabelLoss):
    """Soft bootstrapping: part of the target is the model's own prediction.

    The loss is ``-Σ_k (beta · 1[k = y] + (1 - beta) · p_k) · log p_k``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    beta : float, default 0.95
        Weight of the label in [0, 1].
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR 2015
    workshop, arXiv 1412.6596, section 3.3, eq. 6.

    Examples
    --------
    >>> BootstrapSoftLoss(2)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """

    def __init__(self, n_classes: int, beta: float = 0.95, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("beta", beta, 0.0, 1.0)
        self.beta = float(beta)

    @property
    def effective_target(self) -> Tensor:
        """The mean target of correct samples: beta · I + (1 - beta) · observed soft labels."""
        return self.beta * super().effective_target + (1.0 - self.beta) * self.soft_labels

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.beta * cross_entropy(logits, labels) + (1.0 - self.beta) * entropy(logits)


class BootstrapHardLoss(HardLabelLoss):
    """Hard bootstrapping: part of the target is the class that the model predicts.

    The loss is ``-beta · log p_y - (1 - beta) · log max_k p_k``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    beta : float, default 0.8
        Weight of the label in [0, 1].
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR 2015
    workshop, arXiv 1412.6596, section 3.3, eq. 7.

    Examples
    --------
    >>> BootstrapHardLoss(2)(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    tensor(1.1133)
    """

    def __init__(self, n_classes: int, beta: float = 0.8, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("beta", beta, 0.0, 1.0)
        self.beta = float(beta)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        predicted = cross_entropy(logits, logits.argmax(1))
        return self.beta * cross_entropy(logits, labels) + (1.0 - self.beta) * predicted


class SymmetricCrossEntropyLoss(HardLabelLoss):
    """Symmetric cross-entropy: cross-entropy plus the same with label and prediction exchanged.

    The loss is ``ce_weight · (-log p_y) + rce_weight · (-log_zero) · (1 - p_y)``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    ce_weight, rce_weight : float, default 0.1 and 1.0
        Non-negative weights of both terms: α and β, here those for CIFAR-10. For CIFAR-100 the
        authors take 6.0 and 0.1.
    log_zero : float, default log(1e-4)
        What stands for log 0, at most 0: A in the paper. The authors' code clips at 1e-4.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019,
    arXiv 1908.06112, section 4.

    Examples
    --------
    >>> SymmetricCrossEntropyLoss(2, log_zero=-4.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(2.0693)
    """

    def __init__(
        self,
        n_classes: int,
        ce_weight: float = 0.1,
        rce_weight: float = 1.0,
        log_zero: float = math.log(1e-4),
        **options: Any,
    ) -> None:
        super().__init__(n_classes, **options)
        check_range("ce_weight", ce_weight, 0.0, math.inf)
        check_range("rce_weight", rce_weight, 0.0, math.inf)
        check_range("log_zero", log_zero, -math.inf, 0.0)
        self.ce_weight = float(ce_weight)
        self.rce_weight = float(rce_weight)
        self.log_zero = float(log_zero)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = cross_entropy(logits, labels)
        reverse = self.log_zero * torch.expm1(-losses)  # expm1(log p_y) = -(1 - p_y)
        return self.ce_weight * losses + self.rce_weight * reverse


class GeneralizedCrossEntropyLoss(HardLabelLoss):
    """Generalised cross-entropy, between cross-entropy (q → 0) and mean absolute error (q = 1).

    The loss is ``(1 - p_y ** q) / q``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    q : float, default 0.7
        The exponent in (0, 1].
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
    Labels", NeurIPS 2018, arXiv 1805.07836, section 3.2, eq. 6.

    Examples
    --------
    >>> GeneralizedCrossEntropyLoss(2, q=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """

    def __init__(self, n_classes: int, q: float = 0.7, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("q", q, 0.0, 1.0)
        if q == 0:
            raise invalid("q", "a number in (0, 1]", q, "The limit q → 0 is method 'ce'.")
        self.q = float(q)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return -torch.expm1(-self.q * cross_entropy(logits, labels)) / self.q


class DisturbLabelLoss(HardLabelLoss):
    """Cross-entropy with some labels drawn anew in each training step.

    With probability `noise`, the label is replaced by one drawn evenly from all classes, itself
    included. The draw uses torch's global generator of the device. In evaluation mode no label is
    replaced, and the statistics always see the true ones.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    noise : float, default 0.1
        Probability in [0, 1]: α in the paper, there in per cent.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Xie et al., "DisturbLabel: Regularizing CNN on the Loss Layer", CVPR 2016, arXiv 1605.00055,
    section 3.

    Examples
    --------
    >>> DisturbLabelLoss(2).effective_target
    tensor([[0.9500, 0.0500],
            [0.0500, 0.9500]])
    """

    def __init__(self, n_classes: int, noise: float = 0.1, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("noise", noise, 0.0, 1.0)
        self.noise = float(noise)

    @property
    def effective_target(self) -> Tensor:
        """The expected target ``(1 - noise) · I + noise / K``, of shape (K, K)."""
        return (1.0 - self.noise) * super().effective_target + self.noise / self.n_classes

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.training:
            drawn = torch.randint_like(labels, self.n_classes)
            replaced = torch.rand(labels.shape, device=labels.device) < self.noise
            labels = drawn.where(replaced, labels)
        return cross_entropy(logits, labels)
