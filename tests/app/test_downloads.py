"""What a figure can be taken along as: the files that the browser gets, and what is in them."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import expect

from ols_core.runs import DEFAULT_ROOT
from tests.app.browser import REPOSITORY, served
from tests.app.harness import open_page
from tests.synthetic import N_TEST, synthetic_run

ROOT = REPOSITORY / DEFAULT_ROOT
RUNS = ["cifar100-resnet20-ce", "cifar100-resnet20-ls", "cifar100-resnet20-ols"]
RUN_COLORS = [(0, 114, 178), (230, 159, 0), (0, 158, 115)]


@pytest.fixture(scope="module")
def dashboard():
    with served("app/main.py", OLS_ROOT=str(ROOT)) as address:
        yield address


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return [synthetic_run(tmp_path, f"run-{method}", method=method) for method in ("ce", "ols")]


@pytest.fixture
def made(monkeypatch):
    """File name → what makes its content, of every download button of a page."""
    found = {}

    def button(label, data, file_name, mime=None, **_):
        found[file_name] = data

    monkeypatch.setattr("streamlit.download_button", button)
    return found


def _table(text):
    return pd.read_csv(io.StringIO(text))


def _history(run_paths, *keys):
    """Epochs of the runs and what they recorded, from the runs' files."""
    rows = [
        [path.name, *(json.loads(line)[key] for key in ("epoch", *keys))]
        for path in run_paths
        for line in (path / "history.jsonl").read_text().splitlines()
    ]
    return pd.DataFrame(rows, columns=["run", "epoch", *keys])


def _top_labels(run):
    """Confidence, predicted class and true class of the test images, from the run's files."""
    logits = np.load(run.path / "predictions" / "test_logits.npy").astype(np.float64)
    labels = np.load(run.path / "predictions" / "test_labels.npy")
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities.max(axis=1), probabilities.argmax(axis=1), labels


def _menu(page, chart):
    return page.locator(f".st-key-{chart}-download").get_by_role("button", name="Download")


def _download(page, label, folder):
    with page.expect_download() as pending:
        page.get_by_role("button", name=label, exact=True).click()
    file = folder / pending.value.suggested_filename
    pending.value.save_as(file)
    return file


class _Scripts(HTMLParser):
    """The addresses of a page's scripts; None for one that is in the page."""

    def __init__(self):
        super().__init__()
        self.sources = []

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self.sources.append(dict(attrs).get("src"))


