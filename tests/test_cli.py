from __future__ import annotations

import csv
import os
import re
import signal
import sys

import numpy as np
import pytest
from scipy import stats

from ols_core.cli import main
from ols_core.config import TrainConfig
from ols_core.remedies import dashboard_command, typed_command
from ols_core.run_manager import edit_run
from ols_core.run_writer import RunWriter
from ols_core.runs import ROOT_VARIABLE, load_run
from tests.conftest import REPOSITORY
from tests.synthetic import synthetic_run

SMALL = ("--dataset", "digits", "--train-per-class", 10)


@pytest.fixture
def ols(run_ols):
    """Run the command; returns (exit code, stdout, stderr), one space a gap."""

    def run(*arguments):
        code, *printed = run_ols(*arguments)
        return code, *(" ".join(text.split()) for text in printed)

    return run


def test_help_names_every_option_of_the_configuration(ols):
    code, out, _ = ols("train", "--help")
    assert code == 0
    assert "ols train --dataset digits --method ols --epochs 10" in out
    for name in TrainConfig.model_fields:
        assert f"--{name.replace('_', '-')}" in out


def test_train_writes_a_run_and_shows_it(ols, tmp_path):
    file = tmp_path / "options.toml"
    file.write_text('dataset = "digits"\nepochs = 9\nmethod = "ce"\ntrain_per_class = 10\n')
    code, out, err = ols(
        *("train", "--config", file, "--epochs", 1, "--name", "mine", "--root", tmp_path)
    )
    assert (code, err) == (0, "")
    assert "epoch 1/1" in out
    assert "img/s" in out
    assert f"dashboard: OLS_ROOT={tmp_path} make dashboard" in out
    run = load_run("mine", tmp_path)
    assert run.status == "finished"
    # The flag wins over the file, the file over the default.
    assert run.info.config["epochs"] == 1
    assert run.info.method == "ce"

    code, out, _ = ols("runs", "--root", tmp_path)
    assert code == 0
    assert "mine" in out


def test_a_recorded_run_can_be_repeated(ols, tmp_path):
    arguments = (*SMALL, "--epochs", 1, "--name", "first", "--root", tmp_path)
    assert ols("train", *arguments)[0] == 0
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
        (("train", "--dataset", "folder:nowhere"), 1, "Expected train/CLASS/"),
        (("train", "--label-noise", "symmetric:40%"), 2, "with a SHARE from 0 to 1"),
        (("train", "--dataset", "cifar10", "--data-dir", "nowhere"), 1, "--download"),
        (("train", "--name", "../x"), 2, "run name must be"),
        (("resume", "nothing"), 1, "No run 'nothing'"),
        (("project", "nothing"), 1, "No run 'nothing'"),
        (("features", "nothing"), 1, "No run 'nothing'"),
        (("train", "--recipe", "cifar100-resnet43"), 2, "near: cifar100-resnet34"),
        (("train", "--recipe", "a", "--config", "b"), 2, "give one of them"),
        (("train", "--scale", "small"), 2, "add --recipe NAME"),
        (("train", "--recipe", "cub-resnet50", "--scale", "tiny"), 2, "'full', 'small'"),
        (("sweep",), 2, "add --recipe NAME or --config FILE"),
        (("sweep", "--recipe", "nothing"), 2, "does not exist"),
        (("sweep", "--recipe", "cub-resnet50", "--jobs", "0"), 2, "--jobs must be an integer"),
        (("sweep", "--recipe", "cub-resnet50", "--seeds", "0,x"), 2, "--seeds must be integers"),
        (("sweep", "--recipe", "cub-resnet50", "--methods", "olss"), 2, "method: input"),
        (("sweep", "--recipe", "cub-resnet50", "--set", "alpha"), 2, "--set must be NAME=VALUE"),
        (("sweep", "--recipe", "cub-resnet50", "--set", "epocs=1"), 2, "no such option"),
        (("sweep", "--recipe", "cub-resnet50", "--set", "model=nonet"), 2, "model must be one of"),
        (("sweep", "--recipe", "cub-resnet50"), 1, "Expected train/CLASS/"),
        (("table",), 1, "No finished run"),
        (("table", "nothing"), 1, "No run begins with 'nothing'"),
        (("table", "--format", "html"), 2, "--format must be one of"),
        (("table", "--from", "nowhere.json"), 2, "cannot be read"),
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


