from __future__ import annotations

import json

import pytest

from ols_core.config import TrainConfig, load_config
from ols_core.errors import ArgumentError


def test_toml_and_json_say_the_same(tmp_path):
    (tmp_path / "a.toml").write_text('dataset = "digits"\nepochs = 3\n')
    (tmp_path / "a.json").write_text('{"dataset": "digits", "epochs": 3}')
    toml, from_json = (load_config(tmp_path / name) for name in ("a.toml", "a.json"))
    assert toml == from_json
    assert TrainConfig.from_options(toml).epochs == 3


def test_the_run_json_of_a_run_can_be_repeated_under_a_new_name(tmp_path):
    config = TrainConfig(epochs=7, method="ls", name="first")
    recorded = {"schema_version": 1, "config": config.model_dump(exclude_none=True)}
    (tmp_path / "run.json").write_text(json.dumps(recorded))

    repeated = TrainConfig.from_options(load_config(tmp_path / "run.json"))

    assert repeated == config.model_copy(update={"name": None})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: .*greater than or equal to 1, got 0"),
        ({"alpha": 1.5}, "alpha: .*less than or equal to 1, got 1.5"),
        ({"method": "olss"}, "method: .*'ce', 'ls', 'ols', .*got 'olss'"),
        ({"epocs": 3}, "epocs: no such option; known are .*epochs"),
        ({"lr": "fast"}, "lr: .*got 'fast'"),
    ],
)
def test_refusals_name_option_limit_and_value(options, message):
    with pytest.raises(ArgumentError, match=message):
        TrainConfig.from_options(options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "x: 1", r"expected a \.toml or \.json file"),
        ("a.toml", "x = ", "cannot be read as .toml"),
        ("a.json", "[1]", "expected a table"),
    ],
)
def test_unusable_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ArgumentError, match=message):
        load_config(tmp_path / name)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"nowhere\.toml: no such file"):
        load_config(tmp_path / "nowhere.toml")
