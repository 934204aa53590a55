from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.svm import LinearSVC

from ols_core import OnlineLabelSmoothingLoss, RunRecorder
from ols_core._given import PROBABILITY_FLOOR, log_probabilities
from ols_core.analysis.soft_labels import convergence
from ols_core.errors import ArgumentError, RunError
from ols_core.runs import label_fingerprint, list_runs, load_run
from ols_core.soft_labels import ObservedSoftLabels
from ols_core.thumbnails import load_thumbnails
from ols_core.top_labels import load_top_labels
from tests.conftest import REPOSITORY

NAMES = ["cat", "dog", "fox"]
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 60)
LOGITS = (RANDOM.normal(size=(60, 3)) + 2 * np.eye(3)[LABELS]).astype(np.float32)


@pytest.fixture
def recorder(tmp_path):
    with RunRecorder("mine", NAMES, root=tmp_path, method="ols") as recorder:
        yield recorder


def test_a_recorded_run_reads_like_any_other(tmp_path):
    with RunRecorder(
        *("mine", NAMES),
        root=tmp_path,
        dataset="pets",
        model="mlp",
        config={"alpha": 0.5, "layers": [3, 4]},
        superclasses=["home", "home", "wild"],
    ) as recorder:
        assert recorder.run.status == "running"
        recorder.log_epoch({"train_loss": 1.5}, val_accuracy=0.5)
        recorder.log_predictions("test", logits=LOGITS, labels=LABELS)

    run = load_run("mine", tmp_path)
    assert (run.status, run.info.source, run.info.method) == ("finished", "recorded", "custom")
    assert run.info.dataset.superclasses == ["home", "home", "wild"]
    assert run.info.dataset.fingerprints == {"test": label_fingerprint(LABELS)}
    assert run.info.dataset.splits == {"test": 60}
    assert run.history == [{"epoch": 1, "train_loss": 1.5, "val_accuracy": 0.5}]
    np.testing.assert_array_equal(run.logits(), LOGITS)
    np.testing.assert_array_equal(run.labels(), LABELS)


def test_the_summary_is_that_of_scikit_learn(recorder):
    recorder.log_predictions("test", logits=LOGITS.tolist(), labels=LABELS.tolist())
    summary = recorder.run.info.summary["test"]
    probabilities = softmax(LOGITS.astype(np.float64), axis=1)
    assert summary["accuracy"] == accuracy_score(LABELS, LOGITS.argmax(1))
    assert summary["nll"] == pytest.approx(log_loss(LABELS, probabilities), rel=1e-5)
    brier = ((probabilities - np.eye(3)[LABELS]) ** 2).sum(1).mean()
    assert summary["brier"] == pytest.approx(brier, rel=1e-5)


@pytest.mark.parametrize(
    "given", [torch.tensor(LOGITS, requires_grad=True), torch.tensor(LOGITS).bfloat16(), LOGITS]
)
def test_tensors_are_taken_as_they_are(recorder, given):
    recorder.log_predictions("val", logits=given, labels=torch.tensor(LABELS))
    expected = given.detach().float().numpy() if isinstance(given, torch.Tensor) else given
    np.testing.assert_array_equal(recorder.run.logits("val"), expected)


def test_float16_stays_float16(recorder):
    recorder.log_predictions("test", logits=LOGITS.astype(np.float16), labels=LABELS)
    assert recorder.run.logits().dtype == np.float16


def test_probabilities_are_stored_as_logarithms_and_that_is_recorded(recorder):
    probabilities = softmax(LOGITS.astype(np.float64), axis=1)
    probabilities[0] = [1, 0, 0]
    labels = LABELS.copy()
    labels[0] = 1
    recorder.log_predictions("test", probabilities=probabilities, labels=labels)
    run = recorder.run
    np.testing.assert_allclose(softmax(run.logits(), axis=1), probabilities, atol=1e-6)
    np.testing.assert_allclose(run.logits()[1:], log_softmax(LOGITS[1:], axis=1), atol=1e-5)
    facts = run.info.model_extra["predictions"]["test"]
    assert facts["given"] == "probabilities"
    assert facts["raised_to_floor"] == 2
    clipped = np.clip(probabilities, PROBABILITY_FLOOR, 1)
    assert run.info.summary["test"]["nll"] == pytest.approx(
        -np.log(clipped[np.arange(60), labels]).mean(), rel=1e-5
    )


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1)))
def test_logarithms_of_probabilities_are_finite_and_exact_above_the_floor(probabilities):
    logarithms, raised = log_probabilities(probabilities)
    assert np.isfinite(logarithms).all()
    small = probabilities < PROBABILITY_FLOOR
    assert raised == small.sum()
    expected = np.where(small, PROBABILITY_FLOOR, probabilities)
    np.testing.assert_allclose(np.exp(logarithms.astype(np.float64)), expected, rtol=1e-5)


