"""Weights of a timm network, evaluated by the command and looked at in a real Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ols_core.config import TrainConfig
from ols_core.runs import load_run
from tests.app.browser import served

MODEL = "timm:test_resnet"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the run of a short training, whose weights are evaluated in the test."""
    from ols_core.training import train

    root = tmp_path_factory.mktemp("runs")
    train(TrainConfig(dataset="digits", model=MODEL, method="ls", epochs=2, name="trained"), root)
    return root


def test_weights_of_timm_become_a_run_beside_the_training(page, root, ols):
    weights = root / "trained" / "weights.safetensors"
    command = ("evaluate", "--model", MODEL, "--weights", weights, "--data", "digits")
    code, said = ols(*command, "--name", "theirs", "--root", root)
    assert code == 0, said
    ours, theirs = (load_run(name, root).info for name in ("trained", "theirs"))
    assert theirs.source == "evaluated"
    assert theirs.summary["test"]["accuracy"] == ours.summary["test"]["accuracy"]
    with served("app/main.py", OLS_ROOT=str(root)) as address:
        page.goto(f"{address}/calibration?runs=trained&runs=theirs")
        titles = page.locator(".js-plotly-plot .annotation-text")
        shown = [
            re.compile(f"^{run.id}ECE {run.summary['test']['ece']:.2%}") for run in (ours, theirs)
        ]
        expect(titles).to_have_text(shown)
        page.goto(f"{address}/embeddings?runs=theirs&view=Three+classes")
        expect(page.locator("canvas").first).to_be_visible()
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
        page.goto(f"{address}/soft-labels?runs=theirs")
        expect(page.get_by_text("not of evaluating weights")).to_be_visible()
