"""How a run came about, as texts that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from ols_core.config import TrainConfig
from ols_core.runs import RunInfo
from ols_core.sweep import concerns

__all__ = ["Setting", "settings_of"]

Setting = tuple[str, str]
"""Part of the run that a setting belongs to, and its name."""


def settings_of(info: RunInfo) -> dict[Setting, str]:
    """Everything that is recorded of how a run came about: run, training, data, model, machine.

    Options that do not concern the run's method are left out; one that did not exist yet when the
    run was trained has its default.
    """
    return dict(_settings(info))


def _settings(info: RunInfo) -> Iterator[tuple[Setting, str]]:
    """Everything that is recorded of how a run came about, as texts."""
    dataset, model = info.dataset, info.model
    parts: dict[str, Mapping[str, Any]] = {
        "Run": {"source": info.source, "method": info.method},
        "Training": _options(info),
        "Data set": {
            "name": dataset.name,
            "classes": len(dataset.class_names),
            "images": dataset.splits,
            "labels": dataset.fingerprints,
        },
        "Model": {
            "name": model.name,
            "parameters": model.n_parameters,
            "features": model.n_features,
        },
        "Environment": info.environment,
    }
    for part, values in parts.items():
        for name, value in _flat(values):
            yield (part, name), _text(value)


def _options(info: RunInfo) -> dict[str, Any]:
    """Options of the training that concern its method."""
    options = dict(info.config)
    if info.source == "trained":
        with suppress(ValidationError):  # of another version, which had other options
            options = TrainConfig.model_validate(options).model_dump()
    # Name and method are the run's, not options among others.
    return {
        name: value
        for name, value in options.items()
        if name not in ("name", "method") and concerns(info.method, name)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        elif value is not None:
            yield prefix + name, value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
