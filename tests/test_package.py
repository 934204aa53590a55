"""What importing a part of the package loads, and the directions between the rooms."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import ols_core
from tests.conftest import REPOSITORY

HEAVY = ("torch", "torchvision", "timm", "umap", "sklearn", "streamlit", "plotly")


def _loaded(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import ols_core",
        "import ols_core.runs, ols_core.run_writer, ols_core.config, ols_core.projections",
        "import ols_core.thumbnails",
        "import ols_core.recorder, ols_core.importing, ols_core.top_labels",
        "import ols_core.jobs, ols_core.run_manager, ols_core.tensorboard",
        "from ols_core.analysis import calibration, embedding, similarity, soft_labels",
        "import ols_core.cli",
    ],
)
def test_importing_a_torch_free_room_loads_nothing_heavy(statement):
    assert _loaded(statement) == set()


def test_the_lazy_names_are_what_they_say():
    assert "torch" in _loaded("from ols_core import OnlineLabelSmoothingLoss")
    assert sorted(ols_core.__all__) == dir(ols_core)
    for name in ols_core.__all__:
        assert getattr(ols_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ols_core.nothing


def _imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


FORBIDDEN = {
    "ols_core": ("app", "streamlit", "plotly"),
    "ols_core/analysis": ("torch", "pathlib", "ols_core.runs", "ols_core.training"),
    "ols_core/training": ("ols_core.cli",),
    "app/charts": ("streamlit", "ols_core.runs", "app.cache", "app.state", "app.views", "torch"),
    "app/views": ("torch", "umap", "ols_core.training", "plotly"),
    "app": ("torch", "umap", "ols_core.training"),
}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_only_what_they_may(room):
    files = list((REPOSITORY / room).rglob("*.py"))
    assert files
    for file in files:
        for module in _imports(file):
            for forbidden in FORBIDDEN[room]:
                assert not f"{module}.".startswith(f"{forbidden}."), f"{file} imports {module}"
