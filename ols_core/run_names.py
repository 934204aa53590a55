"""The name that a run gets when nobody gives it one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ols_core.config import TrainConfig

__all__ = ["default_ids"]


def default_ids(config: TrainConfig) -> Iterator[str]:
    """Yield ids made of data set, model, method and seed: a plain one, then numbered ones.

    Examples
    --------
    >>> ids = default_ids(TrainConfig(dataset="digits", method="ce"))
    >>> next(ids), next(ids)
    ('digits-resnet20-ce-s0', 'digits-resnet20-ce-s0-2')
    """
    dataset = config.dataset.rstrip("/").rpartition("/")[2].removeprefix("folder:")
    model = config.model.removeprefix("timm:")
    slug = re.sub(
        r"[^a-z0-9._-]+", "-", f"{dataset}-{model}-{config.method}-s{config.seed}".lower()
    )
    base = slug.lstrip("._-")[:96]
    yield base
    for number in range(2, 10_000):
        yield f"{base}-{number}"
