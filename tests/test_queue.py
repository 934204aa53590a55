from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ols_core.cli.app import app
from ols_core.config import Method, Optimizer, TrainConfig
from ols_core.errors import ArgumentError, DataError, OLSError, RunError
from ols_core.jobs import (
    DATASETS,
    DOWNLOADABLE,
    NETWORKS,
    Queue,
    check_startable,
    command_line,
    ensure_runner,
    runner,
    tail,
    train_arguments,
)
from ols_core.jobs.logs import cause_of_failure
from ols_core.run_writer import RunWriter
from ols_core.runs import load_run
from tests.conftest import REPOSITORY
from tests.synthetic import synthetic_run

# Stands for `ols train` and `ols resume` without loading torch: what happens is in the seed.
FAKE = """
import os, signal, sys, time
from pathlib import Path
from ols_core.run_writer import RunWriter, utc_now
from ols_core.runs import DatasetInfo, ModelInfo, RunInfo, load_run

def stop(*_):
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
verb, *rest = sys.argv[1:]
root = Path(rest[rest.index("--root") + 1])
print("threads", os.environ["OMP_NUM_THREADS"], "niceness", os.nice(0), flush=True)
if verb == "resume":
    RunWriter.reopen(load_run(rest[0], root)).close("finished")
    sys.exit()
run_id = rest[rest.index("--name") + 1]
seed = rest[rest.index("--seed") + 1] if "--seed" in rest else "0"
if seed == "66":
    sys.exit("Error: There is no such data set, \\nnot here at least.")
if seed == "77":
    os.kill(os.getpid(), signal.SIGKILL)
dataset, model = DatasetInfo(name="none", class_names=["a", "b"]), ModelInfo(name="none")
info = {"id": run_id, "name": run_id, "created": utc_now(), "status": "running"}
info |= {"source": "trained", "method": "ols", "dataset": dataset, "model": model}
writer = RunWriter.create(root, RunInfo(**info))
try:
    if seed == "88":
        print("begun", flush=True)
        signal.pause()
except SystemExit:
    writer.close("stopped")
    raise
writer.close("finished")
"""
FAKE_RUNNER = """
import sys
from pathlib import Path
from ols_core.jobs import runner

runner._COMMAND = (sys.executable, {fake!r})
runner.main(Path(sys.argv[1]), int(sys.argv[2]))
"""
COMMANDS = typer.main.get_command(app).commands
ONE = TrainConfig(dataset="digits", epochs=3)
ENDLESS = ONE.model_copy(update={"seed": 88})


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A queue whose trainings, and those of whose runner, are the fake ones."""
    fake, fake_runner = tmp_path / "fake.py", tmp_path / "fake_runner.py"
    fake.write_text(FAKE)
    fake_runner.write_text(FAKE_RUNNER.format(fake=str(fake)))
    monkeypatch.setattr(runner, "_COMMAND", (sys.executable, str(fake)))
    monkeypatch.setattr(runner, "_RUNNER", (sys.executable, str(fake_runner)))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return Queue(tmp_path / "runs")


def _work_off(queue):
    office = queue.reserve_runner()
    assert office is not None
    runner.work_off(queue, office)


def _wait_until(condition):
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def _process_of(queue, number):
    """Process of a job, once its training has begun."""
    job = queue.jobs()[number - 1]
    _wait_until(lambda: "begun" in tail(queue.log_file(job), 1))
    return queue.jobs()[number - 1].process["pid"]


def _status(queue):
    return [job.status for job in queue.jobs()]


def _parsed(line):
    """What the CLI's own parser makes of a command: configuration, root and download."""
    program, verb, *arguments = shlex.split(line)
    assert program == "ols"
    values = COMMANDS[verb].make_context(verb, arguments).params
    options = {name: values[name] for name in TrainConfig.model_fields if values[name] is not None}
    return TrainConfig.from_options(options), values["root"], values["download"]


