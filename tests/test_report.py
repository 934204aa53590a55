"""The report: its numbers, what it says of what is missing, and how a browser shows it."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect

import ols_core
from app.report import MAX_RUNS, Missing, build_report, to_html
from app.report.content import Interval, Number, Range, Table
from app.views import report as view
from ols_core.errors import ArgumentError
from ols_core.runs import DEFAULT_ROOT, load_run
from tests.app.browser import chromium
from tests.conftest import REPOSITORY
from tests.synthetic import synthetic_run, top_labels_of

BUNDLED = [f"cifar100-resnet20-{method}" for method in ("ce", "ls", "ols")]
HOSTILE = [
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "<b>not bold</b>",
    "a & b",
    '"quoted" %{x}',
    "<!-- $100",
]
PATIENCE = 60_000  # milliseconds, for machines under load


@pytest.fixture(scope="module")
def bundled():
    return [load_run(run_id, REPOSITORY / DEFAULT_ROOT) for run_id in BUNDLED]


@pytest.fixture(scope="module")
def report(bundled):
    return build_report(bundled)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page of HTML without a network; its errors and requests fail the test."""
    contexts, problems = [], []

    def open_page(html, **options):
        file = tmp_path / "report.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.route("**/*", lambda route: route.abort())
        page.route(file.as_uri(), lambda route: route.continue_())
        # Warnings are the browser's own, on how slow its WebGL is.
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def _table(report, name):
    """A table's values at full precision: row name → column → text."""
    table = next(table for table in report.tables() if table.name == name)
    return list(csv.DictReader(io.StringIO(table.csv())))


def _sentences(report, section):
    found = next(part for part in report.sections if part.title == section)
    return " ".join(block.text for block in found.blocks if isinstance(block, Missing))


def _recorded(run):
    return json.loads((run.path / "run.json").read_text())["summary"]["test"]


def test_the_numbers_are_those_that_the_runs_recorded(report, bundled):
    rows = {row["run"]: row for row in _table(report, "metrics")}
    for run in bundled:
        recorded, row = _recorded(run), rows[run.id]
        for column, name in (
            ("images", "n_samples"),
            ("accuracy", "accuracy"),
            ("top-5", "top5_accuracy"),
            ("NLL", "nll"),
            ("Brier", "brier"),
            ("ECE", "ece"),
        ):
            assert float(row[column]) == pytest.approx(recorded[name], rel=1e-9)
        for column in ("accuracy", "NLL", "Brier"):
            assert float(row[f"{column} low"]) < float(row[column]) < float(row[f"{column} high"])


def test_differences_are_those_of_the_recorded_numbers(report, bundled):
    baseline = _recorded(bundled[0])
    rows = _table(report, "differences")
    assert {row["run"] for row in rows} == set(BUNDLED[1:])
    for row in rows:
        name = {"NLL": "nll", "Brier score": "brier", "ECE": "ece"}.get(row["metric"])
        if name is not None:
            recorded = _recorded(load_run(row["run"], bundled[0].path.parent))
            expected = recorded[name] - baseline[name]
            assert float(row["difference"]) == pytest.approx(expected, abs=1e-9)


def test_every_run_and_metric_is_in_the_calibration_table(report, bundled):
    rows = {row["metric"]: row for row in _table(report, "calibration")}
    for run in bundled:
        recorded = _recorded(run)
        assert float(rows["ECE"][run.id]) == pytest.approx(recorded["ece"], rel=1e-9)
        assert float(rows["Gap"][run.id]) == pytest.approx(recorded["signed_gap"], rel=1e-9)
    # Over-confident networks are cooled down, under-confident ones warmed up.
    assert float(rows["Temperature"][BUNDLED[0]]) > 1 > float(rows["Temperature"][BUNDLED[2]])


def test_settings_that_differ_are_told_apart_from_the_others(report):
    different = {row["setting"]: row for row in _table(report, "settings-that-differ")}
    shared = {row["setting"]: row["value"] for row in _table(report, "settings")}
    assert [different["method"][run_id] for run_id in BUNDLED] == ["ce", "ls", "ols"]
    assert [different["alpha"][run_id] for run_id in BUNDLED] == ["–", "–", "0.5"]
    assert shared["epochs"] == "60"
    assert not set(different) & set(shared)


def test_a_table_of_numbers_keeps_them_all():
    table = Table(
        "numbers",
        "Numbers",
        ("row", "value"),
        (
            ("a, b", Range(Interval(1 / 3, 0.25, 0.5), ".1%")),
            ("c", Number(2.0)),
            ("d", Number(None)),
        ),
    )
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows == [
        ["row", "value", "value low", "value high"],
        ["a, b", repr(1 / 3), "0.25", "0.5"],
        ["c", "2.0", "", ""],
        ["d", "", "", ""],
    ]
    assert table.grid().rows == (("a, b", "33.3% [25.0%, 50.0%]"), ("c", "2.0000"), ("d", "–"))


def test_a_browser_draws_every_figure_without_a_network(report, opened):
    html = to_html(report)
    assert len(html.encode()) < 8e6
    page = opened(html)
    assert page.locator("figure").count() == len(report.charts())
    assert page.locator("figure .main-svg").count() >= len(report.charts())
    for chart in report.charts():
        plot = page.locator(f"[id='figure-{chart.name}']")
        expect(plot.locator("text").first).to_be_attached()
        assert plot.bounding_box()["height"] == chart.figure.layout.height
        assert plot.locator("xpath=..").locator("figcaption").inner_text() == chart.caption
    row = page.get_by_role("row").filter(has_text=BUNDLED[0]).filter(has_text="18.62%").first
    assert "2.2582 [2.2053, 2.3111]" in row.inner_text()
    assert page.locator("nav a").first.get_attribute("href") == "#s1"
    assert page.locator("nav a").evaluate_all(
        "links => links.every(a => document.querySelector(a.hash))"
    )


def test_the_page_turns_dark_and_goes_on_paper_in_light_colours(opened, tmp_path):
    run = synthetic_run(tmp_path, "run", finished=False)
    page = opened(to_html(build_report([run])), color_scheme="light")
    fill = "() => getComputedStyle(document.querySelector('.xtick text')).fill"
    assert page.evaluate(fill) == "rgb(31, 35, 40)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"({fill})() === 'rgb(230, 232, 235)'")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"({fill})() === 'rgb(31, 35, 40)'")
    assert page.locator("details").first.get_attribute("open") is not None
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"({fill})() === 'rgb(230, 232, 235)'")


def test_names_may_hold_anything(opened, tmp_path):
    run = synthetic_run(tmp_path, "run", superclasses=HOSTILE[:3] * 2)
    file = run.path / "run.json"
    record = json.loads(file.read_text())
    record["dataset"] |= {"class_names": HOSTILE, "name": HOSTILE[0]}
    file.write_text(json.dumps(record | {"name": HOSTILE[1]}))
    page = opened(to_html(build_report([load_run("run", tmp_path)])))
    assert page.evaluate("window.broken") is None
    assert page.locator("script").count() == 3
    assert page.locator("img").count() == 0
    cells = page.locator("td, th").all_text_contents()
    assert set(HOSTILE) <= set(cells)
    shown = page.locator("#figure-class-map .textpoint").all_text_contents()
    assert sorted(shown) == sorted(HOSTILE)


def test_what_a_run_does_not_hold_is_said(tmp_path):
    report = build_report([synthetic_run(tmp_path, "begun", finished=False)])
    for section, part in (
        ("Overview", "predictions/test_logits.npy"),
        ("Calibration", "predictions/test_logits.npy"),
        ("Embeddings", "features/test.npy"),
    ):
        assert "begun (running) has no" in _sentences(report, section)
        assert f"{part} is absent" in _sentences(report, section)
    assert "superclasses of synthetic are not known" in _sentences(report, "Similarity")
    assert any(chart.name == "soft-labels-begun" for chart in report.charts())
    assert _table(report, "metrics")[0]["accuracy"] == ""


def test_a_run_with_predictions_alone_has_a_report(tmp_path):
    run = synthetic_run(tmp_path, "bought")
    for part in ("soft_labels", "features"):
        shutil.rmtree(run.path / part)
    for part in ("history.jsonl", "weights.safetensors"):
        (run.path / part).unlink()
    report = build_report([load_run("bought", tmp_path)])
    assert "no history of epochs" in _sentences(report, "Overview")
    assert "soft_labels/counts.npy is absent" in _sentences(report, "Soft labels")
    assert {chart.name for chart in report.charts()} == {"class-map", "reliability"}
    assert _table(report, "similar-pairs")
    assert "no second run" in _sentences(report, "Calibration")


def test_top_labels_leave_blank_what_needs_all_probabilities(tmp_path):
    whole = synthetic_run(tmp_path, "whole")
    report = build_report([top_labels_of(whole), whole])
    assert "Of whole-top only the best class" in _sentences(report, "Calibration")
    rows = {row["metric"]: row for row in _table(report, "calibration")}
    assert rows["NLL"]["whole-top"] == "" != rows["NLL"]["whole"]
    assert float(rows["ECE"]["whole-top"]) == pytest.approx(float(rows["ECE"]["whole"]))
    assert [row["run"] for row in _table(report, "intervals")] == ["whole"]


def test_only_what_can_be_compared_is_compared(tmp_path):
    runs = [
        synthetic_run(tmp_path, "six", method="ce"),
        synthetic_run(tmp_path, "other-six"),
        synthetic_run(tmp_path, "eight", n_classes=8),
    ]
    report = build_report(runs)
    left_out = "Left out, since their classes are not those of six: eight."
    for section in ("Soft labels", "Similarity", "Embeddings"):
        assert left_out in _sentences(report, section)
    assert "labels are not those of six: eight." in _sentences(report, "Calibration")
    assert {row["run"] for row in _table(report, "differences")} == {"other-six"}


def test_a_damaged_part_takes_the_place_of_its_section_only(tmp_path):
    run = synthetic_run(tmp_path, "run")
    (run.path / "features" / "test.npy").write_bytes(b"")
    report = build_report([run])
    assert "features/test.npy cannot be read" in _sentences(report, "Embeddings")
    assert "cannot be read" not in _sentences(report, "Calibration")


def test_many_classes_are_pooled(tmp_path):
    run = synthetic_run(tmp_path, "run", n_classes=320, epochs=1, finished=False)
    chart = next(c for c in build_report([run]).charts() if c.name == "soft-labels-run")
    assert np.shape(chart.figure.data[0].z) == (300, 300)
    assert "320 classes are drawn as 300 cells a side" in chart.caption


@pytest.mark.parametrize("count", [0, MAX_RUNS + 1])
def test_a_report_is_on_one_to_six_runs(tmp_path, count):
    run = synthetic_run(tmp_path, "run", finished=False)
    with pytest.raises(ArgumentError, match="1 to 6 different runs"):
        build_report([run] * count)


def test_the_dashboard_makes_the_report_when_its_button_is_clicked(tmp_path, monkeypatch):
    buttons = []
    monkeypatch.setattr(view.st, "download_button", lambda *a, **k: buttons.append((a, k)))
    view.report_button([synthetic_run(tmp_path, "mine", finished=False)])
    (_, make, name, kind), options = buttons[0]
    assert (name, kind, options["disabled"]) == ("report-mine.html", "text/html", False)
    assert "<title>Online Label Smoothing: report on mine</title>" in make()
    view.report_button([])
    assert buttons[1][1]["disabled"]


def test_the_command_writes_a_report_and_replaces_none(ols, tmp_path):
    synthetic_run(tmp_path, "run", finished=False)
    file = tmp_path / "new" / "report.html"
    arguments = ("report", "run", "--root", tmp_path, "--output", file)
    code, said = ols(*arguments)
    assert code == 0
    assert f"Report on run written to {file} (" in said
    first = file.read_text()
    assert first.startswith("<!doctype html>")

    file.write_text("mine")
    code, said = ols(*arguments)
    assert (code, file.read_text()) == (2, "mine")
    assert "exists already; name another, or replace it with --force" in said
    assert ols(*arguments, "--force")[0] == 0
    assert file.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing",), 1, "No run 'nothing'"),
        (("run", "run"), 2, "RUN must be 1 to 6 different runs"),
        (("run", "--output", "."), 2, "is a folder; name a file"),
    ],
)
def test_a_report_that_cannot_be_is_refused(ols, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    synthetic_run(tmp_path, "run", finished=False)
    found, said = ols("report", *arguments, "--root", tmp_path)
    assert found == code
    assert message in said
    assert not (tmp_path / "report.html").exists()


def test_an_installation_without_the_dashboard_says_so(ols, tmp_path, monkeypatch):
    synthetic_run(tmp_path, "run", finished=False)
    monkeypatch.setattr(ols_core, "__file__", str(tmp_path / "ols_core" / "__init__.py"))
    code, said = ols("report", "run", "--root", tmp_path, "--output", tmp_path / "r.html")
    assert code == 1
    assert "drawn with the charts of the dashboard" in said
