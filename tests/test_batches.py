from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ols_core.config import TrainConfig
from ols_core.data import Dataset, ImageSet, load_dataset
from ols_core.data.augment import draw_cutout, draw_erasing, fill_boxes
from ols_core.data.batches import LoaderBatches, TensorBatches, make_batches
from ols_core.data.order import BatchPlan
from ols_core.errors import ArgumentError, DataError
from ols_core.seeding import derive_seed

CPU = torch.device("cpu")
STATISTICS = {1: ((0.5,), (0.25,)), 3: ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))}


def _images(n=23, side=16, channels=3):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (n, side, side, channels), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64)
    return ImageSet(labels, pixels, true_labels=np.where(labels % 3 == 0, labels + 1, labels))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    names = []
    for i in range(11):
        names.append(root / f"{i}.png")
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(names[-1])
    return ImageSet(np.arange(11), files=tuple(names))


def _tensor(images=None, batch_size=5, augment="crop-flip", shuffle=True, **options):
    images = images or _images()
    mean, std = STATISTICS[images.pixels.shape[-1]]
    options = {"size": images.pixels.shape[1:3], "seed": 3} | options
    return TensorBatches(
        images, batch_size, mean=mean, std=std, device=CPU, augment=augment, shuffle=shuffle,
        **options,
    )  # fmt: skip


def _loader(images=None, batch_size=5, augment="crop-flip", shuffle=True, **options):
    images = images or _images()
    in_files = images.pixels is None
    mean, std = STATISTICS[3 if in_files else images.pixels.shape[-1]]
    size = (32, 32) if in_files else images.pixels.shape[1:3]
    options = {"size": size, "seed": 3, "workers": 0} | options
    return LoaderBatches(
        images, batch_size, mean=mean, std=std, device=CPU, augment=augment, shuffle=shuffle,
        **options,
    )  # fmt: skip


def _epoch(batches, epoch=1):
    batches.set_epoch(epoch)
    return list(batches)


def _assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)


