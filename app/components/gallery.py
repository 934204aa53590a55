"""Thumbnails in rows, each with its lines of text; they travel as one picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st
from PIL import Image

__all__ = ["Caption", "gallery"]

_FOLDER = Path(__file__).parent
_GALLERY = st.components.v2.component(
    "gallery",
    html='<div class="gallery" role="list"></div>',
    css=(_FOLDER / "gallery.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "gallery.js").read_text(encoding="utf-8"),
)
_MIN_SIDE = 64  # pixels on screen: small pictures are enlarged, crisply


@dataclass(frozen=True)
class Caption:
    """Text below a thumbnail.

    Attributes
    ----------
    title, detail : str
        First and second line.
    marked : bool
        Whether the thumbnail stands out, as what is wrong does.
    """

    title: str
    detail: str = ""
    marked: bool = False


def gallery(
    sheet: Image.Image, side: int, columns: int, captions: Sequence[Caption], key: str
) -> None:
    """Draw the tiles of a sheet.

    Parameters
    ----------
    sheet : PIL.Image.Image
        Tiles in row-major order.
    side : int
        Side of a tile in pixels.
    columns : int
        Tiles in a row of the sheet.
    captions : sequence of Caption
        One a tile.
    key : str
        Of the element.
    """
    file = io.BytesIO()
    # Lossless: crisp tiles show the traces of any other compression.
    sheet.save(file, "WEBP", lossless=True, method=0)
    picture = base64.b64encode(file.getvalue()).decode()
    zoom = -(-_MIN_SIDE // side)
    data = {
        "picture": f"data:image/webp;base64,{picture}",
        "side": side * zoom,
        "width": sheet.width * zoom,
        "columns": columns,
        "captions": [asdict(caption) for caption in captions],
    }
    _GALLERY(key=key, data=data)
