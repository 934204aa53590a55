from __future__ import annotations

import subprocess
import sys

import pytest

import ols_core.analysis

MODULES = ["calibration", "embedding", "similarity", "soft_labels"]


def test_lists_its_modules_and_nothing_else() -> None:
    assert ols_core.analysis.__all__ == MODULES
    assert dir(ols_core.analysis) == MODULES
    with pytest.raises(AttributeError, match="no_such_module"):
        _ = ols_core.analysis.no_such_module


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_of_a_module_exists(name: str) -> None:
    module = getattr(ols_core.analysis, name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_reading_pages_load_numpy_and_nothing_heavier() -> None:
    program = (
        "import sys, ols_core.analysis as analysis\n"
        "for name in analysis.__all__: getattr(analysis, name)\n"
        "heavy = {'torch', 'streamlit', 'plotly', 'umap', 'sklearn', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