_share = st.floats(0.01, 0.99)
_text = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1)
_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.one_of(st.sampled_from(DATASETS), _text.map("folder:{}".format)),
        "weights": _text,
        "method": st.sampled_from(Method.__args__),
        "optimizer": st.sampled_from(Optimizer.__args__),
        "epochs": st.integers(1, 10**6),
        "lr": st.floats(1e-12, 1e3),
        "ema": _share,
        "momentum": _share,
        "decay_all": st.booleans(),
        "pretrained": st.booleans(),
        "milestones": st.lists(st.integers(1, 500), max_size=3),
        "label_noise": st.sampled_from(["symmetric:0.4", "pairflip:0.2"]),
        "loss_options": st.dictionaries(
            st.sampled_from(["cap", "preset", "detach"]),
            st.one_of(st.floats(0, 1), st.booleans(), st.just("official-cifar")),
        ),
        "name": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True),
    },
)


@given(_OPTIONS, _text, st.booleans())
def test_the_shown_command_is_the_configuration(options, folder, download):
    config = TrainConfig.from_options(options)
    root = Path("runs") / folder.replace("/", "_")
    line = command_line(train_arguments(config, root, download))
    assert _parsed(line) == (config, root, download)


def test_the_command_names_only_what_is_not_the_default():
    assert command_line(train_arguments(TrainConfig())) == "ols train"
    config = TrainConfig(method="ce", dataset="folder:my images")
    assert command_line(train_arguments(config)) == (
        "ols train --dataset 'folder:my images' --method ce"
    )


def test_jobs_run_in_their_order_and_say_how_they_ended(queue):
    for seed in (0, 66, 77, 1):
        queue.submit(ONE.model_copy(update={"seed": seed}))
    assert _status(queue) == ["waiting"] * 4
    _work_off(queue)
    jobs = queue.jobs()
    assert [job.run_id for job in jobs] == [f"digits-resnet20-ols-s{s}" for s in (0, 66, 77, 1)]
    assert _status(queue) == ["finished", "failed", "interrupted", "finished"]
    assert [job.error for job in jobs] == [
        None,
        "There is no such data set, not here at least.",
        "It was ended by SIGKILL.",
        None,
    ]
    assert load_run(jobs[3].run_id, queue.root).status == "finished"
    assert not queue.has_runner()
    # Nothing was run with another number of threads than was left to it.
    threads = max(1, (os.cpu_count() or 1) - 1)
    expected = os.environ.get("OMP_NUM_THREADS", str(threads))
    assert tail(queue.log_file(jobs[0]), 30).startswith(f"threads {expected} ")


def test_the_same_run_cannot_be_started_twice(queue):
    named = ONE.model_copy(update={"name": "mine"})
    queue.submit(named)
    queue.submit(ONE)
    for config in (named, ENDLESS.model_copy(update={"name": "mine"}), ONE):
        with pytest.raises(RunError, match="is in the queue already"):
            queue.submit(config)
    # How fast it is computed does not make it another run.
    with pytest.raises(RunError, match="is in the queue already"):
        queue.submit(ONE.model_copy(update={"workers": 5}))
    # Other options under the same default name get a number, as the command line gives one.
    assert queue.submit(ONE.model_copy(update={"lr": 0.5})).run_id == "digits-resnet20-ols-s0-2"
    with pytest.raises(RunError, match="s0-2 is in the queue already"):
        queue.submit(ONE.model_copy(update={"lr": 0.5}))
    _work_off(queue)
    writer = RunWriter.reopen(synthetic_run(queue.root, "digits-resnet20-ce-s0", finished=False))
    ce = ONE.model_copy(update={"method": "ce"})
    writer.update(config=ce.model_dump(mode="json", exclude_none=True))
    writer.close("finished")
    for config in (named, ce):
        with pytest.raises(RunError, match="exists already and is not overwritten"):
            queue.submit(config)
    with pytest.raises(ArgumentError, match="run name must be"):
        queue.submit(ONE.model_copy(update={"name": "../up"}))


def test_two_threads_that_submit_the_same_run_start_it_once(queue):
    outcomes = []

    def submit():
        try:
            outcomes.append(queue.submit(ONE).run_id)
        except RunError:
            outcomes.append(None)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(None) == 7
    assert len(queue.jobs()) == 1


def test_a_waiting_job_can_be_taken_out(queue):
    first = queue.submit(ONE)
    second = queue.submit(ENDLESS)
    queue.remove(second.number)
    _work_off(queue)
    assert [job.run_id for job in queue.jobs()] == [first.run_id]
    with pytest.raises(RunError, match="does not wait any more: it is finished"):
        queue.remove(first.number)
    with pytest.raises(RunError, match="not in the queue any more"):
        queue.remove(second.number)
    with pytest.raises(RunError, match="does not run: it is finished"):
        queue.stop(first.number)


