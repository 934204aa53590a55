from __future__ import annotations

import math
import os
import signal
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.models import MobileNetV3
from torch.nn.modules.module import register_module_forward_pre_hook

from ols_core.analysis.calibration import summarize_predictions
from ols_core.config import TrainConfig
from ols_core.data import load_dataset
from ols_core.data.batches import TensorBatches, pixel_statistics
from ols_core.errors import ArgumentError, RunError, TrainingError
from ols_core.models import build_model
from ols_core.runs import label_fingerprint, load_run
from ols_core.thumbnails import load_thumbnails
from ols_core.training import precision, resume, train
from ols_core.training.precision import Hardware, choose_hardware
from ols_core.training.session import Session, open_session
from tests.conftest import EPOCHS
from tests.training_tools import StopAt, assert_same_bits

METHODS = ("ce", "ls", "ols")
SMALL = TrainConfig(dataset="digits", method="ce", train_per_class=20, epochs=1)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_the_digits(digits_runs, method):
    run = digits_runs[method]
    assert run.status == "finished"
    assert run.info.summary["test"]["accuracy"] > 0.95
    assert [record["epoch"] for record in run.history] == list(range(1, EPOCHS + 1))
    assert all(math.isfinite(v) for record in run.history for v in record.values())


@pytest.mark.parametrize("method", METHODS)
def test_the_summary_is_that_of_the_stored_predictions(digits_runs, method):
    run = digits_runs[method]
    for split in ("val", "test"):
        again = asdict(summarize_predictions(run.logits(split), run.labels(split)))
        assert run.info.summary[split] == again
        assert run.info.dataset.fingerprints[split] == label_fingerprint(run.labels(split))


@pytest.mark.parametrize("method", METHODS)
def test_soft_labels_are_distributions_with_counts(digits_runs, method):
    run = digits_runs[method]
    counts = run.soft_label_counts()
    per_class = np.bincount(load_dataset(TrainConfig(dataset="digits")).splits["train"].labels)
    assert run.soft_label_epochs == list(range(EPOCHS + 1))
    assert counts.shape == (EPOCHS + 1, 10)
    assert (counts <= per_class).all()
    np.testing.assert_allclose(run.soft_labels(0), 0.1)
    for epoch in run.soft_label_epochs:
        matrix = run.soft_labels(epoch)
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(matrix[counts[epoch] == 0], 0.1)
    # Only correct samples are averaged, so each class leads its own row.
    assert (run.soft_labels(EPOCHS).argmax(1) == np.arange(10)).all()


def test_the_counts_are_the_correct_training_images(digits_runs):
    for run in digits_runs.values():
        n_train = run.info.dataset.splits["train"]
        correct = [round(record["train_accuracy"] * n_train) for record in run.history]
        assert run.soft_label_counts()[1:].sum(1).tolist() == correct


def test_the_stored_weights_give_the_stored_predictions(digits_runs):
    run = digits_runs["ols"]
    data = load_dataset(TrainConfig.from_options(run.info.config))
    model = build_model("resnet20", 10, 1)
    model.load_state_dict(load_file(run.path / "weights.safetensors"))
    model.eval()
    mean, std = pixel_statistics(data.splits["train"])
    test = data.splits["test"]
    batches = TensorBatches(test, len(test), (8, 8), mean, std, torch.device("cpu"))
    (batch,) = list(batches)
    with torch.inference_mode():
        logits = model(batch.images).numpy()

    np.testing.assert_array_equal(run.labels(), batch.labels)
    # float16 keeps 11 bits; the run may have been computed in bf16, which keeps 8.
    np.testing.assert_allclose(run.logits(), logits, atol=0.1)
    assert (run.logits().argmax(1) == logits.argmax(1)).mean() > 0.99


def test_the_classifier_of_the_features_gives_the_logits(digits_runs):
    run = digits_runs["ce"]
    weights = load_file(run.path / "weights.safetensors")
    logits = run.features().astype(np.float32) @ weights["fc.weight"].numpy().T
    np.testing.assert_allclose(logits + weights["fc.bias"].numpy(), run.logits(), atol=0.05)


MIXED = {
    "mixup": 0.4,
    "cutmix": 1.0,
    "accumulate": 3,
    "optimizer": "adamw",
    "lr": 0.003,
    "label_noise": "symmetric:0.2",
}


@pytest.mark.parametrize("options", [{}, MIXED], ids=["plain", "mixed"])
def test_a_stopped_run_loads_and_resumes_to_the_same_bits(tmp_path, monkeypatch, options):
    options = options | {"method": "ols", "epochs": 3, "precision": "fp32", "augment": "crop"}
    config = SMALL.model_copy(update=options)
    whole = train(config.model_copy(update={"name": "whole"}), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(config.model_copy(update={"name": "parts"}), tmp_path, StopAt(2))

    stopped = load_run("parts", tmp_path)
    assert stopped.status == "stopped"
    assert len(stopped.history) == 2
    assert not stopped.has("weights.safetensors")

    evaluation_batches = Session.evaluation_batches

    def terminated(session, split):
        if split == "test":
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluation_batches(session, split)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "evaluation_batches", terminated)
        with pytest.raises(SystemExit) as ended:
            resume("parts", tmp_path)
    stopped = load_run("parts", tmp_path)
    assert (ended.value.code, stopped.status, len(stopped.history)) == (143, "stopped", 3)
    assert not stopped.has("predictions/test_logits.npy")

    assert_same_bits(resume("parts", tmp_path), whole)
    is_mixed = "mixup" in options
    assert (whole.soft_label_counts().sum() == 0) == is_mixed
    for share in ("train_accuracy", "memorised"):
        assert share not in whole.history[0] or not is_mixed


