"""Running class-wise statistics of a model's predictions: the soft labels of an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ols_core._row_sums import add_rows
from ols_core.checks import check_choice, check_integer, check_range, invalid

__all__ = ["ObservedSoftLabels", "Targets", "initial_matrix"]

# Every sample is added to some row: to the row of its class, or to one of these rows behind the K
# classes. That needs no mask over (N, K), and a NaN cannot reach the statistics.
_NOT_COUNTED, _IGNORED, _OUTSIDE, _N_EXTRA = 0, 1, 2, 3


def initial_matrix(initial: str | Tensor, n_classes: int) -> Tensor:
    """Return the soft labels that are in force before the first epoch is closed.

    Parameters
    ----------
    initial : {"uniform", "label_smoothing", "zeros"} or Tensor of shape (n_classes, n_classes)
        ``"uniform"`` is 1 / K everywhere; ``"label_smoothing"`` is 0.9 on the diagonal and the
        rest spread evenly; ``"zeros"`` means no soft labels at all. A tensor must be non-negative
        with rows that sum to 1.
    n_classes : int
        Number of classes K.

    Returns
    -------
    Tensor of shape (n_classes, n_classes)
        A new float32 matrix.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the tensor has a wrong shape, a negative entry, or a row that
        does not sum to 1.

    Examples
    --------
    >>> initial_matrix("label_smoothing", 3)
    tensor([[0.9000, 0.0500, 0.0500],
            [0.0500, 0.9000, 0.0500],
            [0.0500, 0.0500, 0.9000]])
    """
    if isinstance(initial, Tensor):
        return _checked_matrix(initial, n_classes)
    if not isinstance(initial, str):
        raise invalid("initial", "a name or a tensor", initial, "Use torch.as_tensor(...).")
    check_choice("initial", initial, ("uniform", "label_smoothing", "zeros"))
    matrix = torch.zeros(n_classes, n_classes, dtype=torch.float32)
    if initial == "uniform":
        return matrix.fill_(1.0 / n_classes)
    if initial == "zeros":
        return matrix
    return matrix.fill_(0.1 / (n_classes - 1)).fill_diagonal_(0.9)


def _checked_matrix(initial: Tensor, n_classes: int) -> Tensor:
    """Return a float32 copy of a user's matrix after checking its shape and its rows."""
    if initial.shape != (n_classes, n_classes):
        raise invalid("initial", f"of shape ({n_classes}, {n_classes})", tuple(initial.shape))
    matrix = initial.detach().to(torch.float32, copy=True)
    if not bool((matrix >= 0).all()):
        raise invalid("initial", "non-negative in every entry", float(matrix.min()))
    sums = matrix.sum(1)
    wrong = ((sums - 1.0).abs() > 1e-4).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise invalid(f"initial[{row}]", "a row that sums to 1", float(sums[row]))
    return matrix / sums[:, None]


@dataclass(slots=True)
class Targets:
    """The targets of a flattened batch.

    Attributes
    ----------
    labels : Tensor of shape (N,)
        int64 class indices; some class in the place of every label that is ignored or out of
        range, and for soft targets the most likely class.
    soft : Tensor of shape (N, K), optional
        Target distributions, for soft targets only.
    ignored, outside : Tensor of shape (N,), optional
        bool: labels equal to `ignore_index`, labels out of range. None = there are none.
    """

    labels: Tensor
    soft: Tensor | None = None
    ignored: Tensor | None = None
    outside: Tensor | None = None

    def blank(self, losses: Tensor) -> Tensor:
        """Return the losses with 0 for ignored samples and NaN for labels out of range."""
        if self.ignored is not None:
            losses = losses.masked_fill(self.ignored, 0.0)
        return losses if self.outside is None else losses.masked_fill(self.outside, torch.nan)


