"""Thumbnails of evaluation images: one compressed atlas a data set, shared by all its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ols_core.data.folders import decode
from ols_core.data.splits import per_class
from ols_core.data.types import ImageSet
from ols_core.errors import RunError
from ols_core.run_writer import write_atomically
from ols_core.runs import label_fingerprint

__all__ = ["Thumbnails", "load_thumbnails", "write_thumbnails"]

# Run ids cannot begin with an underscore, so this folder never collides with a run.
_FOLDER = "_datasets"
_MAX_IMAGES = 3000
_MAX_SIDE = 64


@dataclass(frozen=True)
class Thumbnails:
    """Tiles of an atlas.

    Attributes
    ----------
    file : Path
        The atlas image; tiles in row-major order.
    indices : ndarray of shape (n,), int64
        Position of each tile's image in its split, ascending.
    columns : int
        Tiles in a row.
    side : int
        Side of a tile in pixels.
    """

    file: Path
    indices: npt.NDArray[np.int64]
    columns: int
    side: int

    @cached_property
    def _atlas(self) -> Image.Image:
        with Image.open(self.file) as image:
            return image.convert("RGB")

    def tile(self, position: int) -> Image.Image:
        """Return the thumbnail of the image `indices[position]`."""
        row, column = divmod(position, self.columns)
        x, y = column * self.side, row * self.side
        return self._atlas.crop((x, y, x + self.side, y + self.side))

    def montage(self, positions: npt.ArrayLike, columns: int) -> Image.Image:
        """Paste the thumbnails at `positions` into one image, row by row."""
        chosen = np.asarray(positions, dtype=np.int64)
        rows = -(-len(chosen) // columns)
        sheet = Image.new("RGB", (columns * self.side, max(rows, 1) * self.side), "white")
        for place, position in enumerate(chosen.tolist()):
            row, column = divmod(place, columns)
            sheet.paste(self.tile(position), (column * self.side, row * self.side))
        return sheet


def write_thumbnails(root: Path, images: ImageSet) -> None:
    """Store a stratified sample of at most 3,000 images, unless this data set has one already.

    Parameters
    ----------
    root : Path
        Folder of the runs.
    images : ImageSet
        The test split; the fingerprint of its labels names the data set.
    """
    folder = root / _FOLDER / label_fingerprint(images.labels)
    if (folder / "thumbnails.json").is_file():
        return
    share = max(1, _MAX_IMAGES // (int(images.labels.max()) + 1))
    indices = per_class(images.labels, share, seed=0)[:_MAX_IMAGES]
    chosen = images.take(indices)
    if chosen.pixels is None:
        chosen = decode(chosen, (_MAX_SIDE, _MAX_SIDE, 3))
    assert chosen.pixels is not None
    side = min(max(chosen.pixels.shape[1:3]), _MAX_SIDE)
    columns = int(np.ceil(np.sqrt(len(indices))))
    sheet = Image.new("RGB", (columns * side, -(-len(indices) // columns) * side))
    for place, image in enumerate(chosen.pixels):
        picture = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).convert("RGB")
        row, column = divmod(place, columns)
        sheet.paste(picture.resize((side, side)), (column * side, row * side))
    write_atomically(folder / "thumbnails.webp", lambda f: sheet.save(f, "WEBP", quality=80))
    record = {"split": "test", "side": side, "columns": columns, "indices": indices.tolist()}
    write_atomically(
        folder / "thumbnails.json", lambda f: f.write(json.dumps(record).encode() + b"\n")
    )


def load_thumbnails(root: str | Path, fingerprint: str) -> Thumbnails | None:
    """Open the atlas of a data set, or None if it has none.

    Raises
    ------
    RunError
        If its description is damaged.
    """
    folder = Path(root) / _FOLDER / fingerprint
    try:
        record = json.loads((folder / "thumbnails.json").read_text(encoding="utf-8"))
        indices = np.asarray(record["indices"], dtype=np.int64)
        return Thumbnails(folder / "thumbnails.webp", indices, record["columns"], record["side"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / 'thumbnails.json'} is damaged ({error}); delete it.") from None
