"""Two processes that train one network, against one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ols_core.config import TrainConfig
from ols_core.data import load_dataset
from ols_core.data.batches import make_batches
from ols_core.models import build_model
from ols_core.runs import load_run
from ols_core.training import train
from tests.conftest import REPOSITORY
from tests.training_tools import assert_same_bits

# No batch normalisation, so that the weights agree too. Seven images a step: uneven shards, of four
# images in two parts and of three in one, which only meet if the first part's gradients are not
# exchanged. Plain SGD, because Adam turns rounding of small gradients into full steps.
CONFIG = TrainConfig(
    dataset="digits",
    image_size=32,
    model="timm:test_convnext2",
    method="ols",
    train_per_class=13,
    lr=0.02,
    epochs=2,
    batch_size=7,
    clip_grad_norm=1.0,
    accumulate=2,
    label_noise="symmetric:0.2",
    precision="fp32",
    name="two",
)
# With batch normalisation. The soft labels are due every two epochs: at the stop, half of their
# samples are counted.
NORMALISED = TrainConfig(
    dataset="digits",
    train_per_class=20,
    epochs=3,
    batch_size=16,
    update_period=2,
    ema=0.9,
    precision="fp32",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of all runs that two processes made together, and their standard output."""
    root = tmp_path_factory.mktemp("runs")
    (root / "config.json").write_text(json.dumps(CONFIG.model_dump(exclude_none=True)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = [Path(sys.executable).with_name("fabric"), "run", "--main-port", port]
    processes = ["--accelerator", "cpu", "--strategy", "ddp", "--devices", "2", "--"]
    child = [REPOSITORY / "tests" / "distributed_child.py", root, NORMALISED.model_dump_json()]
    done = subprocess.run(
        [*launcher, *processes, *child],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as torchrun sets it
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return root, done.stdout


@pytest.fixture(scope="module")
def runs(trained):
    root, output = trained
    one = train(CONFIG.model_copy(update={"name": "one"}), root)
    return one, load_run("two", root), output


def test_the_soft_labels_are_those_of_the_pooled_samples(runs):
    one, two, _ = runs
    # On another processor, rounding may decide one image otherwise.
    assert np.abs(two.soft_label_counts() - one.soft_label_counts()).max() <= 1
    for epoch in one.soft_label_epochs:
        np.testing.assert_allclose(two.soft_labels(epoch), one.soft_labels(epoch), atol=1e-4)


def test_the_history_is_that_of_one_process(runs):
    one, two, _ = runs
    for mine, theirs in zip(two.history, one.history, strict=True):
        for name in ("train_loss", "val_nll", "lr"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-3)
        for name in ("train_accuracy", "memorised", "val_accuracy"):
            assert mine[name] == pytest.approx(theirs[name], abs=0.05)


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


def test_with_batch_normalisation_it_resumes_exactly_and_stores_what_it_evaluated(trained):
    whole, parts = (load_run(name, trained[0]) for name in ("whole", "parts"))
    assert_same_bits(parts, whole)
    assert whole.soft_label_counts().sum(1).tolist()[1] == 0

    data = load_dataset(NORMALISED)
    network = build_model(NORMALISED.model, data.n_classes, data.image_shape[2])
    network.load_state_dict(load_file(whole.path / "weights.safetensors"))
    batches = make_batches(NORMALISED, data, torch.device("cpu"))["test"]
    with torch.inference_mode():
        logits = torch.cat([network.eval()(batch.images) for batch in batches])
    np.testing.assert_allclose(whole.logits(), logits, atol=0.02)
