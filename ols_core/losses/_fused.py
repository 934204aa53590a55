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

    With p = softmax(z), the loss is mass · log sum exp(z) - ⟨q, z⟩ and its gradient mass · p - q,
    where mass is the sum of q. Statistics and reduction are done in here, because for small
    batches each further node of the autograd graph costs as much as the mathematics. For large
    ones it is memory that costs, so there are only two arrays of the batch's size: one of them
    holds p, the other q and then the gradient.

    Parameters
    ----------
    logits : Tensor of shape (N, K)
        float32 or float64.
    q : Tensor of shape (N, K)
        The targets, of the same type; no gradient flows to them, and they are overwritten.
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
        dots = _dots(q, logits, each=scale is None)
        p, top, losses = _softmax(logits)
        if observed is not None:
            observed.add(logits, p, top, targets)
        if mass is not None:
            losses *= mass
            p *= mass.unsqueeze(1)
        gradient = torch.sub(p, q, out=q)
        if scale is not None:
            gradient *= scale
        ctx.save_for_backward(logits, gradient, mass)
        ctx.scale = scale
        return losses - dots if scale is None else (losses.sum() - dots) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to the logits."""
        logits, gradient, mass = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: p must depend on the logits
            p = logits.softmax(1) if mass is None else logits.softmax(1) * mass.unsqueeze(1)
            p = p if ctx.scale is None else p * ctx.scale
            gradient = gradient + (p - p.detach())
        elif ctx.scale is not None and _is_one(grad):
            return gradient, None, None, None, None, None
        grad = grad.unsqueeze(1) if ctx.scale is None else grad
        return gradient * grad, None, None, None, None, None


def _dots(q: Tensor, logits: Tensor, each: bool) -> Tensor:
    """Return ⟨q, z⟩ of each sample, of shape (N,), or the sum of all of them, of shape ()."""
    if each:
        return (q * logits).sum(1)
    return torch.dot(q.view(-1), logits.reshape(-1))  # needs no array for the products


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the softmax (N, K), the largest logit (N,) and log sum exp (N,)."""
    top = logits.amax(1)
    if torch.compiler.is_compiling():  # there the sum needs no pass of its own
        exponentials = (logits - top.unsqueeze(1)).exp()
        total = exponentials.sum(1)
        return exponentials / total.unsqueeze(1), top, top + total.log()
    p = logits.softmax(1)
    return p, top, top - p.amax(1).log_()  # the largest probability is 1 / total


def _is_one(grad: Tensor) -> bool:
    """Tell whether the loss itself was differentiated, if that can be known without waiting."""
    return grad.is_cpu and not torch.compiler.is_compiling() and grad.item() == 1.0
