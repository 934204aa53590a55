"""Layouts computed by real processes, beside the server."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import layouts
from ols_core.projections import LayoutRequest, Member, find_layout
from ols_core.runs import load_run
from tests.synthetic import synthetic_run

PATIENCE = 120  # seconds, for machines under load


def _ended(key):
    """Wait until a job has ended; returns it."""
    layouts._jobs().workers[key].reader.join(PATIENCE)
    return layouts.job(key)


@pytest.fixture
def members(digits_runs, tmp_path):
    """Copies of real runs on digits, which others may go on using."""
    for run in digits_runs.values():
        shutil.copytree(run.path, tmp_path / run.id)
    return [Member(load_run(digits_runs[method].id, tmp_path)) for method in ("ce", "ols")]


def test_a_process_computes_a_layout_once_for_all_who_ask(members):
    request = LayoutRequest("tsne", samples=60, perplexity=5.0)
    assert layouts.find(members, request) is None
    assert layouts.job(layouts.key_of(members, request)) is None

    with ThreadPoolExecutor(8) as sessions:
        keys = set(sessions.map(lambda _: layouts.start(members, request), range(8)))
    (key,) = keys
    worker = layouts._jobs().workers[key]
    assert layouts.start(members, request) == key
    assert layouts._jobs().workers[key] is worker
    running = layouts.job(key)
    assert (running.status, running.error) == ("running", None)

    done = _ended(key)
    assert (done.status, done.share, done.error) == ("done", 1.0, None)
    assert layouts.job(key).seconds == done.seconds > 0
    found = layouts.find(members, request)
    assert [points.shape for points in found.coordinates] == [(60, 2)] * 2
    assert layouts.find(members, request) is found
    assert layouts.find(members[:1], request).files == found.files[:1]
    layouts.cancel(key)
    assert layouts.job(key).status == "done"


def test_a_cancelled_job_leaves_nothing(members):
    key = layouts.start(members, LayoutRequest("umap", n_components=3))
    layouts.cancel(key)
    cancelled = _ended(key)
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert not members[0].run.has("projections")

    begun_again = layouts.start(members, LayoutRequest("umap", n_components=3))
    assert begun_again == key
    assert layouts.job(key).status == "running"
    layouts.cancel(key)
    assert _ended(key).status == "cancelled"


def test_a_failed_job_says_why_in_a_sentence(tmp_path):
    run = synthetic_run(tmp_path, "bare", finished=False)
    key = layouts.start([Member(run)], LayoutRequest())
    failed = _ended(key)
    assert failed.status == "failed"
    assert failed.error == (
        "Run bare has no features of the test split. Add them with: "
        f"ols features bare --split test --root {tmp_path}"
    )
    layouts.cancel(key)
    assert layouts.job(key).status == "failed"


def test_principal_components_need_no_process(members):
    request = LayoutRequest("pca", samples=50)
    found = layouts.find(members, request)
    assert found.files == ()
    assert layouts.find(members, request) is found
    assert find_layout(members, request) is None


def test_epochs_are_named_to_the_process(members):
    run = members[0].run
    command = layouts._command([Member(run, 5), Member(run)], LayoutRequest("umap", split="val"))
    assert command[-2:] == [f"{run.id}@5", run.id]
    options = dict(zip(command[5:-2:2], command[6:-2:2], strict=True))
    assert options["--split"] == "val"
    assert options["--neighbors"] == "15"