def test_a_later_call_for_a_split_replaces_it(recorder):
    recorder.log_predictions("test", logits=LOGITS, labels=LABELS)
    recorder.log_predictions("test", logits=LOGITS[:9], labels=LABELS[:9])
    assert recorder.run.info.summary["test"]["n_samples"] == 9
    assert recorder.run.info.dataset.splits == {"test": 9}


BAD_PREDICTIONS = {
    "exactly one": {"labels": LABELS},
    "logits must be of at least 2 samples, got 1. Interv": {"logits": LOGITS[:1], "labels": [0]},
    "got 'both'": {"logits": LOGITS, "probabilities": LOGITS, "labels": LABELS},
    r"logits must be of shape \(N, 3\)": {"logits": LOGITS[:, :2], "labels": LABELS},
    r"labels must be of shape \(60,\)": {"logits": LOGITS, "labels": LABELS[:5]},
    r"labels\[0\] must be a class index": {"logits": LOGITS, "labels": LABELS + 3},
    "Pass class indices": {"logits": LOGITS, "labels": LABELS.astype(str)},
    r"logits\[0\] must be free of NaN": {"logits": LOGITS * np.nan, "labels": LABELS},
    "logits must be an array of real": {"logits": LOGITS.astype(str), "labels": LABELS},
    r"probabilities\[0\] must be finite": {"probabilities": LOGITS, "labels": LABELS},
    r"features must be numbers of shape \(60, D\)": {"features": LOGITS[0]},
    r"features\[0\] must be free of NaN": {"features": np.full((60, 2), np.inf)},
    "images must be uint8": {"images": np.zeros((60, 4, 4), np.float32)},
    "Channels come last": {"images": np.zeros((60, 3, 4, 4), np.uint8)},
}


@pytest.mark.parametrize("message", BAD_PREDICTIONS)
def test_unusable_predictions_are_refused_and_nothing_is_written(recorder, message):
    given = BAD_PREDICTIONS[message]
    usable = {} if "labels" in given else {"logits": LOGITS, "labels": LABELS}
    with pytest.raises(ArgumentError, match=message):
        recorder.log_predictions("test", **usable, **given)
    assert not recorder.run.has("predictions")
    with pytest.raises(ArgumentError, match="split must be one of"):
        recorder.log_predictions("../x", logits=LOGITS, labels=LABELS)


def test_epochs_are_numbered_and_numbers_of_any_kind_are_taken(recorder):
    recorder.log_epoch(train_loss=torch.tensor(0.5, dtype=torch.bfloat16), n=np.int64(3))
    recorder.log_epoch({"train_loss": np.float32(0.25)})
    recorder.log_epoch(epoch=7, val_accuracy=torch.tensor([1.0]))
    recorder.log_epoch()
    assert recorder.run.history == [
        {"epoch": 1, "train_loss": 0.5, "n": 3},
        {"epoch": 2, "train_loss": 0.25},
        {"epoch": 7, "val_accuracy": 1.0},
        {"epoch": 8},
    ]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"train_loss": float("nan")}, "train_loss must be a finite number, got nan"),
        ({"train_loss": "low"}, "train_loss must be a number, got 'low'"),
        ({"train_loss": [1.0, 2.0]}, "train_loss must be a number"),
        ({"done": True}, "done must be a number"),
        ({"epoch": 1}, "epoch must be a whole number above 1"),
        ({"epoch": 2.5}, "epoch must be a whole number"),
    ],
)
def test_metrics_that_are_no_numbers_are_refused(recorder, metrics, message):
    recorder.log_epoch()
    with pytest.raises(ArgumentError, match=message):
        recorder.log_epoch(metrics)
    assert len(recorder.run.history) == 1


