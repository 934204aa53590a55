"""Features after epochs, of the training split, and added to a run later."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ols_core.config import TrainConfig
from ols_core.data import load_dataset
from ols_core.data.batches import pixel_statistics
from ols_core.errors import ArgumentError, RunError
from ols_core.models import build_model, captured_features
from ols_core.run_writer import RunWriter
from ols_core.runs import label_fingerprint, load_run
from ols_core.thumbnails import thumbnails_of
from ols_core.training import resume, train
from ols_core.training.features import add_features
from tests.synthetic import synthetic_run
from tests.training_tools import StopAt, assert_same_bits

CONFIG = TrainConfig(
    dataset="digits",
    train_per_class=30,
    epochs=3,
    precision="fp32",
    augment="crop",
    label_noise="symmetric:0.2",
    save_features_every=2,
    ema=0.5,
    name="noisy",
)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A real training on digits with label noise."""
    return train(CONFIG, tmp_path_factory.mktemp("noisy"))


@pytest.fixture
def copied(noisy, tmp_path):
    shutil.copytree(noisy.path, tmp_path / noisy.id)
    return load_run(noisy.id, tmp_path)


def _without(run, *parts):
    for part in parts:
        (run.path / part).unlink()
    return run


def test_features_are_kept_after_every_nth_epoch_and_the_last(noisy):
    assert noisy.feature_epochs() == [2, 3]
    np.testing.assert_array_equal(noisy.features("test", 3), noisy.features())
    assert (noisy.features("test", 2) != noisy.features()).any()
    assert noisy.feature_epochs("train") == []
    with pytest.raises(RunError, match="no features of the test split after epoch 1"):
        noisy.features("test", 1)


def test_without_the_option_only_the_final_features_are_kept(digits_runs):
    run = digits_runs["ols"]
    assert run.feature_epochs() == []
    assert not run.has("features/train.npy")
    assert not run.has("predictions/train_logits.npy")


def test_the_training_images_of_a_noisy_run_are_kept_in_their_order(noisy):
    images = load_dataset(CONFIG).splits["train"]
    model = build_model("resnet20", 10, 1)
    weights = load_file(noisy.path / "weights.safetensors")
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    mean, std = pixel_statistics(images)
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 255
    with torch.inference_mode(), captured_features(model.eval()) as features:
        logits = model((pixels - mean[0]) / std[0]).numpy()
    given, true = noisy.label_noise()

    np.testing.assert_allclose(noisy.logits("train"), logits, atol=0.02)
    np.testing.assert_allclose(noisy.features("train"), features[0], atol=0.02)
    np.testing.assert_array_equal(noisy.labels("train"), given)
    np.testing.assert_array_equal(noisy.true_labels("train"), true)
    np.testing.assert_array_equal(noisy.true_labels("test"), noisy.labels("test"))
    assert 0 < (given != true).mean() < 0.3
    assert "train" not in noisy.info.summary


def test_the_training_images_of_a_noisy_run_have_thumbnails(noisy):
    images = load_dataset(CONFIG).splits["train"]
    assert noisy.fingerprint("train") == label_fingerprint(images.true_labels)
    atlas = thumbnails_of(noisy, "train")
    assert atlas.indices.tolist() == list(range(len(images)))
    for position in (0, 100, 299):
        tile = np.asarray(atlas.tile(position).convert("L")).astype(int)
        assert np.corrcoef(tile.ravel(), images.pixels[position].ravel())[0, 1] > 0.95
    assert len(thumbnails_of(noisy).indices) == len(noisy.labels())
    assert thumbnails_of(noisy, "val") is None


def test_a_resumed_run_keeps_the_same_features(noisy, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tmp_path, StopAt(1))
    # As after a crash between writing the features of an epoch and the end of that epoch.
    RunWriter(tmp_path / "noisy", noisy.info).save_features("test", np.zeros((359, 64)), epoch=2)
    stray = tmp_path / "noisy" / "features" / "test_epochs" / "0007.npy"
    stray.write_bytes(b"later")
    run = resume("noisy", tmp_path)

    assert_same_bits(run, noisy)
    assert run.feature_epochs() == [2, 3]
    for epoch in run.feature_epochs():
        np.testing.assert_array_equal(run.features("test", epoch), noisy.features("test", epoch))
    np.testing.assert_array_equal(run.features("train"), noisy.features("train"))


