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
    >>> targets = Targets(torch.tensor([0]))
    >>> SoftTargetCrossEntropy.apply(logits, q, None, torch.tensor(1.0), None, targets)
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
        each = scale is None or mass is not None or targets.ignored is not None
        dots = _dots(q, logits, each)
        p, top, sums = _softmax(logits)
        losses = sums if mass is None else sums * mass
        if each:
            losses -= dots
        if observed is not None:
            # a NaN or infinite logit makes the loss of the sample and the sum NaN or infinite
            observed.add(logits, p, top, losses if each else logits.sum(1), targets)
        share = _share(scale, targets)
        gradient = torch.sub(p if mass is None else p.mul_(mass.unsqueeze(1)), q, out=q)
        if share is not None:
            gradient *= share
        ctx.save_for_backward(logits, gradient, mass, share)
        ctx.reduced = scale is not None
        if scale is None:
            return targets.blank(losses)
        return (targets.blank(losses).sum() if each else losses.sum() - dots) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to the logits."""
        logits, gradient, mass, share = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: p must depend on the logits
            p = logits.softmax(1)
            p = p if mass is None else p * mass.unsqueeze(1)
            p = p if share is None else p * share
            gradient = gradient + (p - p.detach())
        elif ctx.reduced and _is_one(grad):
            return gradient, None, None, None, None, None
        gradient = gradient * (grad if ctx.reduced else grad.unsqueeze(1))
        return gradient, None, None, None, None, None


def _share(scale: Tensor | None, targets: Targets) -> Tensor | None:
    """Return what each sample counts in the loss, of shape () or (N, 1); None = it counts 1."""
    if targets.ignored is None or targets.outside is None:
        return scale
    counts = ~(targets.ignored | targets.outside)
    return (counts if scale is None else counts * scale).unsqueeze(1)


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
