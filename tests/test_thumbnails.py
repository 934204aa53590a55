from __future__ import annotations

import numpy as np
import pytest

from ols_core.data import ImageSet
from ols_core.errors import RunError
from ols_core.runs import label_fingerprint
from ols_core.thumbnails import load_thumbnails, write_thumbnails


def _flat_colours(n, side=16):
    """Images of one grey each, which survive lossy compression."""
    grey = (np.arange(n) * 255 // max(n - 1, 1)).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (n, side, side, 3)).copy()


def test_tiles_are_the_images_they_name(tmp_path):
    labels = np.arange(30) % 5
    pixels = _flat_colours(30)
    write_thumbnails(tmp_path, ImageSet(labels, pixels))

    atlas = load_thumbnails(tmp_path, label_fingerprint(labels))

    assert atlas.side == 16
    assert atlas.indices.tolist() == list(range(30))
    for position in (0, 7, 29):
        tile = np.asarray(atlas.tile(position)).astype(int)
        np.testing.assert_allclose(tile.mean(), pixels[position].mean(), atol=4)
    sheet = np.asarray(atlas.montage([3, 29], columns=2)).astype(int)
    assert sheet.shape == (16, 32, 3)
    np.testing.assert_allclose(sheet[:, 16:].mean(), 255, atol=4)


def test_at_most_3000_stratified_tiles(tmp_path):
    labels = np.repeat(np.arange(4), 1000)
    write_thumbnails(tmp_path, ImageSet(labels, np.zeros((4000, 8, 8, 1), np.uint8)))
    atlas = load_thumbnails(tmp_path, label_fingerprint(labels))
    assert np.bincount(labels[atlas.indices]).tolist() == [750] * 4


def test_a_data_set_has_one_atlas(tmp_path):
    labels = np.arange(6)
    write_thumbnails(tmp_path, ImageSet(labels, _flat_colours(6)))
    (file,) = tmp_path.rglob("*.webp")
    before = file.stat().st_mtime_ns
    write_thumbnails(tmp_path, ImageSet(labels, _flat_colours(6)))
    assert file.stat().st_mtime_ns == before


def test_an_absent_atlas_is_none_and_a_damaged_one_is_named(tmp_path):
    assert load_thumbnails(tmp_path, "0123") is None
    (tmp_path / "_datasets" / "0123").mkdir(parents=True)
    (tmp_path / "_datasets" / "0123" / "thumbnails.json").write_text("{}")
    with pytest.raises(RunError, match=r"thumbnails\.json is damaged"):
        load_thumbnails(tmp_path, "0123")
