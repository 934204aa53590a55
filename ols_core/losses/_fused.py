"""Cross-entropy with a dense target, in one exponential pass that also serves the statistics."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ols_core.soft_labels import ObservedSoftLabels, Targets

__all__ = ["SoftTargetCrossEntropy"]

# Whether there may be another backward pass, which torch's own compiled functions also ask before
# they write into what they saved; and whether this one is for many gradients at once
# (``is_grads_batched=True``). A torch that cannot tell is taken to say yes.
_keeps_graph = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)
_is_batched = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda _: True)


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
    total : float or Tensor of shape (), optional
        What to divide the sum of the losses by. None = return the loss of each sample.
    observed : ObservedSoftLabels, optional
        The statistics to add the batch to.
    targets : Targets
        Which samples to leave out, and what the statistics have to know about the batch.

    Examples
    --------
    >>> logits, q = torch.zeros(1, 2), torch.tensor([[0.9, 0.1]])
    >>> targets = Targets(torch.tensor([0]))
    >>> SoftTargetCrossEntropy.apply(logits, q, None, 1.0, None, targets)
    tensor(0.6931)
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        q: Tensor,
        mass: Tensor | None,
        total: float | Tensor | None,
        observed: ObservedSoftLabels | None,
        targets: Targets,
    ) -> Tensor:
        """Return the loss, of shape (N,) or ()."""
        each = total is None or mass is not None or targets.ignored is not None
        dots = _dots(q, logits, each)
        p, top, sums = _softmax(logits)
        losses = sums if mass is None else sums * mass
        if each:
            losses -= dots
        if observed is not None:
            observed.add(logits, p, top, losses if each else _finite(dots, logits), targets)
        gradient = torch.sub(p if mass is None else p.mul_(mass.unsqueeze(1)), q, out=q)
        share = _share(total, targets)
        if share is not None:
            gradient *= share
        ctx.save_for_backward(logits, gradient, mass, share)
        ctx.reduced, ctx.total = total is not None, total if share is None else None
        if total is None:
            return targets.blank(losses)
        return (targets.blank(losses).sum() if each else losses.sum() - dots) / total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to the logits."""
        logits, gradient, mass, share = ctx.saved_tensors
        if not ctx.reduced:
            grad = grad.unsqueeze(1)
        if ctx.total is not None:
            grad = grad / ctx.total
        if torch.is_grad_enabled():  # a second derivative is wanted: p must depend on the logits
            p = logits.softmax(1) if mass is None else logits.softmax(1) * mass.unsqueeze(1)
            p = p if share is None else p * share
            gradient = gradient + (p - p.detach())
        elif not (torch.compiler.is_dynamo_compiling() or _keeps_graph() or _is_batched(grad)):
            return gradient.mul_(grad), None, None, None, None, None
        return gradient * grad, None, None, None, None, None


def _share(total: float | Tensor | None, targets: Targets) -> Tensor | None:
    """Return what each sample counts in the loss, of shape (N, 1); None = all count the same."""
    if targets.ignored is None or targets.outside is None:
        return None
    counts = ~(targets.ignored | targets.outside)
    return (counts if total is None else counts / total).unsqueeze(1)


def _dots(q: Tensor, logits: Tensor, each: bool) -> Tensor:
    """Return ⟨q, z⟩ of each sample, of shape (N,), or the sum of all of them, of shape ()."""
    if each:
        return (q * logits).sum(1)
    return torch.dot(q.view(-1), logits.reshape(-1))  # needs no array for the products


def _finite(dots: Tensor, logits: Tensor) -> Tensor | None:
    """Return a number for each sample that is NaN or infinite where a logit is; None = nowhere.

    A NaN or infinite logit makes the sum of all products NaN or infinite, even where it is
    multiplied with 0. So one look at it, which costs nothing on the CPU, answers for all samples.
    """
    return None if math.isfinite(dots.item()) else logits.abs().amax(1)


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the softmax (N, K), the largest logit (N,) and log sum exp (N,)."""
    top = logits.amax(1)
    if torch.compiler.is_dynamo_compiling():  # there the sum needs no pass of its own
        exponentials = (logits - top.unsqueeze(1)).exp()
        total = exponentials.sum(1)
        return exponentials / total.unsqueeze(1), top, top + total.log()
    p = logits.softmax(1)
    return p, top, top - p.amax(1).log_()  # the largest probability is 1 / total