@pytest.mark.parametrize("initial_first", [True, False])
def test_soft_labels_of_a_loss_are_stored_epoch_by_epoch(recorder, initial_first):
    criterion = OnlineLabelSmoothingLoss(3)
    if initial_first:
        recorder.log_soft_labels(criterion)
    matrices = [criterion.soft_labels.numpy()]
    for _ in range(2):
        criterion(torch.randn(50, 3), torch.randint(3, (50,)))
        criterion.step_epoch()
        recorder.log_soft_labels(criterion)
        matrices.append(criterion.soft_labels.numpy())
    run = recorder.run
    assert run.soft_label_epochs == [0, 1, 2]
    for epoch, matrix in enumerate(matrices):
        np.testing.assert_array_equal(run.soft_labels(epoch), matrix)
    assert not run.soft_label_counts()[0].any()
    np.testing.assert_array_equal(run.soft_label_counts()[2], criterion.counts)


def test_soft_labels_of_other_losses_come_with_their_counts(recorder):
    observed = ObservedSoftLabels(3)
    observed(torch.randn(9, 3), torch.arange(9) % 3)
    observed.step_epoch()
    recorder.log_soft_labels(observed)
    # As many public implementations leave them: zeros for a class without a correct sample.
    matrix = np.array([[0.8, 0.1, 0.1], [0, 0, 0], [0.2, 0.2, 0.6]])
    recorder.log_soft_labels(matrix, counts=torch.tensor([4.0, 0.0, 2.0]))
    found = recorder.run.soft_labels(2)
    np.testing.assert_allclose(found[[0, 2]], matrix[[0, 2]], rtol=1e-6)
    np.testing.assert_allclose(found[1], 1 / 3, rtol=1e-6)
    assert recorder.run.soft_label_counts()[2].tolist() == [4, 0, 2]


def test_soft_labels_without_counts_are_stored_as_not_counted(recorder):
    matrices = RANDOM.dirichlet(np.ones(3), (2, 3))
    for matrix in matrices:
        recorder.log_soft_labels(torch.from_numpy(matrix))
    run = recorder.run
    assert run.soft_label_epochs == [0, 1, 2]
    np.testing.assert_allclose(run.soft_labels(2), matrices[1], rtol=1e-6)
    assert run.soft_label_counts().tolist() == [[0] * 3, [-1] * 3, [-1] * 3]
    assert convergence(map(run.soft_labels, range(3)), run.soft_label_counts()).n_rows.tolist() == [
        *(0, 3, 3)
    ]


@pytest.mark.parametrize(
    ("matrix", "counts", "message"),
    [
        (np.eye(4), None, r"soft labels must be of shape \(3, 3\)"),
        (np.eye(3) * 2, None, r"soft_labels\[0\] must be .* a sum of 2"),
        (np.eye(4), [1] * 3, r"soft labels must be of shape \(3, 3\)"),
        (np.eye(3), [1, 2], "counts must be 3 whole numbers"),
        (np.eye(3), [1, 2, 0.5], "counts must be 3 whole numbers"),
        (np.eye(3) * 2, [1, 2, 3], r"soft_labels\[0\] must be .* a sum of 2"),
    ],
)
def test_unusable_soft_labels_are_refused(recorder, matrix, counts, message):
    with pytest.raises(ArgumentError, match=message):
        recorder.log_soft_labels(matrix, counts)
    assert not recorder.run.has("soft_labels")


