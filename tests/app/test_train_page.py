"""Training from the browser: the form, the queue beside it, and one real training in Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from playwright.sync_api import expect

from app.views.train_options import GROUPS
from ols_core.config import TrainConfig
from ols_core.jobs import Queue
from ols_core.recipes import list_recipes
from ols_core.run_writer import RunWriter
from ols_core.runs import load_run
from tests.app.browser import served
from tests.app.conftest import PATIENCE
from tests.app.harness import array, figures, open_page
from tests.conftest import REPOSITORY
from tests.synthetic import synthetic_run

ONE = TrainConfig(dataset="digits", epochs=3)
RUN = "digits-resnet20-ols-s0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("OLS_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def started(monkeypatch):
    """Folders whose queue was asked to be worked off; no process is started."""
    asked = []
    for module in ("train_form", "train_live", "train_progress"):
        monkeypatch.setattr(f"app.views.{module}.ensure_runner", asked.append)
    return asked


def _button(app, label):
    (found,) = [button for button in app.button if button.label == label]
    return found


def _labels(app):
    return [button.label for button in app.button]


def _progress(app):
    return app.get("progress")[0].proto.text


def _command(app):
    return app.code[0].value


def test_the_command_follows_the_form(root):
    app = open_page("train")
    assert _command(app) == f"ols train --root {root}"
    app.selectbox(key="option_method").set_value("ls").run()
    app.number_input(key="option_smoothing").set_value(0.2).run()
    app.number_input(key="option_lr").set_value(0.05).run()
    app.text_input(key="option_milestones").set_value("2,4").run()
    app.toggle(key="option_decay_all").set_value(False).run()
    app.text_input(key="option_name").set_value("my-run").run()
    assert _command(app) == (
        f"ols train --method ls --smoothing 0.2 --lr 0.05 --no-decay-all --milestones 2,4 "
        f"--name my-run --root {root}"
    )
    assert not _button(app, "Start training").disabled


def test_every_option_of_the_configuration_is_there(root):
    app = open_page("train")
    widgets = [*app.selectbox, *app.number_input, *app.text_input, *app.toggle]
    shown = {widget.key.removeprefix("option_") for widget in widgets if widget.key}
    # The rest comes with another data set or method.
    assert set(TrainConfig.model_fields) - shown == {"data_dir", "smoothing"}
    assert {name for names in GROUPS.values() for name in names} <= set(TrainConfig.model_fields)


def test_options_of_other_methods_are_neither_shown_nor_passed(root):
    app = open_page("train")
    app.number_input(key="option_alpha").set_value(0.25).run()
    assert "--alpha 0.25" in _command(app)
    app.selectbox(key="option_method").set_value("ce").run()
    assert "alpha" not in _command(app)
    assert "option_alpha" not in {widget.key for widget in app.number_input}


REFUSED = {
    "epochs": (0, "epochs: input should be greater than or equal to 1, got 0."),
    "seed": (None, "seed: input should be a valid integer, got None."),
    "lr": (-0.1, "lr: input should be greater than 0, got -0.1."),
    "label_noise": ("much", "label_noise: expected one of symmetric:SHARE"),
    "milestones": ("a", "milestones.0: input should be a valid integer"),
    "loss_options": ("cap=[1]", "loss_options.cap."),
    "name": ("../up", "run name must be 1 to 100 of"),
}


def test_what_the_configuration_refuses_is_told_in_its_words(root):
    app = open_page("train")
    for name, (value, sentence) in REFUSED.items():
        accepted = app.session_state[f"option_{name}"]
        app.session_state[f"option_{name}"] = value
        app.run()
        assert not app.exception
        assert app.error[0].value.startswith(sentence)
        assert _button(app, "Start training").disabled
        app.session_state[f"option_{name}"] = accepted
    app.run()
    assert not app.error


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("model", "resnet21", "model must be one of resnet20, "),
        ("dataset", "folder:no/such", "folder:no/such: no such folder."),
        ("dataset", "cifar10", "cifar10 is not in data: expected cifar-10-batches-py there."),
    ],
)
def test_what_would_fail_at_once_is_told_before(root, name, value, sentence):
    app = open_page()
    # Set before it is drawn: the harness cannot type into a select box.
    app.session_state[f"option_{name}"] = value
    app.switch_page("views/train.py").run()
    assert not app.exception
    assert app.error[0].value.startswith(sentence)
    assert _button(app, "Start training").disabled


def test_a_recipe_fills_the_form(root):
    app = open_page("train")
    app.number_input(key="option_seed").set_value(7).run()
    for recipe in list_recipes():
        if recipe.name in ("fashion-mnist-noise40", "cifar10-noise40"):
            app.selectbox[0].set_value(recipe.name).run()
            _button(app, "Fill in").click().run()
            assert not app.exception
            config = TrainConfig.from_options(recipe.options("small"))
            assert app.number_input(key="option_seed").value == config.seed
            assert app.selectbox(key="option_dataset").value == config.dataset
            assert app.number_input(key="option_epochs").value == config.epochs
            shown = app.text_input(key="option_milestones").value
            assert shown == ",".join(map(str, config.milestones))


def test_the_form_is_kept_while_another_page_is_looked_at(root):
    synthetic_run(root, "other")
    app = open_page("train")
    app.number_input(key="option_epochs").set_value(7).run()
    app.switch_page("views/overview.py").run()
    app.switch_page("views/train.py").run()
    assert "--epochs 7" in _command(app)


def test_a_start_queues_the_training_once(root, started):
    app = open_page("train")
    app.number_input(key="option_epochs").set_value(3).run()
    _button(app, "Start training").click().run()
    (job,) = Queue(root).jobs()
    assert (job.run_id, job.status) == (RUN, "waiting")
    assert TrainConfig.from_options(job.config) == ONE
    assert started == [root]
    assert f"Run {RUN} is in the queue already." in [info.value for info in app.info]
    assert _button(app, "Add to the queue").disabled
    app.number_input(key="option_seed").set_value(1).run()
    _button(app, "Add to the queue").click().run()
    assert [job.run_id for job in Queue(root).jobs()] == [RUN, RUN[:-1] + "1"]
    app.number_input(key="option_seed").set_value(2).run()
    Queue(root).submit(ONE.model_copy(update={"seed": 2}))
    _button(app, "Add to the queue").click().run()
    assert len(Queue(root).jobs()) == 3
    assert f"Run {RUN[:-1]}2 is in the queue already." in [info.value for info in app.info]


def test_waiting_jobs_can_be_taken_out_and_the_queue_be_started_again(root, started):
    Queue(root).submit(ONE)
    app = open_page("train")
    assert "Nothing works off the queue" in app.warning[0].value
    _button(app, "Start the queue").click().run()
    assert started == [root]
    _button(app, "Remove").click().run()
    assert Queue(root).jobs() == []
    assert "Remove" not in _labels(app)


@pytest.fixture
def training():
    """A process that stands for a training."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_running_training_is_shown_and_can_be_stopped(root, training):
    queue = Queue(root)
    queue.submit(ONE)
    job, log = queue.take()
    queue.started(job, training.pid)
    log.write(b"epoch 1/3  \x1b[31mloss 2.3\x1b[0m\n")
    log.flush()
    app = open_page("train")
    assert app.code[1].value == "epoch 1/3  loss 2.3"
    assert f"**{RUN}**: loading" in _progress(app)

    writer = RunWriter.reopen(synthetic_run(root, RUN, finished=False, epochs=2))
    writer.update(config=ONE.model_dump(mode="json", exclude_none=True))
    app.run()
    assert f"**{RUN}**: epoch 3 of 3" in _progress(app)
    titles = [figure["layout"]["title"]["text"] for figure in figures(app)]
    assert [title.split(",")[0] for title in titles] == [
        "Accuracy",
        "Training loss",
        "Soft labels after epoch 2",
    ]
    np.testing.assert_allclose(
        array(figures(app)[2]["data"][0]["customdata"])[0, 1],
        load_run(RUN, root).soft_labels(2)[0, 1],
        rtol=1e-6,
    )

    _button(app, "Stop").click().run()
    assert training.wait(timeout=60) == -15
    assert _button(app, "Stop").disabled
    assert "stops after the step" in _progress(app)
    writer.close("stopped")
    queue.ended(job, 143)
    log.close()
    app.run()
    assert f"**{RUN}** was stopped after epoch 2." in [info.value for info in app.info]
    assert "Stop" not in _labels(app)


