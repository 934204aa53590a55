"""The dashboard in a real Chromium: the bundled runs, and a run that appears while it is open."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from ols_core.projections import LayoutRequest, Member, find_layout
from ols_core.runs import DEFAULT_ROOT, list_runs, load_run
from ols_core.thumbnails import thumbnails_of
from tests.app.browser import REPOSITORY, served
from tests.synthetic import synthetic_run

RUNS = ["cifar100-resnet20-ce", "cifar100-resnet20-ls", "cifar100-resnet20-ols"]
ARCHIVED = [
    f"{regime}-{method}-s0"
    for regime in ("cifar100-short", "fashion-mnist-noise40")
    for method in ("ce", "ls", "ols")
]
ROOT = REPOSITORY / DEFAULT_ROOT


@pytest.fixture(scope="module")
def dashboard():
    with served("app/main.py", OLS_ROOT=str(ROOT)) as address:
        yield address


def _open(page: Page, url: str, title: str) -> None:
    page.goto(url)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(
        page.locator(".js-plotly-plot .main-svg, canvas[role=application]").first
    ).to_be_visible()


def _no_error(page: Page) -> None:
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_the_bundled_runs_are_real_and_finished():
    for run_id in [*RUNS, *ARCHIVED]:
        run = load_run(run_id, ROOT)
        assert run.info.source == "trained"
        assert run.status == "finished"
        assert run.info.archived == (run_id in ARCHIVED)
        assert run.labels().shape == (10_000,)
        assert len(run.history) == run.info.config["epochs"] == run.soft_label_epochs[-1]
        recorded = run.info.summary["test"]
        right = run.logits().argmax(axis=1) == run.labels()
        assert right.mean() == pytest.approx(recorded["accuracy"], abs=2e-4)  # half precision
        assert run.classifier_weight().shape == (run.n_classes, run.info.model.n_features)
    for run_id in RUNS:
        assert find_layout([Member(load_run(run_id, ROOT))], LayoutRequest()) is not None
    folders = (*RUNS, *ARCHIVED, "_datasets")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    total = sum(f.stat().st_size for f in files if f.is_file() and "resume" not in f.parts)
    assert total < 30e6


def test_archived_runs_open_by_a_link(page, dashboard):
    chosen = "&".join(f"runs={run_id}" for run_id in ARCHIVED[:3])
    _open(page, f"{dashboard}/calibration?{chosen}", "Calibration")
    expect(page.get_by_text(f"{ARCHIVED[2]}: ", exact=False).first).to_contain_text(
        "under-confident"
    )
    _no_error(page)


def test_overview_lists_the_runs_and_draws_their_curves(page, dashboard):
    _open(page, dashboard, "Overview")
    table = page.get_by_test_id("stDataFrame")
    for run_id in RUNS:
        # The grid is painted on a canvas; its cells are in the canvas's fallback content.
        expect(table.locator("td", has_text=run_id)).to_have_count(1)
    for chart in page.locator(".js-plotly-plot").all():
        expect(chart.locator(".legendtext")).to_have_text(RUNS)
    expect(page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace")).to_have_count(6)
    _no_error(page)


def test_figures_turn_dark_with_the_page(page, dashboard):
    page.emulate_media(color_scheme="light")
    _open(page, dashboard, "Overview")

    page.emulate_media(color_scheme="dark")

    page.wait_for_function(
        """() => {
          const dark = (color) => /^rgb\\((\\d\\d?), (\\d\\d?), (\\d\\d?)\\)$/.test(color)
          const colors = [".stApp", ".js-plotly-plot .main-svg"].map(
            (name) => getComputedStyle(document.querySelector(name)).backgroundColor
          )
          return colors.every(dark)
        }"""
    )
    _no_error(page)


def test_the_soft_labels_of_every_epoch_can_be_reached_by_keyboard(page, dashboard):
    _open(page, f"{dashboard}/soft-labels", "Soft labels")
    expect(page.locator(".viewer .title")).to_have_text(RUNS[2])
    expect(page.locator(".viewer canvas")).to_be_visible()
    last = load_run(RUNS[2], ROOT).soft_label_epochs[-1]
    expect(page.locator(".viewer .label")).to_have_text(f"epoch {last}")

    page.locator(".viewer .slider").focus()
    page.keyboard.press("ArrowLeft")

    expect(page.locator(".viewer .label")).to_have_text(f"epoch {last - 1}")
    expect(page).to_have_url(re.compile(f"epoch={last - 1}"))
    expect(page.get_by_test_id("stImage").first).to_be_visible()
    _no_error(page)


def test_a_click_on_the_matrix_chooses_the_class(page, dashboard):
    _open(page, f"{dashboard}/soft-labels?order=as+given&class=tulip", "Soft labels")
    bars = page.locator(".js-plotly-plot").first
    expect(bars.locator(".gtitle")).to_have_text("What “tulip” resembles")
    canvas = page.locator(".viewer canvas")
    expect(canvas).to_be_visible()
    page.wait_for_timeout(500)  # until it has its place
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 4})
    expect(bars.locator(".gtitle")).not_to_have_text("What “tulip” resembles")
    _no_error(page)


def test_a_pasted_link_shows_the_same(page, dashboard):
    link = f"{dashboard}/soft-labels?runs={RUNS[0]}&runs={RUNS[2]}&epoch=30&class=maple_tree"
    _open(page, link, "Soft labels")
    expect(page.locator(".viewer .title")).to_have_text(RUNS[2])
    expect(page.locator(".viewer .label")).to_have_text("epoch 30")
    bars = page.locator(".js-plotly-plot").first
    expect(bars.locator(".gtitle")).to_have_text("What “maple_tree” resembles")
    expect(bars.locator(".legendtext")).to_have_text([f"{RUNS[0]} (observed)", RUNS[2]])
    # Images of the class and of those that it resembles most, by what is stored.
    run = load_run(RUNS[2], ROOT)
    names = run.info.dataset.class_names
    row = np.array(run.soft_labels(30)[names.index("maple_tree")])
    nearest = [names[i] for i in np.argsort(-row) if names[i] != "maple_tree"][:3]
    captions = [f"{name}, test images" for name in ("maple_tree", *nearest)]
    expect(page.get_by_test_id("stImageCaption")).to_have_text(captions)


def test_similarity_draws_matrix_and_clusters_and_saves_the_pair_of_a_link(page, dashboard):
    _open(page, f"{dashboard}/similarity", "Similarity")
    canvas = page.locator("canvas[aria-label*='matrix of 100 by 100']")
    expect(canvas).to_be_visible()
    expect(page.get_by_text("Agreement with the 20 superclasses")).to_be_visible()
    expect(page.get_by_test_id("stTable").locator("tbody tr")).to_have_count(20)
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)
    page.wait_for_timeout(500)  # until it has its place
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 4})
    expect(page).to_have_url(re.compile(r"first=\d+.*second=\d+"))

    _open(page, page.url, "Similarity")

    expect(page.get_by_text("The pair that was clicked")).to_be_visible()
    with page.expect_download() as pending:
        page.locator(".st-key-similar_pairs_csv").get_by_role("button").click()
    saved = pd.read_csv(pending.value.path())
    classes = [int(re.search(rf"{side}=(\d+)", page.url)[1]) for side in ("first", "second")]
    names = load_run(RUNS[2], ROOT).info.dataset.class_names
    first = saved.iloc[0]
    assert [names.index(first["first_class"]), names.index(first["second_class"])] == classes
    for run_id in RUNS:
        run = load_run(run_id, ROOT)
        matrix = run.soft_labels(run.soft_label_epochs[-1]).astype(np.float64)
        assert first[run_id] == (matrix[tuple(classes)] + matrix.T[tuple(classes)]) / 2
    _no_error(page)


def test_calibration_shows_each_run_with_its_recorded_ece(page, dashboard):
    _open(page, f"{dashboard}/calibration", "Calibration")
    titles = page.locator(".js-plotly-plot .annotation-text")
    eces = [load_run(run_id, ROOT).info.summary["test"]["ece"] for run_id in RUNS]
    shown = [re.compile(f"^{r}.*{e:.2%}") for r, e in zip(RUNS, eces, strict=True)]
    expect(titles).to_have_text(shown)
    expect(page.get_by_text("points over-confident")).to_have_count(2)
    _no_error(page)


def test_a_lasso_on_the_map_shows_the_right_thumbnails(page, dashboard):
    _open(page, f"{dashboard}/embeddings", "Embeddings")
    expect(page.get_by_role("status").get_by_text("3,000 points")).to_be_visible()
    box = page.locator("canvas").first.bounding_box()
    corners = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7), (0.3, 0.31)]
    for place, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
        if place == 0:
            page.mouse.down()
    page.mouse.up()
    tiles = page.get_by_role("listitem")
    expect(tiles).to_have_count(50)
    _no_error(page)
    heading = page.get_by_text("images are selected").inner_text()
    chosen = int(re.match(r"[\d,]+", heading)[0].replace(",", ""))
    assert 50 < chosen < 3000
    # The pictures are those of the table's first images, with what the first run says of them.
    run = load_run(RUNS[0], ROOT)
    page.get_by_text("Table", exact=True).click()
    grid = page.get_by_test_id("stDataFrame")
    expect(grid.locator("tr")).not_to_have_count(0)
    first = int(grid.locator("[aria-rowindex='2'] td").first.inner_text().replace(",", ""))
    page.get_by_text("Images", exact=True).click()
    expect(tiles).to_have_count(50)
    names, index = run.info.dataset.class_names, int(run.logits()[first].argmax())
    expect(tiles.first).to_contain_text(names[run.labels()[first]])
    expect(tiles.first).to_contain_text(names[index])
    source = tiles.first.locator(".picture").evaluate(
        "tile => getComputedStyle(tile).backgroundImage"
    )
    sheet = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1].rstrip('")'))))
    atlas = thumbnails_of(run)
    tile = atlas.tile(int(atlas.positions([first])[0]))
    assert sheet.convert("RGB").crop((0, 0, *tile.size)).tobytes() == tile.tobytes()


def test_the_choice_of_runs_is_in_the_url_and_follows_to_other_pages(page, dashboard):
    _open(page, dashboard, "Overview")
    page.get_by_label(f"Remove {RUNS[1]}").click()
    expect(page.locator(".js-plotly-plot").last.locator(".legendtext")).to_have_text(
        [RUNS[0], RUNS[2]]
    )
    page.get_by_role("link", name="Calibration").click()
    expect(page.locator(".js-plotly-plot .annotation-text")).to_have_count(2)
    expect(page).to_have_url(re.compile(rf"calibration\?.*runs={RUNS[0]}&runs={RUNS[2]}$"))


def test_a_run_appears_while_the_page_is_open(page, tmp_path):
    with served("app/main.py", OLS_ROOT=str(tmp_path)) as address:
        page.goto(address)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        expect(page.get_by_text("ols train --dataset digits --method ols")).to_be_visible()
        synthetic_run(tmp_path, "fresh")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.locator("td", has_text="fresh")).to_have_count(1)
        assert [run.id for run in list_runs(tmp_path)] == ["fresh"]


def test_the_matrix_is_downloaded_with_every_value(page, dashboard):
    _open(page, f"{dashboard}/soft-labels?order=as+given&epoch=30", "Soft labels")
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_visible()
    page.locator(f".st-key-{RUNS[2]}-export button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".js-plotly-plot .heatmaplayer image")).to_have_count(1)
    dialog.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV table").click()
    table = pd.read_csv(started.value.path(), index_col="target class")
    run = load_run(RUNS[2], ROOT)
    assert table.pop("correct images").tolist() == run.soft_label_counts()[30].tolist()
    assert list(table.index) == list(table.columns) == list(run.info.dataset.class_names)
    stored = np.array(run.soft_labels(30))
    np.fill_diagonal(stored, np.nan)
    np.testing.assert_allclose(table.to_numpy(), stored, rtol=1e-6)
