"""Features of a split that a finished run lacks, computed from its stored weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ols_core.checks import check_choice
from ols_core.config import TrainConfig
from ols_core.errors import RunError
from ols_core.remedies import features_remedy, typed_command
from ols_core.run_writer import RunWriter
from ols_core.runs import DEFAULT_ROOT, SPLITS, Run, label_fingerprint, load_run
from ols_core.thumbnails import write_thumbnails
from ols_core.training.engine import FLOAT16_MAX, predict
from ols_core.training.session import Session, open_session
from ols_core.training.signals import StopSignals, Watched

__all__ = ["add_features", "stored_logits"]

# Another precision moves logits by a percent or two of their spread; other weights or images move
# them by about as much as the spread itself.
_SAME_WITHIN = 0.1


def add_features(
    run_id: str,
    root: str | Path = DEFAULT_ROOT,
    split: str = "test",
    progress: Callable[[float], None] | None = None,
) -> Run:
    """Compute the features of a split from a run's weights and store them with it.

    Predictions and thumbnails of the split are stored too if they are absent. The network sees the
    images as it does in evaluation; labels with noise stay as they were given.

    Parameters
    ----------
    run_id : str
    root : str or Path
        Folder of the runs.
    split : {"test", "train", "val"}
    progress : callable, optional
        Called with the share of the images that are done, in [0, 1].

    Returns
    -------
    Run
        As it is now.

    Raises
    ------
    ArgumentError
        If `split` is unknown.
    RunError
        If the run has them already, has no weights, or was not trained here, or if its data or
        weights are not those that it was finished with.
    DataError
        If the data set cannot be had.
    KeyboardInterrupt, SystemExit
        If either is raised meanwhile; nothing is written then.
    """
    check_choice("split", split, SPLITS)
    run = load_run(run_id, root)
    if run.has(f"features/{split}.npy"):
        raise RunError(f"Run {run.id} has features of the {split} split already.")
    session = _reopened(run, split)
    with StopSignals() as stop:
        batches = Watched(session.evaluation_batches(split), stop, progress)
        found = predict(session.network, batches, session.fabric, features=True)
        stop.check()
    assert found.features is not None
    _check_logits(run, split, found.logits)
    with RunWriter.amending(run) as writer:
        if not run.has(f"predictions/{split}_logits.npy"):
            writer.save_predictions(split, stored_logits(found.logits), found.labels)
        writer.save_features(split, found.features)
        write_thumbnails(Path(root), session.dataset.splits[split], split)
    return load_run(run_id, root)


def stored_logits(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
    """Return logits as they are stored: float16, unless one is too large for it.

    Examples
    --------
    >>> stored_logits(np.float32([1.5])).dtype.name, stored_logits(np.float32([1e5])).dtype.name
    ('float16', 'float32')
    """
    return logits.astype(np.float16) if np.abs(logits).max() <= FLOAT16_MAX else logits


def _reopened(run: Run, split: str) -> Session:
    """Network and data of a finished run, on whatever this machine computes with."""
    if run.info.source != "trained":
        raise RunError(
            f"Run {run.id} was {run.info.source}, not trained: no features can be added to it. "
            f"{features_remedy(run, split)}"
        )
    if not run.has("weights.safetensors"):
        command = typed_command("resume", run.id, root=run.path.parent)
        raise RunError(
            f"Run {run.id} ({run.status}) has no weights.safetensors, which a training writes when "
            f"it finishes. Go on with: {command}"
        )
    config = TrainConfig.from_options(run.info.config)
    here = {
        "device": "auto",
        "precision": "auto" if config.precision == "fp16" else config.precision,
        "compile": False,
    }
    session = open_session(config.model_copy(update=here), resumed=True)
    _check_data(run, split, session)
    _load_weights(run, session.network)
    return session


def _load_weights(run: Run, network: nn.Module) -> None:
    try:
        stored = load_file(run.path / "weights.safetensors")
    except (SafetensorError, OSError) as error:
        raise RunError(f"Run {run.id}: weights.safetensors cannot be read: {error}") from None
    needed = network.state_dict()
    if absent := [name for name in needed if name not in stored]:
        again = typed_command(
            "train",
            "--config",
            str(run.path / "run.json"),
            "--name",
            f"{run.id}-again",
            root=run.path.parent,
        )
        raise RunError(
            f"Run {run.id}: weights.safetensors lacks {len(absent)} of the {len(needed)} tensors "
            f"of the network, {absent[0]} first. Its training can be repeated with: {again}"
        )
    try:
        network.load_state_dict(stored)
    except RuntimeError as error:
        cause = str(error).splitlines()[0].rstrip(":.")
        raise RunError(f"Run {run.id}: weights.safetensors cannot be used: {cause}.") from None


def _check_data(run: Run, split: str, session: Session) -> None:
    splits = session.dataset.splits
    recorded = run.info.dataset.fingerprints
    same = all(label_fingerprint(splits[name].labels) == recorded[name] for name in recorded)
    if split == "train" and run.has("label_noise/given.npy"):
        same = same and np.array_equal(run.label_noise()[0], splits["train"].labels)
    if not same:
        raise RunError(
            f"The data set of run {run.id} is not the same any more: its labels differ from those "
            "that were trained on. Restore it first."
        )


def _check_logits(run: Run, split: str, logits: npt.NDArray[np.float32]) -> None:
    """Refuse features of a network or of images that are not those of the stored predictions."""
    if not run.has(f"predictions/{split}_logits.npy"):
        return
    stored = np.asarray(run.logits(split), dtype=np.float32)
    difference = np.inf
    if stored.shape == logits.shape:
        difference = float(np.sqrt(np.mean((stored - logits) ** 2)) / stored.std())
    if not difference <= _SAME_WITHIN:
        raise RunError(
            f"Run {run.id}: the {split} logits computed now are not the stored ones: they differ "
            f"by {difference:.2f} times their standard deviation, where {_SAME_WITHIN} is allowed. "
            "The weights or the images have changed since. Nothing was written."
        )
