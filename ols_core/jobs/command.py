"""From a configuration to the command that trains it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ols_core.config import TrainConfig
from ols_core.runs import DEFAULT_ROOT

__all__ = ["command_line", "option_text", "resume_arguments", "train_arguments"]


def train_arguments(
    config: TrainConfig, root: str | Path = DEFAULT_ROOT, download: bool = False
) -> list[str]:
    """Arguments with which `ols` trains a configuration: only what is not the default.

    Parameters
    ----------
    config : TrainConfig
        Texts within `loss_options` must not hold a comma, which cannot be typed there.
    root : str or Path
        Folder of the runs.
    download : bool
        Fetch an absent data set.

    Examples
    --------
    >>> train_arguments(TrainConfig(dataset="digits", method="ls", decay_all=False))
    ['train', '--method', 'ls', '--no-decay-all']
    """
    arguments = ["train"]
    for name, field in TrainConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.get_default(call_default_factory=True):
            arguments += _flag(name, value)
    return [*arguments, *(["--download"] if download else []), *_root(root)]


def resume_arguments(run_id: str, root: str | Path = DEFAULT_ROOT) -> list[str]:
    """Arguments with which `ols` goes on with a run."""
    return ["resume", run_id, *_root(root)]


def command_line(arguments: Sequence[str]) -> str:
    """Command as it is typed into a shell.

    Examples
    --------
    >>> command_line(["train", "--dataset", "folder:my images"])
    "ols train --dataset 'folder:my images'"
    """
    return shlex.join(["ols", *arguments])


def option_text(value: Any) -> str:
    """Value of an option as it is typed.

    Examples
    --------
    >>> option_text((60, 120)), option_text({"cap": 0.9, "preset": "official-cifar"})
    ('60,120', 'cap=0.9,preset=official-cifar')
    """
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_scalar_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)


def _scalar_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _flag(name: str, value: Any) -> Iterator[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        yield f"--{flag}" if value else f"--no-{flag}"
    else:
        yield f"--{flag}"
        yield option_text(value)


def _root(root: str | Path) -> list[str]:
    return [] if Path(root) == DEFAULT_ROOT else ["--root", str(root)]
