"""The pages' widgets, in Streamlit's own test harness, on synthetic runs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, log_loss

from app import cache
from app.components.matrix_viewer import Selection
from ols_core.analysis.calibration import temperature_scaled
from ols_core.recorder import RunRecorder
from ols_core.run_writer import RunWriter
from ols_core.runs import load_run
from tests.app.harness import array, figures, open_page
from tests.conftest import REPOSITORY
from tests.synthetic import N_TEST, synthetic_run, top_labels_of

PAGES = ["overview", "soft_labels", "similarity", "calibration", "embeddings"]
SUPERCLASSES = ["low", "low", "low", "high", "high", "high"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def three_runs(root):
    return {
        method: synthetic_run(root, f"run-{method}", method=method, superclasses=SUPERCLASSES)
        for method in ("ce", "ls", "ols")
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_the_chosen_runs_without_an_error(three_runs, page):
    app = open_page(page)
    assert not app.error
    assert not app.warning
    assert figures(app) or app.dataframe or app.get("bidi_component")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_an_unfinished_run_lacks(root, page):
    synthetic_run(root, "young", finished=False)
    app = open_page(page)
    assert not app.error
    if page in ("calibration", "embeddings"):
        assert "young (running) has no" in app.info[0].value
        assert "is absent" in app.info[0].value
    else:
        assert figures(app) or app.dataframe


def test_an_empty_folder_shows_the_command_that_fills_it(root):
    app = open_page()
    assert "ols train --dataset digits --method ols --epochs 10" in app.code[0].value
    assert not app.error


def test_a_new_run_appears_without_a_restart(root):
    app = open_page()
    synthetic_run(root, "fresh")
    app.run()
    assert app.multiselect(key="runs").options == ["fresh"]


def test_a_vanished_run_leaves_the_choice(three_runs, root):
    app = open_page()
    (root / "run-ls" / "run.json").unlink()
    app.run()
    assert not app.exception
    assert app.multiselect(key="runs").value == ["run-ce", "run-ols"]


def test_a_damaged_run_is_told_beside_the_others(three_runs, root):
    (root / "bad").mkdir()
    (root / "bad" / "run.json").write_text("{")
    app = open_page()
    assert "Run bad: run.json" in app.warning[0].value
    assert figures(app)


def test_the_first_choice_is_by_method_on_the_newest_labels(three_runs):
    assert open_page().multiselect(key="runs").value == ["run-ce", "run-ls", "run-ols"]


def test_the_choice_holds_over_pages_and_comes_from_the_url(three_runs):
    app = open_page("calibration", runs=["run-ls"])
    assert app.multiselect(key="runs").value == ["run-ls"]
    app.multiselect(key="runs").set_value(["run-ols", "run-ce"]).run()
    app.switch_page("views/overview.py").run()
    assert app.multiselect(key="runs").value == ["run-ols", "run-ce"]
    names = [trace["name"] for trace in figures(app)[1]["data"]]
    assert names == ["run-ols", "run-ce"]


@pytest.mark.parametrize("page", PAGES)
def test_a_link_with_nonsense_does_no_harm(three_runs, page):
    nonsense = {"epoch": "999", "class": "zebra", "order": "x", "bins": "-3", "k": "0"}
    app = open_page(page, runs=["nothing"], **nonsense)
    assert not app.error
    assert app.multiselect(key="runs").value == []
    assert "Choose one or more runs" in app.info[0].value


def test_runs_of_a_link_that_are_not_here_are_named_until_others_are_chosen(three_runs):
    app = open_page(runs=["run-ce", "elsewhere"])
    assert app.multiselect(key="runs").value == ["run-ce"]
    assert "`elsewhere`" in app.warning[0].value
    app.run()
    assert "`elsewhere`" in app.warning[0].value
    app.multiselect(key="runs").set_value(["run-ce", "run-ols"]).run()
    assert not app.warning


def test_the_table_shows_the_summaries(three_runs):
    table = open_page().dataframe[0].value
    for run in three_runs.values():
        row = table[table["Run"] == run.id].iloc[0]
        summary = run.info.summary["test"]
        assert row["Accuracy"] == summary["accuracy"]
        assert row["NLL"] == summary["nll"]
        assert row["ECE"] == summary["ece"]
        assert row["Method"] == run.info.method.upper()


class Viewer:
    """Stands in for the matrix viewer, whose JavaScript does not run here."""

    def __init__(self):
        self.selection = Selection(3, None)

    def __call__(self, panels, names, groups, frame_labels, texts, *, initial, tree=None, **_):
        self.panels, self.names, self.groups = panels, names, groups
        self.labels, self.texts, self.initial, self.tree = frame_labels, texts, initial, tree
        self.frames, self.exact = panels[0].frames, panels[0].exact
        return self.selection


@pytest.fixture
def viewer(monkeypatch):
    stand_in = Viewer()
    monkeypatch.setattr("app.components.matrix_viewer.matrix_viewer", stand_in)
    monkeypatch.setattr("app.views.differences.matrix_viewer", stand_in)
    return stand_in


def test_the_viewer_gets_every_stored_matrix(three_runs, viewer):
    app = open_page("soft_labels")
    assert viewer.labels == ["at the start", "epoch 1", "epoch 2", "epoch 3"]
    assert viewer.frames.codes.shape == (4, 6, 6)
    off_diagonal = ~np.eye(6, dtype=bool)
    for epoch in range(4):
        exact = viewer.exact(epoch)
        stored = three_runs["ols"].soft_labels(epoch)
        assert np.isnan(np.diag(exact)).all()
        np.testing.assert_array_equal(exact[off_diagonal], stored[off_diagonal])
    app.toggle(key="diagonal").set_value(True).run()
    np.testing.assert_array_equal(viewer.exact(3), three_runs["ols"].soft_labels(3))


def test_the_page_follows_the_settled_epoch_and_the_clicked_class(three_runs, viewer):
    viewer.selection = Selection(1, (2, 4))
    app = open_page("soft_labels")
    assert app.query_params["epoch"] == "1"
    assert app.selectbox(key="class").value == "class c"
    assert app.metric[0].value == f"{three_runs['ols'].soft_labels(1)[2, 2]:.3f}"
    viewer.selection = Selection(2, None)
    app.run()
    assert app.selectbox(key="class").value == "class c"
    assert app.metric[0].value == f"{three_runs['ols'].soft_labels(2)[2, 2]:.3f}"


def test_training_targets_are_those_of_the_method(three_runs, viewer):
    app = open_page("soft_labels")
    app.selectbox(key="matrix").set_value("training targets").run()
    app.toggle(key="diagonal").set_value(True).run()
    learned = three_runs["ols"].soft_labels(2)
    np.testing.assert_allclose(viewer.exact(2), 0.25 * np.eye(6) + 0.75 * learned, atol=1e-6)
    app.segmented_control(key="run").set_value("run-ls").run()
    np.testing.assert_allclose(viewer.exact(2), 0.9 * np.eye(6) + 0.1 / 6, atol=1e-6)
    app.segmented_control(key="run").set_value("run-ce").run()
    np.testing.assert_allclose(viewer.exact(2), np.eye(6), atol=1e-6)


def test_targets_are_not_offered_for_a_method_whose_targets_depend_on_the_sample(root):
    synthetic_run(root, "bootstrapped", method="bootstrap-soft")
    app = open_page("soft_labels")
    assert app.selectbox(key="matrix").options == ["soft labels", "confusions"]


def test_confusions_are_shares_of_the_true_class(three_runs, viewer):
    app = open_page("soft_labels")
    app.selectbox(key="matrix").set_value("confusions").run()
    app.toggle(key="diagonal").set_value(True).run()
    run = three_runs["ols"]
    predicted = run.logits().argmax(axis=1)
    expected = confusion_matrix(run.labels(), predicted, labels=range(6), normalize="true")
    np.testing.assert_allclose(viewer.exact(0), expected, atol=1e-12)
    assert viewer.panels[0].counts.tolist() == [np.bincount(run.labels(), minlength=6).tolist()]


def test_runs_side_by_side_share_order_and_colours(three_runs, viewer):
    app = open_page("soft_labels")
    app.selectbox(key="order").set_value("clustered").run()
    alone = viewer.frames
    app.toggle(key="beside").set_value(True).run()
    assert [panel.title for panel in viewer.panels] == [
        "run-ols",
        "run-ce (observed)",
        "run-ls (observed)",
    ]
    assert viewer.tree is not None
    for panel in viewer.panels:
        assert panel.frames.order.tolist() == alone.order.tolist()
        assert panel.frames.scale == alone.scale
    captions = " ".join(caption.value for caption in app.caption)
    assert captions.count("Learned soft labels") == 1
    assert captions.count("Observed soft labels") == 2


def test_a_shorter_run_shows_its_last_epoch_beside_a_longer_one(root, viewer):
    long, short = synthetic_run(root, "long", epochs=4), synthetic_run(root, "short", epochs=2)
    app = open_page("soft_labels", run="long", beside="true")
    assert len(viewer.labels) == 5
    shown = next(panel for panel in viewer.panels if panel.title == "short")
    app.toggle(key="diagonal").set_value(True).run()
    shown = next(panel for panel in viewer.panels if panel.title == "short")
    for epoch, last in enumerate([0, 1, 2, 2, 2]):
        np.testing.assert_array_equal(shown.exact(epoch), short.soft_labels(last))
    assert long.soft_label_epochs == [0, 1, 2, 3, 4]


def test_rows_without_a_correct_image_are_marked(three_runs, viewer):
    app = open_page("soft_labels", epoch="0")
    viewer.selection = Selection(0, None)
    app.run()
    assert (viewer.panels[0].counts[0] == 0).all()
    assert (viewer.panels[0].counts[1:] > 0).all()
    assert any("At the start" in caption.value for caption in app.caption)


def test_rows_that_nobody_counted_are_drawn_without_counts(root, viewer):
    with RunRecorder("own", ["a", "b", "c"], root=root) as recorder:
        recorder.log_soft_labels(np.eye(3) * 0.7 + 0.1)
    viewer.selection = Selection(1, (0, 1))
    app = open_page("soft_labels")
    assert viewer.panels[0].counts is None
    assert app.metric[2].value == "not counted"
    said = " ".join(caption.value for caption in app.caption)
    assert "fallback" not in said
    assert "whether own was trained on them is not recorded" in said
    assert "does not use them" not in said


def test_the_matrix_can_be_taken_along_as_a_figure(three_runs, viewer):
    app = open_page("soft_labels", order="clustered")
    app.button(key="run-ols-export").click().run()
    figure = json.loads(app.get("plotly_chart")[-1].proto.spec)
    assert figure["layout"]["title"]["text"] == "run-ols, soft labels, epoch 3"
    assert figure["data"][0]["type"] == "heatmap"
    assert [shape["type"] for shape in figure["layout"]["shapes"]] == ["path"]


@pytest.mark.parametrize(("epoch", "initial"), [("1", 1), ("99", -1), ("x", -1)])
def test_a_link_opens_at_its_epoch(three_runs, viewer, epoch, initial):
    app = open_page("soft_labels", epoch=epoch)
    assert viewer.initial == initial
    assert [info.value for info in app.info] == (
        ["run-ols has no epoch 99: its last is shown."] if epoch == "99" else []
    )


def test_colours_span_the_values_of_the_last_epoch_of_all_chosen_runs(three_runs, viewer):
    app = open_page("soft_labels")
    app.toggle(key="log").set_value(False).run()
    off_diagonal = ~np.eye(6, dtype=bool)
    largest = max(run.soft_labels(3)[off_diagonal].max() for run in three_runs.values())
    assert viewer.frames.scale.high == pytest.approx(largest)


@pytest.mark.parametrize("order", ["given", "alphabetical", "superclass", "clustered", "entropy"])
def test_every_order_shows_every_class_once(three_runs, viewer, order):
    app = open_page("soft_labels")
    app.selectbox(key="order").set_value(order).run()
    assert sorted(viewer.frames.order) == list(range(6))
    names = {name for name, _ in viewer.groups}
    assert names == ({"low", "high"} if order == "superclass" else set())


def test_learned_and_observed_soft_labels_are_told_apart(three_runs):
    app = open_page("soft_labels")
    assert "Learned soft labels" in app.caption[0].value
    app.segmented_control(key="run").set_value("run-ce").run()
    assert "Observed soft labels" in app.caption[0].value


def test_a_class_shows_its_strongest_neighbours_in_every_run(three_runs):
    app = open_page("soft_labels")
    app.selectbox(key="class").set_value("class c").run()
    bars = {trace["name"]: trace for trace in figures(app)[0]["data"]}
    row = three_runs["ols"].soft_labels(3)[2]
    np.testing.assert_allclose(array(bars["run-ols"]["x"]), np.sort(np.delete(row, 2))[::-1])
    names = ["run-ce (observed)", "run-ls (observed)", "run-ols"]
    for name, run in zip(names, three_runs.values(), strict=True):
        others = [run.info.dataset.class_names.index(n) for n in bars[name]["y"]]
        np.testing.assert_allclose(array(bars[name]["x"]), run.soft_labels(3)[2, others])


@pytest.mark.parametrize(
    ("options", "called"),
    [({}, "uniform fallback"), ({"fallback": "previous"}, "row kept from before")],
)
def test_a_row_without_a_correct_image_is_marked_wherever_it_is_shown(three_runs, options, called):
    run = three_runs["ols"]
    counts = np.array(run.soft_label_counts())
    counts[3, 2] = 0
    np.save(run.path / "soft_labels" / "counts.npy", counts)
    RunWriter.reopen(run).update(config=run.info.config | {"loss_options": options})
    app = open_page("soft_labels", **{"class": "class c"})
    bars, lines = figures(app)
    assert [bar["name"] for bar in bars["data"]][2] == f"run-ols, {called}"
    assert [(s["x0"], s["x1"]) for s in lines["layout"]["shapes"]] == [(2.5, 3.5)]
    said = [caption.value for caption in app.caption]
    assert f"No image of this class was classified correctly: {called}." in said
    assert f"Shaded: no image was classified correctly, {called}." in said
    app.segmented_control(key="show").set_value("Differences").run()
    shown = app.dataframe[0].value["Target class"]
    assert "†" in "".join(shown)
    assert all(("†" in name) == name.startswith("class c") for name in shown)


@pytest.mark.parametrize("source", ["soft labels", "confusions", "features", "classifier"])
def test_every_similarity_is_symmetric_and_lists_its_best_pair(three_runs, viewer, source):
    app = open_page("similarity")
    app.segmented_control(key="source").set_value(source).run()
    assert not app.error
    matrix = viewer.exact(0)
    assert viewer.tree.height.shape == (5,)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    # Two levels of titles: what the numbers are, and of which run.
    best = app.dataframe[0].value.droplevel(0, axis="columns").iloc[0]
    assert best["run-ols"] == pytest.approx(np.nanmax(matrix), abs=1e-6)


def test_a_clicked_pair_stands_first_and_in_the_link(three_runs, viewer):
    viewer.selection = Selection(0, (4, 1))
    app = open_page("similarity")
    assert (app.query_params["first"], app.query_params["second"]) == ("4", "1")
    first = app.dataframe[0].value.iloc[0]
    assert first["First class", "Class name"] == "class e"
    assert first["Second class", "Class name"] == "class b"
    matrix = viewer.exact(0)
    assert first["Mean mass", "run-ols"] == matrix[4, 1]


@pytest.mark.parametrize("link", [("4", "4"), ("0", "99"), ("x", "1")])
def test_a_link_with_no_such_pair_lists_the_best_ones_only(three_runs, link):
    app = open_page("similarity", first=link[0], second=link[1])
    values = app.dataframe[0].value["Mean mass", "run-ols"].to_numpy()
    assert (np.diff(values) <= 0).all()


def test_the_clusters_partition_the_classes_in_the_order_of_the_matrix(three_runs, viewer):
    app = open_page("similarity")
    names = three_runs["ols"].info.dataset.class_names
    for n_clusters in (2, 4, 6):
        app.slider(key="k").set_value(n_clusters).run()
        table = app.table[0].value
        listed = ", ".join(table["Classes"]).split(", ")
        assert listed == [names[index] for index in viewer.frames.order]
        named = [f"cluster {number}" for number in table["Cluster"]]
        assert viewer.groups == list(zip(named, table["Size"], strict=True))
        assert named == [f"cluster {number + 1}" for number in range(n_clusters)]
    assert app.metric[0].label == "Agreement with the 2 superclasses"


def test_calibration_shows_the_numbers_of_the_run(three_runs):
    table = open_page("calibration", part="Comparison").dataframe[0].value
    for run in three_runs.values():
        row = table[table["Run"] == run.id].iloc[0]
        summary = run.info.summary["test"]
        recorded = [summary[name] for name in ("accuracy", "nll", "brier", "ece", "signed_gap")]
        assert row[["Accuracy", "NLL", "Brier", "ECE", "Gap"]].tolist() == pytest.approx(recorded)
        assert row["Calibration part"] + row["Refinement part"] == pytest.approx(row["Brier"])
        assert row["Images"] == N_TEST
        fitted = temperature_scaled(run.logits(), run.labels()).temperatures
        assert row["T"] == pytest.approx(np.mean(fitted))
    assert np.isnan(table.iloc[-1]["T"])  # of the mean of runs, which is not scaled


def test_of_top_labels_calibration_shows_what_can_be_known(three_runs):
    whole, top = three_runs["ce"], top_labels_of(three_runs["ce"])
    app = open_page("calibration", part="Comparison", runs=[top.id, whole.id])
    assert "only the best class and its confidence are known" in app.info[0].value
    table = app.dataframe[0].value.set_index("Run")
    blank = ["Top-5", "NLL", "Brier", "Calibration part", "Refinement part", "T"]
    blank += ["Classwise ECE", "Adaptive CE"]
    assert table.loc[top.id].index[table.loc[top.id].isna()].tolist() == [
        name for name in table.columns if name in blank
    ]
    known = table.columns.drop([*blank, "Shown best in"])
    assert table.loc[top.id, known].tolist() == pytest.approx(table.loc[whole.id, known].tolist())
    assert all(top.id not in frame.value.to_string() for frame in app.dataframe[1:])


@pytest.mark.parametrize("part", ["Diagrams", "Comparison", "Bins", "Classes", "Selective"])
def test_top_labels_alone_draw_every_part_of_calibration(three_runs, part):
    top = top_labels_of(three_runs["ols"])
    app = open_page("calibration", part=part, runs=top.id)
    assert figures(app) or part == "Comparison"
    assert len(app.markdown[0].value.splitlines()) == 1


def test_top_labels_cannot_be_scaled(three_runs):
    top = top_labels_of(three_runs["ols"])
    app = open_page("calibration", scaled="true", runs=top.id)
    assert "these cannot be scaled: run-ols-top." in app.info[0].value
    assert not figures(app)


def test_top_labels_have_confusions(three_runs, viewer):
    top = top_labels_of(three_runs["ols"])
    open_page("similarity", source="confusions", runs=top.id)
    whole = cache.class_similarity(three_runs["ols"], "confusions")
    np.testing.assert_array_equal(cache.class_similarity(top, "confusions"), whole)


def test_the_mean_of_runs_averages_their_probabilities(three_runs):
    table = open_page("calibration", part="Comparison").dataframe[0].value
    logits = [run.logits().astype(float) for run in three_runs.values()]
    mean = softmax(logits, axis=2).mean(axis=0)
    labels = three_runs["ols"].labels()
    row = table.iloc[-1]
    assert row["Run"] == "mean of 3 runs"
    assert row["NLL"] == pytest.approx(log_loss(labels, mean, labels=range(6)), rel=1e-5)
    assert row["Accuracy"] == (mean.argmax(axis=1) == labels).mean()


def test_differences_are_paired_and_signed_against_the_baseline(three_runs):
    app = open_page("calibration", part="Comparison")
    by_id = {run.id: run for run in three_runs.values()}
    for baseline, other in (("run-ce", "run-ols"), ("run-ols", "run-ce")):
        app.selectbox(key="baseline").set_value(baseline).run()
        table = app.dataframe[1].value.set_index(["Metric", "Run"])
        nll = [
            log_loss(run.labels(), softmax(run.logits().astype(float), axis=1), labels=range(6))
            for run in (by_id[other], by_id[baseline])
        ]
        row = table.loc["NLL", other]
        assert row["Difference"] == pytest.approx(nll[0] - nll[1], rel=1e-5)
        assert row["Low"] < row["Difference"] < row["High"]
        assert row["p"] <= row["Adjusted p"]
        assert table.loc["ECE", other]["Verdict"].startswith("no test")
        assert np.isnan(table.loc["ECE", other]["p"])


def test_runs_on_other_test_labels_are_not_compared(three_runs, root):
    synthetic_run(root, "other", n_classes=4)
    app = open_page("calibration", part="Comparison", runs=["run-ce", "run-ols", "other"])
    assert "Not compared" in app.info[0].value
    assert "other" in app.info[0].value
    assert "other" in app.dataframe[0].value["Run"].tolist()
    assert "other" not in app.dataframe[1].value["Run"].tolist()


def test_seeds_of_one_configuration_show_their_spread(root):
    for seed in (0, 1):
        synthetic_run(root, f"seed-{seed}", config={"seed": seed})
    app = open_page("calibration", part="Comparison")
    spread = next(f.value for f in app.dataframe if "Seeds" in f.value.columns).iloc[0]
    runs = [load_run(f"seed-{seed}", root) for seed in (0, 1)]
    values = [run.info.summary["test"]["nll"] for run in runs]
    assert spread["Seeds"] == 2
    assert spread["NLL ±"] == pytest.approx(np.std(values, ddof=1))


def test_scaling_is_fitted_on_request_and_isotonic_has_no_nll(three_runs):
    app = open_page("calibration", part="Comparison", fitted="true")
    table = next(f.value for f in app.dataframe if "Scaling" in f.value.columns)
    assert (table["T"].notna() == (table["Scaling"] == "temperature")).all()
    assert table["Scaling"].tolist() == ["none", "temperature", "vector", "isotonic"] * 3
    assert table[table["Scaling"] == "isotonic"]["NLL"].isna().all()
    assert table[table["Scaling"] != "isotonic"]["NLL"].notna().all()


def test_every_run_is_read_out_once(three_runs):
    app = open_page("calibration")
    lines = app.markdown[0].value.splitlines()
    for run, line in zip(three_runs.values(), lines, strict=True):
        gap = run.info.summary["test"]["signed_gap"]
        side = "over" if gap > 0 else "under"
        assert line.startswith(f"- {run.id}: {abs(100 * gap):.1f} points {side}-confident")
    app.toggle(key="scaled").set_value(True).run()
    for run, line in zip(three_runs.values(), app.markdown[0].value.splitlines(), strict=True):
        fitted = np.mean(temperature_scaled(run.logits(), run.labels()).temperatures)
        assert line.startswith(f"- After temperature scaling (T = {fitted:.2f}), {run.id}: ")


@pytest.mark.parametrize("part", ["Bins", "Classes", "Selective", "Epochs"])
def test_every_part_of_calibration_draws(three_runs, part):
    app = open_page("calibration", part=part)
    assert not app.error
    assert figures(app)


def test_bins_binning_and_scaling_change_the_diagrams(three_runs):
    app = open_page("calibration")

    def heights():
        bars = [trace for trace in figures(app)[0]["data"] if trace["type"] == "bar"]
        return array(bars[0]["y"])

    first = heights()
    assert len(first) == 15
    app.slider(key="bins").set_value(8).run()
    assert len(heights()) == 8
    app.segmented_control(key="binning").set_value("equal-mass").run()
    equal_mass = heights()
    app.toggle(key="scaled").set_value(True).run()
    assert not np.array_equal(equal_mass, heights(), equal_nan=True)
    assert not app.error


def test_runs_of_other_classes_are_left_out_and_named(three_runs, root):
    synthetic_run(root, "bigger", n_classes=8)
    app = open_page("similarity", runs=["run-ols", "bigger"])
    assert "Left out" in app.info[0].value
    assert "bigger" in app.info[0].value
    assert not app.error


def test_a_damaged_file_becomes_a_sentence(three_runs):
    (three_runs["ols"].path / "features" / "test.npy").write_bytes(b"nothing")
    app = open_page("embeddings")
    assert "features/test.npy cannot be read" in app.error[0].value


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("page", PAGES)
def test_few_classes_look_right_too(root, page, n_classes):
    synthetic_run(root, "small", n_classes=n_classes)
    app = open_page(page)
    assert not app.error
    assert figures(app) or app.dataframe or app.get("bidi_component")


def test_the_pages_never_import_torch_or_umap(three_runs, root):
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app/main.py", default_timeout=60).run()
for page in {PAGES}:
    app.switch_page(f"views/{{page}}.py").run()
    assert not app.exception and not app.error, page
print([m for m in ("torch", "umap", "numba", "sklearn") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_synthetic_runs_say_so(three_runs, root):
    assert load_run("run-ce", root).info.dataset.name == "synthetic"


def _section(name):
    app = open_page("soft_labels")
    app.segmented_control(key="show").set_value(name).run()
    assert not app.exception
    assert not app.error
    return app


@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_classes_differ_and_settle_too(root, n_classes):
    synthetic_run(root, "small", n_classes=n_classes)
    synthetic_run(root, "other", n_classes=n_classes, method="ce")
    assert len(_section("Differences").dataframe[0].value) >= 2
    assert len(figures(_section("Convergence"))) == 3


def test_differences_are_those_of_the_stored_matrices(three_runs, viewer):
    viewer.selection = Selection(0, None)
    app = _section("Differences")
    run = three_runs["ols"]
    off_diagonal = ~np.eye(6, dtype=bool)
    scales = set()
    for since in (0, 2):
        app.select_slider(key="since").set_value(since).run()
        difference = run.soft_labels(3) - run.soft_labels(since)
        np.testing.assert_array_equal(viewer.exact(0)[off_diagonal], difference[off_diagonal])
        assert viewer.frames.scale.low == -viewer.frames.scale.high
        table = app.dataframe[0].value
        largest = np.abs(difference[off_diagonal]).max()
        assert abs(table["Difference"].iloc[0]) == pytest.approx(largest)
        scales.add(viewer.frames.scale)
    assert len(scales) == 1
    app.toggle(key="diagonal").set_value(True).run()
    np.testing.assert_array_equal(viewer.exact(0), difference)
    own = np.abs(difference).max()
    assert abs(app.dataframe[0].value["Difference"].iloc[0]) == pytest.approx(own)


@pytest.mark.parametrize("against", ["another run", "uniform smoothing"])
def test_a_run_is_compared_with_another_and_with_uniform_smoothing(three_runs, viewer, against):
    viewer.selection = Selection(0, None)
    app = _section("Differences")
    app.segmented_control(key="against").set_value(against).run()
    assert not app.error
    expected = "run-ce (observed), epoch 3" if against == "another run" else "uniform smoothing"
    assert viewer.panels[0].title == f"run-ols, epoch 3 − {expected}"
    after = three_runs["ols"].soft_labels(3)
    spread = (1 - after.diagonal()[:, None]) / 5
    before = three_runs["ce"].soft_labels(3) if against == "another run" else spread
    off_diagonal = ~np.eye(6, dtype=bool)
    shown = viewer.exact(0)[off_diagonal]
    np.testing.assert_allclose(shown, (after - before)[off_diagonal], atol=1e-6)
    first = app.dataframe[0].value.iloc[0]
    row, column = ("abcdef".index(first[side][6]) for side in ("Target class", "Receives"))
    assert first["Difference"] == pytest.approx((after - before)[row, column], abs=1e-6)
    assert abs(first["Difference"]) == pytest.approx(np.abs(shown).max(), abs=1e-6)


def test_a_click_lists_the_changes_of_one_class(three_runs, viewer):
    viewer.selection = Selection(0, (2, 4))
    app = _section("Differences")
    assert app.selectbox(key="changed").value == "class c"
    assert set(app.dataframe[0].value["Target class"]) == {"class c"}


def test_convergence_shows_every_chosen_run(three_runs):
    app = _section("Convergence")
    assert len(figures(app)) == 3
    table = app.dataframe[0].value
    assert table["Run"].tolist() == ["run-ce (observed)", "run-ls (observed)", "run-ols"]
    for threshold in (0.1, 0.3):
        app.slider(key="rest").set_value(threshold).run()
        said = app.dataframe[0].value["All rows at rest after"].tolist()
        assert said == [_rest_of(run, threshold) for run in three_runs.values()]


def _rest_of(run, threshold):
    matrices = np.stack([run.soft_labels(epoch) for epoch in run.soft_label_epochs])
    seen = run.soft_label_counts()[1:] > 0
    moved = np.abs(np.diff(matrices[1:], axis=0)).sum(axis=2) / 2
    still = [
        (row <= threshold)[both].all()
        for row, both in zip(moved, seen[1:] & seen[:-1], strict=True)
    ]
    epoch = next((e for e in range(1, len(still) + 2) if all(still[e - 1 :])), None)
    return "not within this run" if epoch in (None, len(still) + 1) else f"epoch {epoch}"


@pytest.mark.parametrize("section", ["Differences", "Convergence"])
def test_a_run_of_one_matrix_has_sections_too(root, section):
    synthetic_run(root, "young", epochs=0, finished=False)
    app = _section(section)
    assert not app.error
    assert app.dataframe


def _similarity(section):
    app = open_page("similarity")
    app.segmented_control(key="section").set_value(section).run()
    assert not app.exception
    assert not app.error
    return app


def test_unknown_superclasses_are_a_sentence(root):
    synthetic_run(root, "plain")
    app = _similarity("Taxonomy")
    assert "superclasses.csv" in app.info[0].value
