"""How fast the dashboard starts, changes pages and answers, and what it costs, in Chromium.

Usage: python benchmarks/dashboard.py [--training]

Runs of 10 and 1000 classes are synthetic; the bundled ones have 100. Times end when everything
that was asked for is drawn and the script has come to rest. They begin with the browser's own click
or key event, but for the start, which begins with the navigation to a server that has just begun to
answer. A page's first visit is left out of its times, as it loads modules.

With `--training`, a training runs beside the dashboard, in one thread and with the lowest
priority, and only page changes and controls are measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from _machine import load, machine
from playwright.sync_api import Browser, Page

from ols_core.data.types import ImageSet
from ols_core.runs import DEFAULT_ROOT
from ols_core.thumbnails import write_thumbnails
from tests.app.browser import (
    REPOSITORY,
    Server,
    chromium,
    memory_of,
    received_bytes,
    scrub,
    sent_bytes,
    serving,
    watch_frames,
)
from tests.large_run import large_run

STARTS = 3
ROUNDS = 5
REPEATS = 12
STEPS = 60
EPOCHS = 90
POINTS = 50_000
GALLERY = 50  # thumbnails
MB = 1e6
PATIENCE = 120_000  # milliseconds
APP = "app/main.py"
BARE_PAGE = 'import streamlit as st\n\nst.title("Bare")\n'

# Notes when the user acted and when charts changed. `settled` is true once everything is drawn,
# nothing has changed for a while, and the script is at rest; `elapsed` is the time until then.
_WATCH = """
window.watch = { acted: 0, changed: 0, settled: null, title: "", row: "" }
for (const kind of ["click", "keydown", "pointerup"]) {
  addEventListener(kind, () => {
    const before = thumbnails()[0]
    Object.assign(watch, { acted: performance.now(), changed: 0, settled: null, before })
  }, true)
}
new MutationObserver((mutations) => {
  const inChart = ({ target }) => target.parentElement?.closest(".js-plotly-plot")
  if (mutations.some(inChart)) watch.changed = performance.now()
}).observe(document, { subtree: true, childList: true, attributes: true })

const all = (selector) => [...document.querySelectorAll(selector)]
const inComponents = (selector) =>
  all('[data-testid="stBidiComponentIsolated"]')
    .flatMap((host) => [...(host.shadowRoot?.querySelectorAll(selector) ?? [])])
const thumbnails = () => inComponents("[role=listitem]")
const canvasRows = () =>
  inComponents("canvas:not(.overlay)")
    .map((canvas) => canvas.width && canvas.height
      ? canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data : [])

watch.settle = (wanted) => {
  const now = performance.now()
  const title = document.querySelector("h1")?.textContent ?? ""
  const charts = all('[data-testid="stPlotlyChart"]')
  const calm =
    (wanted === "redraw" || (title && title !== watch.title)) &&
    charts.every((chart) => chart.querySelector(".main-svg")) &&
    !all('[data-testid="stSkeleton"], [data-stale=true]').length
  // Reading pixels costs the most, so it comes last.
  const rows = calm ? canvasRows() : []
  const row = rows.map((data) => data.join()).join()
  if (calm && row !== watch.row) Object.assign(watch, { row, changed: now })
  const drawn =
    calm &&
    (wanted === "page" || watch.changed > watch.acted) &&
    charts.length + rows.length > 0 &&
    rows.every((data) => data.some(Boolean))
  const state = document.querySelector(".stApp")?.dataset.testScriptState
  if (!drawn) watch.settled = null
  else if (state === "notRunning") watch.settled ??= now
  const since = wanted === "page" ? watch.settled : Math.max(watch.settled, watch.changed)
  if (watch.settled === null || now - since < 200) return false
  Object.assign(watch, { title, elapsed: since - watch.acted })
  return true
}