@pytest.mark.parametrize("split", ["test", "train", "val"])
def test_added_features_are_those_of_the_training(noisy, copied, split):
    gone = [f"features/{split}.npy", f"predictions/{split}_logits.npy"]
    _without(copied, *(part for part in gone if copied.has(part)))
    shares = []
    run = add_features(copied.id, copied.path.parent, split, shares.append)

    if split != "val":
        np.testing.assert_allclose(run.features(split), noisy.features(split), atol=0.01)
    np.testing.assert_allclose(run.logits(split), noisy.logits(split), atol=0.01)
    np.testing.assert_array_equal(run.labels(split), noisy.labels(split))
    assert thumbnails_of(run, split) is not None
    assert shares[-1] == 1.0
    assert run.modified > copied.modified
    assert run.info == copied.info


def test_features_are_added_only_once(copied):
    with pytest.raises(RunError, match="has features of the test split already"):
        add_features(copied.id, copied.path.parent)
    with pytest.raises(ArgumentError, match="split must be one of 'test', 'train', 'val'"):
        add_features(copied.id, copied.path.parent, "dev")


def test_other_weights_are_told_by_their_logits(copied):
    _without(copied, "features/test.npy")
    file = copied.path / "weights.safetensors"
    weights = load_file(file)
    save_file(weights | {"fc.weight": weights["fc.weight"][::-1].copy()}, file)
    with pytest.raises(RunError, match=r"test logits .* not the stored ones.*Nothing was written"):
        add_features(copied.id, copied.path.parent)
    assert not copied.has("features/test.npy")

    save_file(weights | {"fc.weight": weights["fc.weight"][:-1].copy()}, file)
    with pytest.raises(RunError, match=r"weights\.safetensors cannot be used"):
        add_features(copied.id, copied.path.parent)

    save_file({"fc.weight": weights["fc.weight"]}, file)
    missing = rf"lacks .* of the network.*ols train --config .*{copied.id}-again"
    with pytest.raises(RunError, match=missing):
        add_features(copied.id, copied.path.parent)


@pytest.mark.parametrize(
    ("option", "split"), [({"seed": 1}, "val"), ({"label_noise": "symmetric:0.3"}, "train")]
)
def test_other_data_are_told_by_their_labels(copied, option, split):
    with RunWriter.amending(copied) as writer:
        writer.update(config=copied.info.config | option)
    _without(copied, *([] if split == "val" else [f"features/{split}.npy"]))
    with pytest.raises(RunError, match="not the same any more"):
        add_features(copied.id, copied.path.parent, split)


def test_a_run_without_weights_or_of_another_source_says_what_to_do(tmp_path):
    synthetic_run(tmp_path, "young", finished=False)
    command = re.escape(f"Go on with: ols resume young --root {tmp_path}")
    with pytest.raises(RunError, match=command):
        add_features("young", tmp_path)
    run = _without(synthetic_run(tmp_path, "foreign"), "features/test.npy")
    for source, remedy in [
        ("imported", "NPZ file that also holds `features`"),
        ("recorded", "give `features` to `log_predictions`"),
        ("evaluated", "again with --split test"),
    ]:
        with RunWriter.amending(run) as writer:
            writer.update(source=source)
        with pytest.raises(RunError, match=f"was {source}, not trained.*{remedy}"):
            add_features("foreign", tmp_path)


def test_the_command_goes_on_to_the_other_runs(ols, copied):
    root = copied.path.parent
    foreign = _without(synthetic_run(root, "foreign"), "features/test.npy")
    with RunWriter.amending(foreign) as writer:
        writer.update(source="imported")
    _without(copied, "features/test.npy")
    code, text = ols("features", "foreign", "nothing", copied.id, copied.id, "--root", root)
    assert code == 1
    assert "Run foreign was imported, not trained" in text
    assert "No run 'nothing'" in text
    assert f"{copied.id}: 64 features of 359 images written to" in text
    assert f"{copied.id}: {copied.path}/features/test.npy is there already" in text
    assert copied.has("features/test.npy")
    code, text = ols("features", copied.id, "--root", root)
    assert (code, "is there already" in text) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("../x",), "run name must be"), (("--split", "dev"), "split must be one of")],
)
def test_a_mistake_in_the_command_is_told_before_anything_is_done(ols, copied, arguments, message):
    _without(copied, "features/test.npy")
    code, text = ols("features", copied.id, *arguments, "--root", copied.path.parent)
    assert (code, message in text) == (2, True)
    assert not copied.has("features/test.npy")


def test_nothing_is_written_when_it_is_stopped(copied):
    _without(copied, "features/test.npy")

    def press(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_features(copied.id, copied.path.parent, "test", press)
    assert not copied.has("features/test.npy")
    assert load_run(copied.id, copied.path.parent).modified == copied.modified
