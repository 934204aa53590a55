"""A Streamlit script on a free port, and a headless Chromium to look at it with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Locator, Page, WebSocket, sync_playwright

__all__ = [
    "REPOSITORY",
    "Memory",
    "Server",
    "chromium",
    "memory_of",
    "received_bytes",
    "scrub",
    "sent_bytes",
    "served",
    "serving",
    "watch_frames",
]

REPOSITORY = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0  # seconds until a server must answer, for machines under load

# Times every animation callback once there is a canvas; while scrubbing, all are the viewer's.
_WATCH_FRAMES = """
window.frameTimes = []
const original = window.requestAnimationFrame.bind(window)
window.requestAnimationFrame = (callback) => original((now) => {
  const canvas = [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
    .map((host) => host.shadowRoot?.querySelector("canvas")).find(Boolean)
  const start = performance.now()
  callback(now)
  if (canvas?.width) {
    canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1)
    window.frameTimes.push(performance.now() - start)
  }
})
"""
_SCRUB = """
async (slider, steps) => {
  window.frameTimes = []
  for (let i = 0; i < steps; i++) {
    slider.value = i % (Number(slider.max) + 1)
    slider.dispatchEvent(new Event("input"))
    await new Promise((resume) => setTimeout(resume, 40))
  }
  return window.frameTimes
}
"""


@dataclass(frozen=True)
class Server:
    """Where a server answers, and its process."""

    address: str
    pid: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a process holds: all of them, and those that back no file."""

    resident: int
    anonymous: int


@contextmanager
def served(script: str, **environment: str) -> Iterator[str]:
    """Address of a script of the repository, served as `make dashboard` serves the dashboard."""
    with serving(script, **environment) as server:
        yield server.address


@contextmanager
def serving(script: str, **environment: str) -> Iterator[Server]:
    """Do the same as `served`, and tell the process too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"MALLOC_ARENA_MAX": "1"} | environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.read() == b"ok"
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that `OLS_BROWSER` names, without anything that needs a screen or a network."""
    executable = os.environ.get("OLS_BROWSER", "/usr/bin/chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


def received_bytes(page: Page) -> list[int]:
    """Collect the size of every message that the page gets from the server."""
    return _message_sizes(page, "framereceived")


def sent_bytes(page: Page) -> list[int]:
    """Collect the size of every message that the page sends to the server."""
    return _message_sizes(page, "framesent")


def _message_sizes(page: Page, event: Literal["framereceived", "framesent"]) -> list[int]:
    sizes: list[int] = []

    def listen(connection: WebSocket) -> None:
        connection.on(event, lambda payload: sizes.append(len(payload)))

    page.on("websocket", listen)
    return sizes


def memory_of(pid: int) -> Memory:
    """Memory of a process, as Linux tells it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    kilobytes = {name: int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon")}
    return Memory(kilobytes["VmRSS"] * 1024, kilobytes["RssAnon"] * 1024)


def watch_frames(page: Page) -> None:
    """Let the page, before it is loaded, time the frames of the matrix viewer for `scrub`."""
    page.add_init_script(_WATCH_FRAMES)


def scrub(slider: Locator, steps: int) -> list[float]:
    """Move the viewer's slider step by step; returns the milliseconds of each frame.

    A frame lasts from the start of the viewer's animation callback until a pixel of the canvas can
    be read, so that what the browser paints later is in it.
    """
    times: list[float] = slider.evaluate(_SCRUB, steps)
    return times
