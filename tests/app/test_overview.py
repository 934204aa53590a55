"""The Overview page: listing, comparing and managing runs, on synthetic ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from app.charts.curves import training_curves
from app.charts.theme import RUN_COLORS
from app.views import curves as curves_view
from ols_core.run_manager import TRASH, edit_run
from ols_core.run_writer import RunWriter
from ols_core.runs import list_runs, load_run
from tests.app.browser import served
from tests.app.harness import array, figures, open_page
from tests.synthetic import synthetic_run

MARKUP = "**bold** <b>x</b> [l](http://x) :red[y] $z$"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def three_runs(root):
    return {m: synthetic_run(root, f"run-{m}", method=m) for m in ("ce", "ls", "ols")}


def _listed(app):
    table = app.dataframe[0].value
    return table["Id" if "Id" in table else "Run"].tolist()


def _rewrite(run, **changes):
    """Change `run.json` as another program might."""
    file = run.path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _with_seconds(run, seconds):
    file = run.path / "history.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    timed = [r | {"seconds": s} for r, s in zip(records, seconds, strict=True)]
    file.write_text("".join(json.dumps(record) + "\n" for record in timed))


def test_runs_are_found_by_words_in_any_of_their_names(three_runs):
    edit_run(three_runs["ce"], name="Nightly")
    edit_run(three_runs["ls"], tags=["paper", "Figure 3"])
    app = open_page(filter="run-LS")
    assert app.text_input(key="filter").value == "run-LS"
    for words, expected in {
        "run-LS": {"run-ls"},
        "": {"run-ce", "run-ls", "run-ols"},
        "ols synthetic": {"run-ols"},
        "nightly": {"run-ce"},
        "figure  paper": {"run-ls"},
        "nothing like it": set(),
    }.items():
        app.text_input(key="filter").set_value(words).run()
        assert set(_listed(app)) == expected
        assert app.caption[0].value.startswith(f"{len(expected)} of 3 runs.")
    # what is chosen does not depend on what is listed
    assert app.multiselect(key="runs").value == ["run-ce", "run-ls", "run-ols"]


def test_archived_runs_are_listed_when_asked_for(three_runs):
    assert not open_page().get("toggle")
    edit_run(three_runs["ls"], archived=True)
    app = open_page()
    assert set(_listed(app)) == {"run-ce", "run-ols"}
    assert app.multiselect(key="runs").value == ["run-ce", "run-ols"]
    assert app.toggle(key="archived").label == "1 archived"
    app.toggle(key="archived").set_value(True).run()
    table = app.dataframe[0].value.set_index("Run")
    assert table.loc["run-ls", "Status"] == "finished, archived"


def test_the_table_needs_no_history(three_runs, monkeypatch):
    def unread(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("ols_core.runs.read_history", unread)
    app = open_page(runs=["none of them"])
    assert app.dataframe[0].value["Epochs"].tolist() == [3, 3, 3]


def test_settings_show_what_differs_and_on_request_the_rest(root):
    config = {"epochs": 5, "seed": 3, "loss_options": {"cap": 0.9}}
    synthetic_run(root, "old", method="ols", config=config)
    new = synthetic_run(root, "new", method="ce", config=config | {"seed": 4, "optimizer": "sgd"})
    _rewrite(new, environment={"device_name": "a GPU", "torch": "9.9"})
    app = open_page(compare="Settings", runs=["old", "new"])
    table = app.dataframe[1].value.set_index(["Part", "Setting"])
    assert table.loc[("Run", "method")].tolist() == ["ols", "ce"]
    assert table.loc[("Training", "seed")].tolist() == ["3", "4"]
    # CE has no alpha; both have SGD, which one of them says and the other leaves to the default.
    assert table.loc[("Training", "alpha")].tolist() == ["0.25", "–"]
    assert ("Training", "optimizer") not in table.index
    assert table.loc[("Environment", "device_name")].tolist() == ["–", "a GPU"]
    assert (table["old"] != table["new"]).all()

    app.toggle(key="equal").set_value(True).run()
    everything = app.dataframe[1].value.set_index(["Part", "Setting"])
    assert everything.loc[("Training", "optimizer")].tolist() == ["sgd", "sgd"]
    assert everything.loc[("Training", "loss_options, cap")].tolist() == ["0.9", "0.9"]
    assert everything.loc[("Data set", "images, test")].tolist() == ["240", "240"]
    assert everything.loc[("Data set", "classes")].tolist() == ["6", "6"]


def test_one_run_shows_all_its_settings_and_equal_runs_none(root):
    for run_id in ("one", "two"):
        synthetic_run(root, run_id)
    app = open_page(compare="Settings", runs=["one"])
    assert "Training" in app.dataframe[1].value["Part"].tolist()
    app = open_page(compare="Settings", runs=["one", "two"])
    assert "differ in nothing" in app.info[0].value


def test_differences_are_those_of_the_calibration_page(three_runs):
    app = open_page(compare="Differences")
    app.selectbox(key="baseline").set_value("run-ols").run()
    here = app.dataframe[1].value
    there = open_page("calibration", part="Comparison", baseline="run-ols").dataframe[1].value
    pd.testing.assert_frame_equal(here, there)
    assert set(here["Run"]) == {"run-ce", "run-ls"}
    assert len(figures(app)) == 1


def test_differences_need_two_runs_with_predictions_on_the_same_labels(root):
    synthetic_run(root, "six")
    synthetic_run(root, "four", n_classes=4)
    synthetic_run(root, "young", finished=False)
    said = [
        (["six"], "two or more runs"),
        (["six", "four"], "Not compared"),
        (["six", "young"], "young (running) has no predictions"),
    ]
    for runs, sentence in said:
        app = open_page(compare="Differences", runs=runs)
        assert not app.error
        assert sentence in app.info[0].value


def test_curves_are_aligned_by_the_time_spent_so_far(root, monkeypatch):
    tables = {}
    show = curves_view.show_figure
    monkeypatch.setattr(
        curves_view,
        "show_figure",
        lambda *a, **k: (tables.update({k["key"]: k["data"]()}), show(*a, **k)),
    )
    seconds = {"slow": [100.0, 50.0, 70.0], "fast": [10.0, 20.0, 30.0]}
    for run_id, spent in seconds.items():
        _with_seconds(synthetic_run(root, run_id), spent)
    synthetic_run(root, "untimed")
    app = open_page(runs=["slow", "untimed", "fast"], along="By time")
    figure = figures(app)[0]
    assert figure["layout"]["xaxis"]["title"]["text"] == "training time, minutes"
    lines = [trace for trace in figure["data"] if trace["showlegend"]]
    assert [line["name"] for line in lines] == ["slow", "fast"]
    for line in lines:
        np.testing.assert_allclose(array(line["x"]), np.cumsum(seconds[line["name"]]) / 60)
        assert array(line["customdata"]).tolist() == [1, 2, 3]
    # the colours are those of the places among the chosen runs
    assert [line["line"]["color"] for line in lines] == [RUN_COLORS[0], RUN_COLORS[2]]
    assert "untimed" in app.info[0].value
    table = tables["curve_accuracy"].set_index("run")
    assert table.loc["slow", "seconds"].tolist() == [100.0, 150.0, 220.0]
    assert table.loc["untimed", "seconds"].isna().all()


@pytest.mark.parametrize(
    ("seconds", "unit", "last"),
    [(59.0, "seconds", 118), (60.0, "minutes", 2), (3600.0, "hours", 2)],
)
def test_times_have_the_largest_unit_that_there_are_two_of(seconds, unit, last):
    records = [{"epoch": epoch, "val_nll": 1.0, "seconds": seconds} for epoch in (1, 2)]
    figure = training_curves({"run": records}, "NLL", along="time")
    assert figure.layout.xaxis.title.text == f"training time, {unit}"
    assert figure.data[0].x[-1] == last


def test_curves_without_any_times_say_so():
    records = [{"epoch": 1, "val_nll": 1.0}, {"epoch": 2, "val_nll": 0.5, "seconds": 3.0}]
    figure = training_curves({"partly": records}, "NLL", along="time")
    assert not figure.data
    assert "No history" in figure.layout.annotations[0].text


def _manage(app, action):
    return app.menu_button(key="manage").click(action).run()


def test_runs_are_archived_and_taken_out_again(three_runs, root):
    app = open_page(runs=["run-ce", "run-ols"])
    _manage(app, "Archive")
    assert {run.id for run in list_runs(root) if run.info.archived} == {"run-ce", "run-ols"}
    assert _listed(app) == ["run-ls"]
    _manage(app, "Take out of the archive")
    assert not any(run.info.archived for run in list_runs(root))
    assert set(_listed(app)) == {"run-ce", "run-ls", "run-ols"}


def test_runs_are_renamed_and_tagged_in_a_dialog(three_runs, root):
    untouched = (three_runs["ls"].path / "run.json").stat().st_mtime_ns
    app = open_page()
    _manage(app, "Rename and tag")
    app.text_input(key="name-run-ce").set_value(MARKUP)
    app.multiselect(key="tags-run-ce").set_value(["two words"])
    app.text_input(key="name-run-ols").set_value("")
    app.button[0].click().run()
    assert not app.error
    info = load_run("run-ce", root).info
    assert (info.name, info.tags) == (MARKUP, ("two words",))
    assert load_run("run-ols", root).info.name == "run-ols"
    assert (three_runs["ls"].path / "run.json").stat().st_mtime_ns == untouched

    row = app.dataframe[0].value.set_index("Id").loc["run-ce"]
    assert row["Run"] == MARKUP
    assert list(row["Tags"]) == ["two words"]
    # closed again, and with the known tags at hand the next time
    assert "name-run-ce" not in {field.key for field in app.text_input}
    _manage(app, "Rename and tag")
    assert app.multiselect(key="tags-run-ls").options == ["two words"]


def test_a_name_that_is_refused_is_told_as_it_was_typed(three_runs, root):
    app = open_page(runs=["run-ce"])
    _manage(app, "Rename and tag")
    app.multiselect(key="tags-run-ce").set_value(["*" * 41])
    app.button[0].click().run()
    assert "tag must be 1 to 40 characters" in app.error[0].value.replace("\\", "")
    assert "\\*" * 41 in app.error[0].value
    assert load_run("run-ce", root).info.tags == ()


def test_runs_are_deleted_to_the_trash_after_a_question(three_runs, root):
    edit_run(three_runs["ce"], name=MARKUP)
    app = open_page(runs=["run-ce", "run-ols"])
    _manage(app, "Delete")
    assert [text.value for text in app.text] == [f"run-ce: {MARKUP}", "run-ols"]
    app.button(key="keep_runs").click().run()
    assert len(list_runs(root)) == 3
    assert not app.text

    _manage(app, "Delete")
    app.button(key="delete_runs").click().run()
    assert not app.exception
    assert _listed(app) == ["run-ls"]
    assert app.multiselect(key="runs").value == []
    assert sorted(path.name[:7] for path in (root / TRASH).iterdir()) == ["run-ce-", "run-ols"]
    assert not app.text


def test_a_question_stays_open_while_other_runs_change(three_runs, root):
    app = open_page(runs=["run-ce"])
    _manage(app, "Delete")
    _rewrite(three_runs["ls"], method="gce")
    app.run()
    assert app.text[0].value == "run-ce"
    app.multiselect(key="runs").set_value([]).run()
    app.multiselect(key="runs").set_value(["run-ls"]).run()
    assert not app.text


def test_a_run_that_is_being_written_is_not_deleted(three_runs, root):
    writer = RunWriter.reopen(synthetic_run(root, "busy", finished=False))
    app = open_page(runs=["busy", "run-ce"])
    _manage(app, "Delete")
    app.button(key="delete_runs").click().run()
    assert "being written by process" in app.error[0].value
    assert load_run("busy", root).status == "running"
    assert not (root / "run-ce").exists()
    app.run()
    _manage(app, "Rename and tag")
    assert app.text_input(key="name-busy").disabled
    writer.close("stopped")


def test_a_dashboard_that_must_not_write_offers_nothing_of_it(three_runs, monkeypatch):
    monkeypatch.setenv("OLS_READ_ONLY", "1")
    app = open_page()
    assert not app.menu_button
    assert _listed(app)


def test_no_name_is_drawn_as_markdown(three_runs):
    for run in three_runs.values():
        edit_run(run, name=MARKUP, tags=[MARKUP[:40]])
    app = open_page()
    for section in ("Training curves", "Settings", "Differences"):
        app.segmented_control(key="compare").set_value(section).run()
        drawn = [*app.markdown, *app.caption, *app.info, *app.subheader, *app.title]
        assert not any("bold" in element.value for element in drawn)


def _click_row(page, position):
    """The cells are painted on a canvas: click where the box of the row is."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    page.mouse.click(box["x"] + 17, box["y"] + 36 + 35 * position + 17)


