"""Train a configuration into a run directory, and go on where an interrupted run stopped."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ols_core.analysis.calibration import summarize_predictions
from ols_core.config import TrainConfig
from ols_core.data.batches import Batch
from ols_core.errors import RunError, TrainingError, one_line
from ols_core.models import classifier
from ols_core.run_names import default_ids
from ols_core.run_writer import RunWriter, utc_now, write_atomically
from ols_core.runs import (
    DEFAULT_ROOT,
    DatasetInfo,
    ModelInfo,
    Run,
    RunInfo,
    check_run_id,
    label_fingerprint,
    load_run,
)
from ols_core.seeding import derive_seed
from ols_core.thumbnails import write_thumbnails
from ols_core.training.engine import EpochMetrics, predict, run_epoch
from ols_core.training.failures import explain_failure
from ols_core.training.features import stored_logits
from ols_core.training.observer import Observer
from ols_core.training.session import Session, environment, open_session
from ols_core.training.signals import StopSignals, Watched

__all__ = ["resume", "train"]

_STATE = Path("resume") / "state.pt"


def train(
    config: TrainConfig,
    root: str | Path = DEFAULT_ROOT,
    observer: Observer | None = None,
    download: bool = False,
) -> Run:
    """Train, evaluate, and write a run directory.

    Parameters
    ----------
    config : TrainConfig
    root : str or Path
        Folder of the runs.
    observer : Observer, optional
        Is told of the progress.
    download : bool
        Fetch an absent data set, where torchvision can.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    OLSError
        If an option, the data or the run's name is not acceptable, or the loss stops being finite.
    KeyboardInterrupt, SystemExit
        If either is raised meanwhile, after the run was marked `stopped`; `resume` goes on.
    """
    session = open_session(config, download)
    writer = None
    if session.fabric.is_global_zero:
        free = (i for i in default_ids(config) if not (Path(root) / i).exists())
        run_id = check_run_id(config.name) if config.name else next(free)
        writer = RunWriter.create(root, _describe(session, run_id))
    return _run(session, writer, 0, observer)


def resume(run_id: str, root: str | Path = DEFAULT_ROOT, observer: Observer | None = None) -> Run:
    """Go on with a stopped, failed or interrupted run from its last complete epoch.

    Raises
    ------
    RunError
        If the run is finished, written by another process now, or cannot be gone on with.
    """
    run = load_run(run_id, root)
    if run.info.source != "trained":
        raise RunError(f"Run {run_id} cannot be resumed: it was {run.info.source}, not trained.")
    if run.status == "finished":
        raise RunError(f"Run {run_id} is finished; there is nothing to resume.")
    resumed = run.has(str(_STATE))
    session = open_session(TrainConfig.from_options(run.info.config), resumed=resumed)
    if _fingerprints(session) != run.info.dataset.fingerprints:
        raise RunError(f"Run {run_id} cannot be resumed: its data set is not the same any more.")
    writer = RunWriter.reopen(run) if session.fabric.is_global_zero else None
    epoch = 0
    if resumed:
        try:
            state = torch.load(run.path / _STATE, map_location="cpu", weights_only=True)
            session.restore(state)
        except Exception as error:  # whatever a damaged file makes torch raise
            cause = f"{_STATE} cannot be read: {one_line(error)}"
            _close(writer, "failed", cause)
            raise RunError(f"Run {run_id} cannot be resumed: {cause}") from None
        epoch = state["epoch"]
    if writer is not None:
        writer.rewind(epoch)
    return _run(session, writer, epoch, observer)


def _run(session: Session, writer: RunWriter | None, epoch: int, observer: Observer | None) -> Run:
    """Train what is left after `epoch` and return the finished run.

    Only the process of rank 0 has a writer, and only it talks to the observer.
    """
    path = cast(Path, session.fabric.broadcast(writer.path if writer is not None else None))
    with StopSignals() as stop, _status_kept(path, session, writer, stop):
        if epoch == 0:
            _begin(session, writer)
        talking = observer if observer is not None and writer is not None else Observer()
        facts = {
            "hardware": session.hardware,
            "notices": session.notices,
            "processes": session.fabric.world_size,
        }
        talking.started(path, epoch + 1, session.config.epochs, facts)
        _fit(session, writer, epoch + 1, talking, stop)
        summary = _evaluate(session, writer, stop)
        talking.finished(summary)
        session.fabric.barrier()
    return load_run(path.name, path.parent)


def _begin(session: Session, writer: RunWriter | None) -> None:
    """Write what is known before the first epoch."""
    train_images = session.dataset.splits["train"]
    if writer is not None:
        if train_images.true_labels is not None:
            writer.save_label_noise(train_images.labels, train_images.true_labels)
        none = np.zeros(session.dataset.n_classes, np.int64)
        writer.save_soft_labels(0, _matrix(session), none)
    _save_state(writer, session, epoch=0)


def _fit(
    session: Session, writer: RunWriter | None, first: int, observer: Observer, stop: StopSignals
) -> None:
    """Train from epoch `first` to the last; after each, the run directory is complete."""
    for epoch in range(first, session.config.epochs + 1):
        record = _one_epoch(session, epoch, observer, stop)
        if _keeps_features(session.config, epoch):
            found = predict(session.evaluated, session.batches["test"], session.fabric, True)
            if writer is not None and found.features is not None:
                writer.save_features("test", found.features, epoch)
        if writer is not None:
            counts = session.criterion.counts.cpu().numpy()
            writer.save_soft_labels(epoch, _matrix(session), counts)
            writer.append_history(record)
        _save_state(writer, session, epoch)
        if writer is not None:
            writer.update()
        observer.epoch_done(record)
    stop.check()


def _keeps_features(config: TrainConfig, epoch: int) -> bool:
    every = config.save_features_every
    return every > 0 and (epoch % every == 0 or epoch == config.epochs)


def _one_epoch(
    session: Session, epoch: int, observer: Observer, stop: StopSignals
) -> dict[str, Any]:
    """Train one epoch and validate; returns its record for the history."""
    config, batches = session.config, session.batches["train"]
    batches.set_epoch(epoch)
    # Dropout, stochastic depth and mixup draw from the global stream.
    rank = session.fabric.global_rank
    torch.manual_seed(derive_seed(config.seed, "network", epoch) + rank)
    lr = session.schedule.get_last_lr()[0]
    steps = count((epoch - 1) * len(batches))

    def step(batch: Batch) -> tuple[Tensor, Tensor]:
        stop.check()
        result = session.train_step(batch)
        closes = _closes_period(next(steps), config.update_period * len(batches))
        # A mixed image is none of a class, even if chance mixed two of the same.
        if closes and session.mixing is None:
            session.criterion.step_epoch()
        return result

    def known(metrics: EpochMetrics) -> EpochMetrics:
        mixed = session.mixing is not None
        return replace(metrics, accuracy=None, memorised=None) if mixed else metrics

    def progress(metrics: EpochMetrics) -> None:
        observer.progressed(epoch, known(metrics), batches.n_samples)

    session.model.train()
    session.criterion.train()
    trained = known(run_epoch(batches, step, session.fabric, progress))
    session.share_buffers()
    validated = predict(session.evaluated, session.batches["val"], session.fabric)
    if not (math.isfinite(trained.loss) and np.isfinite(validated.logits).all()):
        what = "logits of the validation images" if math.isfinite(trained.loss) else "training loss"
        raise TrainingError(
            f"The {what} became infinite or NaN in epoch {epoch}. The last good epoch is kept; "
            f"try a lower --lr than {config.lr:g}."
        )
    summary = summarize_predictions(validated.logits, validated.labels)
    record = {
        "epoch": epoch,
        "lr": lr,
        "train_loss": trained.loss,
        "val_accuracy": summary.accuracy,
        "val_nll": summary.nll,
        "val_brier": summary.brier,
        "val_ece": summary.ece,
        "seconds": round(trained.seconds, 3),
        "images_per_second": round(trained.images_per_second, 1),
    }
    shares = {"train_accuracy": trained.accuracy, "memorised": trained.memorised}
    return record | {name: share for name, share in shares.items() if share is not None}


def _closes_period(step: int, period: float) -> bool:
    """Whether a period of so many steps ends with this one, counted from 0.

    Examples
    --------
    >>> [step for step in range(9) if _closes_period(step, 2.5)]
    [2, 4, 7]
    """
    tolerance = 1e-9  # a period such as 3 * 0.1 is not quite what it says
    return math.floor((step + 1) / period + tolerance) > math.floor(step / period + tolerance)


def _evaluate(session: Session, writer: RunWriter | None, stop: StopSignals) -> dict[str, Any]:
    """Write predictions, features, weights, thumbnails and the summary; finish the run."""
    splits = session.dataset.splits
    # The training images of a run with label noise are kept to look for the flipped ones.
    looked_at = ["test"] if splits["train"].true_labels is None else ["test", "train"]
    summary: dict[str, Any] = {}
    for split in ("val", *looked_at):
        batches = Watched(session.evaluation_batches(split), stop)
        found = predict(session.evaluated, batches, session.fabric, split in looked_at)
        # The summary is made from what is stored, so that whoever recomputes it agrees.
        logits = stored_logits(found.logits)
        if split != "train":
            summary[split] = asdict(summarize_predictions(logits, found.labels))
        if writer is not None:
            writer.save_predictions(split, logits, found.labels)
            if found.features is not None:
                writer.save_features(split, found.features)
    if writer is not None:
        weights = session.evaluated.state_dict()
        writer.save_weights({k: v.cpu().numpy() for k, v in weights.items()})
        for split in looked_at:
            write_thumbnails(writer.path.parent, splits[split], split)
        stop.check()
        writer.update(summary=summary)
        writer.close("finished")
    return summary


@contextmanager
def _status_kept(
    path: Path, session: Session, writer: RunWriter | None, stop: StopSignals
) -> Iterator[None]:
    """Leave the run `stopped` on Ctrl-C or SIGTERM and `failed`, with the cause, on an error.

    Of several processes only that of rank 0 writes the status. Another one that fails leaves its
    cause in a file, before its launcher stops the rest.

    Raises
    ------
    TrainingError
        In place of an error of torch or the operating system.
    """
    causes = path / "resume"
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _close_stopped(writer, causes)
        raise
    except Exception as error:
        if stop.received:  # another process of the group was stopped first, and hung up
            _close_stopped(writer, causes)
            stop.check()
        explained = explain_failure(error, path, session.config)
        if writer is None:
            causes.mkdir(exist_ok=True)
            cause = causes / f"cause-of-rank-{session.fabric.global_rank}"
            cause.write_text(one_line(explained))
        _close(writer, "failed", one_line(explained))
        if explained is error:
            raise
        raise explained from error


def _close_stopped(writer: RunWriter | None, causes: Path) -> None:
    """Mark as stopped, unless it was another process's failure that stopped this one."""
    cause = next((file.read_text() for file in causes.glob("cause-of-rank-*")), None)
    _close(writer, "stopped" if cause is None else "failed", cause)


