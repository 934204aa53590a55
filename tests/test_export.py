"""Figures, tables and event files of runs, read again with other programs."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from app.report import build_report
from app.report.pictures import draw_pictures
from ols_core import tensorboard
from ols_core.data.types import ImageSet
from ols_core.runs import load_run
from ols_core.tensorboard import export_run
from ols_core.thumbnails import write_thumbnails
from tests.synthetic import N_TEST, synthetic_run

SUPERCLASSES = ["soft things", "hard things"] * 3
UNLIMITED = {"scalars": 0, "images": 0}


@pytest.fixture
def run(tmp_path):
    return synthetic_run(tmp_path, "run", epochs=5, superclasses=SUPERCLASSES)


@pytest.fixture
def bought(tmp_path):
    """A run with predictions alone, which has two figures."""
    run = synthetic_run(tmp_path, "bought")
    for part in ("soft_labels", "features"):
        shutil.rmtree(run.path / part)
    (run.path / "history.jsonl").unlink()
    return load_run("bought", tmp_path)


@pytest.fixture
def ols(ols, tmp_path):
    return lambda *arguments: ols("export", *arguments, "--root", tmp_path)


def _events(folder):
    return EventAccumulator(str(folder), size_guidance=UNLIMITED).Reload()


def test_figures_are_vectors_of_the_width_of_a_paper(ols, bought, tmp_path):
    figures = tmp_path / "figures"
    code, said = ols("bought", "--figures", figures, "--format", "svg")
    assert code == 0, said
    assert "2 figures written" in said
    assert {file.name for file in figures.iterdir()} == {"class-map.svg", "reliability.svg"}
    for name, width, texts in (
        ("class-map", "7in", set(bought.info.dataset.class_names)),
        ("reliability", "3.4in", {"accuracy", "confidence", "bought"}),
    ):
        root = ElementTree.parse(figures / f"{name}.svg").getroot()
        assert root.get("width") == width
        assert texts <= set(root.itertext())
        assert "rgb(255, 255, 255)" in root[0].get("style")
        assert not root.findall(".//{http://www.w3.org/2000/svg}image")


def test_a_picture_knows_how_large_it_is_to_be_printed(bought):
    chart = next(chart for chart in build_report([bought]).charts() if chart.narrow)
    (content,) = draw_pictures([chart], "png")
    picture = Image.open(io.BytesIO(content))
    assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert picture.width == round(3.4 * 300)
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_points_are_drawn_without_webgl(run):
    from app.report.pictures import _on_paper

    chart = next(chart for chart in build_report([run]).charts() if chart.name == "embeddings")
    assert {trace.type for trace in chart.figure.data} == {"scattergl"}
    assert {trace["type"] for trace in _on_paper(chart.figure)["data"]} == {"scatter"}


def test_a_missing_browser_or_package_is_said_with_its_remedy(ols, bought, tmp_path, monkeypatch):
    figures = tmp_path / "figures"
    monkeypatch.setenv("OLS_BROWSER", str(tmp_path / "no-browser"))
    code, said = ols("bought", "--figures", figures)
    assert code == 1
    assert "needs Chrome or Chromium: install one" in said
    monkeypatch.setitem(sys.modules, "kaleido", None)
    code, said = ols("bought", "--figures", figures)
    assert code == 1
    assert "pip install 'ols-core[pictures]'" in said
    assert not figures.exists()


def test_tables_have_every_digit(ols, run, tmp_path):
    code, said = ols("run", "--tables", tmp_path / "tables")
    assert code == 0, said
    (row,) = csv.DictReader((tmp_path / "tables" / "metrics.csv").open())
    recorded = run.info.summary["test"]
    assert float(row["NLL"]) == pytest.approx(recorded["nll"], rel=1e-12)
    assert float(row["ECE"]) == pytest.approx(recorded["ece"], rel=1e-12)


def test_tables_are_latex_if_wanted(ols, run, tmp_path):
    tables = tmp_path / "tables"
    assert ols("run", "--tables", tables, "--tables-format", "latex")[0] == 0
    names = {file.name for file in tables.iterdir()}
    assert {"metrics.tex", "calibration.tex", "superclass-agreement.tex"} <= names
    source = (tables / "metrics.tex").read_text()
    assert r"\toprule" in source
    accuracy = run.info.summary["test"]["accuracy"]
    assert rf"{accuracy:.2%}".replace("%", r"\%") in source
    for line in re.findall(r"^  .* & .*$", source, re.MULTILINE):
        assert line.count("&") == 6


def test_nothing_is_replaced_unless_that_is_wanted(ols, run, tmp_path):
    tables, logs = tmp_path / "tables", tmp_path / "logs"
    mine = tables / "metrics.csv"
    tables.mkdir()
    mine.write_text("mine")
    code, said = ols("run", "--tables", tables)
    assert (code, mine.read_text(), len(list(tables.iterdir()))) == (2, "mine", 1)
    assert "exists already" in said
    assert ols("run", "--tables", tables, "--force")[0] == 0
    assert mine.read_text() != "mine"

    assert ols("run", "--tensorboard", logs)[0] == 0
    before = {file: file.stat().st_mtime_ns for file in (logs / "run").iterdir()}
    code, said = ols("run", "--tensorboard", logs, "--tables", tmp_path / "others")
    assert code == 2
    assert not (tmp_path / "others").exists()
    assert "--force" in said
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert ols("run", "--tensorboard", logs, "--force")[0] == 0
    assert {file.name for file in (logs / "run").iterdir()} == {file.name for file in before}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --figures, --tables or --tensorboard a folder"),
        (("--figures", "f", "--format", "gif"), "--format must be one of 'png', 'svg'"),
        (("--tables", "t", "--tables-format", "tex"), "--tables-format must be one of"),
    ],
)
def test_an_export_that_cannot_be_is_refused(ols, run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, said = ols("run", *arguments)
    assert code == 2
    assert message in said
    assert not (tmp_path / "f").exists()


def test_scalars_are_those_of_the_history_and_the_test(run, tmp_path):
    found = export_run(run, tmp_path / "logs" / "run")
    events = _events(tmp_path / "logs" / "run")
    assert len(events.Tags()["scalars"]) == found.scalars
    for tag, key in (
        ("loss/train", "train_loss"),
        ("accuracy/train", "train_accuracy"),
        ("nll/val", "val_nll"),
        ("training/lr", "lr"),
    ):
        points = [(event.step, event.value) for event in events.Scalars(tag)]
        expected = [(record["epoch"], np.float32(record[key])) for record in run.history]
        assert points == expected
    (test,) = events.Scalars("nll/test")
    assert test.step == 5
    assert test.value == np.float32(run.info.summary["test"]["nll"])


def test_matrices_are_images_of_every_epoch(run, tmp_path):
    found = export_run(run, tmp_path / "logs")
    images = _events(tmp_path / "logs").Images("soft labels")
    assert [image.step for image in images] == run.soft_label_epochs
    assert (found.images, found.epochs) == (6, 6)
    pixels = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
    assert pixels.shape == (300, 300, 3)
    # Brightness rises with mass: the same cells, in the order of superclass and name.
    order = np.lexsort((np.arange(6), SUPERCLASSES))
    matrix = run.soft_labels(5)[np.ix_(order, order)]
    brightness = pixels[25::50, 25::50].astype(float).sum(axis=2)
    by_mass = np.argsort(matrix, axis=None)
    assert (np.diff(brightness.ravel()[by_mass]) >= -3).all()


def test_of_many_epochs_some_are_drawn_the_first_and_last_among_them(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "MAX_IMAGES", 3)
    found = export_run(run, tmp_path / "logs")
    assert (found.images, found.epochs) == (3, 6)
    steps = [image.step for image in _events(tmp_path / "logs").Images("soft labels")]
    assert steps == [0, 2, 5]


def test_features_are_an_embedding_with_labels_and_thumbnails(run, tmp_path):
    pixels = np.arange(N_TEST, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(pixels, (N_TEST, 4, 4, 3)).copy()
    labels = run.labels()
    write_thumbnails(tmp_path, ImageSet(labels=np.asarray(labels), pixels=images))
    found = export_run(run, tmp_path / "logs")
    assert (found.points, found.sprites) == (N_TEST, True)
    folder = tmp_path / "logs"
    config = text_format.Parse(
        (folder / "projector_config.pbtxt").read_text(), ProjectorConfig()
    ).embeddings[0]
    features = np.loadtxt(folder / config.tensor_path, delimiter="\t")
    np.testing.assert_array_equal(features.astype(np.float16), run.features())
    rows = list(csv.DictReader((folder / config.metadata_path).open(), delimiter="\t"))
    names = run.info.dataset.class_names
    assert [row["class"] for row in rows] == [names[label] for label in labels]
    assert [row["superclass"] for row in rows] == [SUPERCLASSES[label] for label in labels]
    right = np.array([row["prediction"] == "right" for row in rows])
    assert right.mean() == pytest.approx(run.info.summary["test"]["accuracy"])
    side, _ = config.sprite.single_image_dim
    sheet = np.asarray(Image.open(folder / config.sprite.image_path))
    assert sheet.shape == (16 * side, 16 * side, 3)  # 16 is the root of 240, rounded up
    middles = sheet[side // 2 :: side, side // 2 :: side, 0].ravel()[:N_TEST]
    np.testing.assert_allclose(middles, np.arange(N_TEST), atol=6)  # lossy tiles


def test_what_a_run_does_not_hold_is_left_out(bought, tmp_path, ols):
    found = export_run(bought, tmp_path / "logs")
    assert (found.images, found.points, found.sprites) == (0, 0, False)
    tags = _events(tmp_path / "logs").Tags()
    assert tags["images"] == []
    assert "accuracy/test" in tags["scalars"]
    assert [file.suffix for file in (tmp_path / "logs").iterdir()] == [".ols-core"]


def test_a_number_that_is_none_is_no_scalar(tmp_path):
    run = synthetic_run(tmp_path, "run", epochs=1, finished=False)
    record = json.loads((run.path / "history.jsonl").read_text())
    record |= {"val_nll": None, "note": "text", "frozen": True}
    (run.path / "history.jsonl").write_text(json.dumps(record) + "\n")
    export_run(load_run("run", tmp_path), tmp_path / "logs")
    tags = _events(tmp_path / "logs").Tags()["scalars"]
    assert "loss/train" in tags
    assert not {"nll/val", "training/note", "training/frozen"} & set(tags)


def test_without_tensorboard_its_remedy_is_said(ols, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    code, said = ols("run", "--tensorboard", tmp_path / "logs")
    assert code == 1
    assert "pip install 'ols-core[tensorboard]'" in said