def _restated_batches(images, batch_size, mean, std, augment, shuffle, seed, epoch):
    """The order and augmentation that recorded runs rest on, image by image in numpy."""
    random = torch.Generator().manual_seed(derive_seed(seed, "batches", epoch))
    n, side = len(images), images.pixels.shape[1]
    order = torch.randperm(n, generator=random).tolist() if shuffle else list(range(n))
    margin = side // 8
    padded = np.pad(images.pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    mean, scale = (torch.tensor(x).mul(255) for x in (mean, std))
    for start in range(0, n, batch_size):
        chosen = order[start : start + batch_size]
        windows = images.pixels[chosen]
        if augment != "none":
            shift = torch.randint(0, 2 * margin + 1, (2, len(chosen), 1), generator=random)
            windows = np.stack(
                [padded[i, y : y + side, x : x + side] for i, (y, x) in zip(
                    chosen, shift[:, :, 0].T.tolist(), strict=True)]
            )  # fmt: skip
            if augment == "crop-flip":
                mirrored = torch.rand(len(chosen), 1, generator=random)[:, 0] < 0.5
                windows = np.where(
                    mirrored.numpy()[:, None, None, None], windows[:, :, ::-1], windows
                )
        values = (torch.from_numpy(windows).float() - mean) * scale.reciprocal()
        yield values.permute(0, 3, 1, 2), images.labels[chosen].tolist()


@pytest.mark.parametrize("augment", ["none", "crop", "crop-flip"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("epoch", [0, 4])
def test_a_single_process_draws_what_recorded_runs_drew(augment, shuffle, epoch):
    images = _images()
    expected = list(_restated_batches(images, 5, *STATISTICS[3], augment, shuffle, 3, epoch))
    drawn = _epoch(_tensor(images, augment=augment, shuffle=shuffle), epoch)
    assert len(drawn) == len(expected) == 5
    for batch, (pixels, labels) in zip(drawn, expected, strict=True):
        assert torch.equal(batch.images, pixels)
        assert batch.labels.tolist() == labels
        assert batch.share == 1.0


@pytest.mark.parametrize("make", [_tensor, _loader])
def test_the_order_of_an_epoch_is_pinned_to_the_number(make):
    batches = make(_images(n=8), batch_size=8)
    (first,), (second,) = _epoch(batches, 1), _epoch(batches, 2)
    assert first.labels.tolist() == [5, 4, 0, 7, 3, 1, 6, 2]
    assert second.labels.tolist() == [2, 7, 3, 1, 4, 6, 0, 5]


@pytest.mark.parametrize("make", [_tensor, _loader])
def test_a_batch_has_the_promised_types(make):
    for batch in make(erasing=0.5, cutout=4):
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == torch.int64
        assert batch.flipped.tolist() == (batch.labels % 3 == 0).tolist()
    clean = ImageSet(_images().labels, _images().pixels)
    assert next(iter(make(clean))).flipped is None


VARIANTS = {
    "tensor": (_tensor, {}),
    "tensor-resized": (_tensor, {"size": (24, 24)}),
    "tensor-erased": (_tensor, {"erasing": 0.5, "cutout": 6}),
    "loader-policy": (_loader, {"policy": "randaugment", "erasing": 0.5, "cutout": 6}),
    "loader-autoaugment": (_loader, {"policy": "autoaugment"}),
}


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_training_ranks_together_see_what_one_process_sees(variant, world):
    make, options = VARIANTS[variant]
    whole = _epoch(make(batch_size=8, **options))
    ranks = [make(batch_size=8, **options, rank=rank, world=world) for rank in range(world)]
    shards = [_epoch(rank) for rank in ranks]
    assert [len(batch.labels) for batch in whole] == [8, 8, 7]
    assert {len(shard) for shard in shards} == {len(rank) for rank in ranks} == {3}
    assert {rank.n_samples for rank in ranks} == {23}
    for batch, *parts in zip(whole, *shards, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.images, batch.images[rank::world])
            assert torch.equal(part.labels, batch.labels[rank::world])
            assert torch.equal(part.flipped, batch.flipped[rank::world])
            assert part.share == pytest.approx(len(part.labels) * world / len(batch.labels))
        assert sum(part.share for part in parts) == pytest.approx(world)


@pytest.mark.parametrize("world", [2, 3])
def test_training_ranks_share_files_alike(files, world):
    options = {"policy": "randaugment", "erasing": 1.0}
    whole = _epoch(_loader(files, 5, **options))
    shards = [_epoch(_loader(files, 5, **options, rank=r, world=world)) for r in range(world)]
    for batch, *parts in zip(whole, *shards, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.images, batch.images[rank::world])
            assert torch.equal(part.labels, batch.labels[rank::world])


@pytest.mark.parametrize("world", [1, 2, 3, 30])
@pytest.mark.parametrize("make", [_tensor, _loader])
def test_evaluation_ranks_serve_contiguous_parts(make, world):
    shards = [
        list(make(augment="none", shuffle=False, rank=rank, world=world)) for rank in range(world)
    ]
    expected = np.array_split(np.arange(23), world)
    for shard, part in zip(shards, expected, strict=True):
        assert [label for batch in shard for label in batch.labels.tolist()] == part.tolist()
        assert all(batch.share == pytest.approx(len(part) * world / 23) for batch in shard)
    whole = torch.cat([batch.images for batch in make(augment="none", shuffle=False)])
    assert torch.equal(torch.cat([batch.images for s in shards for batch in s]), whole)


@given(st.integers(1, 60), st.integers(1, 20), st.booleans(), st.integers(1, 6), st.integers(0, 9))
def test_every_image_is_served_once(n, batch_size, shuffle, world, seed):
    if shuffle and world > min(n, batch_size):
        return
    served = []
    for rank in range(world):
        plan = BatchPlan(n, batch_size, shuffle, rank, world)
        parts = list(plan.parts(torch.Generator().manual_seed(seed)))
        assert len(parts) == len(plan)
        assert all(len(part.batch[part.rows]) > 0 for part in parts)
        served += [i for part in parts for i in part.batch[part.rows].tolist()]
    assert sorted(served) == list(range(n))


@pytest.mark.parametrize(
    ("n", "world", "sizes"),
    [
        (17, 1, [8, 9]),
        (18, 1, [8, 8, 2]),
        (19, 2, [8, 11]),
        (20, 2, [8, 8, 4]),
        (1, 1, [1]),
    ],
)
def test_a_last_batch_too_small_for_batch_normalisation_joins_the_one_before(n, world, sizes):
    plan = BatchPlan(n, 8, shuffle=True, world=world)
    assert [len(part.batch) for part in plan.parts(torch.Generator())] == sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "world": 2}, "rank must be below the number of processes, 2, got 2"),
        ({"rank": -1}, "rank must be an integer of at least 0"),
        ({"world": 0}, "world must be an integer of at least 1"),
        ({"world": 6}, "batch_size must be at least the number of processes, 6, got 5"),
        ({"world": 3, "n_samples": 2}, "number of training images must be at least .* 3, got 2"),
    ],
)
def test_plans_that_cannot_work_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        BatchPlan(**{"n_samples": 23, "batch_size": 5, "shuffle": True} | options)


