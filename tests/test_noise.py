from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ols_core.config import TrainConfig
from ols_core.data import Dataset, ImageSet, load_dataset
from ols_core.data.noise import flip_labels, similar_classes
from ols_core.data.superclasses import _CIFAR100, cifar100_superclasses
from ols_core.errors import ArgumentError

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
K = 5
many_labels = st.lists(st.integers(0, K - 1), max_size=200).map(lambda xs: np.array(xs, np.int64))
shares = st.floats(0, 1).map(lambda share: round(share, 3))
seeds = st.integers(0, 100)


def _dataset(class_names, superclasses=None):
    return Dataset("toy", tuple(class_names), {}, (8, 8, 3), "none", superclasses)


def _round_half_even(share, count):
    return round(float(np.float64(share) * count))


@given(many_labels, shares, seeds, st.sampled_from(["symmetric", "pairflip", "asymmetric"]))
def test_the_share_of_every_class_moves_and_none_to_itself(labels, share, seed, kind):
    successors = np.array([1, 2, 3, 4, 0])
    noisy = flip_labels(labels, K, f"{kind}:{share}", seed, successors)
    for k in range(K):
        of_class = noisy[labels == k]
        assert (of_class != k).sum() == _round_half_even(share, len(of_class))
    assert noisy.dtype == np.int64
    assert ((noisy >= 0) & (noisy < K)).all()


@given(many_labels, shares, seeds)
def test_pairflip_moves_to_the_next_class_only(labels, share, seed):
    noisy = flip_labels(labels, K, f"pairflip:{share}", seed)
    assert set((noisy - labels) % K) <= {0, 1}


@given(many_labels, shares, seeds)
def test_asymmetric_noise_follows_the_map_and_leaves_fixed_points(labels, share, seed):
    successors = np.array([1, 0, 2, 2, 4])
    noisy = flip_labels(labels, K, f"asymmetric:{share}", seed, successors)
    moved = noisy != labels
    np.testing.assert_array_equal(noisy[moved], successors[labels[moved]])
    assert not moved[np.isin(labels, [2, 4])].any()


@given(many_labels, seeds)
def test_a_larger_share_flips_the_same_labels_and_more(labels, seed):
    few, many = (flip_labels(labels, K, f"symmetric:{r}", seed) for r in (0.2, 0.6))
    moved = few != labels
    np.testing.assert_array_equal(few[moved], many[moved])


@given(many_labels, shares, seeds, st.permutations(range(len(CIFAR10))))
def test_renaming_classes_renames_asymmetric_noise(labels, share, seed, order):
    noise = f"asymmetric:{share}"
    renamed = np.argsort(order)  # class c is called renamed[c] there
    names = [CIFAR10[old] for old in order]
    here, there = similar_classes(_dataset(CIFAR10)), similar_classes(_dataset(names))
    np.testing.assert_array_equal(renamed[here], there[renamed])
    # Which labels of a class move depends on their order alone if every class comes in one block.
    labels = np.sort(labels)
    assert (
        np.bincount(renamed[flip_labels(labels, 10, noise, seed, here)], minlength=10).tolist()
        == np.bincount(flip_labels(renamed[labels], 10, noise, seed, there), minlength=10).tolist()
    )


def test_symmetric_noise_reaches_every_other_class_equally_often():
    labels = np.zeros(40_000, np.int64)
    counts = np.bincount(flip_labels(labels, K, "symmetric:0.4", seed=0), minlength=K)
    assert counts[0] == 24_000
    # 4000 expected each; five standard deviations of a binomial of 16000 and 1/4
    assert (np.abs(counts[1:] - 4000) < 5 * np.sqrt(16_000 * 0.25 * 0.75)).all()


def test_noise_depends_on_the_seed_only():
    labels = np.repeat(np.arange(K), 40)
    first, again, other = (flip_labels(labels, K, "symmetric:0.5", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first != labels, other != labels)


def test_the_argument_is_left_as_it_is():
    labels = np.repeat(np.arange(K), 4)
    flip_labels(labels, K, "symmetric:1", seed=0)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(K), 4))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("uniform:0.2", "expected one of symmetric:SHARE, asymmetric:SHARE, pairflip:SHARE"),
        ("symmetric", "with a SHARE from 0 to 1 such as 0.4, got 'symmetric'"),
        ("symmetric:much", "got 'symmetric:much'"),
        ("symmetric:40%", "got 'symmetric:40%'"),
        ("pairflip:1.5", "got 'pairflip:1.5'"),
        ("asymmetric:0.3", "use pairflip:SHARE"),
    ],
)
def test_unusable_noise_is_refused(noise, message):
    with pytest.raises(ArgumentError, match=message):
        flip_labels(np.array([0, 1]), 2, noise, seed=0)


def test_a_single_class_has_no_other():
    with pytest.raises(ArgumentError, match="n_classes must be an integer of at least 2, got 1"):
        flip_labels(np.array([0, 0]), 1, "symmetric:0.5", seed=0)


def test_cifar10_classes_go_where_patrini_sends_them():
    successors = similar_classes(_dataset(CIFAR10))
    moves = {CIFAR10[a]: CIFAR10[b] for a, b in enumerate(successors) if a != b}
    assert moves == {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }


def test_cifar100_classes_go_round_their_superclass():
    names = tuple(sorted(" ".join(_CIFAR100.values()).split()))
    successors = similar_classes(_dataset(names, cifar100_superclasses(names)))
    assert sorted(successors) == list(range(100))
    for members in _CIFAR100.values():
        cycle = members.split()  # already sorted by name
        start = position = names.index(cycle[0])
        walked = []
        for _ in cycle:
            walked.append(names[position])
            position = successors[position]
        assert walked == cycle
        assert position == start


@pytest.mark.parametrize("superclasses", [None, ("a", "b", "c")])
def test_without_companions_there_are_no_similar_classes(superclasses):
    assert similar_classes(_dataset(("ant", "oak", "gull"), superclasses)) is None


def test_noise_touches_train_only_and_keeps_the_truth():
    options = {"dataset": "digits", "train_per_class": 50}
    clean = load_dataset(TrainConfig(**options))
    noisy = load_dataset(TrainConfig(**options, label_noise="symmetric:0.4"))
    for split in ("val", "test"):
        np.testing.assert_array_equal(noisy.splits[split].labels, clean.splits[split].labels)
        assert noisy.splits[split].true_labels is None
        assert noisy.splits[split].flipped is None
    train = noisy.splits["train"]
    np.testing.assert_array_equal(train.pixels, clean.splits["train"].pixels)
    np.testing.assert_array_equal(train.true_labels, clean.splits["train"].labels)
    assert np.bincount(train.true_labels[train.flipped]).tolist() == [20] * 10
    assert clean.splits["train"].flipped is None


def test_asymmetric_noise_is_refused_for_digits():
    with pytest.raises(ArgumentError, match="use pairflip:SHARE"):
        load_dataset(TrainConfig(dataset="digits", label_noise="asymmetric:0.3"))


def test_decoding_keeps_the_truth(tmp_path):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(10):
                Image.new("RGB", (8, 8)).save(tmp_path / split / name / f"{i}.png")
    config = TrainConfig(dataset=f"folder:{tmp_path}", label_noise="pairflip:1")
    train = load_dataset(config).splits["train"]
    assert train.pixels is not None
    assert train.flipped.all()


def test_take_carries_the_truth_along():
    images = ImageSet(np.array([1, 1, 0]), true_labels=np.array([0, 1, 0]))
    taken = images.take(np.array([2, 0]))
    assert taken.true_labels.tolist() == [0, 0]
    assert taken.flipped.tolist() == [False, True]
