"""What runs lack, by where they come from."""

from __future__ import annotations

import numpy as np
import pytest

from app.missing import absences
from ols_core.importing import read_predictions, write_import
from ols_core.recorder import RunRecorder
from tests.synthetic import synthetic_run

REMEDY = "Train on."
PARTS = ("soft_labels/counts.npy",)


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "given.npz"
    np.savez(file, logits=np.eye(6)[np.arange(60) % 6] * 3, labels=np.arange(60) % 6)
    imported = [write_import(read_predictions(file), tmp_path, name) for name in ("one", "two")]
    with RunRecorder("own", ["a", "b"], root=tmp_path) as recorder:
        recorder.log_predictions("val", logits=np.eye(2), labels=[0, 1])
    return [synthetic_run(tmp_path, "begun", finished=False), *imported, recorder.run]


def test_runs_of_one_origin_share_a_sentence_and_only_trained_ones_have_the_remedy(runs):
    begun, *_ = runs
    (begun.path / PARTS[0]).unlink()
    trained, imported, recorded = absences(runs, "soft labels", REMEDY, *PARTS)
    assert trained == f"begun (running) has no soft labels: {PARTS[0]} is absent. {REMEDY}"
    assert imported.startswith(f"one, two have no soft labels: {PARTS[0]} is absent. An imported")
    assert recorded.startswith("own has no soft labels")
    assert "RunRecorder" in recorded


def test_predictions_of_another_split_are_named(runs):
    *_, own = absences(runs, "predictions", REMEDY, "predictions/test_logits.npy")
    assert own.startswith("own has no predictions: predictions/test_logits.npy is absent.")
    assert "its val split" in own


def test_one_of_several_parts_will_do(runs):
    one = runs[1]
    assert absences([one], "predictions", REMEDY, "nothing", "predictions/test_logits.npy") == []
