"""What is taken of the metrics that a framework reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["finite_metrics"]


def finite_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Leave out what is no finite number: a framework reports more than its user logged.

    Examples
    --------
    >>> finite_metrics({"loss": 0.5, "warming up": float("nan"), "note": "text"})
    {'loss': 0.5}
    """
    numbers = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):  # a tensor of several elements, a text
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers
