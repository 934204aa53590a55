"""Online Label Smoothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from ols_core.checks import check_choice, check_range
from ols_core.losses._base import ObservedLoss
from ols_core.losses._fused import SoftTargetCrossEntropy
from ols_core.soft_labels import Targets

__all__ = ["PRESETS", "OnlineLabelSmoothingLoss"]

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": {"mixing": "convex", "initial": "uniform", "cap": None},
        "official-cifar": {"mixing": "convex", "initial": "zeros", "cap": None},
        "official-finegrained": {"mixing": "sum", "initial": "uniform", "cap": 0.88},
    }
)
"""What a preset of `OnlineLabelSmoothingLoss` sets, unless the argument is given."""


class OnlineLabelSmoothingLoss(ObservedLoss):
    """Online Label Smoothing: targets that move with the model's own correct predictions.

    The loss of a sample of class y is ``alpha · CE(one-hot(y)) + (1 - alpha) · CE(S[y])``, where
    row y of the soft labels S is the mean softmax output of the samples of class y that the model
    got right in the epoch before. Use it like `torch.nn.CrossEntropyLoss`, and call `step_epoch`
    after each epoch (or at any other interval).

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    alpha : float, default 0.5
        Weight of the one-hot target in [0, 1]; the soft labels have 1 - `alpha`.
    preset : {"paper", "official-cifar", "official-finegrained"}, default "paper"
        Defaults for `mixing`, `initial` and `cap`: the paper's; those of the authors' code for
        CIFAR, which has no soft term before the first `step_epoch`; and those of the authors'
        code for fine-grained data, which adds both terms with weight 1 and freezes rows at 0.88.
    mixing : {"convex", "sum"}, optional
        ``"convex"`` weighs the terms with `alpha` and 1 - `alpha`, ``"sum"`` with 1 and 1
        whatever `alpha` is.
    initial : {"uniform", "label_smoothing", "zeros"} or Tensor of shape (K, K), optional
        The soft labels before the first `step_epoch`, see `ols_core.soft_labels.initial_matrix`.
    fallback : {"uniform", "previous"}, default "uniform"
        The row of a class without a counted sample in the epoch.
    samples : {"correct", "all"}, default "correct"
        Which samples count, see `ols_core.soft_labels.ObservedSoftLabels`.
    cap : float, optional
        A number in [0, 1]. A row whose maximum has reached `cap` stays as it is from then on;
        1.0 switches the cap of a preset off.
    weight : Tensor of shape (K,), optional
        Non-negative class weights, which apply to both terms as `torch.nn.CrossEntropyLoss` does
        it under label smoothing. They do not touch the statistics.
    ignore_index : int, default -100
        The label of samples that count for nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `torch.nn.CrossEntropyLoss`, but that a mean over no samples is 0, not NaN.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.

    References
    ----------
    Zhang et al., "Delving Deep into Label Smoothing", IEEE Transactions on Image Processing 2021,
    arXiv 2011.12562, section 3.2.

    Examples
    --------
    >>> criterion = OnlineLabelSmoothingLoss(n_classes=3)
    >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    >>> loss = criterion(logits, torch.tensor([0, 1]))
    >>> loss.backward()
    >>> criterion.step_epoch()
    >>> criterion.soft_labels
    tensor([[0.7870, 0.1065, 0.1065],
            [0.2119, 0.5761, 0.2119],
            [0.3333, 0.3333, 0.3333]])
    """

    takes: ClassVar[tuple[str, ...]] = ("alpha",)

    def __init__(
        self,
        n_classes: int,
        alpha: float = 0.5,
        *,
        preset: str = "paper",
        mixing: str | None = None,
        initial: str | Tensor | None = None,
        fallback: str = "uniform",
        samples: str = "correct",
        cap: float | None = None,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        check_choice("preset", preset, PRESETS)
        chosen = PRESETS[preset]
        super().__init__(
            n_classes,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            initial=chosen["initial"] if initial is None else initial,
            fallback=fallback,
            samples=samples,
            cap=chosen["cap"] if cap is None else cap,
        )
        self.mixing = chosen["mixing"] if mixing is None else mixing
        check_choice("mixing", self.mixing, ("convex", "sum"))
        self.alpha = alpha
        self.register_load_state_dict_post_hook(_mix_again)  # type: ignore[no-untyped-call]

    @property
    def alpha(self) -> float:
        """Weight of the one-hot target in [0, 1]; a new one is in force from the next batch on."""
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        check_range("alpha", alpha, 0.0, 1.0)
        self._alpha = float(alpha)
        self._mix()

    @torch.inference_mode(False)
    @torch.no_grad()
    def _mix(self) -> None:
        """Combine both targets and the class weights, once for all batches of an epoch."""
        hard, soft = (self._alpha, 1.0 - self._alpha) if self.mixing == "convex" else (1.0, 1.0)
        self._effective = soft * self.soft_labels
        self._effective.diagonal().add_(hard)
        self._mixed = self._effective if self.weight is None else self._effective * self.weight
        off = (self._mixed.sum(1) - 1.0).abs() >= 1e-5
        self._sums_to_one = not (off.is_meta or bool(off.any()))

    @property
    def effective_target(self) -> Tensor:
        """The matrix ``alpha · I + (1 - alpha) · S`` (``I + S`` if mixed as a sum), (K, K)."""
        return self._effective.clone()

    def step_epoch(self) -> None:
        """Close the epoch: see `ObservedSoftLabels.step_epoch`."""
        super().step_epoch()
        self._mix()

    def _loss(self, logits: Tensor, target: Tensor, shape: torch.Size, accumulate: bool) -> Tensor:
        targets, q = self._look_up(target)
        if q.dtype is not logits.dtype:
            q = q.to(logits.dtype)
        mass = None if self._sums_to_one and targets.soft is None else q.sum(1)
        total = self._total(targets, logits.dtype)
        # `self.observed` would search parameters and buffers first, for a microsecond
        observed = self._modules["observed"] if accumulate else None
        loss: Tensor = SoftTargetCrossEntropy.apply(logits, q, mass, total, observed, targets)
        return loss.reshape(shape) if total is None else loss

    def _look_up(self, target: Tensor) -> tuple[Targets, Tensor]:
        """Return the targets, and the mixed target of each sample: float, of shape (N, K)."""
        seen = target.is_cpu and not torch.compiler.is_compiling()
        if seen and target.dtype is torch.int64 and not self._ignores_a_class:
            try:  # looking up checks the range anyway
                return Targets(target), self._mixed.index_select(0, target)
            except IndexError:  # a label is ignored or wrong
                pass
        targets = self._read(target)
        if targets.soft is None:
            return targets, self._mixed.index_select(0, targets.labels)
        dtype = torch.promote_types(targets.soft.dtype, torch.float32)
        with torch.autocast(target.device.type, enabled=False):
            return targets, targets.soft.to(dtype) @ self._mixed.to(dtype)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> OnlineLabelSmoothingLoss:
        super()._apply(fn, recurse)
        self._mix()
        return self


def _mix_again(loss: OnlineLabelSmoothingLoss, _: Any) -> None:
    loss._mix()
