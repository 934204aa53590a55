"""The configuration of a training run: every option once, with its default, limits and help text.

The command line, TOML and JSON files, and `run.json` all speak this model, so that a run can be
repeated from what it recorded.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ols_core.errors import ArgumentError

__all__ = [
    "Augment",
    "Device",
    "Method",
    "Optimizer",
    "Policy",
    "Precision",
    "Schedule",
    "TrainConfig",
    "load_config",
    "parse_label_noise",
]

Method = Literal[
    "ce",
    "ls",
    "ols",
    "bootstrap-soft",
    "bootstrap-hard",
    "sce",
    "gce",
    "focal",
    "maxsup",
    "mbls",
    "tf-kd",
    "confidence-penalty",
    "disturb-label",
]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["onecycle", "cosine", "step"]
Augment = Literal["auto", "none", "crop", "crop-flip"]
Policy = Literal["none", "randaugment", "autoaugment"]
NOISE_KINDS = ("symmetric", "asymmetric", "pairflip")


def _parsed(text: str) -> Any:
    """Number or truth value behind a typed text; the text itself if it is neither."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _from_pairs(value: Any) -> Any:
    """Turn what is typed, ``KEY=VALUE,KEY=VALUE``, into a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [item.partition("=") for item in value.split(",") if item]
    return {key.strip(): _parsed(text.strip()) for key, _, text in pairs}


def _from_list(value: Any) -> Any:
    """Turn what is typed, ``60,120``, into a list."""
    return value.split(",") if isinstance(value, str) else value


def parse_label_noise(text: str) -> tuple[str, float]:
    """Kind and share of label noise, from ``KIND:SHARE``.

    Raises
    ------
    ArgumentError
        If the kind is unknown, or the share is not a number from 0 to 1.

    Examples
    --------
    >>> parse_label_noise("symmetric:0.4")
    ('symmetric', 0.4)
    """
    kind, _, share = text.partition(":")
    if kind in NOISE_KINDS and re.fullmatch(r"\d*\.?\d+", share) and float(share) <= 1:
        return kind, float(share)
    kinds = ", ".join(f"{name}:SHARE" for name in NOISE_KINDS)
    raise ArgumentError(
        f"label_noise: expected one of {kinds}, with a SHARE from 0 to 1 such as 0.4, got {text!r}."
    )


def _checked_noise(text: str | None) -> str | None:
    if text is not None:
        parse_label_noise(text)
    return text


class TrainConfig(BaseModel):
    """Everything that decides how a run turns out.

    Unknown keys and values outside their limits are refused; see `load_config` for files.

    Examples
    --------
    >>> TrainConfig(dataset="digits", method="ols", epochs=10).alpha
    0.5
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dataset: Annotated[
        str,
        Field(description="digits, fashion-mnist, cifar10, cifar100, or folder:PATH of images."),
    ] = "digits"
    data_dir: Annotated[str, Field(description="Folder that holds the downloaded data sets.")] = (
        "data"
    )
    image_size: Annotated[
        int | None,
        Field(
            ge=8, description="Side in pixels that images are resized to (default: as they are)."
        ),
    ] = None
    val_fraction: Annotated[
        float,
        Field(gt=0, lt=1, description="Share of the training images held out for validation."),
    ] = 0.1
    train_per_class: Annotated[
        int | None, Field(ge=1, description="Use only this many training images a class.")
    ] = None
    augment: Annotated[
        Augment, Field(description="crop-flip, crop or none; auto: what suits the data set.")
    ] = "auto"
    policy: Annotated[
        Policy,
        Field(description="Learned augmentation of each image: randaugment, autoaugment or none."),
    ] = "none"
    erasing: Annotated[
        float, Field(ge=0, le=1, description="Share of images with a random rectangle erased.")
    ] = 0.0
    cutout: Annotated[
        int, Field(ge=0, description="Side in pixels of the square cut out of every image.")
    ] = 0
    mixup: Annotated[
        float, Field(ge=0, description="Mixup: alpha of its Beta distribution (0: off).")
    ] = 0.0
    cutmix: Annotated[
        float, Field(ge=0, description="CutMix: alpha of its Beta distribution (0: off).")
    ] = 0.0
    label_noise: Annotated[
        str | None,
        AfterValidator(_checked_noise),
        Field(
            description="Flip training labels: symmetric:0.4, asymmetric:0.3 or pairflip:0.2.",
        ),
    ] = None
    model: Annotated[str, Field(description="resnet20, resnet56, resnet18, …, or timm:NAME.")] = (
        "resnet20"
    )
    pretrained: Annotated[
        bool, Field(description="Start a timm model from its published weights.")
    ] = False
    weights: Annotated[
        str | None, Field(description="Start from this .safetensors or .pth file.")
    ] = None
    freeze: Annotated[
        bool, Field(description="Train the classifier only; the rest stays as it is.")
    ] = False
    head_lr_scale: Annotated[
        float, Field(gt=0, description="Learning rate of the classifier, times that of the rest.")
    ] = 1.0
    method: Annotated[
        Method,
        Field(
            description="ce: cross-entropy; ls: label smoothing; ols: online label smoothing; to "
            "compare with: bootstrap-soft, bootstrap-hard, sce, gce, focal, maxsup, mbls, tf-kd, "
            "confidence-penalty, disturb-label."
        ),
    ] = "ols"
    loss_options: Annotated[
        dict[str, float | int | bool | str],
        BeforeValidator(_from_pairs),
        Field(description="Further arguments of the loss, such as preset=official-cifar,cap=0.9."),
    ] = {}
    alpha: Annotated[
        float, Field(ge=0, le=1, description="OLS: weight of the hard label (the paper's 0.5).")
    ] = 0.5
    smoothing: Annotated[
        float, Field(ge=0, lt=1, description="LS: mass spread over all classes (epsilon).")
    ] = 0.1
    update_period: Annotated[
        float, Field(gt=0, description="OLS: epochs between two updates of the soft labels.")
    ] = 1.0
    epochs: Annotated[int, Field(ge=1, description="Passes over the training images.")] = 30
    batch_size: Annotated[int, Field(ge=1, description="Images a step.")] = 128
    accumulate: Annotated[
        int, Field(ge=1, description="Parts that a step's images are passed in, to save memory.")
    ] = 1
    optimizer: Annotated[Optimizer, Field(description="sgd (Nesterov) or adamw.")] = "sgd"
    lr: Annotated[float, Field(gt=0, description="Peak learning rate.")] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1, description="Nesterov momentum of SGD.")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, description="Penalty on the weights.")] = 5e-4
    decay_all: Annotated[bool, Field(description="Weight decay also for norms and biases.")] = True
    clip_grad_norm: Annotated[
        float | None, Field(gt=0, description="Scale gradients down to this norm.")
    ] = None
    ema: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Evaluate a moving average of the weights, of this decay."),
    ] = None
    schedule: Annotated[
        Schedule, Field(description="onecycle, cosine, or step (see milestones).")
    ] = "onecycle"
    milestones: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        BeforeValidator(_from_list),
        Field(
            description="step: epochs after which the rate is divided by 10, such as 60,120 "
            "(default: at 1/2 and 3/4)."
        ),
    ] = ()
    warmup: Annotated[float, Field(ge=0, description="cosine, step: epochs of linear warm-up.")] = (
        0.0
    )
    seed: Annotated[int, Field(ge=0, description="Drives every random choice.")] = 0
    name: Annotated[
        str | None,
        Field(description="Name of the run (default: from data set, model, method and seed)."),
    ] = None
    device: Annotated[
        Device, Field(description="cpu, cuda or mps; auto takes a GPU if present.")
    ] = "auto"
    precision: Annotated[
        Precision, Field(description="fp32, bf16 or fp16; auto: bf16 where the hardware has it.")
    ] = "auto"
    compile: Annotated[
        bool,
        Field(
            description="Compile the network in its first steps, which takes a minute and a C++ "
            "compiler; whether it saves time afterwards depends on the machine."
        ),
    ] = False
    save_features_every: Annotated[
        int,
        Field(
            ge=0,
            description="Store the test images' features after every so many epochs, and after the "
            "last (0: only those of the finished network).",
        ),
    ] = 0
    workers: Annotated[
        int, Field(ge=0, description="Processes that decode images too large to keep in memory.")
    ] = 2

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> TrainConfig:
        """Build a configuration, turning a refusal into a sentence.

        Raises
        ------
        ArgumentError
            Names each refused option, what is wrong with it, and what came.

        Examples
        --------
        >>> TrainConfig.from_options({"epochs": 0})
        Traceback (most recent call last):
        ...
        ols_core.errors.ArgumentError: epochs: input should be greater than or equal to 1, got 0.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise ArgumentError("\n".join(map(_sentence, error.errors()))) from None


def _sentence(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{name}: no such option; known are {', '.join(TrainConfig.model_fields)}."
    if problem["type"] == "value_error":  # a sentence of our own
        return str(problem["ctx"]["error"])
    message = problem["msg"]
    return f"{name}: {message[0].lower()}{message[1:]}, got {problem['input']!r}."


def load_config(path: str | Path) -> dict[str, Any]:
    """Read options from a TOML or JSON file, or from the `run.json` of an existing run.

    Parameters
    ----------
    path : str or Path
        A `.toml` or `.json` file. In a `run.json` the recorded configuration is used, without
        its name, so that repeating a run makes a new one.

    Returns
    -------
    dict
        Options for `TrainConfig.from_options`, not yet validated.

    Raises
    ------
    ArgumentError
        If the file is absent, of another kind, or not readable as its kind.
    """
    path = Path(path)
    parsers = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in parsers:
        raise ArgumentError(f"--config {path}: expected a .toml or .json file.")
    try:
        options = parsers[path.suffix](path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArgumentError(f"--config {path}: no such file.") from None
    except (ValueError, OSError) as error:
        raise ArgumentError(f"--config {path}: cannot be read as {path.suffix}: {error}") from None
    if not isinstance(options, dict):
        raise ArgumentError(f"--config {path}: expected a table of options at the top level.")
    if "schema_version" not in options:
        return options
    recorded = options.get("config")
    if not isinstance(recorded, dict) or not recorded:
        raise ArgumentError(f"--config {path}: this run has recorded no configuration.")
    return {name: value for name, value in recorded.items() if name != "name"}