def test_features_images_and_the_last_layer_are_stored(recorder):
    features = RANDOM.normal(size=(60, 5)) * 1e5
    pixels = np.repeat(np.arange(60, dtype=np.uint8)[:, None, None] * 4, 8, 1).repeat(8, 2)
    recorder.log_predictions("test", logits=LOGITS, labels=LABELS, features=features, images=pixels)
    weight = RANDOM.normal(size=(3, 5)).astype(np.float32)
    recorder.log_classifier(torch.tensor(weight), torch.zeros(3))

    run = recorder.run
    np.testing.assert_allclose(run.features(), np.clip(features, -65504, 65504), rtol=1e-3)
    assert run.info.model.n_features == 5
    np.testing.assert_array_equal(run.classifier_weight(), weight)
    atlas = load_thumbnails(run.path.parent, label_fingerprint(LABELS))
    tile = np.asarray(atlas.tile(30)).mean()
    assert tile == pytest.approx(pixels[atlas.indices[30]].mean(), abs=6)
    with pytest.raises(ArgumentError, match=r"classifier\.weight must be floats"):
        recorder.log_classifier(weight[:2])


def test_top_labels_give_what_they_can(recorder):
    predicted, confidence = LOGITS.argmax(1), softmax(LOGITS, axis=1).max(1)
    recorder.log_top_labels("test", labels=LABELS, predicted=predicted, confidence=confidence)
    run = recorder.run
    found = load_top_labels(run)
    np.testing.assert_array_equal(found.predicted, predicted)
    np.testing.assert_array_equal(found.confidence, confidence)
    np.testing.assert_array_equal(found.labels, LABELS)
    recorder.log_predictions("val", logits=LOGITS, labels=LABELS)
    whole, part = (recorder.run.info.summary[split] for split in ("val", "test"))
    assert part == pytest.approx({name: whole[name] for name in part})
    assert {"nll", "brier", "top5_accuracy"}.isdisjoint(part)
    np.testing.assert_array_equal(load_top_labels(run, "val").predicted, predicted)
    assert load_top_labels(run, "train") is None
    (run.path / "predictions" / "test_top_label.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(RunError, match=r"test_top_label\.npz is damaged"):
        load_top_labels(run)


def test_one_top_label_is_refused_and_nothing_is_written(recorder):
    with pytest.raises(ArgumentError, match="labels must be of at least 2 samples, got 1"):
        recorder.log_top_labels("test", labels=[0], predicted=[0], confidence=[1])
    assert not recorder.run.has("predictions")


@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (ValueError("the loss exploded\nat step 3"), "failed", "ValueError: the loss exploded"),
        (ArgumentError("A sentence."), "failed", "A sentence."),
        (KeyboardInterrupt(), "stopped", None),
        (SystemExit(1), "stopped", None),
    ],
)
def test_what_ends_the_block_is_recorded_and_goes_on(tmp_path, error, status, cause):
    def train():
        with RunRecorder("mine", NAMES, root=tmp_path) as recorder:
            recorder.log_epoch(train_loss=1.0)
            raise error

    with pytest.raises(type(error)):
        train()
    run = load_run("mine", tmp_path)
    assert (run.status, run.info.error, len(run.history)) == (status, cause, 1)


