"""Figures of a report as pictures for a paper, drawn by Chrome without a window."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go
from PIL import Image

from app.report.content import Chart
from ols_core.errors import OLSError
from ols_core.optional import require

__all__ = ["NARROW_INCHES", "WIDE_INCHES", "PictureKind", "draw_pictures"]

PictureKind = Literal["png", "svg"]
NARROW_INCHES, WIDE_INCHES = 3.4, 7.0
"""Widths of one column and of both columns of a paper."""
_PIXELS_AN_INCH = 125  # makes the 12 pixels of the labels 7 points high
_DPI = 300
_SECONDS = 120  # for the browser to start, and for each picture, on a machine under load
_FONT = "Arial, Helvetica, sans-serif"


def draw_pictures(charts: Sequence[Chart], kind: PictureKind) -> list[bytes]:
    """Draw figures on white, 3.4 or 7 inches wide; PNG at 300 dots an inch.

    Parameters
    ----------
    charts : sequence of Chart
    kind : {"png", "svg"}

    Returns
    -------
    list of bytes
        The content of one file a chart.

    Raises
    ------
    MissingPackageError
        If kaleido is not installed.
    OLSError
        If there is no Chrome, or it does not draw.
    """
    kaleido = require("kaleido", "Drawing pictures", "pictures")
    errors = require("kaleido.errors", "Drawing pictures", "pictures")
    try:
        return asyncio.run(_draw(kaleido, charts, kind))
    except errors.ChromeNotFoundError:
        raise OLSError(
            "Drawing pictures needs Chrome or Chromium: install one (on Debian and Ubuntu: "
            "sudo apt-get install chromium), or name it: OLS_BROWSER=/path/to/it."
        ) from None
    except (
        errors.BrowserFailedError,
        errors.BrowserClosedError,
        errors.JavascriptError,
        errors.KaleidoError,
        TimeoutError,
    ) as error:
        cause = error.args[0] if error.args else "it did not answer in time"
        raise OLSError(f"The browser did not draw the pictures: {cause}") from error


async def _draw(kaleido: Any, charts: Sequence[Chart], kind: PictureKind) -> list[bytes]:
    # MathJax would be fetched from the network; the figures hold no formulas.
    options = {"mathjax": False, "timeout": _SECONDS, "path": os.environ.get("OLS_BROWSER")}
    browser = kaleido.Kaleido(**options)
    try:
        async with asyncio.timeout(_SECONDS):
            await browser.open()
        return [await _picture(browser, chart, kind) for chart in charts]
    finally:
        await browser.close()


async def _picture(browser: Any, chart: Chart, kind: PictureKind) -> bytes:
    inches = NARROW_INCHES if chart.narrow else WIDE_INCHES
    width, height = round(inches * _PIXELS_AN_INCH), int(chart.figure.layout.height)
    scale = _DPI / _PIXELS_AN_INCH if kind == "png" else 1
    options = {"format": kind, "width": width, "height": height, "scale": scale}
    content: bytes = await browser.calc_fig(_on_paper(chart.figure), opts=options)
    return _with_density(content) if kind == "png" else _in_inches(content, width, height)


def _on_paper(figure: go.Figure) -> dict[str, Any]:
    """A figure in black on white, its points as vectors."""
    plain = go.Figure(figure)
    plain.update_layout(template="plotly_white", font={"family": _FONT, "color": "#000000"})
    spec: dict[str, Any] = plain.to_dict()
    for trace in spec["data"]:
        # WebGL draws pixels, and not on every machine.
        trace["type"] = {"scattergl": "scatter"}.get(trace["type"], trace["type"])
    return spec


def _with_density(png: bytes) -> bytes:
    """Say in the file how large it is to be printed."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(file, "PNG", dpi=(_DPI, _DPI))
    return file.getvalue()


def _in_inches(svg: bytes, width: int, height: int) -> bytes:
    size = f'width="{width / _PIXELS_AN_INCH:g}in" height="{height / _PIXELS_AN_INCH:g}in"'
    pixels = f'width="{width}" height="{height}"'.encode()
    return svg.replace(pixels, size.encode(), 1)
