"""The sections of the similarity page and their figures."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from app import cache
from app.charts.agreement import agreement_figure
from app.charts.class_map import N_LOOKS, class_map_figure
from app.charts.pairs import pair_scatter
from app.charts.scale import scale_of
from app.charts.theme import DIVERGING, GREY
from ols_core.analysis import similarity
from ols_core.analysis.similarity import (
    ClassMap,
    Mantel,
    class_map,
    compare_pairs,
    similarity_from_soft_labels,
)
from ols_core.data import ImageSet
from ols_core.runs import DEFAULT_ROOT, load_run
from ols_core.thumbnails import write_thumbnails
from tests.app.browser import REPOSITORY
from tests.app.harness import array, figures, open_page
from tests.large_run import large_run
from tests.synthetic import N_TEST, synthetic_run

SUPERCLASSES = ["low", "low", "low", "high", "high", "high"]
OBSERVED = {"run-ce": "run-ce (observed)", "run-ls": "run-ls (observed)", "run-ols": "run-ols"}
METHODS = ("ce", "ls", "ols")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def three_runs(root):
    return {
        f"run-{method}": synthetic_run(
            root, f"run-{method}", method=method, superclasses=SUPERCLASSES
        )
        for method in METHODS
    }


@pytest.fixture
def tables(monkeypatch):
    """File name → content of every CSV table that a page offers, when it is asked for."""
    found = {}

    def button(label, data, file_name, mime=None, **_):
        found[file_name] = lambda: pd.read_csv(io.StringIO(data()))

    monkeypatch.setattr("streamlit.download_button", button)
    return found


def _open(section, **parameters):
    app = open_page("similarity", section=section, **parameters)
    assert not app.error
    return app


def _by_hand(run):
    soft_labels = run.soft_labels(run.soft_label_epochs[-1]).astype(np.float64)
    return (soft_labels + soft_labels.T) / 2


class TestMap:
    def test_shows_every_class_once_with_its_superclass(self, three_runs):
        figure = figures(_open("Map"))[0]
        traces = {trace["name"]: trace for trace in figure["data"]}
        assert list(traces) == ["high", "low"]
        run = three_runs["run-ols"]
        names = run.info.dataset.class_names
        assert traces["low"]["text"] == names[:3]
        assert traces["high"]["text"] == names[3:]
        found = class_map(similarity_from_soft_labels(run.soft_labels(3)))
        for trace, classes in ((traces["low"], slice(3)), (traces["high"], slice(3, None))):
            drawn = np.column_stack([array(trace["x"]), array(trace["y"])])
            np.testing.assert_allclose(drawn, found.positions[classes])

    def test_says_how_far_it_can_be_trusted(self, three_runs):
        app = _open("Map")
        for run_id in ("run-ce", "run-ols"):
            app.segmented_control(key="run").set_value(run_id).run()
            soft_labels = three_runs[run_id].soft_labels(3)
            stress = class_map(similarity_from_soft_labels(soft_labels)).stress
            assert f"Stress {stress:.2f}:" in app.caption[-1].value
            assert "Colour and symbol together mark the superclass" in app.caption[-1].value
            assert "share" not in app.caption[-1].value

    def test_says_when_there_are_more_superclasses_than_looks(self, root):
        synthetic_run(root, "many", n_classes=43, superclasses=[f"group {i}" for i in range(43)])
        assert f"There are {N_LOOKS} looks" in _open("Map").caption[-1].value

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_of_few_classes_has_one_colour_and_no_legend(self, root, n_classes):
        synthetic_run(root, "small", n_classes=n_classes)
        app = _open("Map")
        figure = figures(app)[0]
        assert [len(trace["text"]) for trace in figure["data"]] == [n_classes]
        assert figure["layout"]["showlegend"] is False
        assert "legend" not in app.caption[-1].value

    def test_is_drawn_to_scale_and_isolates_on_a_click(self):
        figure = class_map_figure(_spread(6), list("abcdef"), SUPERCLASSES, "t")
        assert figure.layout.yaxis.scaleanchor == "x"
        assert figure.layout.legend.itemclick == "toggleothers"
        for axis in (figure.layout.xaxis, figure.layout.yaxis):
            assert "dissimilarity" in axis.title.text

    @pytest.mark.parametrize("n_classes", [1, 2, 50])
    def test_stays_in_place_when_a_superclass_is_shown_alone(self, n_classes):
        positions = np.random.default_rng(0).normal(size=(n_classes, 2)) * [1, n_classes > 2]
        names = [f"class {i}" for i in range(n_classes)]
        layout = class_map_figure(ClassMap(positions, 0.0), names, names, "t").layout
        for axis, values in zip((layout.xaxis, layout.yaxis), positions.T, strict=True):
            low, high = axis.range
            assert low < values.min()
            assert values.max() < high

    def test_forty_two_superclasses_look_different(self):
        groups = [f"group {i:02}" for i in range(43)]
        figure = class_map_figure(_spread(43), groups, groups, "t")
        looks = [(trace.marker.color, trace.marker.symbol) for trace in figure.data]
        assert len(set(looks)) == N_LOOKS == 42
        assert all(a[0] != b[0] and a[1] != b[1] for a, b in pairwise(looks))

    def test_names_of_close_points_are_put_on_different_sides(self):
        # in pixels, 600 of which fit on a figure of 730; names are about 50 wide
        positions = np.array([[-300.0, -300], [0, 0], [20, 0], [40, 0], [300, 300]])
        found = ClassMap(positions / 600, 0.0)
        names = ["a", "crocodile", "elephant", "dinosaur", "b"]
        figure = class_map_figure(found, names, None, "t", height=730)
        sides = figure.data[0].textposition
        boxes = [_box(*one) for one in zip(positions, names, sides, strict=True)]
        for (low, high), (other_low, other_high) in combinations(boxes, 2):
            assert not np.all((low < other_high) & (other_low < high))

    def test_a_name_stands_above_its_point_where_there_is_room(self):
        figure = class_map_figure(_spread(5), list("abcde"), None, "t")
        assert set(figure.data[0].textposition) == {"top center"}

    def test_a_thousand_classes_are_named_on_hover_only(self):
        names = [f"class {i}" for i in range(1000)]
        trace = class_map_figure(_spread(1000), names, None, "t").data[0]
        assert trace.mode == "markers"
        assert list(trace.text) == names
        assert "%{text}" in trace.hovertemplate


def _spread(n):
    """Points on a spiral, each far from the others."""
    turn = np.sqrt(np.arange(n) + 1.0)
    angle = 2.4 * np.arange(n)
    return ClassMap(np.column_stack([turn * np.cos(angle), turn * np.sin(angle)]), 0.3)


def _box(point, name, side):
    """Corners of a name of letters 6 pixels wide and 12 high, beside a marker of 9."""
    up, across = side.split()
    move = [
        ["left", "center", "right"].index(across) - 1,
        ["bottom", "middle", "top"].index(up) - 1,
    ]
    half = np.array([3.0 * len(name), 6.0])
    centre = point + np.array(move) * (half + 4.5)
    return centre - half, centre + half


class TestPairs:
    @pytest.mark.parametrize("picked", ["run-ce", "run-ols"])
    def test_differences_are_those_from_the_picked_run(self, three_runs, picked):
        app = _open("Matrix", run=picked)
        table = app.dataframe[0].value
        names = three_runs[picked].info.dataset.class_names
        places = [
            [names.index(name) for name in table[side, "Class name"]]
            for side in ("First class", "Second class")
        ]
        own = _by_hand(three_runs[picked])[tuple(places)]
        assert own.tolist() == sorted(own, reverse=True)
        others = [OBSERVED[run_id] for run_id in three_runs if run_id != picked]
        assert list(table[f"Difference from {OBSERVED[picked]}"]) == others
        for run_id, run in three_runs.items():
            values = _by_hand(run)[tuple(places)]
            np.testing.assert_allclose(table["Mean mass", OBSERVED[run_id]], values, atol=1e-7)
            if run_id != picked:
                difference = table[f"Difference from {OBSERVED[picked]}", OBSERVED[run_id]]
                np.testing.assert_allclose(difference, values - own, atol=1e-7)

    def test_the_table_is_saved_unrounded_and_with_the_images_behind_it(self, three_runs, tables):
        counts = {run_id: run.soft_label_counts().copy() for run_id, run in three_runs.items()}
        counts["run-ce"][-1, 2] = 0
        counts["run-ls"][-1] = -1  # nobody counted
        for run_id, run in three_runs.items():
            np.save(run.path / "soft_labels" / "counts.npy", counts[run_id])
        app = _open("Matrix", run="run-ols")
        saved = tables["similar-pairs-run-ols-soft-labels.csv"]()
        names = three_runs["run-ols"].info.dataset.class_names
        places = tuple(
            np.array([names.index(name) for name in saved[side]])
            for side in ("first_class", "second_class")
        )
        assert len(saved) == 15
        masses = {run_id: _by_hand(run)[places] for run_id, run in three_runs.items()}
        for run_id, own in counts.items():
            np.testing.assert_allclose(saved[run_id], masses[run_id], rtol=1e-12)
            for side, classes in zip(("first", "second"), places, strict=True):
                behind = saved[f"{side}_correct_images_{run_id}"]
                np.testing.assert_array_equal(
                    behind, np.where(own[-1] < 0, np.nan, own[-1])[classes]
                )
        for run_id in ("run-ce", "run-ls"):
            difference = masses[run_id] - masses["run-ols"]
            np.testing.assert_allclose(saved[f"difference_{run_id}"], difference, atol=1e-15)
        assert len(saved.columns) == 2 + 3 + 2 + 6
        shown = app.dataframe[0].value["First class", "Class name"]
        assert set(shown[saved["first_class"] == "class c"]) == {"class c †"}
        assert not shown[saved["first_class"] != "class c"].str.contains("†").any()
        told = next(caption.value for caption in app.caption if "†" in caption.value)
        assert told == "†: no correct image of class c in run-ce (uniform fallback)."

        app.segmented_control(key="source").set_value("classifier").run()
        saved = tables["similar-pairs-run-ols-classifier.csv"]()
        assert list(saved) == [
            "first_class",
            "second_class",
            "run-ols",
            "run-ce",
            "run-ls",
            "difference_run-ce",
            "difference_run-ls",
        ]
        assert not any("†" in caption.value for caption in app.caption)

    @pytest.mark.usefixtures("three_runs")
    def test_one_run_alone_has_no_differences(self):
        table = _open("Matrix", runs=["run-ls"]).dataframe[0].value
        assert list(table) == [
            ("First class", "Class name"),
            ("Second class", "Class name"),
            ("Mean mass", "run-ls (observed)"),
        ]

    def test_images_are_of_the_classes_that_they_stand_beside(self, three_runs, root):
        labels = np.arange(N_TEST) % 6
        grey = (40 * labels).astype(np.uint8)
        pixels = np.broadcast_to(grey[:, None, None, None], (N_TEST, 16, 16, 3)).copy()
        write_thumbnails(root, ImageSet(labels, pixels))
        shown = _open("Matrix").dataframe[0]
        names = three_runs["run-ols"].info.dataset.class_names
        for side in ("First class", "Second class"):
            columns = (shown.value[side, title] for title in ("Class name", "Images"))
            for name, uri in zip(*columns, strict=True):
                kind, data = uri.split(",")
                assert kind == "data:image/webp;base64"
                picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
                assert picture.size == (48, 16)
                np.testing.assert_allclose(np.asarray(picture), 40 * names.index(name), atol=4)
        configs = json.loads(shown.proto.columns)
        kinds = [configs[f"_pos:{place}"]["type_config"]["type"] for place in range(1, 6)]
        assert kinds == ["text", "image", "text", "image", "number"]


class TestAgreement:
    def test_correlates_every_two_sources_and_every_two_runs(self, three_runs):
        app = _open("Agreement", source="soft labels")
        sources, runs, pairs = figures(app)
        assert sources["data"][0]["x"] == ["soft labels", "confusions", "features", "classifier"]
        assert runs["data"][0]["x"] == list(OBSERVED.values())
        app.segmented_control(key="run").set_value("run-ce").run()
        observed = figures(app)[0]["data"][0]["x"]
        assert observed == ["observed soft labels", "confusions", "features", "classifier"]
        drawn = array(runs["data"][0]["z"])
        upper = np.triu_indices(6, 1)
        values = [_by_hand(run)[upper] for run in three_runs.values()]
        expected = spearmanr(values, axis=1).statistic
        off_diagonal = ~np.eye(3, dtype=bool)
        np.testing.assert_allclose(drawn[off_diagonal], expected[off_diagonal], atol=1e-6)
        assert np.isnan(np.diag(drawn)).all()
        assert len(array(pairs["data"][0]["x"])) == 15

    @pytest.mark.usefixtures("three_runs")
    def test_of_one_run_says_that_there_is_nothing_to_compare(self):
        app = _open("Agreement", runs=["run-ls"])
        assert "nothing to compare" in app.caption[-1].value
        assert len(figures(app)) == 2

    @pytest.mark.usefixtures("three_runs")
    def test_the_same_source_may_be_chosen_twice(self):
        app = _open("Agreement", across="features", up="features")
        points = figures(app)[-1]["data"][0]
        np.testing.assert_array_equal(array(points["x"]), array(points["y"]))

    def test_two_classes_have_no_ranks(self, root):
        synthetic_run(root, "small", n_classes=2)
        app = _open("Agreement")
        assert "at least three classes" in app.info[0].value

    def test_cells_tell_the_correlation_and_the_p_value_on_a_fixed_scale(self):
        tests = {
            ("a", "b"): Mantel(0.803, 0.001, 999, 100),
            ("a", "c"): Mantel(-0.001, 0.43, 999, 100),
            ("b", "c"): Mantel(np.nan, np.nan, 999, 100),
        }
        figure = agreement_figure(tests, "t")
        heatmap = figure.data[0]
        np.testing.assert_array_equal(
            heatmap.z, [[np.nan, 0.803, -0.001], [0.803, np.nan, np.nan], [-0.001, np.nan, np.nan]]
        )
        assert (heatmap.zmin, heatmap.zmax) == (-1, 1)
        assert tuple(shade for _, shade in heatmap.colorscale) == DIVERGING
        texts = {
            (note.y, note.x): (note.text, note.font.color) for note in figure.layout.annotations
        }
        assert texts["a", "b"] == texts["b", "a"] == ("0.80<br>p 0.001", "#FFFFFF")
        assert texts["a", "c"] == ("0.00<br>p 0.430", "#000000")
        assert texts["b", "c"] == ("none", GREY)
        assert len(texts) == 6
        assert "999 permutations of 100 classes" in heatmap.text[0][1]

    def test_a_point_is_a_pair_of_classes(self):
        first, second = (class_similarity(seed) for seed in range(2))
        pairs = compare_pairs([first, second], [[0, 3], [4, 2]])
        trace = pair_scatter(pairs, list("abcde"), "x", "y").data[0]
        np.testing.assert_allclose(trace.x, [first[0, 3], first[4, 2]], rtol=1e-6)
        np.testing.assert_allclose(trace.y, [second[0, 3], second[4, 2]], rtol=1e-6)
        assert list(trace.text) == ["a and d", "e and c"]


class TestTaxonomy:
    def test_numbers_of_a_real_run_are_those_of_scikit_learn(self, monkeypatch, tables):
        root = REPOSITORY / DEFAULT_ROOT
        monkeypatch.setenv("OLS_ROOT", str(root))
        run = load_run("cifar100-resnet20-ols", root)
        app = _open("Taxonomy", runs=[run.id])
        for n_clusters in (20, 35):
            app.slider(key="k").set_value(n_clusters).run()
            (row,) = app.dataframe[0].value.to_dict("records")
            expected = _taxonomy_by_scikit_learn(run, run.soft_label_epochs[-1], n_clusters)
            assert [row[name] for name in ("Adjusted Rand", "NMI", "Purity")] == pytest.approx(
                expected
            )
            curve = tables["superclass-agreement-by-epoch.csv"]()
            drawn = curve.set_index("epoch")[["ari", "nmi", "purity"]]
            assert len(drawn) == cache.SAMPLED_EPOCHS
            for epoch in (drawn.index[5], drawn.index[-1]):
                found = _taxonomy_by_scikit_learn(run, epoch, n_clusters)
                assert drawn.loc[epoch].tolist() == pytest.approx(found)
        assert "12 epochs at most are drawn" in app.caption[-1].value
        app.selectbox(key="measure").set_value("purity").run()
        assert array(figures(app)[0]["data"][0]["y"]).tolist() == curve["purity"].tolist()

    def test_epochs_leave_no_matrix_behind(self, root):
        run = large_run(root, n_classes=200, epochs=12)
        cache.taxonomy(run, "soft labels", 12, 20)  # loads what is needed
        tracemalloc.start()
        try:
            for epoch in run.soft_label_epochs:
                cache.taxonomy(run, "soft labels", epoch, 20)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 3 * 200 * 200 * 8

    @pytest.mark.usefixtures("three_runs")
    def test_compares_every_run_and_each_superclass(self):
        app = _open("Taxonomy")
        table, superclasses = (frame.value for frame in app.dataframe)
        assert table["Run"].tolist() == list(OBSERVED.values())
        assert table["p"].between(0.001, 1).all()
        assert sorted(superclasses["Superclass"]) == ["high", "low"]
        assert [trace["name"] for trace in figures(app)[0]["data"]] == list(OBSERVED.values())

    def test_the_worst_of_very_many_superclasses_are_named_above_the_table(self, root):
        large_run(root, n_classes=90, epochs=1)  # 30 superclasses
        app = _open("Taxonomy")
        table = app.dataframe[1].value
        worst = table["Superclass"].tolist()[:-6:-1]
        said = app.caption[-1].value.replace("\\", "")
        assert [said.index(name) for name in worst] == sorted(said.index(name) for name in worst)


def class_similarity(seed):
    soft_labels = np.random.default_rng(seed).dirichlet(np.ones(5), 5)
    return similarity_from_soft_labels(soft_labels)


def _taxonomy_by_scikit_learn(run, epoch, n_clusters):
    """ARI, NMI and purity of a cut of the average-linkage tree."""
    matrix = run.soft_labels(epoch).astype(np.float64)
    distance = 1 - (matrix + matrix.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    clusters = fcluster(tree, n_clusters, "maxclust")
    known = run.info.dataset.superclasses
    counts = contingency_matrix(known, clusters)
    purity = counts.max(axis=0).sum() / counts.sum()
    scores = (adjusted_rand_score, normalized_mutual_info_score)
    return [*(score(known, clusters) for score in scores), purity]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_classes_are_shown_in_every_section(root, n_classes):
    synthetic_run(root, "few", n_classes=n_classes, superclasses=["a", "a", "b"][:n_classes])
    app = _open("Matrix")
    for section in ("Taxonomy", "Agreement", "Map"):
        app.segmented_control(key="section").set_value(section).run()
        assert not app.exception
        assert not app.error


@pytest.mark.usefixtures("three_runs")
@pytest.mark.parametrize("source", ["soft labels", "confusions", "features"])
def test_colours_are_logarithmic_on_request_where_there_is_no_sign(source, monkeypatch):
    kinds = []
    monkeypatch.setattr(
        "app.matrices.scale_of",
        lambda values, kind, made=scale_of: kinds.append(kind) or made(values, kind),
    )
    app = _open("Matrix", source=source)
    if source == "features":
        assert not app.toggle
        assert kinds == ["diverging"]
        return
    app.toggle(key="log").set_value(False).run()
    assert kinds == ["log", "linear"]


@pytest.mark.usefixtures("three_runs")
@pytest.mark.parametrize("section", ["Matrix", "Taxonomy", "Agreement", "Map"])
def test_drawing_again_computes_nothing_again(section, monkeypatch):
    calls = []
    for name in similarity.__all__:
        function = getattr(similarity, name)
        if not isinstance(function, type) and name not in ("cut_height", "superclass_agreement"):
            monkeypatch.setattr(similarity, name, _counted(function, name, calls))
    app = _open(section)
    assert calls
    calls.clear()
    app.run()
    assert calls == []


def _counted(function, name, calls):
    def counted(*arguments, **options):
        calls.append(name)
        return function(*arguments, **options)

    return counted
