"""The examples with the real libraries, and the dashboard's pages on what they and others made."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from ols_core.importing import read_predictions, write_import
from ols_core.optional import MissingPackageError, require
from ols_core.recorder import RunRecorder
from ols_core.runs import load_run
from tests.app.harness import open_page
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "examples"
PAGES = ["overview", "soft_labels", "similarity", "calibration", "embeddings"]


def _example(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def recorded(root):
    return _example("plain_pytorch").main(root, epochs=3)


def test_every_example_is_run_here():
    tested = {"plain_pytorch", "sklearn_forest", "timm_model", "lightning_callback", "hf_trainer"}
    assert {file.stem for file in FOLDER.glob("*.py")} == tested


def test_a_plain_loop(recorded):
    assert (recorded.status, recorded.info.source) == ("finished", "recorded")
    assert [record["epoch"] for record in recorded.history] == [1, 2, 3]
    losses = [record["train_loss"] for record in recorded.history]
    assert losses[2] < losses[0]
    assert recorded.soft_label_epochs == [0, 1, 2, 3]
    assert recorded.soft_label_counts()[3].min() > 0
    assert recorded.info.summary["test"]["accuracy"] > 0.7
    assert recorded.features().shape == (360, 64)
    assert recorded.classifier_weight().shape == (10, 64)


def test_a_forest(tmp_path):
    run = _example("sklearn_forest").main(tmp_path, trees=20)
    assert run.info.summary["test"]["accuracy"] > 0.9
    assert np.isfinite(run.info.summary["test"]["nll"])
    assert list(tmp_path.glob("_datasets/*/thumbnails.webp"))


def test_a_network_of_timm(tmp_path):
    run = _example("timm_model").main(tmp_path, epochs=2)
    assert run.info.model.name == "timm:test_resnet"
    assert run.info.summary["test"]["accuracy"] > 0.3
    logits = run.features().astype(np.float64) @ run.classifier_weight().T
    # Without the bias, which is the same for all images.
    np.testing.assert_allclose(np.ptp(run.logits() - logits, axis=0), 0, atol=0.05)


def test_a_training_of_lightning(tmp_path):
    example = _example("lightning_callback")
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    run = example.main(tmp_path, epochs=2, **quiet)
    assert run.status == "finished"
    assert [record["epoch"] for record in run.history] == [1, 2]
    assert {"train_loss", "lr", "val_accuracy", "val_nll"} <= run.history[1].keys()
    # The last validation is the one whose predictions are kept.
    assert run.history[1]["val_nll"] == pytest.approx(run.info.summary["val"]["nll"], rel=1e-5)
    assert run.soft_label_epochs == [0, 1, 2]
    assert run.labels("val").shape == (180,)
    assert run.labels("test").shape == (359,)
    # Every training image was tallied once, and no other: Lightning's first look at validation
    # images, before the training, leaves no trace.
    assert run.soft_label_counts()[1].sum() <= 1258

    def stop(*_):
        raise ValueError("no more")

    example.Classifier.on_train_epoch_end = stop
    with pytest.raises(ValueError, match="no more"):
        example.main(tmp_path / "other", epochs=2, **quiet)
    failed = load_run("lightning", tmp_path / "other")
    assert (failed.status, failed.info.error) == ("failed", "ValueError: no more")


def test_parts_of_predictions_are_not_taken_for_the_whole(tmp_path):
    import torch

    from ols_core.integrations.lightning import RunRecorderCallback

    outputs = {"logits": torch.zeros(2, 2), "labels": torch.zeros(2, dtype=torch.int64)}
    with RunRecorder("mine", ["a", "b"], root=tmp_path) as recorder:
        callback = RunRecorderCallback(recorder)
        for world, loader in ((2, 0), (1, 1)):
            trainer = SimpleNamespace(world_size=world)
            context = pytest.warns(UserWarning, match="devices=1") if world > 1 else nullcontext()
            with context:
                callback.on_test_batch_end(trainer, None, outputs, None, 0, loader)
        callback.on_test_end(trainer, None)
        assert not recorder.run.has("predictions")


def test_a_training_of_the_hugging_face_trainer(tmp_path):
    run = _example("hf_trainer").main(tmp_path, epochs=2, disable_tqdm=True)
    assert run.status == "finished"
    first, last = run.history
    assert (first["epoch"], last["epoch"]) == (1, 2)
    assert last["train_loss"] < first["train_loss"]
    # Of the epoch, and not the mean over the whole training that the Trainer reports at its end.
    assert {"train_loss", "lr", "val_accuracy", "val_loss"} <= last.keys()
    assert not any("runtime" in name or "per_second" in name for name in last)
    assert run.soft_label_epochs == [0, 1, 2]
    assert run.soft_label_counts()[2].sum() <= 1258  # training images only
    assert run.info.summary["test"]["accuracy"] > 0.5


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_an_absent_framework_is_named_with_its_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    for module in [m for m in sys.modules if m.startswith(f"{name}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"ols_core.integrations.{name}", raising=False)
    with pytest.raises(MissingPackageError, match=rf"pip install 'ols-core\[{name}\]'"):
        importlib.import_module(f"ols_core.integrations.{name}")


def test_a_package_that_is_broken_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        require("half_there", "This test", "none")


@pytest.fixture(scope="module")
def imported(root, recorded, tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "p.npz"
    content = {"logits": recorded.logits(), "labels": recorded.labels()}
    np.savez(file, class_names=recorded.info.dataset.class_names, **content)
    return write_import(read_predictions(file), root, "imported")


@pytest.fixture(scope="module")
def top_labelled(root, recorded):
    class Importer(RunRecorder):
        source = "imported"

    with Importer("top", recorded.info.dataset.class_names, root=root) as recorder:
        predicted = recorded.logits().argmax(1)
        confidence = np.full(360, 0.8)
        recorder.log_top_labels(
            "test", labels=recorded.labels(), predicted=predicted, confidence=confidence
        )
    return recorder.run


@pytest.fixture(scope="module")
def evaluated(root, tmp_path_factory):
    import torch

    from ols_core.evaluation import evaluate
    from ols_core.models import build_model

    file = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.manual_seed(0)
    torch.save(build_model("resnet20", 10, 1).state_dict(), file)
    return evaluate("resnet20", file, "digits", root=root, name="evaluated")


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """Streamlit's test harness puts its script in place of `__main__`, which new processes run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


LACKING = {
    "recorded": set(),
    "imported": {"soft_labels", "similarity", "embeddings"},
    "top_labelled": {"soft_labels", "similarity", "embeddings"},
    "evaluated": {"soft_labels", "similarity"},
}


@pytest.mark.parametrize("kind", LACKING)
def test_the_pages_show_runs_of_every_source_and_say_what_they_lack(
    request, monkeypatch, root, kind
):
    run = request.getfixturevalue(kind)
    monkeypatch.setenv("OLS_ROOT", str(root))
    told = set()
    for page in PAGES:
        app = open_page(page, runs=[run.id])
        assert not app.error, page
        if any("is absent" in info.value for info in app.info):
            told.add(page)
    assert told == LACKING[kind]
