"""Train a configuration into a run directory, and go on where an interrupted run stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ols_core.analysis.calibration import summarize_predictions
from ols_core.config import TrainConfig
from ols_core.errors import OLSError, RunError, TrainingError
from ols_core.models import classifier
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
from ols_core.training.observer import Observer
from ols_core.training.session import Session, environment, open_session
from ols_core.training.signals import StopSignals

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
    run_id = check_run_id(config.name) if config.name else _free_id(config, Path(root))
    session = open_session(config, download)
    writer = RunWriter.create(root, _describe(session, run_id))
    with _status_kept(writer):
        writer.save_soft_labels(0, _matrix(session), np.zeros(session.dataset.n_classes, np.int64))
        _save_state(writer, session, epoch=0)
        _fit(session, writer, 1, observer or Observer())
    return load_run(run_id, root)


def resume(run_id: str, root: str | Path = DEFAULT_ROOT, observer: Observer | None = None) -> Run:
    """Go on with a stopped, failed or interrupted run from its last complete epoch.

    Raises
    ------
    RunError
        If the run is finished, still running, or holds nothing to go on from.
    """
    run = load_run(run_id, root)
    if run.status in ("finished", "running"):
        raise RunError(f"Run {run_id} is {run.status}; there is nothing to resume.")
    if not run.has(str(_STATE)):
        raise RunError(f"Run {run_id} cannot be resumed: {_STATE} is absent.")
    session = open_session(TrainConfig.from_options(run.info.config))
    if _fingerprints(session) != run.info.dataset.fingerprints:
        raise RunError(f"Run {run_id} cannot be resumed: its data set is not the same any more.")
    state = torch.load(run.path / _STATE, map_location="cpu", weights_only=True)
    session.restore(state)
    writer = RunWriter.reopen(run)
    writer.rewind(state["epoch"])
    writer.mark_running()
    with _status_kept(writer):
        _fit(session, writer, state["epoch"] + 1, observer or Observer())
    return load_run(run_id, root)


def _fit(session: Session, writer: RunWriter, first: int, observer: Observer) -> None:
    """Train from epoch `first` to the last, then evaluate."""
    config = session.config
    facts = {"hardware": session.hardware, "notices": session.notices}
    observer.started(writer.path, first, config.epochs, facts)
    with StopSignals() as stop:
        for epoch in range(first, config.epochs + 1):
            record = _one_epoch(session, epoch, observer, stop)
            counts = session.criterion.counts.cpu().numpy()
            writer.save_soft_labels(epoch, _matrix(session), counts)
            writer.append_history(record)
            _save_state(writer, session, epoch)
            writer.update()
            observer.epoch_done(record)
        stop.check()
        _evaluate(session, writer)
    observer.finished(writer.info.summary)


def _one_epoch(
    session: Session, epoch: int, observer: Observer, stop: StopSignals
) -> dict[str, Any]:
    """Train one epoch and validate; returns its record for the history."""
    batches = session.batches["train"]
    batches.set_epoch(epoch)
    # Dropout and stochastic depth draw from the global stream.
    torch.manual_seed(derive_seed(session.config.seed, "network", epoch))
    lr = session.schedule.get_last_lr()[0]

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        stop.check()
        return session.train_step(images, labels)

    def progress(metrics: EpochMetrics) -> None:
        observer.progressed(epoch, metrics, batches.n_samples)

    session.model.train()
    session.criterion.train()
    trained = run_epoch(batches, step, progress)
    if not math.isfinite(trained.loss):
        raise TrainingError(
            f"The training loss became {trained.loss} in epoch {epoch}. The last good epoch is "
            f"kept; try a lower --lr than {session.config.lr:g}."
        )
    session.criterion.step_epoch()
    _, validated = predict(session.model, session.batches["val"], F.cross_entropy)
    summary = summarize_predictions(validated.logits, validated.labels)
    return {
        "epoch": epoch,
        "lr": lr,
        "train_loss": trained.loss,
        "train_accuracy": trained.accuracy,
        "val_accuracy": summary.accuracy,
        "val_nll": summary.nll,
        "val_brier": summary.brier,
        "val_ece": summary.ece,
        "seconds": round(trained.seconds, 3),
        "images_per_second": round(trained.images_per_second, 1),
    }


def _evaluate(session: Session, writer: RunWriter) -> None:
    """Write predictions, test features, weights, thumbnails and the summary; finish the run."""
    summary = {}
    for split in ("val", "test"):
        on_test = split == "test"
        _, found = predict(session.model, session.batches[split], F.cross_entropy, on_test)
        # The summary is made from what is stored, so that whoever recomputes it agrees.
        logits = found.logits.astype(np.float16)
        writer.save_predictions(split, logits, found.labels)
        summary[split] = asdict(summarize_predictions(logits, found.labels))
        if found.features is not None:
            writer.save_features(split, found.features)
    writer.save_weights({k: v.cpu().numpy() for k, v in session.network.state_dict().items()})
    write_thumbnails(writer.path.parent, session.dataset.splits["test"])
    writer.update(summary=summary)
    writer.close("finished")


@contextmanager
def _status_kept(writer: RunWriter) -> Iterator[None]:
    """Leave the run `stopped` on Ctrl-C or SIGTERM and `failed`, with the cause, on an error."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        writer.close("stopped")
        raise
    except Exception as error:
        cause = str(error).splitlines()[0] if str(error) else ""
        text = cause if isinstance(error, OLSError) else f"{type(error).__name__}: {cause}"
        writer.close("failed", text)
        raise


def _save_state(writer: RunWriter, session: Session, epoch: int) -> None:
    state = session.state() | {"epoch": epoch}
    write_atomically(writer.path / _STATE, lambda file: torch.save(state, file))


def _matrix(session: Session) -> Any:
    return session.criterion.soft_labels.cpu().numpy()


def _free_id(config: TrainConfig, root: Path) -> str:
    """Id from the configuration, numbered if it is taken."""
    dataset = config.dataset.rstrip("/").rpartition("/")[2].removeprefix("folder:")
    model = config.model.removeprefix("timm:")
    slug = re.sub(
        r"[^a-z0-9._-]+", "-", f"{dataset}-{model}-{config.method}-s{config.seed}".lower()
    )
    base = slug.lstrip("._-")[:96]
    taken = (f"{base}-{n}" for n in range(2, 10_000))
    return base if not (root / base).exists() else next(i for i in taken if not (root / i).exists())


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
