"""The embedding page's sections, in Streamlit's own test harness, on synthetic runs."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from app import embeddings, layouts
from app.charts.palettes import DIMMED
from app.components import scatter_viewer as viewer_module
from app.embeddings import Samples
from app.views import embedding_map, three_classes
from ols_core.analysis.embedding import faithfulness
from ols_core.projections import LayoutRequest, Member
from ols_core.run_writer import RunWriter
from ols_core.runs import DatasetInfo, load_run
from tests.app.harness import figures, open_page
from tests.synthetic import N_TEST, synthetic_run

SUPERCLASSES = ["low", "low", "low", "high", "high", "high"]
N_TRAIN = 120


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def runs(root):
    return {
        method: synthetic_run(root, f"run-{method}", method=method, superclasses=SUPERCLASSES)
        for method in ("ce", "ls", "ols")
    }


@pytest.fixture
def noisy(root):
    """A run with recorded label noise, whose features know the true classes."""
    run = synthetic_run(root, "noisy")
    random = np.random.default_rng(0)
    true = np.arange(N_TRAIN) % 6
    flipped = random.permutation(N_TRAIN) < 30
    given = np.where(flipped, (true + 1 + random.integers(0, 5, N_TRAIN)) % 6, true)
    with RunWriter.amending(run) as writer:
        writer.save_label_noise(given, true)
        logits = random.normal(size=(N_TRAIN, 6)).astype(np.float16)
        writer.save_predictions("train", logits, given)
        features = np.eye(6)[true] * 5 + random.normal(size=(N_TRAIN, 6))
        writer.save_features("train", features)
    return load_run("noisy", root)


@contextmanager
def _seen(monkeypatch, view):
    """What the view hands to the viewer: the browser draws it, and the harness has none."""
    calls = []
    draw = viewer_module.scatter_viewer

    def spy(panels, **rest):
        calls.append((panels, rest))
        return draw(panels, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(view, "scatter_viewer", spy)
        yield calls


@pytest.mark.parametrize("section", ["Map", "Three classes", "Numbers", "Classes", "Suspects"])
def test_every_section_draws_without_an_error(runs, section):
    app = open_page("embeddings", view=section)
    assert not app.error
    assert not app.warning


def test_the_first_map_is_of_principal_components_where_no_other_is_stored(runs, monkeypatch):
    with _seen(monkeypatch, embedding_map) as calls:
        app = open_page("embeddings")
    assert app.segmented_control(key="projection").value == "pca"
    panels, rest = calls[-1]
    assert [panel.title for panel in panels] == [run.id for run in runs.values()]
    for panel, run in zip(panels, runs.values(), strict=True):
        (frame,) = panel.frames
        assert frame.points.shape == (N_TEST, 2)
        np.testing.assert_array_equal(frame.predicted, run.logits().argmax(axis=1))
    np.testing.assert_array_equal(rest["labels"], runs["ce"].labels())


def test_runs_share_one_map_that_goes_from_one_to_the_next(runs, monkeypatch):
    with _seen(monkeypatch, embedding_map) as calls:
        open_page("embeddings", arrangement="Run to run")
    (panel,), _ = calls[-1]
    assert [frame.label for frame in panel.frames] == [run.id for run in runs.values()]


def test_one_map_goes_over_the_epochs_whose_features_are_stored(runs, monkeypatch):
    random = np.random.default_rng(0)
    with RunWriter.amending(runs["ls"]) as writer:
        for epoch in (1, 3):
            writer.save_features("test", random.normal(size=(N_TEST, 5)), epoch=epoch)
    with _seen(monkeypatch, embedding_map) as calls:
        app = open_page("embeddings", arrangement="Over epochs")
    assert not app.error
    (panel,), _ = calls[-1]
    assert panel.title == "run-ls"
    assert [frame.label for frame in panel.frames] == ["epoch 1", "epoch 3"]


def test_how_far_a_map_can_be_believed_is_measured_once(runs, monkeypatch):
    app = open_page("embeddings")
    members = [Member(run) for run in runs.values()]
    key = layouts.key_of(members, LayoutRequest("pca"))
    next(b for b in app.button if "believed" in b.label).click().run()
    assert app.get("progress")
    layouts._jobs().workers[key].reader.join(60)
    assert layouts.job(key).status == "done"
    with _seen(monkeypatch, embedding_map) as calls:
        app = open_page("embeddings")
    panels, _ = calls[-1]
    expected = faithfulness(runs["ce"].features(), panels[0].frames[0].points, k=15)
    assert f"trustworthiness {expected.trustworthiness:.3f}" in panels[0].footer
    assert not any("believed" in b.label for b in app.button)


def test_a_missing_projection_is_offered_not_computed(runs):
    app = open_page("embeddings", projection="UMAP")
    assert "not computed yet" in app.info[0].value
    assert [button.label for button in app.button][-1] == "Compute UMAP"


def test_a_read_only_dashboard_offers_no_computation(runs, monkeypatch):
    monkeypatch.setenv("OLS_READ_ONLY", "1")
    app = open_page("embeddings", projection="UMAP")
    assert "not computed yet" in app.info[0].value
    assert not any(button.label.startswith("Compute") for button in app.button)


def test_a_run_without_features_names_the_command_that_adds_them(root, runs):
    (runs["ls"].path / "features" / "test.npy").unlink()
    app = open_page("embeddings")
    assert f"`ols features run-ls --split test --root {root}`" in app.info[0].value


def test_three_classes_lie_where_their_templates_do(runs, monkeypatch):
    with _seen(monkeypatch, three_classes) as calls:
        open_page("embeddings", view="Three classes", three=["class a", "class c", "class e"])
    panels, rest = calls[-1]
    kept = np.isin(runs["ce"].labels(), [0, 2, 4])
    assert len(rest["labels"]) == kept.sum()
    for panel, run in zip(panels, runs.values(), strict=True):
        templates = np.stack([mark.position for mark in panel.frames[0].marks])
        weights = run.classifier_weight()[[0, 2, 4]]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            distance = np.linalg.norm(templates[i] - templates[j])
            assert distance == pytest.approx(np.linalg.norm(weights[i] - weights[j]), rel=1e-5)


def test_two_classes_are_too_few_for_a_plane_and_it_says_so(root):
    synthetic_run(root, "small", n_classes=2)
    app = open_page("embeddings", view="Three classes")
    assert "needs 3 classes" in app.info[0].value


def test_the_numbers_are_those_of_the_analysis(runs):
    app = open_page("embeddings", view="Numbers")
    table = app.dataframe[0].value
    found = embeddings.metrics(runs["ols"], "test")
    cell = table.set_index("Quantity").loc["kNN accuracy, k = 1", "run-ols"]
    assert cell.startswith(f"{found.knn_accuracy_1.estimate:.3f} [")
    labels = runs["ols"].labels()
    model = NearestNeighbors(n_neighbors=2).fit(runs["ols"].features().astype(np.float64))
    nearest = model.kneighbors(return_distance=False)[:, 0]
    assert found.knn_accuracy_1.estimate == pytest.approx((labels[nearest] == labels).mean())
    for panel, trace in zip(
        _panel_axes(figures(app)[0]), figures(app)[0]["data"][::3], strict=True
    ):
        assert len(panel["ticktext"]) == len(panel["tickvals"])
        assert panel["tickvals"][0] <= trace["x"][0] <= panel["tickvals"][-1]


def _panel_axes(figure):
    axes = {name: axis for name, axis in figure["layout"].items() if name.startswith("xaxis")}
    return [axes[name] for name in sorted(axes, key=lambda name: int(name[5:] or 1))]


def test_flipped_labels_are_found_and_the_finding_is_scored(noisy):
    app = open_page("embeddings", split="train", view="Suspects")
    assert not app.error
    given, true = noisy.label_noise()
    score = embeddings.most_suspect(noisy, "train").score
    table = app.dataframe[0].value
    assert table["Label was flipped"].iloc[:10].all()
    assert table["Disagreeing"].is_monotonic_decreasing
    worst = table[table["Disagreeing"] == table["Disagreeing"].iloc[0]]
    assert worst["Of that label"].is_monotonic_decreasing
    curve = figures(app)[-1]["data"][0]
    precision = average_precision_score(given != true, score)
    assert f"average precision {precision:.2f}" in curve["name"]


def test_label_noise_is_a_colour_of_the_training_split_only(noisy):
    dataset = noisy.info.dataset
    train = embeddings.samples(noisy, "train")
    assert "label noise" in embeddings.color_kinds([train], dataset)
    assert "label noise" not in embeddings.color_kinds([embeddings.samples(noisy, "test")], dataset)
    given, true = noisy.label_noise()
    codes = embeddings.color_codes("label noise", train, dataset, ())
    np.testing.assert_array_equal(codes, given != true)


def _dataset() -> DatasetInfo:
    return DatasetInfo(name="pets", class_names=["cat", "dog", "car"], superclasses=["a", "a", "b"])


def _samples() -> Samples:
    return Samples(
        np.array([0, 1, 2, 0]), np.array([0, 2, 2, 1]), np.array([1.0, 0.5, 0.0, 0.25]), None
    )


@pytest.mark.parametrize(
    ("kind", "classes", "only", "expected"),
    [
        ("class", ["dog", "cat"], (), [1, 0, DIMMED, 1]),
        ("predicted class", ["dog", "cat"], (), [1, DIMMED, DIMMED, 0]),
        ("superclass", (), (), [0, 0, 1, 0]),
        ("correctness", (), (), [0, 1, 0, 1]),
        ("correctness", (), ["cat"], [0, DIMMED, DIMMED, 1]),
        ("confidence", (), (), [254, 127, 0, 64]),
    ],
)
def test_colours_say_what_the_legend_says(kind, classes, only, expected):
    codes = embeddings.color_codes(kind, _samples(), _dataset(), classes, only)
    assert codes.tolist() == expected
    names = embeddings.legend(kind, _dataset(), classes).names
    assert not names or max(code for code in codes if code != DIMMED) < len(names)
