"""What all losses share: the shape of the input, the labels to leave out, the reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ols_core.checks import check_choice, check_integer, invalid
from ols_core.soft_labels import ObservedSoftLabels, Targets

__all__ = ["HardLabelLoss", "ObservedLoss", "cross_entropy", "entropy"]


class ObservedLoss(nn.Module):
    """Base of all losses, which observes the soft labels of every training epoch.

    A subclass says what the loss of each sample is; this class takes care of shapes, `reduction`,
    `ignore_index` and the statistics, so that a training loop may treat every method alike.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    weight : Tensor of shape (K,), optional
        Non-negative class weights, as in `torch.nn.CrossEntropyLoss`. They do not touch the
        statistics.
    ignore_index : int, default -100
        The label of samples that count for nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `torch.nn.CrossEntropyLoss`, but that a mean over no samples, or over samples whose
        weights are all 0, is 0, not NaN.
    **statistics
        Options of `ObservedSoftLabels`.

    Attributes
    ----------
    observed : ObservedSoftLabels
        The statistics.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    """Which of the arguments that methods share (`alpha`, `smoothing`) this one takes."""

    def __init__(
        self,
        n_classes: int,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        **statistics: Any,
    ) -> None:
        super().__init__()
        self.observed = ObservedSoftLabels(n_classes, **statistics)
        check_choice("reduction", reduction, ("mean", "sum", "none"))
        check_integer("ignore_index", ignore_index, -(2**63))
        self.n_classes = n_classes
        self.reduction = reduction
        self.ignore_index = ignore_index
        self._ignores_a_class = 0 <= ignore_index < n_classes
        self.weight = None if weight is None else _checked_weight(weight, n_classes)

    @property
    def soft_labels(self) -> Tensor:
        """Soft labels after the last closed epoch, float32 of shape (K, K), row = target class."""
        return self.observed.soft_labels

    @property
    def counts(self) -> Tensor:
        """Samples behind each row of `soft_labels`, int64 of shape (K,); 0 = a fallback row."""
        return self.observed.counts

    @property
    def effective_target(self) -> Tensor:
        """The distribution that each class is trained towards, of shape (K, K); here one-hot."""
        return torch.eye(self.n_classes, device=self.soft_labels.device)

    def step_epoch(self) -> None:
        """Close the epoch: see `ObservedSoftLabels.step_epoch`."""
        self.observed.step_epoch()

    def forward(self, logits: Tensor, target: Tensor, *, accumulate: bool = True) -> Tensor:
        """Return the loss of a batch; in training mode, add it to the statistics.

        Parameters
        ----------
        logits : Tensor of shape (N, K), (N, K, d1, ...) or (K,)
            Of any floating type; the loss is computed in float32 at least.
        target : Tensor of shape (N,), (N, d1, ...) or (), or of the shape of `logits`
            Integer class indices in [0, K) or `ignore_index`; or, of the shape of `logits` and a
            floating type, a distribution over the classes.
        accumulate : bool, default True
            False for a second forward pass over the same batch, as in a closure or in SAM.

        Returns
        -------
        Tensor of shape (), or of the shape of the class indices for ``reduction="none"``
            The loss.

        Raises
        ------
        ArgumentError
            If shapes or types do not fit, or a label is out of range.

        Notes
        -----
        Looking at the labels of a batch on an accelerator would make the host wait for the device.
        There, and under `torch.compile`, a label out of range makes the loss NaN and is refused
        by the next `step_epoch`; on the CPU it is refused at once.
        """
        shape = target.shape
        usual = (
            logits.dtype is torch.float32
            and target.dtype is torch.int64
            and target.dim() == 1
            and logits.shape == (shape[0], self.n_classes)
        )
        if not usual:
            logits, target, shape = self._flatten(logits, target)
        return self._loss(logits, target, shape, accumulate and self.training)

    def _loss(self, logits: Tensor, target: Tensor, shape: torch.Size, accumulate: bool) -> Tensor:
        """Return the reduced loss of a flattened batch, and observe it."""
        targets = self._read(target)
        losses = self._sample_losses(logits, targets)
        if accumulate:
            self.observed.observe(logits.detach(), targets)
        return self._reduce(losses, targets, shape)

    def _sample_losses(self, logits: Tensor, targets: Targets) -> Tensor:
        """Return the loss of each sample, of shape (N,)."""
        raise NotImplementedError

    def _flatten(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
        """Return logits (N, K), target (N,) or (N, K), and the shape of one loss a sample.

        The logits are float32 or float64 from here on.
        """
        if not logits.is_floating_point():
            raise invalid("logits", "of a floating type", str(logits.dtype))
        class_dim = 0 if logits.dim() == 1 else 1
        if logits.dim() == 0 or logits.shape[class_dim] != self.n_classes:
            expected = f"of shape (N, {self.n_classes}) or (N, {self.n_classes}, d1, ...)"
            raise invalid("logits", expected, tuple(logits.shape))
        shape = logits.shape[:class_dim] + logits.shape[class_dim + 1 :]
        if target.is_floating_point() and target.shape == logits.shape:
            target = target.movedim(class_dim, -1).reshape(-1, self.n_classes)
        else:
            _check_labels(target, shape)
            target = target.reshape(-1).long()
        logits = logits.movedim(class_dim, -1).reshape(-1, self.n_classes)
        return logits if logits.dtype is torch.float64 else logits.float(), target, shape

    def _read(self, target: Tensor) -> Targets:
        """Sort out the labels that are ignored or out of range, without waiting for a device."""
        if target.is_floating_point():
            return Targets(target.argmax(1), soft=target.detach())
        if target.is_cpu and not torch.compiler.is_compiling():
            if self._all_plain(target):
                return Targets(target)
            self._refuse_outside(target)
        ignored = target == self.ignore_index
        outside = ((target < 0) | (target >= self.n_classes)) & ~ignored
        return Targets(target.clamp(0, self.n_classes - 1), None, ignored, outside)

    def _all_plain(self, target: Tensor) -> bool:
        """Tell whether no label is ignored or out of range."""
        if len(target) == 0:
            return True
        low, high = target.aminmax()
        inside = low.item() >= 0 and high.item() < self.n_classes
        return inside and not self._ignores_a_class

    def _refuse_outside(self, labels: Tensor) -> None:
        outside = (labels < 0) | (labels >= self.n_classes)
        wrong = labels[outside & (labels != self.ignore_index)]
        if len(wrong):
            expected = f"a class index in [0, {self.n_classes - 1}] or {self.ignore_index}"
            raise invalid("target", expected, int(wrong[0]))

    def _reduce(self, losses: Tensor, targets: Targets, shape: torch.Size) -> Tensor:
        total = self._total(targets, losses.dtype)
        losses = targets.blank(losses)
        return losses.reshape(shape) if total is None else losses.sum() / total

    def _total(self, targets: Targets, dtype: torch.dtype) -> float | Tensor | None:
        """Return what to divide the sum of the losses by; None for ``reduction="none"``."""
        if self.reduction == "none":
            return None
        if self.reduction == "sum":
            return 1.0
        if targets.soft is not None or (self.weight is None and targets.ignored is None):
            return float(max(targets.labels.shape[0], 1))
        total = self._total_weight(targets).to(dtype)
        return total.masked_fill(total == 0, torch.inf)  # samples that weigh nothing cost nothing

    def _total_weight(self, targets: Targets) -> Tensor:
        """Return what the samples count in the mean, all together."""
        labels, ignored = targets.labels, targets.ignored
        share = torch.ones_like(labels) if ignored is None else ~ignored
        if self.weight is not None:
            share = share * self.weight.index_select(0, labels)
        return share.sum()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ObservedLoss:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.weight is not None:
            self.weight = self.weight.to(fn(self.weight).device)  # stays float32
        return self


class HardLabelLoss(ObservedLoss):
    """Base of the losses that are defined for class indices, without class weights.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    ignore_index : int, default -100
        The label of samples that count for nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `torch.nn.CrossEntropyLoss`, but that a mean over no samples is 0, not NaN.
    """

    def __init__(
        self, n_classes: int, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(n_classes, ignore_index=ignore_index, reduction=reduction)

    def _sample_losses(self, logits: Tensor, targets: Targets) -> Tensor:
        if targets.soft is not None:
            expected = f"class indices for {type(self).__name__}"
            raise invalid("target", expected, f"a distribution {tuple(targets.soft.shape)}")
        return self._losses(logits, targets.labels)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample, of shape (N,)."""
        raise NotImplementedError


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, of shape (N,).

    Examples
    --------
    >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.6931])
    """
    return F.cross_entropy(logits, labels, reduction="none")


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of each prediction in nats, of shape (N,).

    Examples
    --------
    >>> entropy(torch.zeros(1, 2))
    tensor([0.6931])
    """
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def _check_labels(target: Tensor, shape: torch.Size) -> None:
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        expected = "integer class indices, or floating with the shape of logits"
        raise invalid("target", expected, f"{target.dtype} of shape {tuple(target.shape)}")
    if target.shape != shape:
        raise invalid("target", f"of shape {tuple(shape)}", tuple(target.shape))


def _checked_weight(weight: Tensor, n_classes: int) -> Tensor:
    if not isinstance(weight, Tensor) or weight.shape != (n_classes,):
        raise invalid("weight", f"a tensor of shape ({n_classes},)", weight)
    if not bool(((weight >= 0) & (weight < torch.inf)).all()):
        raise invalid("weight", "finite and non-negative in every entry", weight.tolist())
    return weight.detach().to(torch.float32, copy=True)
