from __future__ import annotations

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from ols_core.errors import ArgumentError
from ols_core.models import (
    MODELS,
    build_model,
    captured_features,
    classifier,
    classifier_name,
    freeze_backbone,
)

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


def test_several_heads_are_no_linear_classifier():
    with pytest.raises(ArgumentError, match="does not end in a linear classifier"):
        build_model("timm:deit_tiny_distilled_patch16_224", 5, 3)


def _frozen_network(name):
    torch.manual_seed(0)
    network = build_model(name, 4, 3)
    freeze_backbone(network)
    return network.train()


def _step(network, call):
    """One update with everything that could move a parameter or a buffer."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    F.cross_entropy(call(torch.randn(4, 3, 32, 32)), torch.arange(4)).backward()
    optimizer.step()
    return {
        key for key, value in network.state_dict().items() if not torch.equal(value, before[key])
    }


@pytest.mark.parametrize("name", ["resnet20", "timm:tf_efficientnet_lite0", "timm:convnext_atto"])
def test_a_step_of_a_frozen_network_changes_the_classifier_only(name):
    network = _frozen_network(name)
    head = classifier_name(network)
    assert _step(network, network) == {f"{head}.weight", f"{head}.bias"}


WRAPPERS = {
    "copy": lambda network: copy.deepcopy(network),
    "average": lambda network: AveragedModel(network).module,
    "compiled": lambda network: torch.compile(network, backend="eager"),
    "fabric": lambda network: Fabric(accelerator="cpu", devices=1).setup(network),
}


@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
def test_a_frozen_network_stays_frozen_however_it_is_wrapped(wrapper):
    network = _frozen_network("resnet20")
    wrapped = WRAPPERS[wrapper](network)
    inner = wrapped if wrapper in ("copy", "average") else network
    wrapped.eval()
    assert not any(module.training for module in inner.modules())
    wrapped.train()
    assert [key for key, module in inner.named_modules() if module.training] == ["", "fc"]
    assert _step(inner, wrapped) == {"fc.weight", "fc.bias"}


def test_a_copy_of_a_frozen_network_switches_itself_only():
    network = _frozen_network("resnet20")
    copy.deepcopy(network).eval()
    assert network.fc.training
