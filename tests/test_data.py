from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ols_core.config import TrainConfig
from ols_core.data import ImageSet, load_dataset
from ols_core.data.batches import LoaderBatches, TensorBatches, pixel_statistics
from ols_core.data.splits import hold_out, per_class
from ols_core.data.superclasses import _CIFAR100, cifar100_superclasses
from ols_core.errors import ArgumentError, DataError

CPU = torch.device("cpu")
labels_of_many = st.lists(st.integers(0, 4), min_size=2, max_size=80).map(
    lambda xs: np.array(sorted(xs + list(range(5)) * 2))
)


@given(labels_of_many, st.floats(0.05, 0.95), st.integers(0, 5))
def test_hold_out_partitions_and_keeps_every_class_on_both_sides(labels, fraction, seed):
    kept, held = hold_out(labels, fraction, seed)

    assert sorted([*kept, *held]) == list(range(len(labels)))
    counts, held_counts = np.bincount(labels), np.bincount(labels[held], minlength=5)
    assert (held_counts >= 1).all()
    assert (held_counts < counts).all()
    assert (np.abs(held_counts - counts * fraction) <= 1).all()


@given(labels_of_many, st.integers(1, 20), st.integers(0, 5))
def test_per_class_takes_as_many_as_there_are(labels, n, seed):
    taken = per_class(labels, n, seed)
    assert len(set(taken)) == len(taken)
    np.testing.assert_array_equal(
        np.bincount(labels[taken], minlength=5), np.minimum(np.bincount(labels), n)
    )


def test_splits_depend_on_the_seed_only():
    labels = np.repeat(np.arange(10), 30)
    np.testing.assert_array_equal(hold_out(labels, 0.2, 1)[1], hold_out(labels, 0.2, 1)[1])
    assert not np.array_equal(hold_out(labels, 0.2, 1)[1], hold_out(labels, 0.2, 2)[1])


def test_a_class_with_one_image_cannot_be_split():
    with pytest.raises(DataError, match="Class 1 has a single image"):
        hold_out(np.array([0, 0, 1]), 0.5, seed=0)


def test_digits_share_their_test_split_over_seeds():
    first, second = (load_dataset(TrainConfig(dataset="digits", seed=s)) for s in (0, 1))
    np.testing.assert_array_equal(first.splits["test"].pixels, second.splits["test"].pixels)
    assert not np.array_equal(first.splits["val"].pixels, second.splits["val"].pixels)
    assert sum(len(images) for images in first.splits.values()) == 1797


def test_train_per_class_thins_train_only():
    data = load_dataset(TrainConfig(dataset="digits", train_per_class=7))
    assert np.bincount(data.splits["train"].labels).tolist() == [7] * 10
    assert len(data.splits["test"]) == 359


@pytest.mark.parametrize("name", ["mnist", "folder:", "cifar"])
def test_unknown_data_sets_are_refused(name):
    with pytest.raises(ArgumentError, match="dataset must be"):
        load_dataset(TrainConfig(dataset=name))


def _write_idx(file, array, zipped):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = header + array.tobytes()
    file.write_bytes(gzip.compress(content) if zipped else content)


@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_reads_idx_files(tmp_path, zipped):
    random = np.random.default_rng(0)
    end = ".gz" if zipped else ""
    expected = {}
    for prefix, n in (("train", 40), ("t10k", 20)):
        expected[prefix] = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        _write_idx(tmp_path / f"{prefix}-images-idx3-ubyte{end}", expected[prefix], zipped)
        _write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte{end}", labels, zipped)

    data = load_dataset(TrainConfig(dataset="fashion-mnist", data_dir=str(tmp_path)))

    assert data.image_shape == (28, 28, 1)
    assert data.class_names[0] == "T-shirt/top"
    np.testing.assert_array_equal(data.splits["test"].pixels[..., 0], expected["t10k"])


def test_a_truncated_idx_file_is_named(tmp_path):
    images = np.zeros((10, 28, 28), np.uint8)
    _write_idx(tmp_path / "train-images-idx3-ubyte", images, zipped=False)
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: 7835 bytes.*incomplete"):
        load_dataset(TrainConfig(dataset="fashion-mnist", data_dir=str(tmp_path)))


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_absent_data_names_the_folder_and_the_flag(name, tmp_path):
    with pytest.raises(DataError, match="--download") as caught:
        load_dataset(TrainConfig(dataset=name, data_dir=str(tmp_path)))
    assert str(tmp_path) in str(caught.value)


def _image_folder(root, splits, classes, n=6, size=(12, 12), suffix=".png"):
    random = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}{suffix}")
    return root


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_folder_with_splits(tmp_path, suffix):
    _image_folder(tmp_path, ["train", "test"], ["ant", "bee"], suffix=suffix)
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    assert data.class_names == ("ant", "bee")
    assert data.image_shape == (12, 12, 3)
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 10, "val": 2, "test": 12}


def test_a_png_is_decoded_to_its_own_pixels(tmp_path):
    _image_folder(tmp_path, ["train", "test"], ["ant", "bee"])
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    with Image.open(tmp_path / "test" / "bee" / "0.png") as image:
        np.testing.assert_array_equal(data.splits["test"].pixels[6], np.asarray(image))


def test_a_val_folder_alone_is_the_test_split(tmp_path):
    _image_folder(tmp_path, ["train", "val"], ["ant", "bee"])
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 10, "val": 2, "test": 12}


