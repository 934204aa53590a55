"""Take the pictures of the dashboard that the README and the documentation show.

Needs a Chrome or Chromium (`OLS_BROWSER`); `make screenshots` finds one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
PAGES = {
    "overview": "",
    "soft-labels": "soft-labels?class=maple_tree",
    "similarity": "similarity",
    "calibration": "calibration",
    "embeddings": "embeddings",
}


def main() -> None:
    """Start the dashboard, and photograph every page at 1280 pixels, in the light theme."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=DOCS.parent)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ["OLS_BROWSER"],
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 1500})
            for name, path in PAGES.items():
                _photograph(page, f"http://127.0.0.1:{port}/{path}", DOCS / f"{name}.png")
            browser.close()
    finally:
        server.terminate()


def _photograph(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
    # Plotly lays out its margins once more after the first drawing.
    page.wait_for_timeout(3000)
    height = page.get_by_test_id("stMainBlockContainer").bounding_box()
    assert height is not None
    page.screenshot(path=file, clip={"x": 0, "y": 0, "width": 1280, "height": height["height"]})
    print(file)


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