def test_a_loss_of_hard_labels_is_not_mixed(tmp_path):
    config = SMALL.model_copy(update={"method": "gce", "cutmix": 1.0})
    with pytest.raises(ArgumentError, match=r"mixup and cutmix need a loss.*'gce'"):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_not_resumed(digits_runs):
    run = digits_runs["ce"]
    with pytest.raises(RunError, match="is finished; there is nothing to resume"):
        resume(run.id, run.path.parent)


def test_a_diverging_loss_fails_with_its_cause_and_keeps_what_was_good(tmp_path):
    config = SMALL.model_copy(update={"method": "ols", "epochs": 2, "lr": 1e30, "name": "wild"})
    with pytest.raises(TrainingError, match="lower --lr"):
        train(config, tmp_path)
    run = load_run("wild", tmp_path)
    assert run.status == "failed"
    assert run.info.error is not None
    assert "\n" not in run.info.error
    assert run.soft_label_epochs[0] == 0


def test_an_existing_name_is_refused_and_untouched(digits_runs):
    run = digits_runs["ce"]
    config = TrainConfig(dataset="digits", epochs=1, name=run.id)
    with pytest.raises(RunError, match="exists already"):
        train(config, run.path.parent)
    assert load_run(run.id, run.path.parent).info == run.info


def test_automatic_names_are_numbered(tmp_path):
    config = SMALL.model_copy(update={"seed": 5})
    first, second = (train(config, tmp_path).id for _ in range(2))
    assert (first, second) == ("digits-resnet20-ce-s5", "digits-resnet20-ce-s5-2")


def test_another_seed_gives_another_network(tmp_path):
    one, other = (train(SMALL.model_copy(update={"seed": seed}), tmp_path) for seed in (0, 1))
    assert one.history[0]["train_loss"] != other.history[0]["train_loss"]


def test_hardware_is_chosen_with_a_reason():
    chosen = choose_hardware("cpu", "auto")
    native = torch.cpu.get_capabilities()
    has_bf16 = bool(native.get("avx512_bf16") or native.get("amx_bf16"))
    assert chosen.precision == ("bf16" if has_bf16 else "fp32")
    assert "CPU has" in chosen.reason


def test_bf16_is_not_used_where_its_gradients_are_wrong(monkeypatch):
    monkeypatch.setattr(precision, "_native_bf16", lambda _: (True, "this CPU has AMX"))
    tiny = TrainConfig(dataset="digits", model="timm:test_resnet", device="cpu")
    session = open_session(tiny)
    assert session.hardware.precision == "fp32"
    assert "bf16 gradients of this network are wrong" in session.hardware.reason
    assert session.config == tiny
    assert open_session(tiny.model_copy(update={"model": "resnet20"})).hardware.precision == "bf16"
    with pytest.raises(ArgumentError, match="precision: bf16 gradients of this network are wrong"):
        open_session(tiny.model_copy(update={"precision": "bf16"}))


def test_impossible_hardware_is_refused():
    with pytest.raises(ArgumentError, match="fp16 needs a GPU"):
        choose_hardware("cpu", "fp16")
    if not torch.cuda.is_available():
        with pytest.raises(ArgumentError, match="sees no CUDA device"):
            choose_hardware("cuda", "auto")


def test_fabric_run_must_not_be_told_another_device(monkeypatch):
    monkeypatch.setenv("LT_CLI_USED", "1")
    monkeypatch.setenv("LT_ACCELERATOR", "cuda")
    with pytest.raises(ArgumentError, match=r"fabric run: leave --accelerator.*--device"):
        Hardware("cpu", "fp32", "as asked").fabric()


def test_large_images_train_from_their_files(tmp_path):
    random = np.random.default_rng(0)
    for split, name in product(("train", "test"), ("dark", "light")):
        folder = tmp_path / "images" / split / name
        folder.mkdir(parents=True)
        for i in range(6):
            low = 0 if name == "dark" else 150
            pixels = random.integers(low, low + 100, (90, 110, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.jpg")
    config = TrainConfig(
        dataset=f"folder:{tmp_path / 'images'}",
        image_size=80,
        model="timm:mobilenetv3_small_050",
        epochs=1,
        batch_size=4,
        workers=1,
        precision="bf16",
        name="large",
    )
    passes = set()

    def note(module, inputs):
        if isinstance(module, MobileNetV3) and not torch.is_grad_enabled():
            (images,) = inputs
            in_place = images.is_contiguous(memory_format=torch.channels_last)
            in_bf16 = torch.is_autocast_enabled("cpu")
            passes.add((len(images), torch.is_inference_mode_enabled(), in_place, in_bf16))

    with register_module_forward_pre_hook(note):
        run = train(config, tmp_path / "runs")
    # The first is the probe of the image size; then validation and test.
    assert passes == {(2, True, False, False), (2, True, True, True), (12, True, True, True)}
    assert run.status == "finished"
    assert run.logits().shape == (12, 2)
    assert run.features().shape == (12, run.info.model.n_features)
    atlas = load_thumbnails(tmp_path / "runs", run.info.dataset.fingerprints["test"])
    assert atlas.indices.tolist() == list(range(12))
    assert np.asarray(atlas.tile(0)).mean() < 100 < np.asarray(atlas.tile(11)).mean()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_learns_the_digits(tmp_path, precision):
    options = {"device": "cuda", "precision": precision, "ema": 0.9, "clip_grad_norm": 1.0}
    config = TrainConfig(dataset="digits", epochs=6, name="gpu", **options)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, StopAt(3))
    run = resume("gpu", tmp_path)
    assert run.info.environment["device"] == "cuda"
    assert run.info.summary["test"]["accuracy"] > 0.9