def test_a_figure_is_taken_along_as_picture_page_and_table(page, dashboard, tmp_path):
    page.goto(dashboard)
    chart = page.locator(".st-key-curve_accuracy .js-plotly-plot")
    expect(chart.locator(".legendtext")).to_have_text(RUNS)
    shown = chart.bounding_box()
    _menu(page, "curve_accuracy").focus()
    page.keyboard.press("Enter")

    table = _table(_download(page, "CSV table", tmp_path).read_text(encoding="utf-8"))
    recorded = _history([ROOT / run for run in RUNS], "train_accuracy", "val_accuracy")
    pd.testing.assert_frame_equal(table, recorded, rtol=1e-12)

    picture = Image.open(_download(page, "PNG picture", tmp_path)).convert("RGBA")
    assert picture.size == pytest.approx((2 * shown["width"], 2 * shown["height"]), abs=2)
    colors = {color for _, color in picture.getcolors(maxcolors=picture.width * picture.height)}
    assert {(*color, 255) for color in RUN_COLORS} <= colors
    assert picture.getpixel((0, 0)) == (255, 255, 255, 255)

    drawing = _download(page, "SVG picture", tmp_path).read_text(encoding="utf-8")
    texts = list(ElementTree.fromstring(drawing).itertext())
    assert {"epoch", "share of images", *RUNS} <= set(texts)
    # Fonts of the page are not in the file: text laid out with them would be cut off.
    assert set(re.findall(r"font-family: ([^;\"]+)", drawing)) == {"Arial, Helvetica, sans-serif"}

    own_page = _download(page, "HTML page", tmp_path)
    scripts = _Scripts()
    scripts.feed(own_page.read_text(encoding="utf-8"))
    assert scripts.sources
    assert set(scripts.sources) == {None}
    page.context.set_offline(True)
    page.goto(own_page.as_uri())
    expect(page).to_have_title("Accuracy by epoch")
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_text(RUNS)
    expect(page.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(6)
    # Streamlit's own template would paint in colours that stand for those of a theme.
    axis_title = page.locator(".xtitle")
    assert axis_title.evaluate("element => element.style.fill") == "rgb(42, 63, 95)"


def test_a_picture_of_a_dark_page_is_readable_and_a_missing_one_is_told(page, dashboard, tmp_path):
    page.emulate_media(color_scheme="dark")
    page.goto(dashboard)
    expect(page.locator(".st-key-curve_accuracy .legendtext")).to_have_text(RUNS)
    _menu(page, "curve_accuracy").click()
    picture = Image.open(_download(page, "PNG picture", tmp_path)).convert("RGBA")
    *background, opacity = picture.getpixel((0, 0))
    assert opacity == 255
    assert max(background) < 64

    page.evaluate("document.querySelector('.st-key-curve_accuracy .js-plotly-plot').remove()")
    page.get_by_role("button", name="PNG picture").click()
    expect(page.get_by_text("This figure could not be drawn as a picture.")).to_be_visible()


def test_nothing_is_made_before_it_is_asked_for(runs, monkeypatch):
    made = []
    monkeypatch.setattr("plotly.graph_objects.Figure.to_html", lambda *_, **__: made.append("page"))
    monkeypatch.setattr("pandas.DataFrame.to_csv", lambda *_, **__: made.append("table"))
    app = open_page("calibration")
    assert len(app.get("plotly_chart")) == 1
    assert len(app.get("download_button")) == 2
    assert made == []


@pytest.mark.parametrize(("curve", "key"), [("NLL", "val_nll"), ("Learning rate", "lr")])
def test_training_curves_are_those_of_the_history(runs, made, curve, key):
    open_page("overview", curve=curve)
    table = _table(made[f"training-{curve.lower().replace(' ', '-')}.csv"]())
    recorded = _history([run.path for run in runs], key)
    pd.testing.assert_frame_equal(table, recorded, rtol=1e-12)


def test_calibration_bins_are_those_of_the_predictions(runs, made):
    open_page("calibration", bins="8")
    table = _table(made["reliability.csv"]())
    assert table["run"].tolist() == [run.id for run in runs for _ in range(8)]
    np.testing.assert_allclose(table["lower_edge"], np.tile(np.arange(8) / 8, 2))
    np.testing.assert_allclose(table["upper_edge"], np.tile(np.arange(1, 9) / 8, 2))
    for run in runs:
        confidence, predicted, labels = _top_labels(run)
        inside = pd.cut(confidence, np.linspace(0, 1, 9), labels=False, include_lowest=True)
        images = pd.DataFrame({"confidence": confidence, "accuracy": predicted == labels})
        means = images.groupby(inside).mean().reindex(range(8))
        rows = table[table["run"] == run.id]
        assert rows["images"].tolist() == np.bincount(inside, minlength=8).tolist()
        np.testing.assert_allclose(rows["confidence"], means["confidence"], rtol=1e-5)
        np.testing.assert_allclose(rows["accuracy"], means["accuracy"], rtol=1e-5)


def test_mapped_points_carry_their_images(runs, made):
    app = open_page("embeddings")
    app.button(key="PCA map-export").click().run()
    table = _table(made["PCA-map-test.csv"]())
    assert len(table) == len(runs) * N_TEST
    names = np.array(runs[0].info.dataset.class_names)
    for run in runs:
        rows = table[table["map"] == run.id]
        confidence, predicted, labels = _top_labels(run)
        assert sorted(rows["image"]) == list(range(N_TEST))
        assert rows["class"].tolist() == names[labels[rows["image"]]].tolist()
        assert rows["predicted_class"].tolist() == names[predicted[rows["image"]]].tolist()
        np.testing.assert_allclose(rows["confidence"], confidence[rows["image"]], rtol=1e-5)
        # Principal components are rotated features: the first two hold the most variance. Those of
        # a second run are turned onto the first.
        features = np.load(run.path / "features" / "test.npy").astype(np.float64)
        variances = np.linalg.eigvalsh(np.cov(features[rows["image"]].T))[::-1]
        assert rows[["x", "y"]].var().sum() == pytest.approx(variances[:2].sum(), rel=1e-3)


def test_convergence_follows_the_stored_matrices(runs, made):
    open_page("soft_labels", show="Convergence")
    change = _table(made["convergence-change.csv"]())
    own = _table(made["convergence-own-mass.csv"]())
    entropy = _table(made["convergence-row-entropy.csv"]())
    for run in runs:
        matrices = [np.load(run.path / "soft_labels" / f"{t:04d}.npy") for t in range(4)]
        moved = [np.abs(b - a).sum(axis=1).mean() / 2 for a, b in pairwise(matrices[1:])]
        rows = change[change["run"] == run.id]
        assert rows["epoch"].tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(rows["mean_change"].iloc[2:], moved, rtol=1e-5)
        for table, of_row in (
            (own, np.diag),
            (entropy, lambda m: -np.sum(m * np.log(m), axis=1)),
        ):
            rows = table[table["run"] == run.id]
            for level in (0.05, 0.5, 0.95):
                expected = [np.quantile(of_row(matrix), level) for matrix in matrices[1:]]
                found = rows[f"quantile_{level}"].iloc[1:]
                np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_metrics_are_taken_along_as_markdown_and_latex(runs, made):
    open_page("calibration", part="Comparison")
    markdown, latex = made["calibration.md"], made["calibration.tex"]
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    # A header, a rule, the runs and their mean.
    assert len(lines) == 2 + len(runs) + 1
    columns = [cell.strip() for cell in lines[0].strip("|").split("|")]
    for run, line in zip(runs, lines[2:], strict=False):
        row = dict(zip(columns, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        summary = run.info.summary["test"]
        assert row["Run"] == run.id
        assert row["ECE %"] == f"{100 * summary['ece']:.2f}"
        assert row["NLL"] == f"{summary['nll']:.4f}"
    assert latex.count(r"\\") == len(runs) + 2
    assert r"ECE \%" in latex
