"""Two processes that train one network, against one process."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ols_core.config import TrainConfig
from ols_core.runs import load_run
from ols_core.training import train
from tests.conftest import REPOSITORY

# No batch normalisation, so that the weights agree too; seven images a step: uneven shards. Plain
# SGD, because Adam turns rounding of small gradients into full steps.
CONFIG = TrainConfig(
    dataset="digits",
    image_size=32,
    model="timm:convnext_atto",
    method="ols",
    train_per_class=13,
    lr=0.02,
    epochs=2,
    batch_size=7,
    clip_grad_norm=1.0,
    label_noise="symmetric:0.2",
    precision="fp32",
    name="two",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    (root / "config.json").write_text(json.dumps(CONFIG.model_dump(exclude_none=True)))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    verb = ["-m", "ols_core.cli", "train", "--config", root / "config.json", "--root", root]
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", *verb],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one = train(CONFIG.model_copy(update={"name": "one"}), root)
    return one, load_run("two", root), done.stdout


def test_the_soft_labels_are_those_of_the_pooled_samples(runs):
    one, two, _ = runs
    np.testing.assert_array_equal(two.soft_label_counts(), one.soft_label_counts())
    for epoch in one.soft_label_epochs:
        np.testing.assert_allclose(two.soft_labels(epoch), one.soft_labels(epoch), atol=1e-4)


def test_the_history_is_that_of_one_process(runs):
    one, two, _ = runs
    for mine, theirs in zip(two.history, one.history, strict=True):
        assert mine["train_accuracy"] == theirs["train_accuracy"]
        assert mine["memorised"] == theirs["memorised"]
        for name in ("train_loss", "val_nll", "val_accuracy", "lr"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-3)


def test_every_image_is_predicted_once_and_in_order(runs):
    one, two, _ = runs
    np.testing.assert_array_equal(two.labels(), one.labels())
    np.testing.assert_allclose(two.logits(), one.logits(), atol=0.02)
    assert two.features().shape == one.features().shape


def test_only_one_process_talks(runs):
    _, two, output = runs
    assert two.info.environment["processes"] == 2
    assert output.count("epoch   1/2") == 1
    assert "2 processes" in output
