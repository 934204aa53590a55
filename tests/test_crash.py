"""What is left of a training that was killed, could not write, or lost its data."""

from __future__ import annotations

import errno
import random
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ols_core.config import TrainConfig
from ols_core.errors import DataError, RunError, TrainingError
from ols_core.run_writer import RunWriter
from ols_core.runs import load_run
from ols_core.training import Observer, resume, train
from tests.conftest import REPOSITORY
from tests.synthetic import synthetic_run
from tests.training_tools import StopAt, assert_same_bits

SMALL = TrainConfig(
    dataset="digits",
    method="ols",
    train_per_class=30,
    epochs=5,
    precision="fp32",
    augment="crop",
    ema=0.9,
    label_noise="symmetric:0.2",
)


def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    whole = train(SMALL.model_copy(update={"name": "whole"}), tmp_path)
    moments = random.Random()
    later = [f"{kind}:{moments.randint(1, 14)}" for kind in ("write", "torn")]
    later += [f"time:{moments.uniform(0.1, 1.5):.2f}"]
    moments.shuffle(later)
    # Only the first is sure to come before the end of the training: in the second line of history.
    kills = ["torn:14", *later]
    config = SMALL.model_copy(update={"name": "killed"}).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash_child", str(tmp_path), config, *kills],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (kills, done.stderr)
    killed = [line for line in done.stdout.splitlines() if line.endswith(" -9")]
    assert killed[0] == "torn:14 -9", (kills, done.stdout)
    assert "torn history.jsonl" in done.stdout
    run = load_run("killed", tmp_path)
    assert run.status == "finished", (kills, done.stdout, done.stderr)
    assert_same_bits(run, whole)
    assert not list(run.path.rglob("*.tmp"))


def test_a_run_that_another_process_writes_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(SMALL.model_copy(update={"name": "one", "epochs": 2}), tmp_path, StopAt(1))
    holder = RunWriter.reopen(load_run("one", tmp_path))
    with pytest.raises(RunError, match=r"being written by process \d+ on .*; stop that first"):
        resume("one", tmp_path)
    holder.close("stopped")
    assert resume("one", tmp_path).status == "finished"


def test_a_file_that_cannot_be_written_fails_the_run_and_keeps_the_last_epoch(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Fill(Observer):
        def epoch_done(self, record):
            if record["epoch"] == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))

    config = SMALL.model_copy(update={"name": "full"})
    try:
        with pytest.raises(TrainingError, match="File too large") as caught:
            train(config, tmp_path, Fill())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = load_run("full", tmp_path)
    assert run.status == "failed"
    assert run.info.error == str(caught.value)
    assert run.info.error.startswith(f"{run.path / 'resume' / 'state.pt'}: File too large.")
    assert f"ols resume full --root {tmp_path}" in run.info.error

    whole = train(SMALL.model_copy(update={"name": "whole"}), tmp_path)
    assert_same_bits(resume("full", tmp_path), whole)


def test_a_deleted_image_fails_the_run_and_names_the_file(tmp_path):
    random_ = np.random.default_rng(0)
    for name in ("a", "b"):
        for split in ("train", "test"):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(6):
                pixels = random_.integers(0, 256, (70, 70, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")

    class Delete(Observer):
        def epoch_done(self, _):
            for file in (tmp_path / "images" / "train" / "b").iterdir():
                file.unlink()

    config = TrainConfig(
        dataset=f"folder:{tmp_path / 'images'}",
        image_size=72,
        model="timm:mobilenetv3_small_050",
        epochs=3,
        batch_size=4,
        workers=1,
        name="gone",
    )
    with pytest.raises(DataError, match=r"b/\d\.png"):
        train(config, tmp_path / "runs", Delete())
    run = load_run("gone", tmp_path / "runs")
    assert run.status == "failed"
    assert ".png" in str(run.info.error)
    assert "\n" not in str(run.info.error)
    assert len(run.history) == 1


def test_a_crash_while_a_run_is_made_leaves_none(tmp_path, monkeypatch):
    def crash(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ols_core.run_writer.os.fsync", crash)
        with pytest.raises(OSError, match="No space"):
            synthetic_run(tmp_path, "one")
    assert synthetic_run(tmp_path, "one").status == "finished"