def _close(writer: RunWriter | None, status: str, error: str | None = None) -> None:
    if writer is not None:
        with suppress(OSError):  # a full disk: what went wrong first is what the user must hear
            writer.close(status, error)


def _save_state(writer: RunWriter | None, session: Session, epoch: int) -> None:
    state = session.state() | {"epoch": epoch}
    if writer is not None:
        # Through memory: onto a full disk, torch.save fails with an error of its own making.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(writer.path / _STATE, lambda file: file.write(buffer.getbuffer()))


def _matrix(session: Session) -> Any:
    return session.criterion.soft_labels.cpu().numpy()


def _fingerprints(session: Session) -> dict[str, str]:
    splits = session.dataset.splits
    return {split: label_fingerprint(splits[split].labels) for split in ("val", "test")}


def _describe(session: Session, run_id: str) -> RunInfo:
    dataset = session.dataset
    network = session.network
    config = session.config.model_dump(exclude_none=True)
    return RunInfo(
        id=run_id,
        name=run_id,
        created=utc_now(),
        status="running",
        source="trained",
        method=session.config.method,
        config=config,
        dataset=DatasetInfo(
            name=dataset.name,
            class_names=list(dataset.class_names),
            splits={split: len(images) for split, images in dataset.splits.items()},
            fingerprints=_fingerprints(session),
            superclasses=None if dataset.superclasses is None else list(dataset.superclasses),
        ),
        model=ModelInfo(
            name=session.config.model,
            n_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
            n_features=classifier(network).in_features,
        ),
        environment=environment(session),
    )
