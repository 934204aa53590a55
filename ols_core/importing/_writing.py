"""Make a run of predictions that were read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from ols_core.importing._predictions import Predictions
from ols_core.recorder import RunRecorder
from ols_core.runs import DEFAULT_ROOT, Run, label_fingerprint, list_runs

__all__ = ["suggested_id", "write_import"]


class _Importer(RunRecorder):
    source: ClassVar[Literal["recorded", "imported", "evaluated"]] = "imported"

    def note(self, predictions: Predictions) -> None:
        """Put into `run.json` which file was read and how it was understood."""
        writer = self._opened()
        if writer is not None:
            file = Path(predictions.file).name  # the rest of a path is nobody's business
            writer.update(imported={"file": file, "recognised": predictions.recognised})


def write_import(
    predictions: Predictions,
    root: str | Path = DEFAULT_ROOT,
    name: str = "imported",
    *,
    method: str = "custom",
    dataset: str | None = None,
    model: str = "unknown",
) -> Run:
    """Write what `read_predictions` found as a run.

    A run that is there already with the same classes and the same labels in the same order lends
    its superclasses and the name of its data set, so that both can be compared.

    Parameters
    ----------
    predictions : Predictions
    root : str or Path
        Folder of the runs.
    name : str
        Name of the new run.
    method, dataset, model : str
        What the run is called in tables; `dataset` is by default that of such a run, or
        ``"unknown"``.

    Returns
    -------
    Run
        The finished run, with source `imported`.

    Raises
    ------
    ArgumentError
        If the name is not acceptable.
    RunError
        If a run of that name exists: nothing is ever overwritten.
    """
    peer = _peer(predictions, root)
    known = "unknown" if peer is None else peer.info.dataset.name
    recorder = _Importer(
        name,
        predictions.class_names,
        root=root,
        method=method,
        dataset=dataset or known,
        model=model,
        superclasses=None if peer is None else peer.info.dataset.superclasses,
    )
    with recorder:
        recorder.note(predictions)
        _log(recorder, predictions)
    return recorder.run


def suggested_id(file: str) -> str:
    """Id for a run that is made of a file.

    Examples
    --------
    >>> suggested_id("My forest (2).csv")
    'my-forest-2-'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", Path(file).stem.lower()).lstrip("._-")[:100]


def _log(recorder: RunRecorder, predictions: Predictions) -> None:
    if predictions.top_labels is not None:
        top = predictions.top_labels
        recorder.log_top_labels(
            predictions.split,
            labels=top.labels,
            predicted=top.predicted,
            confidence=top.confidence,
        )
        return
    given = predictions.scores
    recorder.log_predictions(
        predictions.split,
        labels=predictions.labels,
        logits=given if predictions.kind == "logits" else None,
        probabilities=given if predictions.kind == "probabilities" else None,
        features=predictions.features,
    )


def _peer(predictions: Predictions, root: str | Path) -> Run | None:
    """Newest run of the same classes on the same labels."""
    fingerprint = label_fingerprint(predictions.labels)
    return next(
        (
            run
            for run in list_runs(root)
            if run.info.dataset.class_names == predictions.class_names
            and run.info.dataset.fingerprints.get(predictions.split) == fingerprint
        ),
        None,
    )
