"""The scatter viewer beside ECharts' and Plotly's scatter plots in one Chromium.

Usage: python -m benchmarks.scatter_viewer

Synthetic points in ten groups. A redraw lasts from the click on a control that changes where all
points are, a lasso from the release of the button until the number of points inside it, which
the server has counted, is on the page. A frame is a step of the slider between two layouts, see
`tests.app.browser.scrub`; the others have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from playwright.sync_api import Browser, Page

from tests.app.browser import chromium, scrub, sent_bytes, served, watch_frames

N = 50_000
REPEATS = 3
STEPS = 40
MOVES = 60  # of a lasso, 10 ms apart
PATIENCE = 120_000  # milliseconds
CHARTS = ("viewer", "echarts", "scattergl")
PANELS = (1, 4)

# Notes when the user acted, when a canvas looked different last, and when the count changed.
_WATCH = """
window.watch = { acted: 0, drawn: 0, told: 0, look: "", looking: false }
const all = (root) => [...root.querySelectorAll("canvas")]
const canvases = () => [document,
  ...[...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
    .map((host) => host.shadowRoot).filter(Boolean)].flatMap(all)
const small = new OffscreenCanvas(48, 48).getContext("2d", { willReadFrequently: true })
watch.act = () => Object.assign(watch, { acted: performance.now(), drawn: 0, told: 0 })
setInterval(() => {
  if (!watch.looking) return // it costs time itself
  const looks = canvases().filter((canvas) => canvas.width && canvas.height).map((canvas) => {
    small.clearRect(0, 0, 48, 48)
    small.drawImage(canvas, 0, 0, 48, 48)
    return small.getImageData(0, 0, 48, 48).data.join()
  })
  if (looks.join() !== watch.look) {
    watch.look = looks.join()
    watch.drawn = performance.now()
  }
}, 20)
new MutationObserver(() => {
  const text = [...document.querySelectorAll('[data-testid="stText"]')]
    .map((element) => element.textContent).find((content) => content.startsWith("inside"))
  if (text !== watch.text) {
    watch.text = text
    watch.told = performance.now()
  }
}).observe(document, { subtree: true, childList: true, characterData: true })
for (const kind of ["click", "mouseup"]) addEventListener(kind, () => watch.act(), true)
"""


def redraws(page: Page) -> list[float]:
    """Milliseconds from a click to the last change of the picture."""
    times = []
    page.evaluate("watch.looking = true")
    page.wait_for_timeout(1000)
    for _ in range(REPEATS):
        page.get_by_text("Other layout").click()
        page.wait_for_function("watch.drawn && performance.now() - watch.drawn > 1500")
        times.append(page.evaluate("watch.drawn - watch.acted"))
    page.evaluate("watch.looking = false")
    return times


def lassos(page: Page, chart: str, sent: list[int]) -> tuple[list[float], list[int]]:
    """Milliseconds from the release to the answer, and bytes sent up, of lassos of one size."""
    times, bytes_up = [], []
    plot = {
        "viewer": "canvas.overlay",
        "echarts": "[data-testid=stEChartsChart] canvas",
        "scattergl": ".nsewdrag",
    }[chart]
    for repeat in range(REPEATS):
        box = page.locator(plot).first.bounding_box()
        assert box is not None
        if chart == "echarts" and repeat == 0:
            page.mouse.click(box["x"] + 25, box["y"] + 25)  # the polygon in its toolbox
        center = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        # Larger each time: ECharts takes what begins inside the last polygon for a move of it.
        radius = (0.25 + 0.02 * repeat) * box["height"]
        _circle(page, center, radius)
        sent.clear()
        page.mouse.up()
        page.wait_for_function("watch.told > watch.acted")
        page.wait_for_timeout(500)
        times.append(page.evaluate("watch.told - watch.acted"))
        bytes_up.append(sum(sent))
    return times, bytes_up


def _circle(page: Page, center: tuple[float, float], radius: float) -> None:
    for i, angle in enumerate(np.linspace(0, 2 * np.pi * 0.98, MOVES)):
        x, y = center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)
        page.mouse.move(x, y)
        if i == 0:
            page.mouse.down()
        page.wait_for_timeout(10)


def compare(browser: Browser) -> None:
    print(f"{N:,} points, medians of {REPEATS}")
    print("chart      redraw ms  lasso ms  bytes up")
    with served("tests/app/scatter_rivals_page.py") as address:
        for chart in CHARTS:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(PATIENCE)
            sent = sent_bytes(page)
            page.add_init_script(_WATCH)
            page.goto(f"{address}/?chart={chart}&n={N}")
            page.get_by_text("inside 0").wait_for()
            page.wait_for_timeout(6000)
            redraw = median(redraws(page))
            lasso, up = lassos(page, chart, sent)
            page.close()
            print(f"{chart:9}  {redraw:9.0f}  {median(lasso):8.0f}  {median(up):8,.0f}", flush=True)


def frames(browser: Browser, panels: Sequence[int]) -> None:
    print(f"\nframes of {N:,} moving points\npanels  median ms  longest ms")
    with served("tests/app/scatter_page.py") as address:
        for count in panels:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(PATIENCE)
            watch_frames(page)
            page.goto(f"{address}/?n={N}&p={count}&t=3")
            page.get_by_text("runs 1").wait_for()
            page.wait_for_timeout(3000)
            times = scrub(page.get_by_role("slider"), STEPS)
            page.close()
            print(f"{count:6}  {median(times):9.1f}  {max(times):10.1f}", flush=True)


def main() -> None:
    with chromium() as browser:
        compare(browser)
        frames(browser, PANELS)


if __name__ == "__main__":
    main()
