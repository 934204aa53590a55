from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from ols_core.analysis.embedding import project_aligned
from ols_core.errors import ArgumentError, RunError
from ols_core.projections import (
    LayoutRequest,
    Member,
    compute_layout,
    feature_digest,
    find_layout,
    layout,
)
from ols_core.run_writer import RunWriter
from ols_core.runs import load_run
from ols_core.sample import shown_sample
from tests.conftest import REPOSITORY
from tests.synthetic import N_FEATURES, N_TEST, synthetic_run

PCA = LayoutRequest("pca", samples=100)


@pytest.fixture
def runs(tmp_path):
    """Three runs of random numbers on the same test labels."""
    return [synthetic_run(tmp_path, name) for name in ("a", "b", "c")]


def _members(runs):
    return [Member(run) for run in runs]


def _same(found, expected, order=None):
    np.testing.assert_array_equal(found.indices, expected.indices)
    places = range(len(expected.coordinates)) if order is None else order
    assert len(found.coordinates) == len(places)
    for mine, place in enumerate(places):
        np.testing.assert_array_equal(found.coordinates[mine], expected.coordinates[place])
        assert found.faithfulness[mine] == expected.faithfulness[place]
    assert found.parameters == expected.parameters


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"perplexity": 5.0}, "tsne"),
        ({"n_neighbors": 5}, "umap"),
        ({"min_dist": 0.5}, "umap"),
        ({"seed": 1}, "umap tsne"),
        ({"samples": 50}, "umap tsne pca"),
        ({"n_components": 3}, "umap tsne pca"),
        ({"split": "val"}, "umap tsne pca"),
    ],
)
def test_only_parameters_of_the_method_count(change, matters):
    for method in ("umap", "tsne", "pca"):
        plain, changed = LayoutRequest(method), LayoutRequest(method, **change)
        differs = plain.parameters(N_TEST) != changed.parameters(N_TEST)
        assert differs == (method in matters), method


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "lda"}, "method must be one of 'pca', 'umap', 'tsne'"),
        ({"n_components": 4}, "n_components must be one of 2, 3, got 4"),
        ({"samples": 9}, "samples must be an integer"),
        ({"seed": -1}, "seed must be"),
        ({"n_neighbors": 1}, "n_neighbors must be"),
        ({"min_dist": 1.5}, "min_dist must be"),
        ({"perplexity": 0.5}, "perplexity must be"),
        ({"split": "dev"}, "split must be one of 'test', 'train', 'val'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(change, message):
    with pytest.raises(ArgumentError, match=message):
        LayoutRequest(**change)


def test_a_layout_is_stored_with_each_run_and_read_back(runs):
    assert find_layout(_members(runs), PCA) is None
    made = compute_layout(_members(runs), PCA)
    assert [file.parent for file in made.files] == [run.path / "projections" for run in runs]
    assert len({file.name for file in made.files}) == 1
    assert [points.shape for points in made.coordinates] == [(100, 2)] * 3
    assert all(points.dtype == np.float32 for points in made.coordinates)
    np.testing.assert_array_equal(made.indices, shown_sample(runs[0].labels(), 100))

    found = find_layout(_members(runs), PCA)
    _same(found, made)
    assert found.files == made.files
    np.testing.assert_array_equal(found.explained_variance_ratio, made.explained_variance_ratio)


def test_the_explained_variance_is_that_of_the_features(runs):
    made = compute_layout([Member(runs[0])], PCA)
    features = runs[0].features()[made.indices].astype(float)
    values = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    shares = (values / values.sum())[:2]
    np.testing.assert_allclose(made.explained_variance_ratio[0], shares, rtol=1e-6)
    np.testing.assert_allclose(made.coordinates[0].var(0), values[:2] / 100, rtol=1e-4)


def test_a_layout_serves_any_of_its_members_in_any_order(runs):
    made = compute_layout(_members(runs), PCA)
    for order in ([2, 0], [1], [2, 1, 0]):
        _same(find_layout([Member(runs[place]) for place in order], PCA), made, order)
    alone = compute_layout([Member(runs[1])], PCA)
    _same(find_layout([Member(runs[1])], PCA), alone)


def test_another_request_or_another_member_is_another_layout(runs, tmp_path):
    compute_layout(_members(runs[:2]), PCA)
    assert find_layout(_members(runs[:2]), LayoutRequest("pca", samples=50)) is None
    assert find_layout(_members(runs[:2]), LayoutRequest("tsne", samples=100)) is None
    assert find_layout(_members(runs), PCA) is None
    # The same name, but trained again.
    RunWriter(runs[1].path, runs[1].info).save_features("test", np.ones((N_TEST, N_FEATURES)))
    assert find_layout(_members(runs[:2]), PCA) is None
    assert find_layout(_members(runs[:1]), PCA) is not None


def test_more_samples_than_images_are_all_images(runs):
    made = compute_layout([Member(runs[0])], LayoutRequest("pca", samples=N_TEST))
    _same(find_layout([Member(runs[0])], LayoutRequest("pca", samples=10 * N_TEST)), made)


def test_a_copied_and_renamed_run_brings_its_layouts(runs, tmp_path):
    made = compute_layout(_members(runs[:2]), PCA)
    for run in runs[:2]:
        shutil.copytree(run.path, tmp_path / "elsewhere" / f"renamed-{run.id}")
    copies = [load_run(f"renamed-{run.id}", tmp_path / "elsewhere") for run in runs[:2]]
    _same(find_layout(_members(copies), PCA), made)


def test_a_layout_that_has_lost_a_part_is_not_found(runs):
    made = compute_layout(_members(runs), PCA)
    made.files[1].unlink()
    assert find_layout(_members(runs), PCA) is None
    assert find_layout([Member(runs[0]), Member(runs[2])], PCA) is not None
    _same(compute_layout(_members(runs), PCA), made)


def test_epochs_of_a_run_are_laid_out_together(runs):
    run = runs[0]
    random = np.random.default_rng(0)
    for epoch in (5, 10):
        features = random.normal(size=(N_TEST, N_FEATURES))
        RunWriter(run.path, run.info).save_features("test", features, epoch)
    members = [Member(run, 5), Member(run, 10), Member(run)]
    assert [str(member) for member in members] == ["a@5", "a@10", "a"]
    made = compute_layout(members, PCA)
    assert len(made.files) == 1
    _same(find_layout(members[::-1], PCA), made, [2, 1, 0])
    with pytest.raises(RunError, match=r"after epoch 7; stored: 5, 10\. .*--save-features-every"):
        find_layout([Member(run, 7)], PCA)


def test_the_digest_is_that_of_the_rows(runs):
    run, other = runs[:2]
    indices = np.arange(0, N_TEST, 3)
    assert feature_digest(run, "test", None, indices) == feature_digest(run, "test", None, indices)
    assert feature_digest(run, "test", None, indices) != feature_digest(
        other, "test", None, indices
    )
    assert feature_digest(run, "test", None, indices) != feature_digest(
        run, "test", None, indices[1:]
    )


def test_members_must_have_the_features_of_the_same_images(runs, tmp_path):
    root = re.escape(str(runs[0].path.parent))
    command = f"Add them with: ols features a --split train --root {root}"
    with pytest.raises(RunError, match=command):
        find_layout([Member(runs[0])], LayoutRequest("pca", split="train"))
    other = synthetic_run(tmp_path, "other", n_classes=4)
    with pytest.raises(RunError, match=r"Runs a and other cannot be laid out together"):
        compute_layout([Member(runs[0]), Member(other)], PCA)
    with pytest.raises(ArgumentError, match="a is named twice"):
        find_layout([Member(runs[0]), Member(runs[0])], PCA)
    with pytest.raises(ArgumentError, match="at least one run"):
        find_layout([], PCA)
    RunWriter(runs[1].path, runs[1].info).save_features("test", np.ones((7, N_FEATURES)))
    message = "Run b has features of 7 images of the test split, but 240 labels"
    remedy = (
        rf"Delete .*features/test\.npy\. Add them with: ols features b --split test --root {root}"
    )
    with pytest.raises(RunError, match=f"{message}.*{remedy}"):
        find_layout([Member(runs[1])], PCA)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("recorded", "give `features` to `log_predictions`"),
        ("imported", "from an NPZ file that also holds `features`"),
        ("evaluated", "evaluate them again with --split train under another --name"),
    ],
)
def test_runs_without_a_network_here_say_how_they_come_by_features(runs, source, remedy):
    with RunWriter.amending(runs[0]) as writer:
        writer.update(source=source)
    run = load_run("a", runs[0].path.parent)
    with pytest.raises(RunError, match=remedy) as caught:
        find_layout([Member(run)], LayoutRequest("pca", split="train"))
    assert "ols features" not in str(caught.value)