@pytest.mark.parametrize("shown", [True, False])
def test_a_stopped_run_can_be_resumed_wherever_it_was_started(root, started, shown):
    queue = Queue(root)
    if shown:
        queue.submit(ONE)
        _, log = queue.take()
        log.close()
    run = synthetic_run(root, RUN, finished=False)
    RunWriter.reopen(run).close("failed", "The disk was full.")
    app = open_page("train")
    if not shown:
        assert f"{RUN}: failed after epoch 3" in [text.value for text in app.text]
    _button(app, "Resume").click().run()
    assert queue.jobs()[-1].arguments == ["resume", RUN, "--root", str(root)]
    assert started == [root]
    assert "Resume" not in _labels(app)


def test_a_failed_training_says_why(root):
    queue = Queue(root)
    queue.submit(ONE)
    job, log = queue.take()
    with log:
        log.write(b"Error: There is no such data set.\n")
        log.flush()
        queue.ended(job, 1)
    app = open_page("train")
    assert app.error[0].value == f"**{RUN}** failed: There is no such data set."
    assert app.dataframe[0].value["Cause"].tolist() == ["There is no such data set."]


def test_a_damaged_queue_is_told_in_a_sentence(root):
    Queue(root).submit(ONE)
    (root / "_queue" / "0001.json").write_text("{}")
    app = open_page("train")
    assert not app.exception
    assert all("0001.json: not a job of the queue" in error.value for error in app.error)
    assert app.error


