"""Runs under `fabric run`: the trainings that two processes share, one start for all of them.

Usage: fabric run … tests/distributed_child.py ROOT CONFIG

`ols train` with the options in ROOT/config.json, as `fabric run` starts it; then, as torchrun
would, CONFIG in one go as `whole`, and stopped and resumed as `parts`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

from ols_core.cli import main as ols
from ols_core.config import TrainConfig
from ols_core.training import resume, train
from ols_core.training.session import Session


def main() -> None:
    root = Path(sys.argv[1])
    config = TrainConfig.model_validate_json(sys.argv[2])
    arguments = ["ols", "train", "--config", str(root / "config.json"), "--root", str(root)]
    with mock.patch.object(sys, "argv", arguments):
        try:
            ols()
        except SystemExit as end:
            if end.code:
                raise
    # All that tells `fabric run` from torchrun, which it calls underneath.
    for name in [name for name in os.environ if name.startswith("LT_")]:
        del os.environ[name]
    train(config.model_copy(update={"name": "whole"}), root)

    step, left = Session.train_step, [18]

    def stopping(self, batch):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return step(self, batch)

    try:
        with mock.patch.object(Session, "train_step", stopping):
            train(config.model_copy(update={"name": "parts"}), root)
    except KeyboardInterrupt:
        resume("parts", root)


if __name__ == "__main__":
    main()
