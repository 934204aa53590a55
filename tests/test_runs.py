from __future__ import annotations

import json
import os
import platform

import numpy as np
import pytest

from ols_core.errors import ArgumentError, RunError, RunNotFoundError
from ols_core.run_writer import RunWriter, write_atomically
from ols_core.runs import check_run_id, label_fingerprint, list_runs, load_run, scan_runs
from tests.synthetic import synthetic_run


def test_what_was_written_is_read_back(tmp_path):
    run = synthetic_run(tmp_path, "one", n_classes=5, epochs=2)

    assert run.status == "finished"
    assert run.info.process is None
    assert run.soft_label_epochs == [0, 1, 2]
    assert run.soft_labels(2).dtype == np.float32
    assert run.soft_label_counts().shape == (3, 5)
    assert not run.soft_label_counts()[0].any()
    assert [record["epoch"] for record in run.history] == [1, 2]
    assert run.logits().dtype == np.float16
    assert run.labels().dtype == np.int64
    assert run.features().dtype == np.float16


def test_arrays_are_memory_mapped_and_read_only(tmp_path):
    matrix = synthetic_run(tmp_path, "one").soft_labels(1)

    assert isinstance(matrix, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


def test_pickled_arrays_are_refused(tmp_path):
    run = synthetic_run(tmp_path, "one")
    np.save(run.path / "predictions" / "test_labels.npy", np.array([{}], dtype=object))

    with pytest.raises(RunError, match=r"test_labels\.npy cannot be read"):
        run.labels()


def test_an_existing_run_is_never_overwritten(tmp_path):
    run = synthetic_run(tmp_path, "one")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}

    with pytest.raises(RunError, match="exists already"):
        RunWriter.create(tmp_path, run.info)

    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("bad", ["", "../x", "A", "a/b", ".hidden", "_x", "a" * 101, "a b"])
def test_unsafe_ids_are_refused(bad, tmp_path):
    with pytest.raises(ArgumentError, match="run name must be"):
        check_run_id(bad)
    with pytest.raises(ArgumentError):
        load_run(bad, tmp_path)


def test_an_absent_run_names_those_that_exist(tmp_path):
    synthetic_run(tmp_path, "one")
    with pytest.raises(RunNotFoundError, match="there are: one"):
        load_run("two", tmp_path)


def test_a_damaged_run_is_a_problem_and_hides_no_other(tmp_path):
    synthetic_run(tmp_path, "good")
    synthetic_run(tmp_path, "cut-off")
    synthetic_run(tmp_path, "incomplete")
    file = tmp_path / "cut-off" / "run.json"
    file.write_text(file.read_text()[:40])
    (tmp_path / "incomplete" / "run.json").write_text('{"schema_version": 1, "id": "incomplete"}')
    (tmp_path / "no-run").mkdir()
    (tmp_path / "_datasets").mkdir()

    scan = scan_runs(tmp_path)

    assert [run.id for run in scan.runs] == ["good"]
    assert set(scan.problems) == {"cut-off", "incomplete"}
    assert "run.json, name" in scan.problems["incomplete"]


def test_an_unknown_schema_version_is_refused(tmp_path):
    run = synthetic_run(tmp_path, "one")
    record = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(record | {"schema_version": 2}))

    assert "schema_version" in scan_runs(tmp_path).problems["one"]


def test_unknown_keys_survive_a_rewrite(tmp_path):
    run = synthetic_run(tmp_path, "one")
    record = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(record | {"tags": ["mine"]}))

    RunWriter.reopen(load_run("one", tmp_path)).close("finished")

    assert json.loads((run.path / "run.json").read_text())["tags"] == ["mine"]


def test_an_incomplete_last_line_of_the_history_is_left_out(tmp_path):
    run = synthetic_run(tmp_path, "one", epochs=2)
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lr"')

    assert len(load_run("one", tmp_path).history) == 2


def test_a_damaged_line_inside_the_history_is_an_error(tmp_path):
    run = synthetic_run(tmp_path, "one", epochs=2)
    (run.path / "history.jsonl").write_text('{"epoch": 1\n{"epoch": 2}\n')

    with pytest.raises(RunError, match="line 1 is not JSON"):
        _ = load_run("one", tmp_path).history


def test_a_running_run_whose_process_is_gone_is_interrupted(tmp_path):
    run = synthetic_run(tmp_path, "one", finished=False)
    assert run.status == "running"

    gone = {"pid": 2**22 + 1, "host": platform.node()}
    RunWriter.reopen(run).update(process=gone)
    assert load_run("one", tmp_path).status == "interrupted"

    RunWriter.reopen(run).update(process={"pid": os.getpid(), "host": "another-machine"})
    assert load_run("one", tmp_path).status == "running"


def test_absent_parts_are_named(tmp_path):
    run = synthetic_run(tmp_path, "one", finished=False)
    with pytest.raises(RunError, match=r"features/test\.npy is absent"):
        run.features()
    with pytest.raises(RunError, match="no soft labels of epoch 9"):
        run.soft_labels(9)


def test_a_matrix_of_another_size_is_refused(tmp_path):
    run = synthetic_run(tmp_path, "one", n_classes=5)
    np.save(run.path / "soft_labels" / "0001.npy", np.eye(4, dtype=np.float32))
    with pytest.raises(RunError, match=r"shape \(4, 4\), expected \(5, 5\)"):
        run.soft_labels(1)


def test_a_failed_write_leaves_the_old_content(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, fail)

    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_rewind_forgets_later_epochs_only(tmp_path):
    run = synthetic_run(tmp_path, "one", epochs=4)
    second = run.soft_labels(2).copy()

    RunWriter.reopen(run).rewind(2)
    run = load_run("one", tmp_path)

    assert run.soft_label_epochs == [0, 1, 2]
    assert [record["epoch"] for record in run.history] == [1, 2]
    np.testing.assert_array_equal(run.soft_labels(2), second)


def test_fingerprints_tell_order_and_content_but_not_type():
    labels = np.array([0, 1, 2, 1])
    assert label_fingerprint(labels) == label_fingerprint(labels.astype(np.uint8))
    assert label_fingerprint(labels) != label_fingerprint(labels[::-1])
    assert label_fingerprint(labels) != label_fingerprint(labels[:3])


def test_runs_are_listed_newest_first(tmp_path):
    for run_id, created in (("old", "2024-01-01"), ("new", "2025-01-01")):
        run = synthetic_run(tmp_path, run_id)
        RunWriter.reopen(run).update(created=f"{created}T00:00:00+00:00")
    assert [run.id for run in list_runs(tmp_path)] == ["new", "old"]
