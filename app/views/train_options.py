"""A widget for every option of a training, made from the configuration that the CLI reads, too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from app import state
from ols_core.config import TrainConfig
from ols_core.jobs import DATASETS, NETWORKS, option_text

__all__ = ["GROUPS", "draw_option", "fill"]

GROUPS: dict[str, tuple[str, ...]] = {
    "Images": (
        "image_size",
        "train_per_class",
        "val_fraction",
        "label_noise",
        "augment",
        "policy",
        "erasing",
        "cutout",
        "mixup",
        "cutmix",
    ),
    "Network and loss": (
        "pretrained",
        "weights",
        "freeze",
        "head_lr_scale",
        "update_period",
        "loss_options",
    ),
    "Optimisation": (
        "optimizer",
        "momentum",
        "weight_decay",
        "decay_all",
        "clip_grad_norm",
        "ema",
        "schedule",
        "milestones",
        "warmup",
        "accumulate",
    ),
}
"""Options besides the main ones, by what they are about."""
_LABELS = {
    "dataset": "Data set",
    "data_dir": "Folder of the data sets",
    "model": "Network",
    "batch_size": "Batch size (images)",
    "lr": "Peak learning rate",
    "name": "Name of the run",
    "alpha": "Weight of the hard label",
    "smoothing": "Smoothed mass",
    "image_size": "Image side (pixels)",
    "train_per_class": "Images a class",
    "val_fraction": "Share for validation",
    "augment": "Augmentation",
    "policy": "Learned augmentation",
    "erasing": "Share erased",
    "cutout": "Cut-out side (pixels)",
    "cutmix": "CutMix",
    "pretrained": "Published weights",
    "weights": "File of weights",
    "freeze": "Classifier only",
    "head_lr_scale": "Rate of the classifier (times)",
    "update_period": "Epochs between updates",
    "loss_options": "Loss arguments",
    "decay_all": "Decay everything",
    "clip_grad_norm": "Largest gradient norm",
    "ema": "Decay of averaged weights",
    "milestones": "Milestones (epochs)",
    "warmup": "Warm-up (epochs)",
    "accumulate": "Parts of a step",
    "compile": "Compile",
    "workers": "Decoding processes",
}
_NAMES = {
    "ce": "CE: cross-entropy",
    "ls": "LS: label smoothing",
    "ols": "OLS: online label smoothing",
}
_OPEN_CHOICES = {"dataset": DATASETS, "model": NETWORKS}


def draw_option(name: str) -> Any:
    """Draw the widget of one option and return its value, for `TrainConfig.from_options`.

    Limits are not set here: a value beyond them is refused by the configuration, in its words.
    """
    field = TrainConfig.model_fields[name]
    default = field.get_default(call_default_factory=True)
    kind = _kind(name)
    shared: dict[str, Any] = {
        "label": _LABELS.get(name, name.replace("_", " ").capitalize()),
        "help": field.description,
        **state.kept(_key(name), _shown(name, default)),
    }
    if name in _OPEN_CHOICES:
        return st.selectbox(
            options=_OPEN_CHOICES[name], accept_new_options=True, filter_mode="contains", **shared
        )
    if get_origin(kind) is Literal:
        return st.selectbox(
            options=get_args(kind), format_func=lambda value: _NAMES.get(value, value), **shared
        )
    if kind is bool:
        return st.toggle(**shared)
    if kind is int:
        return st.number_input(value=None, step=1, **shared)
    if kind is float:
        return st.number_input(value=None, step=_step(default), format="%g", **shared)
    return st.text_input(**shared) or default


def fill(options: Mapping[str, Any]) -> None:
    """Set the widgets to these options, and all others to their defaults.

    Raises
    ------
    ArgumentError
        If an option is unknown or outside its limits.
    """
    config = TrainConfig.from_options(dict(options))
    for name in TrainConfig.model_fields:
        state.choose(_key(name), _shown(name, getattr(config, name)))


def _key(name: str) -> str:
    return f"option_{name}"


def _kind(name: str) -> Any:
    """Type of an option, without the None of one that may be absent."""
    annotation: Any = TrainConfig.model_fields[name].annotation
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    optional = NoneType in get_args(annotation)
    return kinds[0] if optional else annotation


def _shown(name: str, value: Any) -> Any:
    """Value as the widget of the option holds it."""
    kind = _kind(name)
    if kind in (bool, int, float) or get_origin(kind) is Literal:
        return value
    return "" if value is None else option_text(value)


def _step(default: float | None) -> float:
    """Step of the arrows beside a number: its leading digit."""
    return 10.0 ** math.floor(math.log10(default)) if default else 0.1
