"""Runs under torchrun: one training in one go as `whole`, and one stopped and resumed as `parts`.

Usage: torchrun … -m tests.distributed_child ROOT CONFIG
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from ols_core.config import TrainConfig
from ols_core.training import resume, train
from ols_core.training.session import Session


def main() -> None:
    root = Path(sys.argv[1])
    config = TrainConfig.model_validate_json(sys.argv[2])
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
