"""The import page in a real Chromium, with the predictions of a random forest on the digits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss

from ols_core.runs import load_run
from tests.app.browser import served
from tests.app.harness import open_page
from tests.synthetic import synthetic_run


@pytest.fixture(scope="module")
def forest():
    """Labels and probabilities of held-out digits."""
    images, labels = load_digits(return_X_y=True)
    model = RandomForestClassifier(30, random_state=0).fit(images[:1200], labels[:1200])
    return labels[1200:], model.predict_proba(images[1200:])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def address(root):
    with served("app/main.py", OLS_ROOT=str(root)) as address:
        yield f"{address}/import"


def _table(folder, labels, probabilities):
    table = pd.DataFrame(probabilities, columns=[f"prob_{digit}" for digit in range(10)])
    table.insert(0, "label", labels)
    file = folder / "My forest.csv"
    table.to_csv(file, index=False)
    return file


def test_a_file_is_shown_first_and_then_becomes_a_run(page, address, root, forest, tmp_path):
    labels, probabilities = forest
    page.goto(address)
    file = page.get_by_test_id("stFileUploader").filter(has_text="Predictions")
    file.locator("input").set_input_files(_table(tmp_path, labels, probabilities))
    metrics = page.get_by_test_id("stMetricValue")
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    expect(metrics.nth(0)).to_have_text(f"{len(labels)}")
    expect(metrics.nth(1)).to_have_text("10")
    expect(metrics.nth(2)).to_have_text(f"{accuracy:.2%}")
    assert not list(root.glob("my-forest*"))
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Written: my-forest")).to_be_visible()
    run = load_run("my-forest", root)
    assert run.info.source == "imported"
    bounded = np.clip(probabilities, 2.0**-52, 1)
    expected = log_loss(labels, bounded / bounded.sum(axis=1, keepdims=True))
    assert run.info.summary["test"]["nll"] == pytest.approx(expected, rel=1e-3)
    # A second time the name is taken: nothing is overwritten.
    page.get_by_role("button", name="Import", exact=True).click()
    taken = page.get_by_test_id("stAlert").filter(has_text="exists already")
    expect(taken).to_contain_text("choose another name.")


def test_what_cannot_be_read_is_a_sentence_with_its_place(page, address, forest, tmp_path):
    labels, probabilities = forest
    spoiled = probabilities.copy()
    spoiled[6, 3] += 0.5
    page.goto(address)
    file = page.get_by_test_id("stFileUploader").filter(has_text="Predictions")
    file.locator("input").set_input_files(_table(tmp_path, labels, spoiled))
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("My forest.csv")
    expect(alert).to_contain_text("line 8")  # the seventh sample, below the heading
    expect(page.get_by_role("button", name="Import", exact=True)).to_have_count(0)


def test_a_read_only_dashboard_has_no_such_page(tmp_path, monkeypatch):
    synthetic_run(tmp_path, "one")
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    monkeypatch.setenv("OLS_READ_ONLY", "1")
    app = open_page()
    with pytest.raises(ValueError, match="import_predictions"):
        app.switch_page("views/import_predictions.py").run()
