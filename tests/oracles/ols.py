"""Online Label Smoothing in float64 numpy, written from the definitions, one sample at a time."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


class OnlineLabelSmoothing:
    """The method and its options; `hard` and `soft` are the weights of the two terms."""

    def __init__(
        self,
        n_classes: int,
        hard: float = 0.5,
        soft: float = 0.5,
        initial: np.ndarray | None = None,
        fallback: str = "uniform",
        samples: str = "correct",
        cap: float | None = None,
        weight: np.ndarray | None = None,
        ignore_index: int = -100,
    ) -> None:
        self.k, self.hard, self.soft = n_classes, hard, soft
        uniform = np.full((n_classes, n_classes), 1 / n_classes)
        self.matrix = uniform if initial is None else np.asarray(initial, dtype=np.float64)
        self.fallback, self.samples, self.cap = fallback, samples, cap
        self.weight = np.ones(n_classes) if weight is None else weight
        self.ignore_index = ignore_index
        self.counts = np.zeros(n_classes, dtype=np.int64)
        self.clear()

    def clear(self) -> None:
        self.sums = np.zeros((self.k, self.k))
        self.numbers = np.zeros(self.k, dtype=np.int64)
        self.seen = 0

    @property
    def target(self) -> np.ndarray:
        return self.hard * np.eye(self.k) + self.soft * self.matrix

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Loss of each sample; `targets` are labels (N,) or distributions (N, K)."""
        result = np.zeros(len(logits))
        for i, (z, t) in enumerate(zip(logits, targets, strict=True)):
            if targets.ndim == 1 and t == self.ignore_index:
                continue
            one_hot_term = np.eye(self.k)[t] if targets.ndim == 1 else t
            soft_term = self.matrix[t] if targets.ndim == 1 else t @ self.matrix
            log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
            result[i] -= self.hard * (self.weight * one_hot_term * log_p).sum()
            result[i] -= self.soft * (self.weight * soft_term * log_p).sum()
        return result

    def loss(self, logits: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> np.ndarray:
        losses = self.losses(logits, targets)
        if reduction == "none":
            return losses
        if reduction == "sum":
            return losses.sum()
        if targets.ndim == 2:
            return losses.sum() / len(losses)
        total = sum(self.weight[y] for y in targets if y != self.ignore_index)
        return losses.sum() / total if total else np.zeros(())

    def see(self, logits: np.ndarray, targets: np.ndarray) -> None:
        for z, t in zip(logits, targets, strict=True):
            if targets.ndim == 1 and t == self.ignore_index:
                continue
            self.seen += 1
            if targets.ndim == 2 and sorted(t) != [0.0] * (self.k - 1) + [1.0]:
                continue
            y = int(np.argmax(t)) if targets.ndim == 2 else int(t)
            if np.isfinite(z).all() and (self.samples == "all" or z[y] == z.max()):
                self.sums[y] += softmax(z)
                self.numbers[y] += 1

    def step_epoch(self) -> None:
        if self.seen:
            last, last_counts = self.matrix, self.counts
            self.matrix, self.counts = last.copy(), self.numbers.copy()
            for y in range(self.k):
                if self.cap is not None and last[y].max() >= self.cap:
                    self.counts[y] = last_counts[y]
                elif self.numbers[y]:
                    self.matrix[y] = self.sums[y] / self.numbers[y]
                elif self.fallback == "uniform" or not last[y].any():
                    self.matrix[y] = 1 / self.k
            self.clear()
