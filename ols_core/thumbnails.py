"""Thumbnails of a data set's images: one compressed atlas a split, shared by all its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ols_core.checks import check_integer
from ols_core.data.folders import decode
from ols_core.data.types import ImageSet
from ols_core.errors import RunError
from ols_core.run_writer import write_atomically
from ols_core.runs import Run, label_fingerprint
from ols_core.sample import shown_sample

__all__ = ["Thumbnails", "load_thumbnails", "thumbnails_of", "write_thumbnails"]

# Run ids cannot begin with an underscore, so this folder never collides with a run.
_FOLDER = "_datasets"
_MAX_SIDE = 64
_WHITE = 255


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
    def _tiles(self) -> npt.NDArray[np.uint8]:
        """All places of the atlas, (rows, columns, side, side, 3), as a view of its pixels."""
        with Image.open(self.file) as image:
            pixels = np.asarray(image.convert("RGB"))
        rows = len(pixels) // self.side
        return pixels.reshape(rows, self.side, self.columns, self.side, 3).swapaxes(1, 2)

    def positions(self, images: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return where in `indices` the images of a split are, (m,); -1 for those that are not."""
        wanted = np.asarray(images, dtype=np.int64)
        places = np.searchsorted(self.indices, wanted).clip(max=len(self.indices) - 1)
        return np.where(self.indices[places] == wanted, places, -1)

    def tile(self, position: int) -> Image.Image:
        """Return the thumbnail of the image `indices[position]`."""
        return Image.fromarray(self._tiles[divmod(position, self.columns)])

    def montage(self, positions: npt.ArrayLike, columns: int, scale: int = 1) -> Image.Image:
        """Put the thumbnails at `positions` into one image, row by row; white where none is left.

        Parameters
        ----------
        positions : array-like of shape (m,), int
            Into `indices`.
        columns : int
            Thumbnails in a row, at least 1.
        scale : int
            Each pixel becomes a square of so many, so that small images can be made out.

        Raises
        ------
        ArgumentError
            If `columns` or `scale` is below 1.
        """
        check_integer("columns", columns, 1)
        check_integer("scale", scale, 1)
        chosen = np.asarray(positions, dtype=np.int64)
        rows = max(1, -(-len(chosen) // columns))
        sheet = np.full((rows * columns, self.side, self.side, 3), _WHITE, dtype=np.uint8)
        sheet[: len(chosen)] = self._tiles[chosen // self.columns, chosen % self.columns]
        height, width = rows * self.side, columns * self.side
        grid = sheet.reshape(rows, columns, self.side, self.side, 3).swapaxes(1, 2)
        picture = Image.fromarray(grid.reshape(height, width, 3))
        return picture.resize((width * scale, height * scale), Image.Resampling.NEAREST)


def write_thumbnails(root: Path, images: ImageSet, split: str = "test") -> None:
    """Store thumbnails of the images that are shown of a split, unless there are some already.

    Parameters
    ----------
    root : Path
        Folder of the runs.
    images : ImageSet
        The split; the fingerprint of its true labels names the data set.
    split : str
    """
    labels = images.labels if images.true_labels is None else images.true_labels
    file = _description(root, label_fingerprint(labels), split)
    if file.is_file():
        return
    indices = shown_sample(labels)
    pixels = _pixels(images.take(indices))
    side = min(max(pixels.shape[1:3]), _MAX_SIDE)
    columns = int(np.ceil(np.sqrt(len(indices))))
    sheet = Image.new("RGB", (columns * side, -(-len(indices) // columns) * side))
    for place, image in enumerate(pixels):
        picture = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).convert("RGB")
        row, column = divmod(place, columns)
        sheet.paste(picture.resize((side, side)), (column * side, row * side))
    write_atomically(file.with_suffix(".webp"), lambda f: sheet.save(f, "WEBP", quality=80))
    record = {"split": split, "side": side, "columns": columns, "indices": indices.tolist()}
    write_atomically(file, lambda f: f.write(json.dumps(record).encode() + b"\n"))


def load_thumbnails(root: str | Path, fingerprint: str, split: str = "test") -> Thumbnails | None:
    """Open the atlas of a split, or None if there is none.

    Parameters
    ----------
    root : str or Path
        Folder of the runs.
    fingerprint : str
        Of the split's true labels, see `Run.fingerprint`.
    split : str

    Raises
    ------
    RunError
        If its description is damaged.
    """
    file = _description(Path(root), fingerprint, split)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        indices = np.asarray(record["indices"], dtype=np.int64)
        return Thumbnails(file.with_suffix(".webp"), indices, record["columns"], record["side"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error}); delete it.") from None


def thumbnails_of(run: Run, split: str = "test") -> Thumbnails | None:
    """Open the atlas of a run's images of a split, or None if there is none.

    Raises
    ------
    RunError
        If its description is damaged.
    """
    fingerprint = run.fingerprint(split)
    return None if fingerprint is None else load_thumbnails(run.path.parent, fingerprint, split)


def _description(root: Path, fingerprint: str, split: str) -> Path:
    # The splits of a data set may have the same labels: a fingerprint alone does not tell them.
    name = "thumbnails" if split == "test" else f"thumbnails-{split}"
    return root / _FOLDER / fingerprint / f"{name}.json"


def _pixels(images: ImageSet) -> npt.NDArray[np.uint8]:
    if images.pixels is None:
        images = decode(images, (_MAX_SIDE, _MAX_SIDE, 3))
    assert images.pixels is not None
    return images.pixels
