"""Cross-entropy with other regularisers, each after its paper. They take class indices only.

Neither torch nor another dependency has one of them for classes that exclude each other
(torchvision's focal loss is the sigmoid one).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ols_core.checks import check_range
from ols_core.losses._base import HardLabelLoss, cross_entropy, entropy

__all__ = [
    "ConfidencePenaltyLoss",
    "FocalLoss",
    "MarginLabelSmoothingLoss",
    "MaxSupLoss",
    "VirtualTeacherLoss",
]


class FocalLoss(HardLabelLoss):
    """Focal loss for exclusive classes: ``-(1 - p_y) ** gamma · log p_y``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    gamma : float, default 2.0
        The focusing parameter, at least 0; 0 is cross-entropy.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv 1708.02002, section 3.2,
    eq. 4.

    Examples
    --------
    >>> FocalLoss(2, gamma=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.3466)
    """

    def __init__(self, n_classes: int, gamma: float = 2.0, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("gamma", gamma, 0.0, math.inf)
        self.gamma = float(gamma)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = cross_entropy(logits, labels)
        # 1 - p_y, kept above 0: the slope of its power is infinite there for gamma < 1
        rest = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).tiny)
        return rest**self.gamma * losses


class MaxSupLoss(HardLabelLoss):
    """Max suppression: cross-entropy plus ``strength · (max_k z_k - mean_k z_k)``.

    Label smoothing penalises the label's logit in the place of the largest one, which does harm
    where the prediction is wrong.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    strength : float, default 0.1
        Weight of the penalty, at least 0: α in the paper. It stays the same over the epochs.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Zhou et al., "MaxSup: Overcoming Representation Collapse in Label Smoothing", NeurIPS 2025,
    arXiv 2502.15798, section 3.

    Examples
    --------
    >>> MaxSupLoss(2)(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.2269)
    """

    def __init__(self, n_classes: int, strength: float = 0.1, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("strength", strength, 0.0, math.inf)
        self.strength = float(strength)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        penalty = logits.amax(1) - logits.mean(1)
        return cross_entropy(logits, labels) + self.strength * penalty


class MarginLabelSmoothingLoss(HardLabelLoss):
    """Margin-based label smoothing: only distances of logits above a margin are penalised.

    The loss is cross-entropy plus ``strength · mean_k max(0, max_j z_j - z_k - margin)``.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    margin : float, default 10.0
        Distance to the largest logit that is free, at least 0. The authors take 6 for CIFAR-10.
    strength : float, default 0.1
        Weight of the penalty, at least 0: λ in the paper. The penalty is the mean over the classes
        as in the authors' code; the paper writes the sum.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Liu et al., "The Devil is in the Margin: Margin-based Label Smoothing for Network Calibration",
    CVPR 2022, arXiv 2111.15430, section 3.3.

    Examples
    --------
    >>> MarginLabelSmoothingLoss(2, margin=1.0)(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.1769)
    """

    def __init__(
        self, n_classes: int, margin: float = 10.0, strength: float = 0.1, **options: Any
    ) -> None:
        super().__init__(n_classes, **options)
        check_range("margin", margin, 0.0, math.inf)
        check_range("strength", strength, 0.0, math.inf)
        self.margin = float(margin)
        self.strength = float(strength)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        distances = logits.amax(1, keepdim=True) - logits
        penalty = F.relu(distances - self.margin).mean(1)
        return cross_entropy(logits, labels) + self.strength * penalty


class VirtualTeacherLoss(HardLabelLoss):
    """Teacher-free knowledge distillation by regularisation (Tf-KD): a teacher made by hand.

    The loss is ``(1 - teacher_weight) · CE + teacher_weight · KL(teacher_y ‖ p)``. The teacher of
    class y is the softmax of a distribution with `correct` at y and the rest spread evenly, divided
    by `temperature`; dividing the probabilities, not their logarithms, is what the authors' code
    does.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    teacher_weight : float, default 0.1
        Weight of the teacher's term in [0, 1]: α in the paper. The divergence is summed over the
        classes, which is the authors' average over the classes with their multiplier at K.
    temperature : float, default 20.0
        At least 1: τ in the paper.
    correct : float, default 0.99
        The teacher's probability of the label before softening, in [0, 1]: a in the paper.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization", CVPR 2020,
    arXiv 1909.11723, section 4.

    Examples
    --------
    >>> VirtualTeacherLoss(2, temperature=1.0).effective_target
    tensor([[0.9727, 0.0273],
            [0.0273, 0.9727]])
    """

    def __init__(
        self,
        n_classes: int,
        teacher_weight: float = 0.1,
        temperature: float = 20.0,
        correct: float = 0.99,
        **options: Any,
    ) -> None:
        super().__init__(n_classes, **options)
        check_range("teacher_weight", teacher_weight, 0.0, 1.0)
        check_range("temperature", temperature, 1.0, math.inf)
        check_range("correct", correct, 0.0, 1.0)
        self.teacher_weight = float(teacher_weight)
        hardly = torch.full((n_classes,), (1.0 - correct) / (n_classes - 1), dtype=torch.float64)
        hardly[0] = correct
        # the teacher's probabilities of the label and of any other class
        soft = (hardly / temperature).softmax(0)
        self.teacher_hit, self.teacher_miss = float(soft[0]), float(soft[1])

    @property
    def effective_target(self) -> Tensor:
        """The matrix ``(1 - teacher_weight) · I + teacher_weight · teacher``, of shape (K, K)."""
        eye = super().effective_target
        teacher = self.teacher_miss + (self.teacher_hit - self.teacher_miss) * eye
        return (1.0 - self.teacher_weight) * eye + self.teacher_weight * teacher

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        hard = cross_entropy(logits, labels)
        hit, miss, others = self.teacher_hit, self.teacher_miss, self.n_classes - 1
        cross = (hit - miss) * hard - miss * logits.log_softmax(1).sum(1)
        entropy = -hit * math.log(hit) - others * miss * math.log(miss)
        return (1.0 - self.teacher_weight) * hard + self.teacher_weight * (cross - entropy)


class ConfidencePenaltyLoss(HardLabelLoss):
    """Cross-entropy minus ``strength`` times the entropy of the prediction.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    strength : float, default 0.1
        Weight of the entropy, at least 0: β in the paper.
    **options
        `ignore_index` and `reduction`.

    References
    ----------
    Pereyra et al., "Regularizing Neural Networks by Penalizing Confident Output Distributions",
    ICLR 2017 workshop, arXiv 1701.06548, section 3.1.

    Examples
    --------
    >>> ConfidencePenaltyLoss(2)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6238)
    """

    def __init__(self, n_classes: int, strength: float = 0.1, **options: Any) -> None:
        super().__init__(n_classes, **options)
        check_range("strength", strength, 0.0, math.inf)
        self.strength = float(strength)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels) - self.strength * entropy(logits)
