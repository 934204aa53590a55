"""Analysis: arrays in, typed results out; importing a module here loads numpy and nothing heavier.

The modules are `calibration`, `embedding`, `similarity` and `soft_labels`. Each is loaded at its
first use, so ``import ols_core.analysis`` and then ``ols_core.analysis.calibration`` works without
paying for the ones that are not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ols_core.analysis import calibration, embedding, similarity, soft_labels

__all__ = ["calibration", "embedding", "similarity", "soft_labels"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