def test_the_list_of_runs_tells_the_archived_ones(ols, tmp_path):
    edit_run(synthetic_run(tmp_path, "old"), archived=True)
    synthetic_run(tmp_path, "new")
    _, out, _ = ols("runs", "--root", tmp_path)
    assert out.count("finished") == 2
    assert out.count("archived") == 1


def test_the_folder_of_the_runs_comes_from_the_environment_as_for_the_dashboard(
    ols, tmp_path, monkeypatch
):
    synthetic_run(tmp_path / "there", "mine")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "there"))
    code, out, _ = ols("runs")
    assert (code, "mine" in out) == (0, True)
    (tmp_path / "flag").mkdir()
    code, out, _ = ols("runs", "--root", tmp_path / "flag")
    assert (code, "mine" in out) == (0, False)


# Not even the superuser can make a file in /proc.
_ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
_SWEEP = ("sweep", "--recipe", "cifar100-resnet34", "--scale", "small")
_WRITING = [
    ("train", *SMALL),
    ("evaluate", "--model", "resnet20", "--weights", "w.pth", "--data", "digits"),
    ("import", "predictions.csv", "--yes"),
    _SWEEP,
]
_READING = [
    ("runs",),
    ("table",),
    *((verb, "one") for verb in ("resume", "project", "features", "report")),
    ("export", "one", "--tables", "tables"),
]


@pytest.mark.parametrize(
    "verb",
    [arguments[0] for arguments in (*_WRITING, *_READING)],
)
def test_every_verb_with_runs_names_the_variable(ols, verb):
    assert "OLS_ROOT" in ols(verb, "--help")[1]


@_ON_LINUX
@pytest.mark.parametrize("arguments", _WRITING, ids=lambda found: found[0])
def test_a_root_that_cannot_be_written_is_named_before_anything_is_done(ols, tmp_path, arguments):
    file = tmp_path / "afile"
    file.write_text("")
    for root, message in [
        (file, f"--root {file} is not a folder."),
        (file / "in" / "it", f"--root {file}/in/it: {file} is not a folder."),
        ("/proc/x", "--root /proc/x cannot be written: No such file or directory. Name another"),
    ]:
        code, out, err = ols(*arguments, "--root", root)
        assert (code, out) == (1, "")
        assert message in err
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("arguments", _READING, ids=lambda found: found[0])
def test_a_root_that_is_not_there_is_named(ols, tmp_path, arguments):
    file = tmp_path / "afile"
    file.write_text("")
    for root, message in [(file, "is not a folder"), (tmp_path / "no", "does not exist")]:
        code, out, err = ols(*arguments, "--root", root)
        assert (code, out) == (1, "")
        assert f"--root {root} {message}. Name the folder of the runs" in err
    assert list(tmp_path.iterdir()) == [file]