def test_training_images_are_told_by_their_true_labels(runs):
    true = np.arange(60) % 6
    for place, run in enumerate(runs[:2]):
        given = np.where(np.arange(60) < 10 * place, 0, true)
        writer = RunWriter(run.path, run.info)
        writer.save_label_noise(given, true)
        writer.save_predictions("train", np.eye(6, dtype=np.float16)[given], given)
        writer.save_features("train", np.random.default_rng(place).normal(size=(60, 4)))
    made = compute_layout(_members(runs[:2]), LayoutRequest("pca", samples=30, split="train"))
    np.testing.assert_array_equal(made.indices, shown_sample(true, 30))


@pytest.mark.parametrize("damage", [b"nothing", None])
def test_a_damaged_layout_is_named(runs, damage):
    made = compute_layout(_members(runs), PCA)
    content = made.files[0].read_bytes()
    made.files[0].write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(RunError, match=rf"{made.files[0].name} is damaged .*delete it"):
        find_layout(_members(runs), PCA)


def test_nothing_is_left_of_a_layout_that_could_not_be_written(runs, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ols_core.run_writer.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        compute_layout(_members(runs), PCA)
    assert list((runs[0].path / "projections").iterdir()) == []
    assert find_layout(_members(runs), PCA) is None


def test_principal_components_are_made_at_once_and_the_others_are_not(runs):
    made = layout(_members(runs), PCA)
    assert made.files == ()
    assert made.faithfulness == (None,) * 3
    assert not runs[0].has("projections")
    stored = compute_layout(_members(runs), PCA)
    np.testing.assert_array_equal(made.coordinates, stored.coordinates)
    _same(layout(_members(runs), PCA), stored)
    assert layout(_members(runs), LayoutRequest("umap")) is None


def test_finding_a_layout_loads_nothing_heavy(runs, tmp_path):
    compute_layout(_members(runs), PCA)
    code = (
        "import sys\n"
        "from ols_core.projections import LayoutRequest, Member, find_layout, layout\n"
        "from ols_core.runs import load_run\n"
        f"members = [Member(load_run(name, {str(tmp_path)!r})) for name in 'abc']\n"
        "assert find_layout(members, LayoutRequest('pca', samples=100)) is not None\n"
        "assert layout(members, LayoutRequest('pca', samples=90)) is not None\n"
        "print(*{'torch', 'umap', 'sklearn', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def aligned(digits_runs, tmp_path_factory):
    """Two real runs on digits, laid out together; by t-SNE, since UMAP takes long to compile."""
    root = tmp_path_factory.mktemp("aligned")
    for run in digits_runs.values():
        shutil.copytree(run.path, root / run.id)
    copies = [load_run(digits_runs[method].id, root) for method in ("ce", "ols")]
    steps = []
    request = LayoutRequest("tsne", samples=150, perplexity=10.0)
    made = compute_layout(_members(copies), request, lambda *step: steps.append(step))
    return copies, request, made, steps


def test_real_runs_are_laid_out_together_and_measured(aligned):
    runs, request, made, _ = aligned
    _same(find_layout(_members(runs), request), made)
    rows = [np.array(run.features()[made.indices]) for run in runs]
    expected = project_aligned(rows, "tsne", perplexity=10.0)
    for place, points in enumerate(made.coordinates):
        np.testing.assert_array_equal(points, expected[place].coordinates)
        trusted = trustworthiness(rows[place].astype(float), points, n_neighbors=15)
        assert made.faithfulness[place].trustworthiness == pytest.approx(trusted, abs=1e-3)
        assert made.faithfulness[place].trustworthiness > 0.85
        assert made.faithfulness[place].k == 15


def test_the_progress_rises_to_its_end(aligned):
    stages, shares = zip(*aligned[3], strict=True)
    assert list(shares) == sorted(shares)
    assert 0.0 <= shares[0] < shares[-1] == 1.0
    assert list(dict.fromkeys(stages)) == ["Laying out", "Measuring"]


@pytest.fixture
def ols(run_ols, tmp_path):
    return lambda *arguments: run_ols("project", *arguments, "--root", tmp_path)


def test_the_command_lays_out_and_does_not_repeat_itself(ols, runs):
    arguments = ("a", "b", "--method", "pca", "--dimensions", 3, "--samples", 60)
    code, out, err = ols(*arguments)
    assert (code, err) == (0, "")
    assert "60 points of each of 2 sets of features written" in out
    assert "b: trustworthiness 0." in out
    code, out, _ = ols(*arguments)
    assert code == 0
    assert "are stored already" in out
    assert find_layout(_members(runs[:2]), LayoutRequest("pca", 3, 60)) is not None


def test_the_command_takes_the_epochs_of_a_run(ols, runs):
    for epoch in (1, 2):
        features = np.random.default_rng(epoch).normal(size=(N_TEST, N_FEATURES))
        RunWriter(runs[0].path, runs[0].info).save_features("test", features, epoch)
    assert ols("a", "--epochs", "--method", "pca")[0] == 0
    assert find_layout([Member(runs[0], 2)], LayoutRequest("pca")) is not None
    assert ols("a@1", "b", "--method", "pca")[0] == 0
    assert find_layout([Member(runs[0], 1), Member(runs[1])], LayoutRequest("pca")) is not None
    for arguments, code, message in [
        (("b", "--epochs"), 1, "--save-features-every"),
        (("a", "b", "--epochs"), 2, "name one RUN"),
        (("a@x",), 2, "RUN@EPOCH must be a run and a whole number"),
        (("a", "--split", "train"), 1, "ols features a --split train"),
        (("a", "--split", "dev"), 2, "split must be one of"),
        (("a", "--dimensions", "4"), 2, "dimensions"),
    ]:
        found, _, err = ols(*arguments)
        assert found == code
        assert message in " ".join(err.split())


def test_the_command_tells_its_progress_in_lines(ols, runs):
    code, out, _ = ols("a", "--method", "pca", "--progress-json")
    assert code == 0
    steps = [json.loads(line) for line in out.splitlines()]
    assert [step["share"] for step in steps] == sorted(step["share"] for step in steps)
    assert steps[-1] == {"stage": "Measuring", "share": 1.0}