def test_the_page_is_hidden_where_nothing_may_be_written(root, monkeypatch):
    synthetic_run(root, "other")
    for value in ("0", ""):
        monkeypatch.setenv("OLS_READ_ONLY", value)
        assert open_page("train").title[0].value == "Train"
    for value in ("1", "true"):
        monkeypatch.setenv("OLS_READ_ONLY", value)
        with pytest.raises(ValueError, match="Could not find a navigation page"):
            open_page("train")


def test_the_page_never_imports_torch(root):
    code = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app/main.py", default_timeout=60).run()
app.switch_page("views/train.py").run()
assert not app.exception and not app.error
print([m for m in ("torch", "umap", "sklearn", "timm") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def browser_root(tmp_path):
    """Folder of runs; what still runs there at the end of a failed test is ended."""
    yield tmp_path / "runs"
    for job in Queue(tmp_path / "runs").jobs():
        if job.status == "running":
            os.kill(job.process["pid"], signal.SIGKILL)


@pytest.fixture
def environment(tmp_path, browser_root):
    """Environment of a server whose trainings are not niced: other tests would starve them."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.nice = lambda increment: 0\n")
    return {"OLS_ROOT": str(browser_root), "PYTHONPATH": str(tmp_path)}


def _type(page, label, value):
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def _paused(root):
    """Let the training go on until its first epoch is on disk, then pause its process."""
    history = root / RUN / "history.jsonl"
    while not history.exists():
        time.sleep(0.05)
    (job,) = Queue(root).jobs()
    os.kill(job.process["pid"], signal.SIGSTOP)
    return job.process["pid"], len(load_run(RUN, root).history)


@pytest.mark.timeout(480)  # two trainings load torch, whatever else the machine does
def test_a_training_is_started_watched_stopped_and_resumed(page, browser_root, environment):
    with served("app/main.py", **environment) as address:
        page.goto(f"{address}/train")
        _type(page, "Epochs", 6)
        page.get_by_text("More options").click()
        _type(page, "Images a class", 20)
        expect(page.get_by_text("ols train --train-per-class 20 --epochs 6")).to_be_visible()
        page.get_by_role("button", name="Start training").click()
        # The same run cannot be started again.
        expect(page.get_by_role("button", name="Add to the queue")).to_be_disabled()
        expect(page.get_by_text(f"Run {RUN} is in the queue already.")).to_be_visible()
        pid, n_done = _paused(browser_root)
        # All this appears by itself.
        expect(page.get_by_text(f"epoch {n_done + 1} of 6")).to_be_visible()
        titles = page.locator(".js-plotly-plot .gtitle")
        expect(titles.nth(2)).to_have_text(f"Soft labels after epoch {n_done}")
        expect(page.get_by_text(re.compile(rf"Run .*{RUN} on cpu"))).to_be_visible()

    # The server is gone; the training is not.
    assert [job.status for job in Queue(browser_root).jobs()] == ["running"]
    with served("app/main.py", **environment) as address:
        page.goto(f"{address}/train")
        expect(page.get_by_text(f"epoch {n_done + 1} of 6")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("stops after the step at hand")).to_be_visible()
        os.kill(pid, signal.SIGCONT)
        expect(page.get_by_text("was stopped after epoch")).to_be_visible()
        assert load_run(RUN, browser_root).status == "stopped"

        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("is finished: test accuracy")).to_be_visible(timeout=3 * PATIENCE)
        link = page.get_by_role("link", name="Look at this run")
        expect(link).to_have_attribute("href", f"./?runs={RUN}")
    run = load_run(RUN, browser_root)
    assert run.status == "finished"
    assert [record["epoch"] for record in run.history] == list(range(1, 7))
    assert [job.status for job in Queue(browser_root).jobs()] == ["stopped", "finished"]