// Every selection makes its thumbnails anew.
watch.gallery = (size) => {
  const found = thumbnails()
  if (found.length !== size || found[0] === watch.before) return false
  watch.elapsed = performance.now() - watch.acted
  return true
}
"""


@dataclass(frozen=True)
class Answer:
    """What followed an action: milliseconds until all was drawn, and bytes from the server."""

    what: str
    milliseconds: float
    size: int


@dataclass(frozen=True)
class Finding:
    """One line of the table; the goals are those of the median and of the 95 % quantile."""

    case: str
    what: str
    unit: str
    values: Sequence[float]
    goal: float | None = None
    goal_p95: float | None = None

    def line(self) -> str:
        """Return the line."""
        middle = median(self.values)
        p95 = quantiles(self.values, n=20, method="inclusive")[-1] if len(self.values) > 4 else None
        goals = [(middle, self.goal), (p95, self.goal_p95)]
        checked = [(got, goal) for got, goal in goals if got is not None and goal is not None]
        met = all(got <= goal for got, goal in checked)
        cells = [
            self.case,
            self.what,
            self.unit,
            _number(middle),
            _number(p95),
            " / ".join(_number(goal) for _, goal in checked),
            str(len(self.values)),
            ("met" if met else "missed") if checked else "",
        ]
        return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 20 else f"{value:.3g}"


# --- the browser -------------------------------------------------------------------------------


class Dashboard:
    """An open page of the dashboard that is acted upon and timed."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1600, "height": 1400})
        self.page.set_default_timeout(PATIENCE)
        self.page.add_init_script(_WATCH)
        self._sizes = received_bytes(self.page)
        self._sent = sent_bytes(self.page)
        self.page.goto(address)
        self._settle("page")

    def act(self, what: str, action: Callable[[], object], wanted: str = "redraw") -> Answer:
        """Act and wait; `wanted` is "page" if another page shall follow."""
        self._sizes.clear()
        action()
        self._settle(wanted)
        return Answer(what, float(self.page.evaluate("watch.elapsed")), sum(self._sizes))

    def visit(self, title: str) -> Answer:
        """Click on a page's link."""
        link = self.page.get_by_role("link", name=title)
        return self.act(title, link.click, "page")

    def select(self, radius: float) -> Answer:
        """Draw a square lasso on the first map; the bytes are those that were sent."""
        box = self.page.locator("canvas.overlay").first.bounding_box()
        assert box is not None
        corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -0.9)]
        for place, (x, y) in enumerate(corners):
            across, down = 0.5 + radius * x, 0.5 + radius * y
            self.page.mouse.move(
                box["x"] + across * box["width"], box["y"] + down * box["height"], steps=10
            )
            if place == 0:
                self.page.mouse.down()
        self._sent.clear()
        self.page.mouse.up()
        return self._gallery("a lasso, until its thumbnails", self._sent)

    def change_section(self) -> Answer:
        """Go from the table of what is selected to its images."""
        self.page.get_by_text("Table", exact=True).click()
        self.page.get_by_test_id("stDataFrame").wait_for()
        self._sizes.clear()
        self.page.get_by_text("Images", exact=True).click()
        return self._gallery(f"{GALLERY} thumbnails", self._sizes)

    def titles(self) -> list[str]:
        """Titles of all pages."""
        links = self.page.get_by_test_id("stTopNavLink")
        return [text.splitlines()[-1] for text in links.all_inner_texts()]

    def _gallery(self, what: str, sizes: list[int]) -> Answer:
        self.page.wait_for_function("watch.gallery", arg=GALLERY)
        milliseconds = float(self.page.evaluate("watch.elapsed"))
        self.page.wait_for_timeout(500)  # until the script is at rest
        return Answer(what, milliseconds, sum(sizes))

    def _settle(self, wanted: str) -> None:
        self.page.wait_for_function("watch.settle", arg=wanted)


