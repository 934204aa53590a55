"""The dashboard on a thousand classes and ninety epochs, in a real Chromium."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.app.browser import memory_of, received_bytes, serving
from tests.large_run import large_run

MEGABYTE = 1_000_000


def _act(page, sizes, action) -> int:
    """Bytes that the page receives until it has come to rest after an action."""
    sizes.clear()
    action()
    page.wait_for_timeout(300)  # until the script has begun
    expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator(".viewer canvas").first).to_be_visible()
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    return sum(sizes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told on Linux only")
def test_the_soft_labels_of_a_thousand_classes_are_small_to_send_and_to_hold(page, tmp_path):
    run = large_run(tmp_path, n_classes=1000, epochs=90).path
    for name in ("second", "third"):
        shutil.copytree(run, tmp_path / name, copy_function=os.link)
    with serving("app/main.py", OLS_ROOT=str(tmp_path)) as server:
        sizes = received_bytes(page)
        page.goto(server.address)
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        before = memory_of(server.pid).anonymous

        link = page.get_by_role("link", name="Soft labels")
        beside = page.get_by_text("Runs side by side")
        log = page.get_by_text("Logarithmic colours")
        sent = {
            action: _act(page, sizes, act)
            for action, act in [("open", link.click), ("beside", beside.click), ("log", log.click)]
        }

        expect(page.locator(".viewer .label").first).to_have_text("epoch 90")
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
        assert max(sent.values()) < 1.5 * MEGABYTE, sent
        assert min(sent.values()) > 0.5 * MEGABYTE, sent  # the frames did come
        assert memory_of(server.pid).anonymous - before < 300 * MEGABYTE

        slider = page.get_by_role("slider", name="Epoch").first
        assert _act(page, sizes, lambda: slider.press("Home")) < 0.6 * MEGABYTE
        expect(page.locator(".viewer .label").first).to_have_text("at the start")
        expect(page).to_have_url(re.compile("epoch=0"))
