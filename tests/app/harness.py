"""The dashboard in Streamlit's own test harness, and what its figures hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from tests.conftest import REPOSITORY

__all__ = ["array", "figures", "open_page"]


def open_page(page: str = "overview", **parameters: Any) -> AppTest:
    """Open a page by a link with these parameters."""
    app = AppTest.from_file(str(REPOSITORY / "app" / "main.py"), default_timeout=60)
    for key, value in parameters.items():
        app.query_params[key] = value
    app.run()
    if page != "overview":
        app.switch_page(f"views/{page}.py").run()
    assert not app.exception
    return app


def figures(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def array(value: Any) -> np.ndarray:
    """Numbers of a figure on a page, where a gap is null."""
    return np.array(value, dtype=float)
