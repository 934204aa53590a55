"""Evaluate existing weights on a data set, as a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from ols_core._evaluated_data import OWN_STATISTICS, EvaluatedSplit, in_order_of, read_split
from ols_core._given import oddities
from ols_core._preprocessing import Preprocessing, preprocessing_of
from ols_core.checks import check_choice
from ols_core.class_names import read_class_names
from ols_core.config import Device, Precision
from ols_core.data.batches import Batches, LoaderBatches, TensorBatches
from ols_core.models import build_model, classifier
from ols_core.recorder import RunRecorder
from ols_core.runs import DEFAULT_ROOT, SPLITS, Run, check_run_id
from ols_core.thumbnails import write_thumbnails
from ols_core.training.engine import Predictions, predict
from ols_core.training.features import stored_logits
from ols_core.training.precision import Hardware, choose_hardware
from ols_core.training.session import check_image_size
from ols_core.weights import load_all_weights

__all__ = ["evaluate"]

_BATCH_SIZE = 128


class _Evaluator(RunRecorder):
    source: ClassVar[Literal["recorded", "imported", "evaluated"]] = "evaluated"

    def log_network(self, network: nn.Module) -> None:
        """Store the last layer and the number of parameters."""
        writer = self._opened()
        last = classifier(network)
        self.log_classifier(last.weight, last.bias)
        if writer is not None:
            n = sum(parameter.numel() for parameter in network.parameters())
            writer.update(model=writer.info.model.model_dump() | {"n_parameters": n})


def evaluate(
    model: str,
    weights: str | Path,
    data: str,
    *,
    split: str = "test",
    class_names: str | Path | None = None,
    name: str | None = None,
    root: str | Path = DEFAULT_ROOT,
    method: str = "custom",
    data_dir: str = "data",
    download: bool = False,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    workers: int = 2,
    notify: Callable[[str], None] | None = None,
) -> Run:
    """Predict a split with existing weights and write predictions, features and the last layer.

    Parameters
    ----------
    model : str
        As for `build_model`: ``resnet20``, ``timm:NAME``, ``torchvision:NAME``, …
    weights : str or Path
        As for `load_all_weights`; nothing in it is executed.
    data : str
        As `TrainConfig.dataset`: ``digits``, ``cifar100``, ``folder:PATH``, …
    split : {"test", "train", "val"}
    class_names : str or Path, optional
        File of class names in the order of the network's outputs, see `read_class_names` and
        `in_order_of`. By default the data set's own order is that of the outputs.
    name : str, optional
        Name of the run; by default from data set, model and file.
    root : str or Path
        Folder of the runs.
    method : str
        What the run is called in tables: how the weights were trained.
    data_dir : str
        Folder that holds the downloaded data sets.
    download : bool
        Fetch an absent data set, where torchvision can.
    image_size, mean, std : optional
        How the weights were trained, where that differs from `preprocessing_of`.
    device, precision : str
        As in `TrainConfig`, but that precision is ``"fp32"`` by default.
    workers : int
        Processes that decode images too large to keep in memory.
    notify : callable, optional
        Is given sentences for the user.

    Returns
    -------
    Run
        The finished run, with source `evaluated`.

    Raises
    ------
    ArgumentError
        If an argument is not acceptable.
    DataError
        If data, class names or weights cannot be read, or do not fit each other.
    RunError
        If a run of that name exists: nothing is ever overwritten.
    """
    check_choice("split", split, SPLITS)
    tell = notify or (lambda _: None)
    run_id = check_run_id(name or _id_of(data, model, Path(weights)))
    found = read_split(data, split, data_dir, download)
    if class_names is not None:
        found = in_order_of(found, read_class_names(class_names), str(class_names))
    channels = found.image_shape[2]
    network = build_model(model, len(found.class_names), channels)
    for notice in (*found.notices, *load_all_weights(network, weights)):
        tell(notice)
    in_files = found.images.pixels is None
    seen = preprocessing_of(
        *(network, model, found.image_shape[:2], found.statistics, in_files),
        own_source=found.statistics_source,
        image_size=image_size,
        mean=mean,
        std=std,
    )
    check_image_size(network, model, (channels, *seen.size))
    hardware = choose_hardware(device, precision)
    if seen.statistics_source == OWN_STATISTICS:
        tell("There is no train/: images are normalised with their own statistics.")
    tell(_described(seen, hardware))
    recorder = _Evaluator(
        run_id,
        found.class_names,
        root=root,
        method=method,
        dataset=found.name,
        model=model,
        config=_config(model, Path(weights), data, split, seen, hardware),
        superclasses=found.superclasses,
    )
    with recorder:
        predicted = _predict(network, found, seen, hardware, workers)
        _log(recorder, split, predicted, found)
        recorder.log_network(network)
    run = recorder.run
    for oddity in oddities(predicted.labels, run.info.summary[split]["accuracy"], run.n_classes):
        tell(oddity)
    return run


def _predict(
    network: nn.Module,
    found: EvaluatedSplit,
    seen: Preprocessing,
    hardware: Hardware,
    workers: int,
) -> Predictions:
    """Logits and features of all images, in their order."""
    fabric = hardware.fabric()
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    common: dict[str, Any] = {
        "images": found.images,
        "batch_size": _BATCH_SIZE,
        "size": seen.size,
        "mean": seen.statistics[0],
        "std": seen.statistics[1],
        "device": fabric.device,
    }
    batches: Batches
    if found.images.pixels is None:
        batches = LoaderBatches(**common, workers=workers, steps=seen.steps)
    else:
        batches = TensorBatches(**common)
    return predict(network, batches, fabric, features=True)


def _log(recorder: RunRecorder, split: str, predicted: Predictions, found: EvaluatedSplit) -> None:
    recorder.log_predictions(
        split,
        logits=stored_logits(predicted.logits),
        labels=predicted.labels,
        features=predicted.features,
    )
    images = replace(found.images, true_labels=None)
    write_thumbnails(recorder.run.path.parent, images, split)


def _config(
    model: str,
    weights: Path,
    data: str,
    split: str,
    seen: Preprocessing,
    hardware: Hardware,
) -> dict[str, Any]:
    """What is remembered of the evaluation, so that it can be repeated."""
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "model": model,
        "weights": weights.name,
        "weights_sha256": digest,
        "dataset": data,
        "split": split,
        "image_size": list(seen.size),
        "mean": [round(float(value), 6) for value in seen.statistics[0]],
        "std": [round(float(value), 6) for value in seen.statistics[1]],
        "image_size_from": seen.size_source,
        "mean_and_std_from": seen.statistics_source,
        "device": hardware.device,
        "precision": hardware.precision,
    }


def _described(seen: Preprocessing, hardware: Hardware) -> str:
    mean, std = (", ".join(f"{value:.3f}" for value in part) for part in seen.statistics)
    return (
        f"Images: {seen.size[0]}×{seen.size[1]} pixels (from {seen.size_source}), mean {mean}, "
        f"deviation {std} (from {seen.statistics_source}); {hardware.device}, "
        f"{hardware.precision}."
    )


def _id_of(data: str, model: str, weights: Path) -> str:
    """Name of a run from what is evaluated.

    Examples
    --------
    >>> _id_of("folder:my/Images", "timm:resnet18", Path("best.pth.tar"))
    'images-resnet18-best'
    """
    parts = (data.rstrip("/").rpartition("/")[2], model, weights.name.partition(".")[0])
    words = "-".join(part.rpartition(":")[2] for part in parts).lower()
    return re.sub(r"[^a-z0-9._-]+", "-", words).lstrip("._-")[:100]