def test_the_default_root_may_be_absent(ols, tmp_path, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    code, out, _ = ols("runs")
    assert code == 0
    assert "Make one: ols train --dataset digits --method ols" in out
    assert "--root" not in out


@_ON_LINUX
def test_a_file_that_cannot_be_written_is_named_itself(ols, tmp_path):
    synthetic_run(tmp_path, "one")
    RunWriter.reopen(load_run("one", tmp_path)).close("finished")
    root = ("--root", tmp_path)
    for arguments, file in [
        (("report", "one", "--output", "/proc/x.html"), "/proc/x.html"),
        (("export", "one", "--tables", "/proc"), "/proc/"),
        (("table", "--export", "/proc/x.json"), "/proc/x.json"),
    ]:
        code, _, err = ols(*arguments, *root)
        assert code == 1
        assert f"Error: {file}" in err
        assert "cannot be written: No such file or directory." in err
        assert ".tmp" not in err


def test_commands_in_messages_find_the_runs_again(run_ols, tmp_path, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    root = tmp_path / "of mine"
    root.mkdir()
    _, out, _ = run_ols("runs", "--root", root)
    assert f"ols train --dataset digits --method ols --root '{root}'\n" in out
    _, _, err = run_ols("table", "--root", root)
    assert f"see: ols runs --root '{root}'\n" in err
    assert typed_command("resume", "a", root="checkpoints") == "ols resume a"
    assert dashboard_command("checkpoints") == "make dashboard"
    # Where the variable names another folder, a command without --root would go there.
    monkeypatch.setenv(ROOT_VARIABLE, "elsewhere")
    assert typed_command("resume", "a", root="checkpoints") == "ols resume a --root checkpoints"


def test_a_damaged_run_is_reported_beside_the_others(ols, tmp_path):
    synthetic_run(tmp_path, "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    code, out, err = ols("runs", "--root", tmp_path)
    assert code == 0
    assert "good" in out
    assert "Run bad: run.json" in err


def test_a_recipe_gives_the_options_and_flags_win(ols, tmp_path, monkeypatch):
    chosen = []
    # Training it would take data that is not here.
    monkeypatch.setattr("ols_core.training.train", lambda config, *_: chosen.append(config))
    recipe = ("train", "--recipe", "cifar100-resnet34", "--root", tmp_path)
    assert ols(*recipe, "--epochs", 5)[0] == 0
    assert ols(*recipe, "--scale", "small")[0] == 0
    assert [config.model for config in chosen] == ["resnet34", "resnet20"]
    assert [config.epochs for config in chosen] == [5, 30]


def test_recipes_are_listed_with_what_was_published(ols):
    code, out, _ = ols("recipes")
    assert code == 0
    for name in ("cifar100-resnext29-32x4d", "imagenet-mobilenetv2", "cifar10-noise80"):
        assert name in out
    assert "ols accuracy 80.01%" in out
    assert "none was checked" in out
    assert "cifar/imagenetresnet34.log" in out


def test_a_dry_sweep_shows_the_plan_and_writes_nothing(ols, tmp_path):
    code, out, err = ols(
        *("sweep", "--recipe", "cifar100-resnet34", "--scale", "small", "--methods", "ce,ols"),
        *("--seeds", "0", "--set", "alpha=0.25,0.5", "--dry-run", "--root", tmp_path),
    )
    assert (code, err) == (0, "")
    assert "train cifar100-resnet34-small-ce-s0 (new)" in out
    assert "train cifar100-resnet34-small-ols-alpha-0.25-s0 (new)" in out
    assert out.count("-small-") == 3
    assert list(tmp_path.iterdir()) == []


def _seeded_run(root, method, seed, **options):
    """A finished run of random numbers that records a configuration."""
    run = synthetic_run(root, f"{method}-{seed}", method=method)
    writer = RunWriter.reopen(run)
    writer.update(config={"method": method, "seed": seed, **options})
    writer.close("finished")
    return run


@pytest.fixture
def grid(tmp_path):
    for seed in (0, 1, 2):
        _seeded_run(tmp_path, "ce", seed)
        _seeded_run(tmp_path, "ols", seed, alpha=0.5)
    synthetic_run(tmp_path, "half", finished=False)
    RunWriter.reopen(load_run("half", tmp_path)).close("stopped")
    return tmp_path


def test_a_table_sums_up_the_seeds_and_fits_80_columns(grid, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ols", "table", "--baseline", "ce", "--root", str(grid)])
    with pytest.raises(SystemExit, match="0"):
        main()
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 80
    assert "…" not in captured.out
    accuracy = [load_run(f"ce-{s}", grid).info.summary["test"]["accuracy"] for s in range(3)]
    shown = f"{100 * np.mean(accuracy):.2f} ± {100 * np.std(accuracy, ddof=1):.2f}"
    assert shown in captured.out
    assert "minus ce" in captured.out
    assert "Left out, not finished: half (stopped)." in captured.err


def test_a_table_can_be_made_from_an_export_without_the_runs(ols, grid, tmp_path):
    exported = tmp_path / "results.json"
    code, first, _ = ols("table", "--format", "csv", "--export", exported, "--root", grid)
    assert code == 0
    options = ("--format", "csv", "--root", tmp_path / "elsewhere")
    assert ols("table", "--from", exported, *options)[:2] == (0, first)
    code, out, _ = ols("table", "ols-", "--from", exported, *options)
    assert code == 0
    assert "ce" not in re.split(r"[ ,]", out)
    (tmp_path / "broken.json").write_text('{"runs": 3}')
    code, _, err = ols("table", "--from", tmp_path / "broken.json")
    assert code == 2
    assert "not a file of ols table --export: runs" in err


def test_a_table_in_each_source_format(ols, grid):
    arguments = ("table", "--baseline", "ce", "--root", grid, "--format")
    _, markdown, _ = ols(*arguments, "markdown")
    assert "| run | n | accuracy % |" in markdown
    _, latex, _ = ols(*arguments, "latex")
    assert r"run & n & accuracy \% &" in latex
    assert r"\midrule" in latex
    assert r"$\pm$" in latex
    _, out, _ = ols(*arguments, "csv")
    header, *rows = csv.reader(out.replace(" ", "\n").splitlines())
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows if row}
    values = {
        method: [load_run(f"{method}-{s}", grid).info.summary["test"]["nll"] for s in range(3)]
        for method in ("ce", "ols")
    }
    assert float(found["ols"]["nll_p"]) == pytest.approx(
        stats.ttest_rel(values["ols"], values["ce"]).pvalue
    )
    assert found["ce"]["nll_p"] == ""


def test_a_table_of_one_seed_says_why_it_has_no_p(ols, tmp_path):
    for method in ("ce", "ols"):
        _seeded_run(tmp_path, method, 0)
    code, _, err = ols("table", "--baseline", "ce", "--root", tmp_path)
    assert code == 0
    assert "No p for ols: fewer than 2 equal seeds." in err
    code, _, err = ols("table", "--baseline", "gce", "--root", tmp_path)
    assert code == 2
    assert "one of the methods in the table (ce, ols)" in err


@pytest.mark.parametrize(
    "verb", ["train", "resume", "runs", "project", "features", "sweep", "table", "recipes"]
)
def test_the_help_of_every_verb_has_an_example(ols, verb):
    code, out, _ = ols(verb, "--help")
    assert code == 0
    assert "Example" in out
    assert f"ols {verb}" in out.partition("Example")[2]


@pytest.fixture
def _survivable_signals():
    """A signal that the training does not handle fails the test instead of ending the suite."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_survivable_signals")
def test_ctrl_c_while_the_command_is_imported_is_no_crash(ols, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("ols_core.cli.app.main", interrupted)
    assert ols("runs") == (130, "", "")


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_that_can_be_resumed(ols, tmp_path, monkeypatch, signal_number, code):
    append = RunWriter.append_history

    def signalled(writer, record):
        append(writer, record)
        os.kill(os.getpid(), signal_number)

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "append_history", signalled)
        found, _, err = ols("train", *SMALL, "--epochs", 3, "--name", "one", "--root", tmp_path)

    assert found == code
    assert f"Go on with: ols resume one --root {tmp_path}" in err
    stopped = load_run("one", tmp_path)
    assert stopped.status == "stopped"
    assert len(stopped.history) == 1

    assert ols("resume", "one", "--root", tmp_path)[0] == 0
    finished = load_run("one", tmp_path)
    assert finished.status == "finished"
    assert [record["epoch"] for record in finished.history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar100-100-per-class", ("--baseline", "ce")),
        ("fashion-mnist-noise40", ("--baseline", "ce")),
        ("cifar100-short", ()),
    ],
)
def test_the_results_page_is_what_the_recorded_results_give(run_ols, name, options):
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    file = REPOSITORY / "docs" / "results" / f"{name}.json"
    code, out, _ = run_ols("table", "--from", file, *options, "--format", "markdown")
    assert code == 0
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) >= 5
    assert [row for row in rows if row not in page] == []