def test_ranks_without_an_image_to_evaluate_serve_no_batch():
    batches = _tensor(_images(n=2), augment="none", shuffle=False, rank=2, world=3)
    assert len(batches) == 0
    assert list(batches) == []


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", ["none", "randaugment", "autoaugment"])
def test_an_epoch_repeats_exactly_whatever_ran_before(channels, policy):
    batches = _loader(_images(channels=channels), policy=policy, erasing=0.5)
    first = _epoch(batches, 1)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    other = _epoch(batches, 2)
    assert torch.equal(torch.get_rng_state(), before)
    _assert_same(_epoch(batches, 1), first)
    assert not torch.equal(other[0].labels, first[0].labels)
    assert first[0].images.shape == (5, channels, 16, 16)


@pytest.mark.parametrize("source", ["memory", "files"])
def test_results_do_not_depend_on_the_number_of_workers(source, files):
    images = files if source == "files" else _images()
    here, there = (_loader(images, policy="randaugment", workers=w) for w in (0, 2))
    _assert_same(_epoch(here), _epoch(there))


def test_seeds_differ():
    for make in (_tensor, _loader):
        one, two = (
            torch.cat([b.images for b in make(seed=seed, shuffle=False)]) for seed in (1, 2)
        )
        assert not torch.equal(one, two)


def test_both_kinds_serve_the_same_order_and_plain_images():
    _assert_same(_epoch(_loader(augment="none")), _epoch(_tensor(augment="none")))


def test_a_policy_changes_images_but_not_labels():
    plain, changed = _epoch(_loader(augment="none")), _epoch(
        _loader(augment="none", policy="randaugment")
    )  # fmt: skip
    changes = [
        (a.images != b.images).flatten(1).any(1) for a, b in zip(plain, changed, strict=True)
    ]
    assert torch.cat(changes).float().mean() > 0.5
    for a, b in zip(plain, changed, strict=True):
        assert torch.equal(a.labels, b.labels)


def test_crops_in_workers_show_windows_of_the_padded_image():
    images = _images()
    mean, std = STATISTICS[3]
    (batch,) = _loader(images, 64, shuffle=False)
    shown = batch.images.permute(0, 2, 3, 1).numpy() * np.array(std) + np.array(mean)
    shown = np.rint(shown * 255)
    padded = np.pad(images.pixels, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for i, image in enumerate(shown):
        matches = [
            (dy, dx, step)
            for dy in range(5)
            for dx in range(5)
            for step in (1, -1)
            if np.array_equal(image, padded[i, dy : dy + 16, dx : dx + 16][:, ::step])
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 10


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["vanished", "unreadable", "truncated"])
def test_a_lost_file_is_named_in_the_first_line(tmp_path, damage, workers):
    file = tmp_path / "bee.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    images = ImageSet(np.array([0]), files=(file,))
    match damage:
        case "vanished":
            file.unlink()
        case "unreadable":
            file.write_bytes(b"no image")
        case "truncated":
            file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError) as caught:
        list(_loader(images, workers=workers))
    message = str(caught.value)
    assert message.startswith(f"{file}: not a readable image: ")
    assert message.endswith("Restore the file, or take it out of the folder and start a new run.")
    assert "\n" not in message


@given(st.integers(8, 70), st.integers(8, 70), st.integers(0, 1000))
def test_erased_rectangles_lie_inside_and_within_their_limits(height, width, seed):
    random = torch.Generator().manual_seed(seed)
    top, bottom, left, right = draw_erasing(20, height, width, 1.0, random).T
    assert ((top >= 0) & (top < bottom) & (bottom <= height)).all()
    assert ((left >= 0) & (left < right) & (right <= width)).all()
    # Rounding moves either side by at most half a pixel.
    h, w = (bottom - top).double(), (right - left).double()
    assert ((h - 0.5) * (w - 0.5) <= 0.33 * height * width).all()
    assert ((h + 0.5) * (w + 0.5) >= 0.02 * height * width).all()


