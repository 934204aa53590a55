"""The best class of each sample and its confidence: of many systems nothing else is known.

They come from the logits, where a run has any. Else `predictions/<split>_top_label.npz` has them:
`predicted` (N,) int64 and `confidence` (N,) float32, beside the labels of every other kind of
predictions. What needs the probabilities of all classes, such as NLL, Brier score and temperature
scaling, cannot be had from that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ols_core.analysis.calibration import reliability, top_label_from_logits
from ols_core.checks import check_labels, invalid
from ols_core.errors import RunError
from ols_core.run_writer import write_atomically
from ols_core.runs import Run

__all__ = ["TopLabels", "load_top_labels", "save_top_labels"]


@dataclass(frozen=True)
class TopLabels:
    """Predictions of one split.

    Attributes
    ----------
    labels, predicted : ndarray of shape (N,), int64
        True class and most probable class.
    confidence : ndarray of shape (N,)
        Probability of the latter, in [0, 1].
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.floating]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Where the most probable class is the true one, (N,)."""
        return np.equal(self.predicted, self.labels)

    @classmethod
    def checked(
        cls,
        labels: npt.ArrayLike,
        predicted: npt.ArrayLike,
        confidence: npt.ArrayLike,
        n_classes: int,
    ) -> TopLabels:
        """Build it from arrays of shape (N,) after checking them.

        Raises
        ------
        ArgumentError
            If lengths differ, a class is out of range, or a confidence is not in [0, 1].
        """
        stated = np.asarray(confidence)
        if stated.ndim != 1 or stated.size == 0 or stated.dtype.kind not in "fiu":
            raise invalid("confidence", "at least one number a sample", stated.shape)
        # written as "not inside", so that a NaN counts as bad
        outside = np.flatnonzero(~((stated >= 0) & (stated <= 1)))
        if outside.size:
            row = int(outside[0])
            raise invalid(f"confidence[{row}]", "in [0, 1]", stated[row].item())
        return cls(
            check_labels("labels", labels, len(stated), n_classes),
            check_labels("predicted", predicted, len(stated), n_classes),
            stated.astype(np.float32),
        )

    def summary(self) -> dict[str, float]:
        """Return the metrics that can be had, named as in `PredictionSummary`.

        Examples
        --------
        >>> TopLabels.checked([0, 1], [0, 0], [0.75, 0.75], 2).summary()["signed_gap"]
        0.25
        """
        bins = reliability(self.confidence, self.correct)
        return {
            "n_samples": len(self.labels),
            "accuracy": float(self.correct.mean()),
            "ece": bins.ece,
            "signed_gap": bins.signed_gap,
            "mean_confidence": float(self.confidence.mean(dtype=np.float64)),
        }


def save_top_labels(path: Path, split: str, found: TopLabels) -> None:
    """Store predictions below a run directory."""
    write_atomically(
        path / "predictions" / f"{split}_labels.npy",
        lambda file: np.save(file, found.labels, allow_pickle=False),
    )
    write_atomically(
        _file(path, split),
        lambda file: np.savez(file, predicted=found.predicted, confidence=found.confidence),
    )


def load_top_labels(run: Run, split: str = "test") -> TopLabels | None:
    """Find the best classes of a split, from its logits or as stored; None without predictions.

    Raises
    ------
    RunError
        If a file is damaged.
    """
    if run.has(f"predictions/{split}_logits.npy"):
        confidence, predicted = top_label_from_logits(run.logits(split))
        return TopLabels(np.asarray(run.labels(split)), predicted, confidence)
    file = _file(run.path, split)
    try:
        with np.load(file, allow_pickle=False) as content:
            return TopLabels.checked(
                run.labels(split), content["predicted"], content["confidence"], run.n_classes
            )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise RunError(f"{file} is damaged: {error}") from None


def _file(path: Path, split: str) -> Path:
    return path / "predictions" / f"{split}_top_label.npz"
