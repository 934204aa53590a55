"""Orders in which classes can be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import IntArray
from ols_core.analysis._clustering import class_hierarchy
from ols_core.analysis.soft_labels import row_entropy
from ols_core.checks import check_choice, check_integer, invalid

__all__ = ["OrderKind", "class_order"]

OrderKind = Literal["given", "alphabetical", "superclass", "clustered", "entropy"]


def class_order(
    kind: OrderKind,
    n_classes: int,
    *,
    names: Sequence[str] | None = None,
    superclasses: npt.ArrayLike | None = None,
    similarity: npt.ArrayLike | None = None,
    soft_labels: npt.ArrayLike | None = None,
) -> IntArray:
    """Order in which to show the classes.

    Parameters
    ----------
    kind : {"given", "alphabetical", "superclass", "clustered", "entropy"}
        - "given": by class index.
        - "alphabetical": by `names`, without regard to case.
        - "superclass": by `superclasses`, within one by class index.
        - "clustered": the leaves of `class_hierarchy` of `similarity`.
        - "entropy": by the row entropy of `soft_labels`, most certain class first.
    n_classes : int
        At least 2.
    names : sequence of str, optional
    superclasses : array-like of shape (n_classes,), optional
        The group of each class, as integers or names.
    similarity, soft_labels : array-like of shape (n_classes, n_classes), optional

    Returns
    -------
    ndarray of shape (n_classes,), int64
        A permutation: ``order[i]`` is the class at position ``i``. Ties keep the class index.

    Raises
    ------
    ArgumentError
        If `kind` is unknown, or what it needs is missing or not of `n_classes` classes.

    Examples
    --------
    >>> class_order("alphabetical", 3, names=["cat", "Ant", "bee"]).tolist()
    [1, 2, 0]
    """
    check_integer("n_classes", n_classes, 2)

    def keys(name: str, values: npt.ArrayLike | None) -> npt.NDArray[np.generic]:
        if values is None or np.shape(values)[:1] != (n_classes,):
            got = None if values is None else np.shape(values)
            raise invalid(name, f"given for {n_classes} classes to order by {kind}", got)
        return np.asarray(values)

    orders: dict[str, Callable[[], npt.NDArray[np.int64]]] = {
        "given": lambda: np.arange(n_classes),
        "alphabetical": lambda: _stable(np.char.lower(keys("names", names).astype(str))),
        "superclass": lambda: _stable(keys("superclasses", superclasses)),
        "clustered": lambda: class_hierarchy(keys("similarity", similarity)).order,
        "entropy": lambda: _stable(row_entropy(keys("soft_labels", soft_labels))),
    }
    check_choice("kind", kind, orders)
    return orders[kind]()


def _stable(keys: npt.NDArray[np.generic]) -> IntArray:
    return np.argsort(keys, kind="stable")
