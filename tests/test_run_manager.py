from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ols_core.errors import ArgumentError, RunError, RunNotFoundError
from ols_core.run_manager import MAX_NAME, MAX_TAG, MAX_TAGS, TRASH, edit_run, trash_run
from ols_core.run_writer import RunWriter
from ols_core.runs import list_runs, load_run, scan_runs
from tests.synthetic import synthetic_run


@pytest.fixture
def run(tmp_path):
    return synthetic_run(tmp_path, "one")


def _stored(run):
    return json.loads((run.path / "run.json").read_text())


def _files(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in ("run.json", ".lock")
    }


def test_only_what_was_asked_for_changes(run):
    file = run.path / "run.json"
    before = _stored(run) | {"from_the_future": {"kept": [1, "é"]}}
    file.write_text(json.dumps(before))
    files = _files(run.path)

    changed = edit_run(run, name="A better name")
    assert changed.info.name == "A better name"
    assert changed.id == "one"
    assert _stored(run) == before | {"name": "A better name"}

    edit_run(run, tags=["paper", "figure 3"])
    edit_run(run, archived=True)
    assert _stored(run) == before | {
        "name": "A better name",
        "tags": ["paper", "figure 3"],
        "archived": True,
    }
    assert _files(run.path) == files
    assert changed.modified > run.modified


def test_tags_and_the_archive_can_be_undone(run):
    edit_run(run, tags=["paper"], archived=True)
    assert edit_run(run, tags=[], archived=False).info == run.info


def test_a_run_of_before_there_were_tags_has_none(run):
    old = {k: v for k, v in _stored(run).items() if k not in ("tags", "archived")}
    (run.path / "run.json").write_text(json.dumps(old))
    info = load_run("one", run.path.parent).info
    assert info.tags == ()
    assert not info.archived


def test_space_is_tidied_and_a_tag_is_kept_once(run):
    info = edit_run(run, name="  two \n words ", tags=["a", " b  c ", "b c", "a"]).info
    assert info.name == "two words"
    assert info.tags == ("a", "b c")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": " \n"}, "name"),
        ({"name": "x" * (MAX_NAME + 1)}, "name"),
        ({"name": "bell\x07"}, "name"),
        ({"name": "half a pair \ud800"}, "name"),
        ({"tags": ["fine", ""]}, "tag"),
        ({"tags": ["x" * (MAX_TAG + 1)]}, "tag"),
        ({"tags": [str(i) for i in range(MAX_TAGS + 1)]}, "tags"),
    ],
)
def test_what_cannot_be_a_name_or_a_tag_is_refused(run, change, named):
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(ArgumentError, match=f"^{named} must be"):
        edit_run(run, **change)
    assert (run.path / "run.json").read_bytes() == before


# the folder is shared: every example writes the same run
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=MAX_NAME))
def test_whatever_is_accepted_is_read_back(run, name):
    try:
        edit_run(run, name=name)
    except ArgumentError:
        return
    assert load_run("one", run.path.parent).info.name == " ".join(name.split())


@pytest.mark.parametrize("change", [trash_run, lambda run: edit_run(run, name="new")])
def test_a_run_that_is_being_written_stays_as_it_is(run, change):
    writer = RunWriter.reopen(synthetic_run(run.path.parent, "busy", finished=False))
    before = (writer.path / "run.json").read_bytes()
    with pytest.raises(RunError, match=f"being written by process {os.getpid()} on .*stop that"):
        change(load_run("busy", run.path.parent))
    assert (writer.path / "run.json").read_bytes() == before
    writer.close("stopped")
    change(load_run("busy", run.path.parent))


def test_the_trash_holds_every_file_and_gives_the_run_back(run):
    root, files = run.path.parent, _files(run.path)
    info = run.info
    target = trash_run(run)
    assert target.parent == root / TRASH
    assert target.name.startswith("one-")
    assert _files(target) == files
    assert scan_runs(root).runs == []
    assert scan_runs(root).problems == {}

    target.rename(root / target.name)
    assert list_runs(root)[0].info == info
    (root / target.name).rename(root / "one")
    assert load_run("one", root).info == info


def test_runs_of_one_name_are_deleted_side_by_side(tmp_path):
    targets = {trash_run(synthetic_run(tmp_path, "one")) for _ in range(3)}
    assert len(targets) == 3
    assert all((target / "run.json").is_file() for target in targets)


def test_a_run_that_is_gone_does_not_come_back(run):
    trash_run(run)
    for change in (trash_run, lambda run: edit_run(run, archived=True)):
        with pytest.raises(RunNotFoundError, match="No run 'one'"):
            change(run)
    assert not run.path.exists()


def test_a_trash_that_cannot_be_written_keeps_the_run(run):
    (run.path.parent / TRASH).write_text("a file where the folder should be")
    with pytest.raises(RunError, match="cannot be moved"):
        trash_run(run)
    assert load_run("one", run.path.parent).info == run.info


def test_a_scan_reads_again_only_what_has_changed(tmp_path):
    for name in ("one", "two", "three"):
        synthetic_run(tmp_path, name)
    first = scan_runs(tmp_path)
    edit_run(load_run("two", tmp_path), tags=["new"])
    trash_run(load_run("three", tmp_path))
    second = scan_runs(tmp_path, first.runs)
    by_id = {run.id: run for run in first.runs}
    same = {run.id: run is by_id[run.id] for run in second.runs}
    assert same == {"one": True, "two": False}
    assert next(run for run in second.runs if run.id == "two").info.tags == ("new",)


def test_epochs_are_counted_without_the_line_that_a_crash_cut_off(run):
    assert run.n_epochs == len(run.history) == 3
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lr"')
    again = load_run("one", run.path.parent)
    assert again.n_epochs == len(again.history) == 3
    (run.path / "history.jsonl").unlink()
    assert load_run("one", run.path.parent).n_epochs == 0