def test_erasing_is_drawn_as_described():
    random = torch.Generator().manual_seed(0)
    n = 20_000
    top, bottom, left, right = draw_erasing(n, 1000, 1000, 0.3, random).T.double()
    erased = bottom > top
    assert abs(erased.double().mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
    h, w = (bottom - top)[erased], (right - left)[erased]
    share, aspect = h * w / 1e6, h / w
    assert share.min() > 0.0195
    assert share.max() < 0.3305
    assert aspect.min() > 0.295
    assert aspect.max() < 3.35
    assert abs(share.mean() - 0.175) < 0.006  # uniform
    assert abs(aspect.log().mean()) < 0.05  # upright as often as lying
    middle = (top + bottom)[erased] / 2
    assert abs(middle.mean() - 500) < 15
    assert top[erased].min() < 20
    assert bottom[erased].max() > 980


@given(st.integers(1, 40), st.integers(8, 40), st.integers(8, 40), st.integers(0, 1000))
def test_cutout_squares_are_clipped_at_the_border_only(side, height, width, seed):
    random = torch.Generator().manual_seed(seed)
    for top, bottom, left, right in draw_cutout(20, height, width, side, random).tolist():
        for start, end, limit in ((top, bottom, height), (left, right, width)):
            assert 0 <= start < end <= limit
            if start > 0 and end < limit:
                assert end - start == side
            assert end - start <= side
            # The centre is a pixel of the image.
            assert end - start >= min(side // 2, limit)


def test_every_pixel_is_a_centre_of_cutout_equally_often():
    boxes = draw_cutout(64_000, 8, 8, 1, torch.Generator().manual_seed(0))
    counts = np.bincount((boxes[:, 0] * 8 + boxes[:, 2]).numpy(), minlength=64)
    assert (np.abs(counts - 1000) < 5 * np.sqrt(1000)).all()


def test_boxes_are_filled_as_slices_are():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(30, 3, 12, 17, generator=random) + 1
    boxes = draw_erasing(30, 12, 17, 0.7, random)
    expected = images.numpy().copy()
    for image, (top, bottom, left, right) in zip(expected, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = 0
    np.testing.assert_array_equal(fill_boxes(images, boxes), expected)


@pytest.mark.parametrize("make", [_tensor, _loader])
def test_erasing_shows_the_mean_and_leaves_the_rest(make):
    plain, cut = _epoch(make(augment="none")), _epoch(make(augment="none", cutout=6))
    for before, after in zip(plain, cut, strict=True):
        changed = before.images != after.images
        assert (after.images[changed] == 0).all()
        per_image = changed.any(1).flatten(1).sum(1)
        assert (per_image >= 9).all()
        assert (per_image <= 36).all()


def test_erasing_does_not_disturb_order_or_crops_of_the_first_batch():
    plain, erased = _epoch(_tensor()), _epoch(_tensor(erasing=1.0))
    assert torch.equal(plain[0].labels, erased[0].labels)
    kept = erased[0].images != 0
    assert torch.equal(plain[0].images[kept], erased[0].images[kept])


def test_the_factory_augments_train_only():
    config = TrainConfig(dataset="digits", batch_size=32, erasing=1.0, cutout=2, augment="crop")
    data = load_dataset(config)
    batches = make_batches(config, data, CPU)
    assert {split: len(b) for split, b in batches.items()} == {"train": 41, "val": 2, "test": 3}
    assert all(isinstance(b, TensorBatches) for b in batches.values())
    clean = make_batches(TrainConfig(dataset="digits", batch_size=32), data, CPU)
    for split in ("val", "test"):
        _assert_same(_epoch(batches[split]), _epoch(clean[split]))
    assert (next(iter(batches["train"])).images == 0).flatten(1).any(1).all()


def test_the_factory_sends_policies_and_files_through_workers(files):
    config = TrainConfig(policy="randaugment", workers=0, batch_size=4)
    images = _images()
    data = Dataset("toy", ("a", "b"), {"train": images, "test": images}, (16, 16, 3), "none")
    batches = make_batches(config, data, CPU, rank=1, world=2)
    assert isinstance(batches["train"], LoaderBatches)
    assert isinstance(batches["test"], TensorBatches)
    assert [b.labels.tolist() for b in batches["test"]] == [list(range(12, 23))]

    data = Dataset("toy", ("a", "b"), {"train": files, "test": files}, (32, 32, 3), "crop-flip")
    batches = make_batches(config, data, CPU)
    assert all(isinstance(b, LoaderBatches) for b in batches.values())
    assert {len(b.labels) for b in batches["test"]} == {11}
