from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ols_core.errors import ArgumentError, DataError
from ols_core.models import MODELS, build_model, captured_features, classifier, load_weights

# Parameters with 10 classes and 3 channels: He et al. 2016 give 0.27 M, 0.46 M, 0.85 M and 1.7 M.
PUBLISHED = {"resnet20": 0.27e6, "resnet32": 0.46e6, "resnet56": 0.85e6, "resnet110": 1.7e6}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_takes_small_images(name):
    model = build_model(name, 7, 1).eval()
    with torch.inference_mode(), captured_features(model) as features:
        logits = model(torch.zeros(2, 1, 8, 8))
    assert logits.shape == (2, 7)
    assert features[0].shape == (2, classifier(model).in_features)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_sizes_are_the_published_ones(name):
    size = sum(p.numel() for p in build_model(name, 10, 3).parameters())
    assert size == pytest.approx(PUBLISHED[name], rel=0.04)


def test_any_timm_network_gives_features_of_its_classifier():
    model = build_model("timm:mobilenetv3_small_050", 5, 1).eval()
    with torch.no_grad(), captured_features(model) as features:
        logits = model(torch.randn(2, 1, 64, 64))
        torch.testing.assert_close(classifier(model)(features[0]), logits)


def test_logits_are_float32_under_autocast():
    model = build_model("resnet20", 10, 3).eval()
    images = torch.randn(4, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.float32
    assert (logits != logits.bfloat16().float()).any()


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("resnet21", False, "model must be one of resnet20"),
        ("timm:resnet1", False, "unknown to timm"),
        ("resnet20", True, "has no published weights"),
    ],
)
def test_unknown_networks_are_refused(name, pretrained, message):
    with pytest.raises(ArgumentError, match=message):
        build_model(name, 10, 3, pretrained)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_load_and_a_foreign_classifier_is_dropped(tmp_path, suffix):
    source, target = build_model("resnet20", 10, 3), build_model("resnet20", 4, 3)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), file)
    else:
        save_file(source.state_dict(), file)

    notices = load_weights(target, file)

    assert len(notices) == 1
    assert "dropped the classifier" in notices[0]
    assert torch.equal(target.stem[0][0].weight, source.stem[0][0].weight)
    assert target.fc.out_features == 4


def test_missing_and_unexpected_keys_are_listed(tmp_path):
    state = build_model("resnet20", 10, 3).state_dict()
    state["extra"] = state.pop("fc.bias")
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    notices = load_weights(build_model("resnet20", 10, 3), tmp_path / "weights.pth")
    assert any("missing in the file" in n and "fc.bias" in n for n in notices)
    assert any("unexpected" in n and "extra" in n for n in notices)


def test_unusable_weights_are_refused(tmp_path):
    model = build_model("resnet20", 10, 3)
    with pytest.raises(DataError, match="no such file"):
        load_weights(model, tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(DataError, match="not readable as weights"):
        load_weights(model, tmp_path / "text.pth")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(DataError, match="no parameter has the same name"):
        load_weights(model, tmp_path / "other.pth")


def test_code_in_a_weights_file_is_not_executed(tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"x": print}, protocol=2))
    with pytest.raises(DataError, match="not readable as weights"):
        load_weights(build_model("resnet20", 10, 3), tmp_path / "evil.pth")
