"""Record a run from any training loop: history, soft labels and predictions, without torch.

Tensors are accepted wherever arrays are: only their methods are used, so that nothing here imports
the framework they come from.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from ols_core._given import (
    as_array,
    check_config,
    check_features,
    check_images,
    check_n_samples,
    finite_number,
    is_plain,
    stored_scores,
)
from ols_core.analysis.calibration import summarize_predictions
from ols_core.analysis.soft_labels import check_soft_labels
from ols_core.checks import check_choice, check_labels, invalid
from ols_core.class_names import check_class_names
from ols_core.data.types import ImageSet
from ols_core.errors import RunError, one_line
from ols_core.run_writer import RunWriter, utc_now
from ols_core.runs import (
    DEFAULT_ROOT,
    SPLITS,
    UNKNOWN_COUNT,
    DatasetInfo,
    ModelInfo,
    Run,
    RunInfo,
    check_run_id,
    label_fingerprint,
    load_run,
)
from ols_core.thumbnails import write_thumbnails
from ols_core.top_labels import TopLabels, save_top_labels

__all__ = ["RunRecorder"]

# What launchers set, in the order in which Lightning and torchrun mean them.
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
_FRAMEWORKS = ("torch", "tensorflow", "jax", "sklearn", "timm")


class RunRecorder:
    """Write a run directory from a loop of one's own, for the dashboard and `ols table`.

    Inside its ``with`` block, what is logged is on disk when the call returns. The block's end
    finishes the run; an exception marks it `failed` with its cause, Ctrl-C `stopped`, and both go
    on. Of several processes only that of rank 0 writes; the calls of the others do nothing.

    Parameters
    ----------
    name : str
        Name of the run's directory. An existing run is never overwritten.
    class_names : sequence of str
        One name a class, K >= 2 different ones, in the order of the logits' columns.
    root : str or Path
        Folder of the runs.
    method, dataset, model : str
        What the run is called in tables; `method` ``"ce"``, ``"ls"`` or ``"ols"`` compares it with
        trained runs of that loss.
    config : mapping, optional
        Settings to remember, as JSON can hold them. With ``alpha`` (OLS) or ``smoothing`` (LS) the
        dashboard also shows the training targets.
    superclasses : sequence of str, optional
        Superclass of each class.

    Raises
    ------
    ArgumentError
        If an argument is not as described.
    RunError
        When the block is entered, if a run of that name exists; when something is logged outside
        of the block.

    Examples
    --------
    >>> import tempfile
    >>> with RunRecorder("mine", ["cat", "dog"], root=tempfile.mkdtemp()) as recorder:
    ...     recorder.log_epoch(train_loss=0.7, val_accuracy=0.5)
    ...     recorder.log_predictions("test", logits=[[2.0, 0.0], [0.0, 1.0]], labels=[0, 0])
    >>> recorder.run.status, recorder.run.info.summary["test"]["accuracy"]
    ('finished', 0.5)
    """

    source: ClassVar[Literal["recorded", "imported", "evaluated"]] = "recorded"

    def __init__(
        self,
        name: str,
        class_names: Sequence[str],
        *,
        root: str | Path = DEFAULT_ROOT,
        method: str = "custom",
        dataset: str = "unknown",
        model: str = "unknown",
        config: Mapping[str, Any] | None = None,
        superclasses: Sequence[str] | None = None,
    ) -> None:
        names = check_class_names(class_names)
        if superclasses is not None and len(superclasses) != len(names):
            raise invalid("superclasses", f"{len(names)}, one a class", len(superclasses))
        self._root = Path(root)
        self._info = RunInfo(
            id=check_run_id(name),
            name=name,
            created=utc_now(),
            status="running",
            source=self.source,
            method=method,
            config=check_config(config or {}),
            dataset=DatasetInfo(
                name=dataset,
                class_names=names,
                superclasses=None if superclasses is None else list(superclasses),
            ),
            model=ModelInfo(name=model),
            environment=_environment(),
        )
        self._writer: RunWriter | None = None
        self._state: Literal["new", "open", "closed"] = "new"
        self._epoch = 0
        self._n_matrices = 0

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RunError(f"The recorder of {self._info.id} was used already; make a new one.")
        self._state = "open"
        if _rank() == 0:
            self._writer = RunWriter.create(self._root, self._info)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._state = "closed"
        if self._writer is None:
            return
        if error is None:
            self._writer.close("finished")
            return
        cause = one_line(error) if isinstance(error, Exception) else None
        with suppress(OSError):  # a full disk: what went wrong first is what the user must hear
            self._writer.close("stopped" if cause is None else "failed", cause)

    @property
    def run(self) -> Run:
        """The run as it is on disk now, to read what was recorded."""
        return load_run(self._info.id, self._root)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self._info.dataset.class_names)

    def log_epoch(self, metrics: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Append one epoch to the history.

        The dashboard draws ``train_loss``, ``train_accuracy``, ``val_accuracy``, ``val_nll``,
        ``val_ece``, ``val_brier`` and ``lr``; others are kept. Accuracies and errors are shares in
        [0, 1], losses in nats.

        Parameters
        ----------
        metrics : mapping, optional
            Name → number, which may be a tensor or array of one element.
        **more
            The same as keywords. ``epoch`` numbers the record; by default it is one more than the
            last one, beginning with 1.

        Raises
        ------
        ArgumentError
            If a value is no finite number, or `epoch` does not go up.
        """
        writer = self._opened()
        if writer is None:
            return
        record = {
            name: finite_number(name, value) for name, value in {**(metrics or {}), **more}.items()
        }
        epoch = record.pop("epoch", self._epoch + 1)
        if epoch != int(epoch) or epoch <= self._epoch:
            raise invalid("epoch", f"a whole number above {self._epoch}, the last one", epoch)
        self._epoch = int(epoch)
        writer.append_history({"epoch": self._epoch, **record})
        writer.update()

    def log_soft_labels(self, source: Any, counts: npt.ArrayLike | None = None) -> None:
        """Store the soft-label matrix of an epoch; call it once after each.

        The first call stores epoch 1, the next one epoch 2, and so on. A first matrix without any
        sample behind it, such as that of a loss before its first `step_epoch`, is the initial one,
        epoch 0; without one, epoch 0 is uniform.

        Parameters
        ----------
        source : loss module or array-like of shape (K, K)
            A loss with `soft_labels` and `counts`, such as every loss of this package and
            `ObservedSoftLabels`; or the matrix itself, row = target class, rows sum to 1.
        counts : array-like of shape (K,), optional
            Samples behind each row, for a matrix that does not bring them. A row of zeros with a
            count of 0 is stored as uniform. Without counts the dashboard cannot tell rows that
            stand on samples from others, and says so.

        Raises
        ------
        ArgumentError
            If the matrix or the counts are not as described.
        """
        writer = self._opened()
        if writer is None:
            return
        matrix, behind = self._soft_labels(source, counts)
        if self._n_matrices == 0 and behind.any():
            uniform = np.full_like(matrix, 1 / self.n_classes)
            writer.save_soft_labels(0, uniform, np.zeros_like(behind))
            self._n_matrices = 1
        writer.save_soft_labels(self._n_matrices, matrix, behind)
        self._n_matrices += 1
        writer.update()

    def log_predictions(
        self,
        split: str,
        *,
        labels: npt.ArrayLike,
        logits: npt.ArrayLike | None = None,
        probabilities: npt.ArrayLike | None = None,
        features: npt.ArrayLike | None = None,
        images: npt.ArrayLike | None = None,
    ) -> None:
        """Store the predictions on a split and sum them up; a later call for it replaces them.

        Parameters
        ----------
        split : {"test", "train", "val"}
            The dashboard shows ``"test"`` and fits temperatures on ``"val"``.
        labels : array-like of shape (N,)
            True class indices, N >= 2.
        logits : array-like of shape (N, K), optional
            Kept as float16 if they are, otherwise as float32.
        probabilities : array-like of shape (N, K), optional
            In place of logits. Stored as their logarithms, which `run.json` says; those below
            2^-52 count as that, as in scikit-learn's `log_loss`, so that no loss is infinite.
        features : array-like of shape (N, D), optional
            What the last layer sees, for embeddings; stored as float16.
        images : array-like of shape (N, H, W) or (N, H, W, C), uint8, optional
            C is 1 or 3; a sample becomes thumbnails.

        Raises
        ------
        ArgumentError
            If not exactly one of `logits` and `probabilities` is given, or an array is not as
            described; the message names the place.
        """
        writer = self._opened()
        if writer is None:
            return
        check_choice("split", split, SPLITS)
        if (logits is None) == (probabilities is None):
            both = "both" if logits is not None else "neither"
            raise invalid("predictions", "given as exactly one of logits and probabilities", both)
        scores, facts = stored_scores(logits, probabilities)
        if scores.ndim != 2 or scores.shape[1] != self.n_classes:
            raise invalid(facts["given"], f"of shape (N, {self.n_classes})", scores.shape)
        check_n_samples(facts["given"], len(scores))
        classes = check_labels("labels", as_array(labels), len(scores), self.n_classes)
        summary = asdict(summarize_predictions(scores, classes))
        seen = None if features is None else check_features(features, len(scores))
        pictures = None if images is None else check_images(images, len(scores))
        writer.save_predictions(split, scores, classes)
        if seen is not None:
            writer.save_features(split, seen)
            _set_width(writer, seen.shape[1])
        if pictures is not None:
            write_thumbnails(self._root, ImageSet(classes, pictures), split)
        _describe(writer, split, classes, summary, facts)

    def log_top_labels(
        self,
        split: str,
        *,
        labels: npt.ArrayLike,
        predicted: npt.ArrayLike,
        confidence: npt.ArrayLike,
    ) -> None:
        """Store predictions of which only the best class and its probability are known.

        Accuracy and calibration of the confidence follow from them; NLL, Brier score, temperature
        scaling and the probabilities of the other classes do not, and are left out.

        Parameters
        ----------
        split : {"test", "train", "val"}
        labels, predicted : array-like of shape (N,)
            True and most probable class, as indices, N >= 2.
        confidence : array-like of shape (N,)
            In [0, 1].

        Raises
        ------
        ArgumentError
            If an array is not as described; the message names the place.
        """
        writer = self._opened()
        if writer is None:
            return
        check_choice("split", split, SPLITS)
        found = TopLabels.checked(
            as_array(labels), as_array(predicted), as_array(confidence), self.n_classes
        )
        check_n_samples("labels", len(found.labels))
        save_top_labels(writer.path, split, found)
        _describe(writer, split, found.labels, found.summary(), {"given": "top labels"})

    def log_classifier(self, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> None:
        """Store the last layer, whose rows tell how alike the classes are.

        Parameters
        ----------
        weight : array-like of shape (K, D)
        bias : array-like of shape (K,), optional

        Raises
        ------
        ArgumentError
            If an array is not as described.
        """
        writer = self._opened()
        if writer is None:
            return
        layer = {"classifier.weight": as_array(weight)}
        if bias is not None:
            layer["classifier.bias"] = as_array(bias)
        for name, array in layer.items():
            right = (array.ndim, len(array)) == (2 if "weight" in name else 1, self.n_classes)
            if not right or array.dtype.kind != "f":
                expected = f"floats, one row for each of {self.n_classes} classes"
                raise invalid(name, expected, f"{array.dtype} of shape {array.shape}")
        writer.save_weights(layer)
        _set_width(writer, layer["classifier.weight"].shape[1])

    @classmethod
    def from_estimator(
        cls,
        clf: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        name: str,
        class_names: Sequence[str] | None = None,
        root: str | Path = DEFAULT_ROOT,
        dataset: str = "unknown",
        images: npt.ArrayLike | None = None,
    ) -> Run:
        """Record what a fitted scikit-learn classifier predicts on test data.

        Parameters
        ----------
        clf : estimator
            With `predict_proba` and `classes_`.
        X : array-like of shape (N, n_features)
        y : array-like of shape (N,)
            True labels, as in `clf.classes_`, N >= 2.
        name : str
            Name of the run.
        class_names : sequence of str, optional
            Names of `clf.classes_`, in that order; by default these themselves.
        root, dataset, images
            As for `RunRecorder` and `log_predictions`.

        Returns
        -------
        Run
            The finished run.

        Raises
        ------
        ArgumentError
            If the classifier gives no probabilities, a label is none of its classes, or there are
            fewer than two samples.
        RunError
            If a run of that name exists.
        """
        classes, labels = _estimator_labels(clf, y)
        check_n_samples("y", len(labels))
        parameters = clf.get_params(deep=False) if hasattr(clf, "get_params") else {}
        recorder = cls(
            name,
            [str(label) for label in classes] if class_names is None else class_names,
            root=root,
            dataset=dataset,
            model=type(clf).__name__,
            config={key: value for key, value in parameters.items() if is_plain(value)},
        )
        probabilities = clf.predict_proba(X)
        with recorder:
            recorder.log_predictions(
                "test", probabilities=probabilities, labels=labels, images=images
            )
        return recorder.run

    def _opened(self) -> RunWriter | None:
        """Return the writer, None in processes other than the first."""
        if self._state != "open":
            raise RunError(
                f"The recorder of {self._info.id} is {self._state}: log inside of "
                "`with RunRecorder(...) as recorder:`."
            )
        return self._writer

    def _soft_labels(
        self, source: Any, counts: npt.ArrayLike | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return a checked matrix, (K, K), and the counts behind its rows, (K,)."""
        counts = getattr(source, "counts", None) if counts is None else counts
        matrix = as_array(getattr(source, "soft_labels", source)).astype(np.float32)
        if matrix.shape != (self.n_classes, self.n_classes):
            expected = f"of shape ({self.n_classes}, {self.n_classes})"
            raise invalid("soft labels", expected, matrix.shape)
        if counts is None:
            unknown = np.full(self.n_classes, UNKNOWN_COUNT)
            return check_soft_labels(matrix).astype(np.float32, copy=False), unknown
        behind = as_array(counts)
        whole = behind.astype(np.int64)
        if behind.shape != (self.n_classes,) or (whole != behind).any() or (whole < 0).any():
            expected = f"{self.n_classes} whole numbers from 0 up, one a row"
            raise invalid("counts", expected, behind.tolist())
        unseen = (whole == 0) & ~matrix.any(axis=1)
        matrix[unseen] = 1 / self.n_classes
        return check_soft_labels(matrix).astype(np.float32, copy=False), whole


def _set_width(writer: RunWriter, n_features: int) -> None:
    """Put the width of the last layer's input into `run.json`."""
    writer.update(model=writer.info.model.model_dump() | {"n_features": n_features})


def _describe(
    writer: RunWriter,
    split: str,
    labels: npt.NDArray[np.int64],
    summary: Mapping[str, float],
    facts: Mapping[str, Any],
) -> None:
    """Put into `run.json` what was stored of a split."""
    info, dataset = writer.info, writer.info.dataset
    described = {
        "splits": dataset.splits | {split: len(labels)},
        "fingerprints": dataset.fingerprints | {split: label_fingerprint(labels)},
    }
    known = (info.model_extra or {}).get("predictions", {})
    writer.update(
        dataset=dataset.model_dump() | described,
        summary=info.summary | {split: dict(summary)},
        predictions=known | {split: dict(facts)},
    )


def _estimator_labels(clf: Any, y: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return a classifier's classes, and `y` as positions among them."""
    if not hasattr(clf, "predict_proba"):
        raise invalid(
            "clf",
            "a classifier with predict_proba",
            type(clf).__name__,
            "Scores of decision_function are no probabilities: wrap it in sklearn.calibration."
            "CalibratedClassifierCV.",
        )
    classes = np.asarray(getattr(clf, "classes_", ()))
    if classes.ndim != 1 or len(classes) < 2:
        raise invalid("clf", "a fitted classifier of one output", type(clf).__name__)
    given = np.asarray(y)
    order = np.argsort(classes)
    places = order[np.minimum(np.searchsorted(classes[order], given), len(classes) - 1)]
    wrong = np.flatnonzero(classes[places] != given)
    if wrong.size:
        row = int(wrong[0])
        raise invalid(f"y[{row}]", "one of clf.classes_", given[row].item())
    return classes, places.astype(np.int64)


def _environment() -> dict[str, Any]:
    """Versions of what is loaded, and the machine."""
    loaded = {name: sys.modules[name] for name in _FRAMEWORKS if name in sys.modules}
    versions = {name: getattr(module, "__version__", "unknown") for name, module in loaded.items()}
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: str(text) for name, text in versions.items()},
        "ols_core": version("ols-core"),
        "device_name": platform.machine(),
        "cpu_count": os.cpu_count(),
    }


def _rank() -> int:
    """Rank of this process: that of torch.distributed where it runs, else the launcher's."""
    torch = sys.modules.get("torch")
    if torch is not None:
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            return int(distributed.get_rank())
    return int(next((os.environ[key] for key in _RANKS if os.environ.get(key)), "0"))