def _selected(page):
    return page.get_by_test_id("stDataFrame").first.locator("tbody tr[aria-selected=true]")


def test_rows_and_the_choice_above_follow_one_another(page, tmp_path):
    for number in range(8):
        synthetic_run(tmp_path, f"run-{number}", config={"seed": number}, epochs=1)
        _rewrite(load_run(f"run-{number}", tmp_path), created=f"2026-01-0{9 - number}T00:00:00Z")
    with served("app/main.py", OLS_ROOT=str(tmp_path)) as address:
        page.goto(f"{address}/?runs=run-1&runs=run-3&compare=Settings")
        chips = page.get_by_test_id("stMultiSelect").first.locator("[aria-label^='Remove ']")
        expect(_selected(page)).to_have_count(2)

        _click_row(page, 0)
        expect(chips).to_have_count(3)
        expect(chips.last).to_have_attribute("aria-label", "Remove run-0")
        _click_row(page, 3)
        expect(chips).to_have_count(2)
        expect(_selected(page)).to_have_count(2)
        chips.first.click()
        expect(_selected(page)).to_have_count(1)

        # Run 5 is the first row of its filter; what is chosen besides stays so.
        page.get_by_placeholder("Filter: words").fill("run-5")
        expect(page.get_by_text("1 of 8 runs")).to_be_visible()
        expect(_selected(page)).to_have_count(0)
        _click_row(page, 0)
        expect(chips).to_have_count(2)
        expect(chips.last).to_have_attribute("aria-label", "Remove run-5")
        page.get_by_placeholder("Filter: words").fill("")
        expect(_selected(page)).to_have_count(2)

        # All rows at once are more than can be shown.
        _click_row(page, -1)
        expect(page.get_by_text("Up to 6 runs are shown at a time.")).to_be_visible()
        expect(chips).to_have_count(6)
        expect(_selected(page)).to_have_count(6)