def first_content(browser: Browser, address: str) -> float:
    """Milliseconds from the navigation to the page's heading, on a server that was just started."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("h1").wait_for(timeout=PATIENCE)
    seconds = time.perf_counter() - start
    page.close()
    return seconds * 1000


def change_pages(dashboard: Dashboard) -> tuple[list[Answer], list[Answer]]:
    """Visit all pages, in rounds; returns the first visits apart from the others."""
    titles = dashboard.titles()
    others = [*titles[1:], titles[0]]
    first, *later = [[dashboard.visit(title) for title in others] for _ in range(ROUNDS)]
    return first, [answer for round_ in later for answer in round_]


def use_controls(dashboard: Dashboard) -> list[list[Answer]]:
    """Use some controls of the pages again and again."""
    page = dashboard.page
    dashboard.visit("Soft labels")
    toggle = page.get_by_text("Logarithmic colours")
    box = page.get_by_role("combobox", name="Class", exact=True)

    def choose_class(number: int) -> None:
        box.click()
        # There are at least ten classes: down the list, then up again.
        page.keyboard.press("ArrowDown" if number < 8 else "ArrowUp")
        page.keyboard.press("Enter")

    found = [
        _repeated(dashboard, "logarithmic colours", lambda _: toggle.click()),
        _repeated(dashboard, "another class", choose_class),
    ]
    dashboard.visit("Similarity")
    sources = [page.get_by_text(name, exact=True) for name in ("classifier", "soft labels")]
    found.append(
        _repeated(dashboard, "similarity by another source", lambda n: sources[n % 2].click())
    )
    dashboard.visit("Calibration")
    slider = page.get_by_role("slider", name="Bins")
    return [*found, _repeated(dashboard, "more bins", lambda _: slider.press("ArrowRight"))]


def _repeated(dashboard: Dashboard, what: str, action: Callable[[int], object]) -> list[Answer]:
    return [dashboard.act(what, partial(action, number)) for number in range(REPEATS)]


# --- the measurements --------------------------------------------------------------------------


def measure_start(browser: Browser, folder: Path) -> list[Finding]:
    """Compare the first heading with that of a page which has nothing else, both just started."""
    bare_page = folder / "bare.py"
    bare_page.write_text(BARE_PAGE)
    times: dict[str, list[float]] = {str(bare_page): [], APP: []}
    for _ in range(STARTS):
        for script, found in times.items():
            with serving(script) as server:
                found.append(first_content(browser, server.address))
    bare, ours = times.values()
    ratios = [own / other for own, other in zip(ours, bare, strict=True)]
    return [
        Finding("start", "first heading, bare page", "ms", bare),
        Finding("start", "first heading, dashboard", "ms", ours),
        Finding("start", "dashboard / bare page", "", ratios, 1.3),
    ]


def measure_answers(browser: Browser, server: Server, case: str, goal: float) -> list[Finding]:
    """Page changes and controls; `goal` is that of a control in milliseconds."""
    dashboard = Dashboard(browser, server.address)
    first, later = change_pages(dashboard)
    memory = memory_of(server.pid)
    controls = use_controls(dashboard)
    dashboard.page.close()
    changes = [answer.milliseconds for answer in later]
    findings = [
        Finding(case, "page change", "ms", changes, 300, 700),
        *(
            Finding(
                case,
                f"… to {title}",
                "ms",
                [answer.milliseconds for answer in later if answer.what == title],
            )
            for title in dict.fromkeys(answer.what for answer in later)
        ),
        Finding(case, "a page's first visit", "ms", [answer.milliseconds for answer in first]),
        *chain.from_iterable(_control(case, answers, goal) for answers in controls),
    ]
    largest = max([*first, *later, *chain(*controls)], key=lambda answer: answer.size)
    return [
        *findings,
        Finding(case, f"most bytes: {largest.what}", "MB", [largest.size / MB], 1.5),
        Finding(case, "memory after all pages", "MB", [memory.resident / MB], 300),
        Finding(case, "… anonymous", "MB", [memory.anonymous / MB]),
    ]


def _control(case: str, answers: list[Answer], goal: float) -> list[Finding]:
    """Tell the first use apart, which may compute what the others share."""
    first, *later = answers
    times = [answer.milliseconds for answer in later]
    return [
        Finding(case, first.what, "ms", times, goal),
        Finding(case, "… the first time", "ms", [first.milliseconds]),
    ]


def measure_scrubbing(browser: Browser, address: str, case: str) -> Finding:
    """Time the frames while the slider of the viewer moves."""
    page = browser.new_page(viewport={"width": 1600, "height": 1400})
    page.set_default_timeout(PATIENCE)
    watch_frames(page)
    page.goto(f"{address}/soft-labels")
    slider = page.get_by_role("slider", name="Epoch", exact=True)
    slider.wait_for()
    page.wait_for_timeout(2000)  # until the charts beside it are drawn too
    times = scrub(slider, STEPS)
    page.close()
    return Finding(case, "frame of a scrubbed matrix", "ms", times, 16.7)


def measure_opening(browser: Browser, server: Server, case: str) -> list[Finding]:
    """Open the soft labels as the second page after a start: time and memory."""
    dashboard = Dashboard(browser, server.address)
    before = memory_of(server.pid)
    opened = dashboard.visit("Soft labels")
    after = memory_of(server.pid)
    dashboard.page.close()
    more = (after.resident - before.resident) / MB
    anonymous = (after.anonymous - before.anonymous) / MB
    return [
        Finding(case, "soft labels, first opened", "ms", [opened.milliseconds], 2000),
        Finding(case, "… bytes", "MB", [opened.size / MB], 1.5),
        Finding(case, "… more memory", "MB", [more], 300),
        Finding(case, "… more anonymous memory", "MB", [anonymous], 300),
    ]


def measure_similarity(browser: Browser, server: Server, case: str) -> list[Finding]:
    """Open every section of the similarity page: time, and the memory that all of them leave."""
    dashboard = Dashboard(browser, server.address)
    before = memory_of(server.pid)
    dashboard.visit("Similarity")
    sections = dashboard.page.get_by_test_id("stButtonGroup")
    opened = [
        dashboard.act(section, sections.get_by_text(section, exact=True).click)
        for section in ("Map", "Taxonomy", "Agreement")
    ]
    more = (memory_of(server.pid).anonymous - before.anonymous) / MB
    dashboard.page.close()
    return [
        *(
            Finding(case, f"{section.what}, first opened", "ms", [section.milliseconds])
            for section in opened
        ),
        Finding(case, "… more anonymous memory after all", "MB", [more], 300),
    ]


def measure_maps(browser: Browser, folder: Path) -> list[Finding]:
    """Draw all points of a large test split, select of them, and look at what was selected."""
    labels = large_run(folder, 10, 1, n_test=POINTS).labels()
    noise = np.random.default_rng(0).integers(0, 256, (POINTS, 32, 32, 3), np.uint8)
    write_thumbnails(folder, ImageSet(labels, noise))
    with serving(APP, OLS_ROOT=str(folder), OLS_READ_ONLY="1") as server:
        dashboard = Dashboard(browser, f"{server.address}/embeddings?images={POINTS}")
        page = dashboard.page
        page.get_by_role("status").get_by_text(f"{POINTS:,} points").wait_for()
        box = page.get_by_role("combobox", name="Colour by")

        def choose_color(number: int) -> None:
            box.click()
            page.keyboard.press("ArrowDown" if number % 2 == 0 else "ArrowUp")
            page.keyboard.press("Enter")

        colors = _repeated(dashboard, "50,000 points in other colours", choose_color)
        selections = [dashboard.select(0.1 + 0.02 * number) for number in range(REPEATS)]
        galleries = [dashboard.change_section() for _ in range(REPEATS)]
        page.close()
    return [
        *_control("maps", colors, 400),
        *_control("maps", selections, 600),
        Finding("maps", "… bytes sent", "KB", [answer.size / 1000 for answer in selections], 10),
        *_control("maps", galleries, 200),
    ]


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """Let a small training run, in one thread and with the lowest priority."""
    command = ["nice", "-n", "19", sys.executable, "-m", "ols_core.cli", "train"]
    options = ["--dataset", "digits", "--method", "ols", "--epochs", "100000", "--name", "beside"]
    process = subprocess.Popen(
        [*command, *options, "--root", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (folder / "beside" / "history.jsonl").exists():
            if process.poll() is not None:
                raise RuntimeError("The training beside the dashboard has ended.")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def measure_all(browser: Browser, folder: Path, beside: bool) -> Iterator[list[Finding]]:
    """Measure everything; `beside` a training only what it can slow down."""
    roots = {
        10: (folder / "10", 250.0),
        100: (REPOSITORY / DEFAULT_ROOT, 250.0),
        1000: (folder / "1000", 300.0),
    }
    if not beside:
        yield measure_start(browser, folder)
    with training(folder / "training") if beside else nullcontext():
        for n_classes, (root, goal) in roots.items():
            case = f"K = {n_classes}"
            # Read-only: the pages that write have nothing to draw.
            with serving(APP, OLS_ROOT=str(root), OLS_READ_ONLY="1") as server:
                if not beside:
                    yield measure_opening(browser, server, case)
                    yield measure_similarity(browser, server, case)
                yield measure_answers(browser, server, case, goal)
                if not beside:
                    yield [measure_scrubbing(browser, server.address, case)]
    if not beside:
        yield measure_maps(browser, folder / "maps")


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description="Time the dashboard in Chromium.")
    parser.add_argument("--training", action="store_true", help="beside a training")
    beside = parser.parse_args().training
    print(f"{machine()}; synthetic runs of {EPOCHS} epochs, and the bundled ones.\n")
    print("| case | what | unit | median | 95 % | goal | n | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        for n_classes in (10, 1000):
            large_run(folder / str(n_classes), n_classes, EPOCHS)
        for findings in measure_all(browser, folder, beside):
            print("\n".join(finding.line() for finding in findings), flush=True)
    print(f"\nload at the end: {load()}")


if __name__ == "__main__":
    main()