class ObservedSoftLabels(nn.Module):
    """Mean softmax output of the correctly classified samples of each class, epoch by epoch.

    Call it with every batch of an epoch, then `step_epoch`. The state is part of `state_dict`,
    so that a run resumed in mid-epoch ends with the same matrix to the bit (as far as the device
    adds in a fixed order), and it follows `.to(device)`. It is kept out of registered buffers on
    purpose: `DistributedDataParallel` overwrites the buffers of every rank with those of rank 0
    before each forward pass, and `.half()` would round the sums.

    Parameters
    ----------
    n_classes : int
        Number of classes K, at least 2.
    initial : {"uniform", "label_smoothing", "zeros"} or Tensor of shape (K, K), default "uniform"
        The matrix before the first `step_epoch`, see `initial_matrix`.
    fallback : {"uniform", "previous"}, default "uniform"
        The row of a class without a counted sample in the epoch; it is never left at zeros.
    samples : {"correct", "all"}, default "correct"
        Which samples count. A sample is correct if no class has a larger logit than its label;
        a tie for the largest logit therefore counts, whatever the order of the classes. A sample
        with a NaN or infinite logit never counts.
    cap : float, optional
        A number in [0, 1]. A row whose maximum has reached `cap` stays as it is from then on.

    Attributes
    ----------
    soft_labels : Tensor of shape (K, K)
        float32, row = target class, after the last closed epoch. `step_epoch` puts a new tensor
        in its place, so one that was kept does not change.
    counts : Tensor of shape (K,)
        int64, samples behind each row of `soft_labels`; 0 = the row is a fallback.
    steps : Tensor of shape ()
        int64, number of closed epochs.
    tallies : Tensor of shape (K + 3,)
        int64, samples of the open epoch: the counted ones of each class, then those that did not
        count, were ignored, and had a label out of range.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.

    References
    ----------
    Zhang et al., "Delving Deep into Label Smoothing", arXiv 2011.12562, section 3.2, eq. 4 and 5.

    Examples
    --------
    >>> observed = ObservedSoftLabels(2)
    >>> observed(torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]]), torch.tensor([0, 1, 1]))
    >>> observed.step_epoch()
    >>> observed.soft_labels
    tensor([[0.8808, 0.1192],
            [0.2689, 0.7311]])
    >>> observed.counts
    tensor([1, 1])
    """

    soft_labels: Tensor
    counts: Tensor
    steps: Tensor
    tallies: Tensor
    _sums: Tensor

    _SAVED = ("soft_labels", "counts", "steps", "sums", "tallies")

    def __init__(
        self,
        n_classes: int,
        *,
        initial: str | Tensor = "uniform",
        fallback: str = "uniform",
        samples: str = "correct",
        cap: float | None = None,
    ) -> None:
        super().__init__()
        check_integer("n_classes", n_classes, 2)
        check_choice("fallback", fallback, ("uniform", "previous"))
        check_choice("samples", samples, ("correct", "all"))
        if cap is not None:
            check_range("cap", cap, 0.0, 1.0)
        self.n_classes = n_classes
        self.fallback = fallback
        self.samples = samples
        self.cap = cap
        with torch.inference_mode(False):  # else training could not write into them
            self.soft_labels = initial_matrix(initial, n_classes)
            self.counts = torch.zeros(n_classes, dtype=torch.int64)
            self.steps = torch.zeros((), dtype=torch.int64)
            self._sums = torch.zeros(n_classes + _N_EXTRA, n_classes, dtype=torch.float32)
            self.tallies = torch.zeros(n_classes + _N_EXTRA, dtype=torch.int64)

    @property
    def sums(self) -> Tensor:
        """Sums of the softmax outputs counted in the open epoch, float32 of shape (K, K)."""
        return self._sums[: self.n_classes]

    def forward(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch to the open epoch, in training mode only.

        Parameters
        ----------
        logits : Tensor of shape (N, K)
            Of any floating type; the softmax is taken in float32.
        target : Tensor of shape (N,)
            Integer class indices in [0, K). As looking at them would make the host wait for an
            accelerator, one that is out of range is refused by the next `step_epoch`.

        Raises
        ------
        ArgumentError
            If the shapes or types do not fit.
        """
        if target.dim() != 1 or target.is_floating_point() or target.dtype is torch.bool:
            got = f"{target.dtype} of shape {tuple(target.shape)}"
            raise invalid("target", "integer class indices of shape (N,)", got)
        if not logits.is_floating_point() or logits.shape != (len(target), self.n_classes):
            expected = f"of a floating type and of shape ({len(target)}, {self.n_classes})"
            raise invalid("logits", expected, f"{logits.dtype} of shape {tuple(logits.shape)}")
        if self.training:
            outside = (target < 0) | (target >= self.n_classes)
            targets = Targets(target.long().clamp(0, self.n_classes - 1), outside=outside)
            self.observe(logits.detach().float(), targets)

    @torch.no_grad()
    def observe(self, logits: Tensor, targets: Targets) -> None:
        """Add a batch to the open epoch.

        Parameters
        ----------
        logits : Tensor of shape (N, K)
            float32 or float64.
        targets : Targets
            The N targets.
        """
        self.add(logits, logits.softmax(1), logits.amax(1), logits.abs().amax(1), targets)

    def add(
        self,
        logits: Tensor,
        probabilities: Tensor,
        top: Tensor,
        finite: Tensor | None,
        targets: Targets,
    ) -> None:
        """Add a batch, whose softmax is known already, to the open epoch.

        Parameters
        ----------
        logits, probabilities : Tensor of shape (N, K)
            The logits and their softmax, without gradient.
        top : Tensor of shape (N,)
            The largest logit of each sample.
        finite : Tensor of shape (N,), optional
            Any number that is NaN or infinite for a sample with such a logit, and finite for all
            others. None = all logits are finite.
        targets : Targets
            The N targets.
        """
        labels, k = targets.labels, self.n_classes
        own = top
        if self.samples == "correct":
            own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
        if finite is not None:
            own = own + (finite - finite)  # NaN where a logit is NaN or infinite
        rejected = own != top  # NaN is unequal to everything
        if targets.soft is not None:
            rejected = rejected | ~_is_one_hot(targets.soft)
        slot = labels.masked_fill(rejected, k + _NOT_COUNTED)
        if targets.ignored is not None:
            slot = slot.masked_fill(targets.ignored, k + _IGNORED)
        if targets.outside is not None:
            slot = slot.masked_fill(targets.outside, k + _OUTSIDE)
        if probabilities.dtype is not torch.float32:
            probabilities = probabilities.float()
        add_rows(self._sums, slot, probabilities)
        self.tallies.index_add_(0, slot, torch.ones_like(slot))

    def step_epoch(self) -> None:
        """Close the epoch: turn the sums into the new matrix and start again from zero.

        It may be called at any interval. Under `torch.distributed` every rank must call it, also
        one that saw no sample; sums and counts are added up over the ranks first.

        Warns
        -----
        UserWarning
            If no sample has been seen since the last call; the matrix then stays as it is.

        Raises
        ------
        ArgumentError
            If a label was out of range on a device where only this call can tell. What was
            counted since the last call is discarded then.
        """
        # never in inference mode, as the matrix could not be trained with
        with torch.inference_mode(False), torch.no_grad():
            sums, tallies = self._pooled()
            if self._has_samples(tallies):
                self._replace(sums, tallies[: self.n_classes])
                self.discard()

    def gather(self) -> None:
        """Move what all ranks have counted in the open epoch to rank 0; all of them must call it.

        A checkpoint that rank 0 writes afterwards is complete. Whoever loads it calls `discard` on
        the other ranks.
        """
        with torch.inference_mode(False), torch.no_grad():
            sums, tallies = self._pooled()
            if dist.is_available() and dist.is_initialized():
                self.discard()
                if dist.get_rank() == 0:
                    self.sums.copy_(sums)
                    self.tallies.copy_(tallies)

    def discard(self) -> None:
        """Forget what was counted in the open epoch."""
        with torch.inference_mode(False), torch.no_grad():
            self._sums.zero_()
            self.tallies.zero_()

    def _has_samples(self, tallies: Tensor) -> bool:
        """Tell whether there is anything to close an epoch with, and refuse a bad label."""
        k = self.n_classes
        n_outside = int(tallies[k + _OUTSIDE])
        if n_outside:
            self.discard()
            got = f"{n_outside} labels out of range since the last step_epoch()"
            remedy = "The soft labels stay as they are; the next epoch starts from zero."
            raise invalid("target", f"a class index in [0, {k - 1}]", got, remedy)
        if int(tallies[: k + _NOT_COUNTED + 1].sum()) > 0:
            return True
        message = "No sample was seen since the last step_epoch(); the soft labels stay the same."
        warnings.warn(message, stacklevel=3)
        return False

    def _replace(self, sums: Tensor, counts: Tensor) -> None:
        """Put the means of an epoch in force."""
        # A row's sum is its count but for rounding, which dividing by the sum takes away.
        means = sums / sums.sum(1, keepdim=True)
        last = self.soft_labels
        fallback = torch.full_like(last, 1.0 / self.n_classes)
        if self.fallback == "previous":
            fallback = last.where(last.sum(1, keepdim=True) > 0, fallback)
        matrix = means.where(counts[:, None] > 0, fallback)
        if self.cap is not None:
            frozen = last.amax(1) >= self.cap
            matrix = last.where(frozen[:, None], matrix)
            counts = self.counts.where(frozen, counts)
        self.soft_labels = matrix
        self.counts = counts.clone()
        self.steps = self.steps + 1

    def _pooled(self) -> tuple[Tensor, Tensor]:
        """Return the sums and tallies over all ranks, from one `all_reduce`."""
        if not (dist.is_available() and dist.is_initialized()):
            return self.sums, self.tallies
        # float64 carries float32 sums and integer counts alike
        packed = torch.cat([self.sums.flatten().double(), self.tallies.double()])
        dist.all_reduce(packed)
        size = self.sums.numel()
        return packed[:size].view_as(self.sums).float(), packed[size:].long()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ObservedSoftLabels:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in ("soft_labels", "counts", "steps", "_sums", "tallies"):
            tensor = getattr(self, name)
            setattr(self, name, tensor.to(fn(tensor).device))
        return self

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._SAVED:
            destination[prefix + name] = getattr(self, name).clone()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],  # noqa: ARG002 - the signature is torch's
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name in self._SAVED:
            key, mine = prefix + name, getattr(self, name)
            stored = state_dict.get(key)
            if stored is None:
                missing_keys.append(key)
            elif stored.shape != mine.shape:
                shapes = f"{tuple(mine.shape)}, got {tuple(stored.shape)}"
                error_msgs.append(f"{key} must be of shape {shapes}.")
            elif name in ("sums", "tallies"):
                mine.copy_(stored)
            else:
                setattr(self, name, stored.to(mine, copy=True))
        if strict:
            known = {prefix + name for name in self._SAVED}
            unexpected_keys.extend(k for k in state_dict if k.startswith(prefix) and k not in known)


def _is_one_hot(soft: Tensor) -> Tensor:
    """Return which target distributions name a single class, of shape (N,)."""
    return (soft.amax(1) == 1.0) & (soft.count_nonzero(1) == 1)
