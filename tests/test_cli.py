from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ols_core.cli import main
from ols_core.config import TrainConfig
from ols_core.runs import load_run
from tests.synthetic import synthetic_run


def _ols(monkeypatch, capsys, *arguments):
    """Run the command in this process; returns (exit code, stdout, stderr), one space a gap."""
    monkeypatch.setattr(sys, "argv", ["ols", *map(str, arguments)])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, *(re.sub(r"\s+", " ", text) for text in captured)


@pytest.fixture
def ols(monkeypatch, capsys):
    return lambda *arguments: _ols(monkeypatch, capsys, *arguments)


def test_help_names_every_option_of_the_configuration(ols):
    code, out, _ = ols("train", "--help")
    assert code == 0
    assert "ols train --dataset digits --method ols --epochs 10" in out
    for name in TrainConfig.model_fields:
        assert f"--{name.replace('_', '-')}" in out


def test_train_writes_a_run_and_shows_it(ols, tmp_path):
    file = tmp_path / "options.toml"
    file.write_text('dataset = "digits"\nepochs = 9\nmethod = "ce"\n')
    code, out, err = ols(
        *("train", "--config", file, "--epochs", 1, "--name", "mine", "--root", tmp_path)
    )
    assert (code, err) == (0, "")
    assert "epoch 1/1" in out
    assert "img/s" in out
    run = load_run("mine", tmp_path)
    assert run.status == "finished"
    # The flag wins over the file, the file over the default.
    assert run.info.config["epochs"] == 1
    assert run.info.method == "ce"

    code, out, _ = ols("runs", "--root", tmp_path)
    assert code == 0
    assert "mine" in out


def test_a_recorded_run_can_be_repeated(ols, tmp_path):
    assert ols("train", "--epochs", 1, "--name", "first", "--root", tmp_path)[0] == 0
    again = tmp_path / "first" / "run.json"
    assert ols("train", "--config", again, "--name", "again", "--root", tmp_path)[0] == 0
    first, second = (load_run(name, tmp_path) for name in ("first", "again"))
    assert first.info.summary == second.info.summary


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "--epochs", "0"), 2, "epochs: input should be greater than or equal to 1"),
        (("train", "--method", "olss"), 2, "olss"),
        (("train", "--epocs", "3"), 2, "--epocs"),
        (("train", "--dataset", "mnist"), 2, "dataset must be digits"),
        (("train", "--model", "resnet21"), 2, "model must be one of"),
        (("train", "--config", "nowhere.toml"), 2, "no such file"),
        (("train", "--dataset", "folder:nowhere"), 1, "no such folder"),
        (("train", "--dataset", "cifar10", "--data-dir", "nowhere"), 1, "--download"),
        (("train", "--name", "../x"), 2, "run name must be"),
        (("resume", "nothing"), 1, "No run 'nothing'"),
        (("project", "nothing"), 1, "No run 'nothing'"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_mistakes_end_with_a_sentence_and_a_code(ols, tmp_path, arguments, code, message):
    root = ("--root", tmp_path) if arguments[0] != "frobnicate" else ()
    found, out, err = ols(*arguments, *root)
    assert found == code
    assert message in err
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_runs_of_an_empty_folder_say_how_to_make_one(ols, tmp_path):
    code, out, _ = ols("runs", "--root", tmp_path)
    assert code == 0
    assert "ols train --dataset digits --method ols" in out


def test_a_damaged_run_is_reported_beside_the_others(ols, tmp_path):
    synthetic_run(tmp_path, "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    code, out, err = ols("runs", "--root", tmp_path)
    assert code == 0
    assert "good" in out
    assert "Run bad: run.json" in err


def test_project_stores_a_layout(ols, tmp_path):
    run = synthetic_run(tmp_path, "one")
    code, out, _ = ols("project", "one", "--method", "pca", "--root", tmp_path)
    assert code == 0
    assert "240 points" in out
    assert run.has("projections/pca.npz")
    assert ols("project", "one", "--method", "lda", "--root", tmp_path)[0] == 2


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_that_can_be_resumed(ols, tmp_path, signal_number, code):
    options = ("--dataset", "digits", "--epochs", "12", "--name", "one", "--root", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-m", "ols_core.cli", "train", *options],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the suite in the background makes its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    history = tmp_path / "one" / "history.jsonl"
    deadline = time.monotonic() + 120
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == code
    assert "ols resume" in err
    stopped = load_run("one", tmp_path)
    assert stopped.status == "stopped"
    assert 1 <= len(stopped.history) < 12

    assert ols("resume", "one", "--root", tmp_path)[0] == 0
    finished = load_run("one", tmp_path)
    assert finished.status == "finished"
    assert [record["epoch"] for record in finished.history] == list(range(1, 13))