def test_only_what_was_trained_in_part_is_resumed(queue):
    writer = RunWriter.reopen(synthetic_run(queue.root, "one", finished=False))
    with pytest.raises(RunError, match=r"one \(trained, running\) cannot be resumed"):
        queue.submit_resume("one")
    writer.close("failed", "The disk was full.")
    queue.submit_resume("one")
    with pytest.raises(RunError, match="one is in the queue already"):
        queue.submit_resume("one")
    _work_off(queue)
    with pytest.raises(RunError, match=r"one \(trained, finished\) cannot be resumed"):
        queue.submit_resume("one")
    with pytest.raises(RunError, match="No run 'two'"):
        queue.submit_resume("two")


def test_the_runner_is_niced_alone_and_ends_with_the_queue(queue):
    job = queue.submit(ENDLESS)
    ensure_runner(queue.root)
    assert queue.has_runner()
    assert queue.reserve_runner() is None
    ensure_runner(queue.root)  # does nothing
    pid = _process_of(queue, 1)
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    # It has another session than this process: a terminal's Ctrl-C does not reach it.
    assert os.getsid(pid) != os.getsid(0)
    queue.stop(job.number)
    queue.stop(job.number)
    _wait_until(lambda: not queue.has_runner())
    assert _status(queue) == ["stopped"]
    assert load_run(job.run_id, queue.root).status == "stopped"
    assert (queue.folder / "runner.log").read_text() == ""


def test_several_run_at_once_if_wanted(queue, monkeypatch):
    monkeypatch.setenv("OLS_JOBS", "2")
    for name in ("a", "b", "c"):
        queue.submit(ENDLESS.model_copy(update={"name": name}))
    ensure_runner(queue.root)
    for number in (1, 2):
        _process_of(queue, number)
    assert _status(queue) == ["running", "running", "waiting"]
    queue.stop(2)
    _process_of(queue, 3)
    assert _status(queue) == ["running", "stopped", "running"]
    late = queue.submit(ONE)  # while there is a runner
    queue.stop(1)
    _wait_until(lambda: queue.jobs()[late.number - 1].status == "finished")
    queue.stop(3)
    _wait_until(lambda: not queue.has_runner())
    assert _status(queue) == ["stopped", "stopped", "stopped", "finished"]


@pytest.mark.parametrize("number", ["0", "-1", "two", ""])
def test_a_number_of_trainings_that_is_none_is_refused(queue, monkeypatch, number):
    monkeypatch.setenv("OLS_JOBS", number)
    with pytest.raises(ArgumentError, match="OLS_JOBS must be a whole number"):
        ensure_runner(queue.root)


def test_a_training_outlives_its_runner_and_the_next_one_waits_for_it(queue):
    queue.submit(ENDLESS)
    ensure_runner(queue.root)
    training = _process_of(queue, 1)
    parent = Path(f"/proc/{training}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(parent), signal.SIGKILL)
    _wait_until(lambda: not queue.has_runner())
    assert _status(queue) == ["running"]

    queue.submit(ONE)
    ensure_runner(queue.root)
    assert queue.has_runner()
    assert _status(queue) == ["running", "waiting"]
    queue.stop(1)
    _wait_until(lambda: not queue.has_runner())
    assert _status(queue) == ["stopped", "finished"]


def test_jobs_whose_processes_died_with_the_machine_are_interrupted(queue):
    queue.submit(ENDLESS)
    queue.submit(ONE)
    office = queue.reserve_runner()
    job, log = queue.take()
    # The number of the process belongs to another one by now: nothing may be sent to it.
    bystander = subprocess.Popen(["sleep", "60"])
    queue.started(job, bystander.pid)
    assert _status(queue) == ["running", "waiting"]
    log.close()
    office.close()
    assert _status(queue) == ["interrupted", "waiting"]
    assert not queue.has_runner()
    with pytest.raises(RunError, match="does not run: it is interrupted"):
        queue.stop(job.number)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    _work_off(queue)
    assert _status(queue) == ["interrupted", "finished"]


def test_a_job_that_is_stopped_before_it_has_a_process_is_stopped_then(queue):
    queue.submit(ENDLESS)
    job, log = queue.take()
    with log:
        queue.stop(job.number)
        process = subprocess.Popen(["sleep", "60"])
        queue.started(job, process.pid)
        queue.ended(job, process.wait())
    assert _status(queue) == ["stopped"]


def test_a_training_on_another_machine_is_not_stopped_from_here(queue, monkeypatch):
    queue.submit(ENDLESS)
    job, log = queue.take()
    with log:
        monkeypatch.setattr("ols_core.jobs.queue.platform.node", lambda: "elsewhere")
        queue.started(job, os.getpid())
        monkeypatch.undo()
        with pytest.raises(RunError, match="runs on elsewhere; stop it there"):
            queue.stop(job.number)


def test_a_damaged_job_is_named(queue):
    queue.submit(ONE)
    (queue.folder / "0001.json").write_text("{")
    with pytest.raises(RunError, match=r"0001\.json: not a job of the queue .*; delete it"):
        queue.jobs()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunError, match=r"runs/_queue cannot be written: Not a directory"):
        Queue(tmp_path / "runs").submit(ONE)


