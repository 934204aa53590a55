from __future__ import annotations

import numpy as np
import pytest

from ols_core.data import ImageSet
from ols_core.errors import ArgumentError, RunError
from ols_core.run_writer import RunWriter
from ols_core.runs import label_fingerprint
from ols_core.sample import shown_sample
from ols_core.thumbnails import load_thumbnails, thumbnails_of, write_thumbnails
from tests.synthetic import synthetic_run


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
    assert atlas.positions([29, 0]).tolist() == [29, 0]
    with pytest.raises(ArgumentError, match="scale must be an integer"):
        atlas.montage([0], columns=1, scale=0)


def test_a_montage_puts_tiles_row_by_row_and_leaves_the_rest_white(tmp_path):
    labels = np.arange(30) % 5
    write_thumbnails(tmp_path, ImageSet(labels, _flat_colours(30)))
    atlas = load_thumbnails(tmp_path, label_fingerprint(labels))
    chosen = [3, 29, 11, 0, 8]
    sheet = np.asarray(atlas.montage(chosen, columns=3))
    expected = np.full((32, 48, 3), 255, dtype=np.uint8)
    for place, position in enumerate(chosen):
        row, column = divmod(place, 3)
        tile = np.asarray(atlas.tile(position))
        expected[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = tile
    np.testing.assert_array_equal(sheet, expected)
    large = np.asarray(atlas.montage(chosen, columns=3, scale=3))
    np.testing.assert_array_equal(large, expected.repeat(3, axis=0).repeat(3, axis=1))
    assert np.asarray(atlas.montage([], columns=4)).shape == (16, 64, 3)


def test_the_tiles_are_those_images_that_layouts_show(tmp_path):
    labels = np.repeat(np.arange(4), 1000)
    write_thumbnails(tmp_path, ImageSet(labels, np.zeros((4000, 8, 8, 1), np.uint8)))
    atlas = load_thumbnails(tmp_path, label_fingerprint(labels))
    assert np.bincount(labels[atlas.indices]).tolist() == [750] * 4
    np.testing.assert_array_equal(atlas.indices, shown_sample(labels))
    assert (atlas.positions(shown_sample(labels, 500)) >= 0).all()
    without = np.setdiff1d(np.arange(4000), atlas.indices)
    assert (atlas.positions(without) == -1).all()


def test_the_splits_of_a_data_set_have_an_atlas_each(tmp_path):
    """Also where their labels are the same, which they are told by, and under label noise."""
    run = synthetic_run(tmp_path, "one")
    dark, light = (np.full((240, 8, 8, 1), grey, np.uint8) for grey in (10, 240))
    labels = np.array(run.labels())
    write_thumbnails(tmp_path, ImageSet(labels, dark))
    write_thumbnails(tmp_path, ImageSet(np.zeros_like(labels), light, None, labels), "train")
    assert thumbnails_of(run, "train") is None
    RunWriter(run.path, run.info).save_label_noise(np.zeros_like(labels), labels)
    assert np.asarray(thumbnails_of(run).tile(0)).mean() < 50
    assert np.asarray(thumbnails_of(run, "train").tile(0)).mean() > 200


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