def test_an_existing_run_is_never_overwritten(tmp_path):
    with RunRecorder("mine", NAMES, root=tmp_path) as recorder:
        recorder.log_epoch(train_loss=1.0)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(RunError, match="exists already"), RunRecorder("mine", NAMES, root=tmp_path):
        pytest.fail("the block is not entered")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_nothing_is_logged_outside_of_the_block(tmp_path):
    recorder = RunRecorder("mine", NAMES, root=tmp_path)
    with pytest.raises(RunError, match="is new: log inside of `with"):
        recorder.log_epoch()
    with recorder:
        pass
    with pytest.raises(RunError, match="is closed"):
        recorder.log_epoch()
    with pytest.raises(RunError, match="was used already"), recorder:
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Über"}, "run name must be"),
        ({"class_names": "cat,dog"}, "class_names must be a sequence of names"),
        ({"class_names": ["cat"]}, "at least 2 names"),
        ({"class_names": ["cat", "cat"]}, r"class_names\[1\] must be different"),
        ({"class_names": ["cat", " "]}, r"class_names\[1\] must be a text"),
        ({"superclasses": ["pet"]}, "superclasses must be 3"),
        ({"config": {"when": object()}}, r"config\['when'\] must be something that JSON"),
    ],
)
def test_unusable_descriptions_are_refused(tmp_path, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        RunRecorder(**{"name": "mine", "class_names": NAMES, "root": tmp_path} | arguments)
    assert list_runs(tmp_path) == []


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID", "LOCAL_RANK"])
def test_only_the_first_process_writes(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with RunRecorder("mine", NAMES, root=tmp_path) as recorder:
        recorder.log_epoch(train_loss=1.0)
        recorder.log_soft_labels(np.eye(3), [1, 1, 1])
        recorder.log_predictions("test", logits=LOGITS, labels=LABELS)
        recorder.log_top_labels("test", labels=[0, 1], predicted=[0, 1], confidence=[1, 1])
        recorder.log_classifier(LOGITS[:3])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(variable, "0")
    with RunRecorder("mine", NAMES, root=tmp_path):
        pass
    assert load_run("mine", tmp_path).status == "finished"


def test_the_rank_in_a_process_group_counts_more_than_the_launchers(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 3)
    with RunRecorder("mine", NAMES, root=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_recording_does_without_torch(tmp_path):
    code = """if True:
    import sys, numpy as np
    from ols_core import RunRecorder
    with RunRecorder("mine", ["a", "b"], root=sys.argv[1]) as recorder:
        recorder.log_epoch(train_loss=1.0)
        recorder.log_soft_labels(np.eye(2), [1, 1])
        recorder.log_predictions("test", logits=np.eye(2), labels=[0, 1],
                                 images=np.zeros((2, 8, 8, 3), np.uint8))
    print([m for m in ("torch", "sklearn", "pandas") if m in sys.modules])
    """
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split("\n")[0] == "[]"
    assert load_run("mine", tmp_path).status == "finished"


@pytest.fixture(scope="module")
def estimator():
    names = np.array(["wolf", "ape", "cat"])[LABELS]
    return LogisticRegression().fit(LOGITS, names), names


def test_an_estimator_is_recorded_with_its_own_classes(tmp_path, estimator):
    clf, names = estimator
    run = RunRecorder.from_estimator(clf, LOGITS, names, name="lr", root=tmp_path, dataset="toy")
    assert run.info.dataset.class_names == ["ape", "cat", "wolf"]
    assert (run.info.model.name, run.info.dataset.name) == ("LogisticRegression", "toy")
    assert run.info.config["C"] == 1.0
    np.testing.assert_allclose(softmax(run.logits(), axis=1), clf.predict_proba(LOGITS), atol=1e-6)
    summary = run.info.summary["test"]
    assert summary["accuracy"] == clf.score(LOGITS, names)
    assert summary["nll"] == pytest.approx(
        log_loss(names, clf.predict_proba(LOGITS), labels=clf.classes_), rel=1e-5
    )


def test_an_estimators_numbers_may_be_named(tmp_path):
    clf = LogisticRegression().fit(LOGITS, LABELS + 5)
    run = RunRecorder.from_estimator(
        clf, LOGITS, LABELS + 5, name="lr", class_names=NAMES, root=tmp_path
    )
    assert run.info.dataset.class_names == NAMES
    np.testing.assert_array_equal(run.labels(), LABELS)


def test_estimators_without_probabilities_are_refused(tmp_path, estimator):
    svc = LinearSVC().fit(LOGITS, LABELS)
    with pytest.raises(ArgumentError, match=r"decision_function are no probabilities.*Calibrated"):
        RunRecorder.from_estimator(svc, LOGITS, LABELS, name="svc", root=tmp_path)
    with pytest.raises(ArgumentError, match=r"y\[0\] must be one of clf.classes_, got 'bear'"):
        RunRecorder.from_estimator(estimator[0], LOGITS[:1], ["bear"], name="lr", root=tmp_path)
    with pytest.raises(ArgumentError, match="y must be of at least 2 samples, got 1"):
        RunRecorder.from_estimator(estimator[0], LOGITS[:1], ["cat"], name="lr", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    calibrated = CalibratedClassifierCV(svc, cv=2).fit(LOGITS, LABELS)
    run = RunRecorder.from_estimator(calibrated, LOGITS, LABELS, name="svc", root=tmp_path)
    assert run.status == "finished"
