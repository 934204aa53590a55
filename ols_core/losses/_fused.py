"""Cross-entropy with a dense target, in one exponential pass that also serves the statistics."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ols_core.soft_labels import ObservedSoftLabels, Targets

__all__ = ["SoftTargetCrossEntropy", "constant"]


@lru_cache(maxsize=64)
def constant(value: float, dtype: torch.dtype) -> Tensor:
    """Return a number as a tensor on the CPU, the same one each time.

    Given a Python number, every operation makes such a tensor anew, which for a tensor of one
    element takes longer than the operation.

    Examples
    --------
    >>> constant(0.5, torch.float32) is constant(0.5, torch.float32)
    True
    """
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype)


class SoftTargetCrossEntropy(torch.autograd.Function):
    """The loss and its gradient from one exponential pass over the logits z.

    With p = softmax(z) and m the largest logit, log sum exp(z) = m - log p_max. So the loss is
    mass · (m - log p_max) - ⟨q, z⟩ and its gradient mass · p - q, where mass is the sum of q.
    Both the statistics and the reduction are done in here, because for small batches each further
    node of the autograd graph costs as much as the mathematics.

    Parameters
    ----------
    logits : Tensor of shape (N, K)
        float32 or float64.
    q : Tensor of shape (N, K)
        The targets, of the same type; no gradient flows to them.
    mass : Tensor of shape (N,), optional
        The sums of the rows of `q`. None = they are 1.
    scale : Tensor of shape (), optional
        What to multiply the sum of the losses with. None = return the loss of each sample.
    observed : ObservedSoftLabels, optional
        The statistics to add the batch to.
    targets : Targets
        What the statistics have to know about the batch.

    Examples
    --------
    >>> logits, q = torch.zeros(1, 2), torch.tensor([[0.9, 0.1]])
    >>> SoftTargetCrossEntropy.apply(logits, q, None, torch.tensor(1.0), None, None)
    tensor(0.6931)
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        q: Tensor,
        mass: Tensor | None,
        scale: Tensor | None,
        observed: ObservedSoftLabels | None,
        targets: Targets,
    ) -> Tensor:
        """Return the loss, of shape (N,) or ()."""
        p = logits.softmax(1)
        top = logits.amax(1)
        log_p_top = p.amax(1).log_()
        losses = top - log_p_top
        if mass is not None:
            losses *= mass
        # With `out` autocast leaves it alone, which would compute it in half precision.
        losses -= torch.linalg.vecdot(q, logits, out=log_p_top)
        if observed is not None:
            # a NaN or infinite logit makes the loss NaN or infinite
            observed.add(logits, p, top, losses, targets)
        ctx.save_for_backward(logits, p, q, mass)
        ctx.scale = scale
        return losses if scale is None else losses.sum() * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to the logits."""
        logits, p, q, mass = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: p must depend on the logits
            p = logits.softmax(1)
        if mass is not None:
            p = p * mass.unsqueeze(1)
        grad = grad.unsqueeze(1) if ctx.scale is None else grad * ctx.scale
        return torch.sub(p, q).mul_(grad), None, None, None, None, None