def test_looking_at_a_queue_makes_no_folder(tmp_path):
    queue = Queue(tmp_path / "runs")
    assert queue.jobs() == []
    assert not queue.has_runner()
    assert queue.run_id_for(ONE) == "digits-resnet20-ols-s0"
    assert list(tmp_path.iterdir()) == []


def test_the_tail_of_a_log_is_plain_text(tmp_path):
    log = tmp_path / "a.log"
    assert tail(log, 3) == ""
    log.write_bytes(b"x" * 100_000 + b"\nfirst\n\x1b[1;31mred\x1b[0m\n 10%\r 50%\r100%\nlast\n\n")
    assert tail(log, 3) == "red\n100%\nlast"
    log.write_bytes(b"windows\r\nline\r\n")
    assert tail(log, 9) == "windows\nline"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("", "It wrote nothing."),
        ("epoch 1\nKilled\n\n", "Killed"),
        (
            "Error: no\nepoch 1\nError: a sentence that was \nwrapped\n",
            "a sentence that was wrapped",
        ),
        ("Traceback:\n  File\nValueError: odd\n", "ValueError: odd"),
    ],
)
def test_the_cause_of_a_failure_is_its_last_error(tmp_path, log, cause):
    (tmp_path / "a.log").write_text(log)
    assert cause_of_failure(tmp_path / "a.log") == cause


def test_the_names_that_the_page_offers_are_those_of_the_registries():
    from torchvision.datasets import CIFAR10, CIFAR100

    from ols_core.data import load_dataset
    from ols_core.jobs import preflight
    from ols_core.models import MODELS

    assert set(NETWORKS) == set(MODELS)
    with pytest.raises(ArgumentError) as refused:
        load_dataset(TrainConfig(dataset="nothing"))
    for name in DATASETS:
        assert name in str(refused.value)
    assert preflight._FILES["cifar10"] == (CIFAR10.base_folder,)
    assert preflight._FILES["cifar100"] == (CIFAR100.base_folder,)


@pytest.mark.parametrize("name", DOWNLOADABLE)
def test_an_absent_data_set_is_refused_by_the_check_and_by_the_reader(tmp_path, name):
    from ols_core.data import load_dataset

    config = TrainConfig(dataset=name, data_dir=str(tmp_path))
    for refuse in (check_startable, load_dataset):
        with pytest.raises(DataError, match=rf"{tmp_path}"):
            refuse(config)
    check_startable(config, download=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "mnist"}, "dataset must be digits, .* or folder:PATH, got 'mnist'"),
        ({"dataset": "folder:"}, "dataset must be"),
        ({"dataset": "folder:no/such"}, "folder:no/such: no such folder"),
        ({"model": "resnet21"}, "model must be one of resnet20, .* or timm:NAME, got 'resnet21'"),
    ],
)
def test_what_cannot_be_started_is_refused(options, message):
    with pytest.raises(OLSError, match=message):
        check_startable(TrainConfig(**options))


def test_present_data_sets_can_be_started(tmp_path):
    (tmp_path / "FashionMNIST" / "raw").mkdir(parents=True)
    (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz").touch()
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("digits", "fashion-mnist", "cifar100", f"folder:{tmp_path}"):
        check_startable(TrainConfig(dataset=name, data_dir=str(tmp_path)))
