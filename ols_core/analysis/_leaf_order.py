"""The order of a tree's leaves that puts similar ones side by side.

`scipy.cluster.hierarchy.optimal_leaf_ordering` is made for this, but from six leaves on its order
is often longer than the shortest one (compared with all orders of small trees), and it takes
seconds for a thousand leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ols_core.analysis._arrays import IntArray

__all__ = ["optimal_order"]

_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Branch:
    """Leaves ``start`` to ``stop`` in the order as given; a single leaf has no children.

    `paths` holds the length of the shortest way through all leaves from one of the left child to
    one of the right child; ways between two leaves of the same child do not exist.
    """

    start: int
    stop: int
    children: tuple[_Branch, _Branch] | None
    paths: _Matrix


def optimal_order(tree: _Matrix, leaves: IntArray, distance: _Matrix) -> IntArray:
    """Order the leaves of a tree so that the distances between neighbours have the smallest sum.

    Parameters
    ----------
    tree : ndarray of shape (n_leaves - 1, 4)
        As made by `scipy.cluster.hierarchy.linkage`.
    leaves : ndarray of shape (n_leaves,)
        Any order that the tree allows, as made by `scipy.cluster.hierarchy.leaves_list`.
    distance : ndarray of shape (n_leaves, n_leaves)
        Symmetric and finite.

    Returns
    -------
    ndarray of shape (n_leaves,), int64
        The leaves from left to right. Of an order and its mirror image, which are equally good, it
        is the one that starts with the lower index.

    Notes
    -----
    The dynamic programme of Bar-Joseph et al. 2001, "Fast optimal leaf ordering for hierarchical
    clustering". Its time grows with the cube, its memory with the square of the number of leaves.
    """
    # in an order that the tree allows, each branch is a range
    near = distance[np.ix_(leaves, leaves)]
    root = _grow(tree, np.argsort(leaves), near)
    order = leaves[_shortest_way(root, near)].astype(np.int64)
    return order if order[0] < order[-1] else order[::-1].copy()


def _grow(tree: _Matrix, place: IntArray, near: _Matrix) -> _Branch:
    branches = [_Branch(int(p), int(p) + 1, None, np.zeros((1, 1))) for p in place]
    for first, second in tree[:, :2].astype(np.int64):
        left, right = sorted((branches[first], branches[second]), key=lambda branch: branch.start)
        between = near[right.start : right.stop, left.start : left.stop]
        paths = _walk(_walk(between, left).T, right)
        branches.append(_Branch(left.start, right.stop, (left, right), paths))
    return branches[-1]


def _walk(arrival: _Matrix, branch: _Branch) -> _Matrix:
    """From the cost of arriving at each leaf to that of leaving at each, by way of all the others.

    Both have shape (n_origins, n_leaves of the branch).
    """
    if branch.children is None:
        return arrival
    middle = branch.paths.shape[0]
    return np.hstack(
        [
            _min_plus(arrival[:, middle:], branch.paths.T),
            _min_plus(arrival[:, :middle], branch.paths),
        ]
    )


def _min_plus(first: _Matrix, second: _Matrix) -> _Matrix:
    """Matrix product with (min, +) in place of (+, *), looping over the shortest of its axes."""
    rows, inner, columns = first.shape[0], *second.shape
    if inner <= min(rows, columns):
        result = first[:, :1] + second[:1]
        for index in range(1, inner):
            np.minimum(result, first[:, index, None] + second[index], out=result)
        return result
    if columns <= rows:
        turned = np.ascontiguousarray(second.T)
        return np.stack([(first + column).min(axis=1) for column in turned], axis=1)
    turned = np.ascontiguousarray(second.T)
    return np.stack([(turned + row).min(axis=1) for row in first])


def _shortest_way(root: _Branch, near: _Matrix) -> list[int]:
    """Trace the shortest way back through the branches, from left to right."""
    row, column = divmod(int(root.paths.argmin()), root.paths.shape[1])
    middle = root.start + root.paths.shape[0]
    # a stack, not a recursion: a tree can be as deep as it has leaves
    pending = [(root, root.start + row, middle + column)]
    way: list[int] = []
    while pending:
        branch, start, end = pending.pop()
        if branch.children is None:
            way.append(branch.start)
            continue
        left, right = branch.children
        near_end, far_end = (left, right) if start < right.start else (right, left)
        last, first = _crossing(near_end, start, far_end, end, near)
        pending.append((far_end, first, end))
        pending.append((near_end, start, last))
    return way


def _crossing(
    near_end: _Branch, start: int, far_end: _Branch, end: int, near: _Matrix
) -> tuple[int, int]:
    """Where the shortest way from `start` to `end` leaves the one branch and enters the other."""
    exits, cost_before = _other_ends(near_end, start)
    entries, cost_after = _other_ends(far_end, end)
    cost = cost_before[:, None] + near[exits, entries] + cost_after
    last, first = divmod(int(cost.argmin()), cost.shape[1])
    return exits.start + last, entries.start + first


def _other_ends(branch: _Branch, end: int) -> tuple[slice, _Matrix]:
    """Leaves where a way through the branch with one end at `end` can have its other, and costs."""
    if branch.children is None:
        return slice(end, end + 1), np.zeros(1)
    middle = branch.children[1].start
    if end < middle:
        return slice(middle, branch.stop), branch.paths[end - branch.start]
    return slice(branch.start, middle), branch.paths[:, end - middle]