def test_a_folder_without_splits_is_split_by_seed(tmp_path):
    _image_folder(tmp_path, [""], ["ant", "bee"], n=10)
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    assert np.bincount(data.splits["test"].labels).tolist() == [2, 2]


def test_large_images_stay_in_files_and_are_batched(tmp_path):
    _image_folder(tmp_path, ["train", "test"], ["ant", "bee"], n=3, size=(80, 100))
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    assert data.image_shape == (224, 224, 3)
    assert data.splits["test"].pixels is None
    mean, std = pixel_statistics(data.splits["train"])
    batches = LoaderBatches(data.splits["test"], 4, (64, 64), mean, std, CPU, workers=0)
    shapes = [tuple(batch.images.shape) for batch in batches]
    assert shapes == [(4, 3, 64, 64), (2, 3, 64, 64)]
    assert len(batches) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "no such folder"),
        (lambda root: root.mkdir(), "at least 2 classes, got 0"),
        (lambda root: _image_folder(root, ["train"], ["a", "b"]), "neither test/ nor val/"),
        (lambda root: [(root / "train" / c).mkdir(parents=True) for c in "ab"], "no image found"),
    ],
)
def test_unusable_folders_are_named(tmp_path, make, message):
    make(tmp_path / "images")
    with pytest.raises(DataError, match=message):
        load_dataset(TrainConfig(dataset=f"folder:{tmp_path / 'images'}"))


def test_classes_of_test_must_be_known(tmp_path):
    _image_folder(tmp_path, ["train"], ["ant", "bee"])
    _image_folder(tmp_path, ["test"], ["ant", "wasp"])
    with pytest.raises(DataError, match=r"absent from train/: wasp"):
        load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))


def test_an_unreadable_image_is_named(tmp_path):
    _image_folder(tmp_path, ["train", "test"], ["ant", "bee"])
    (tmp_path / "test" / "ant" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"ant/0\.png: not a readable image"):
        load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))


def test_a_folder_may_bring_superclasses(tmp_path):
    _image_folder(tmp_path, ["train", "test"], ["ant", "bee", "oak"])
    file = tmp_path / "superclasses.csv"
    file.write_text("class,superclass\nbee,insect\nant,insect\noak,tree\n")
    data = load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))
    assert data.superclasses == ("insect", "insect", "tree")

    file.write_text("class,superclass\nbee,insect\n")
    with pytest.raises(DataError, match="no superclass for ant, oak"):
        load_dataset(TrainConfig(dataset=f"folder:{tmp_path}"))


def test_cifar100_has_20_superclasses_of_5():
    names = tuple(sorted(" ".join(_CIFAR100.values()).split()))
    superclasses = cifar100_superclasses(names)
    assert len(names) == 100
    assert superclasses is not None
    _, sizes = np.unique(superclasses, return_counts=True)
    assert sizes.tolist() == [5] * 20
    assert superclasses[names.index("maple_tree")] == "trees"
    assert cifar100_superclasses(names[:-1]) is None


def _images(n=9, side=8, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)
    return ImageSet(np.arange(n, dtype=np.int64), pixels)


def test_plain_batches_are_the_normalised_images_in_order():
    images = _images()
    mean, std = pixel_statistics(images)
    batches = TensorBatches(images, 4, (8, 8), mean, std, CPU)
    pixels = torch.cat([batch.images for batch in batches])
    expected = (images.pixels / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(pixels.permute(0, 2, 3, 1), expected, atol=1e-5)
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(9))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_pixel_statistics_are_those_of_numpy():
    images = _images()
    mean, std = pixel_statistics(images)
    np.testing.assert_allclose(mean, (images.pixels / 255).mean((0, 1, 2)))
    np.testing.assert_allclose(std, (images.pixels / 255).std((0, 1, 2)))


def test_crop_and_flip_show_windows_of_the_padded_image():
    images = _images(n=40, side=16)
    batches = TensorBatches(
        images, 64, (16, 16), (0, 0, 0), (1 / 255,) * 3, CPU, augment="crop-flip", seed=3
    )
    (batch,) = batches
    augmented = batch.images.permute(0, 2, 3, 1).numpy().round()
    padded = np.pad(images.pixels, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for i, image in enumerate(augmented):
        matches = [
            (dy, dx, flip)
            for dy in range(5)
            for dx in range(5)
            for flip in (False, True)
            if np.array_equal(image, padded[i, dy : dy + 16, dx : dx + 16][:, :: -1 if flip else 1])
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 15
    assert {flip for _, _, flip in seen} == {False, True}


def test_an_epoch_can_be_repeated_and_differs_from_the_next():
    batches = TensorBatches(
        _images(n=50), 16, (8, 8), (0, 0, 0), (1, 1, 1), CPU, "crop", shuffle=True
    )

    def epoch(number):
        batches.set_epoch(number)
        drawn = list(batches)
        return torch.cat([b.images for b in drawn]), torch.cat([b.labels for b in drawn])

    first, again, second = epoch(1), epoch(1), epoch(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], second[1])
    assert sorted(second[1].tolist()) == list(range(50))


def test_images_of_another_size_are_interpolated():
    batches = TensorBatches(_images(), 4, (16, 16), (0, 0, 0), (1, 1, 1), CPU)
    assert next(iter(batches)).images.shape == (4, 3, 16, 16)
