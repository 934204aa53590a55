"""Comparison of runs over seeds: groups, mean and spread, and paired differences to a baseline.

A result is what one run ended with. Results whose settings differ in nothing but the seed form a
group; a group is one row of a table. Differences are taken between runs of equal seeds, because
these share the held-out images, the initial weights and the order of the batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.checks import invalid
from ols_core.errors import ArgumentError

__all__ = [
    "Group",
    "PairedDifference",
    "Result",
    "Spread",
    "differences_to",
    "group_results",
    "paired_difference",
    "spread",
]


@dataclass(frozen=True, slots=True)
class Result:
    """What one run ended with.

    Attributes
    ----------
    id : str
        The run's id.
    method : str
        Its training method.
    settings : mapping
        All that decides how the run turned out, but the seed; includes the method. Options that do
        not concern the method are absent.
    metrics : mapping of str to float
        Name to value; a metric that could not be had is absent.
    seed : int or None
        None if unknown: such a run has no partner in a paired comparison.
    fingerprint : str
        Of the labels that the metrics were computed on; only equal ones are paired.
    """

    id: str
    method: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    seed: int | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `n` values; `std` is None for fewer than 2."""

    n: int
    mean: float
    std: float | None


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean and spread of the differences of `n` pairs, and the p-value of a paired t-test.

    Attributes
    ----------
    n : int
        Number of pairs.
    mean : float or None
        Value minus baseline; None without a pair.
    std : float or None
        Sample standard deviation of the differences; None for fewer than 2 pairs.
    p : float or None
        Two-sided; None where there is no test, for the reason that `reason` gives.
    reason : str
        Empty if there is a p-value.
    """

    n: int
    mean: float | None
    std: float | None
    p: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Results that differ in nothing but the seed.

    Attributes
    ----------
    label : str
        The method, and the other settings in which the groups differ.
    method : str
    settings : mapping
        As for `Result`.
    results : tuple of Result
        One a seed, ordered by seed; those of unknown seed come last.
    repeated : tuple of str
        Ids that were left out because an earlier result has the same settings and seed.
    """

    label: str
    method: str
    settings: Mapping[str, Any]
    results: tuple[Result, ...]
    repeated: tuple[str, ...] = field(default=())

    def spread(self, metric: str) -> Spread | None:
        """Mean and spread of a metric over the results that have it; None if none has."""
        values = [r.metrics[metric] for r in self.results if metric in r.metrics]
        return spread(values) if values else None


def spread(values: npt.ArrayLike) -> Spread:
    """Mean and sample standard deviation of some values.

    Parameters
    ----------
    values : array-like of shape (n,)
        At least one number.

    Raises
    ------
    ArgumentError
        If `values` is empty or not one-dimensional.

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0])
    Spread(n=3, mean=2.0, std=1.0)
    """
    array = _vector("values", values)
    if not array.size:
        raise invalid("values", "at least one number", [])
    with np.errstate(invalid="ignore"):  # an infinite loss has an undefined spread, NaN
        std = float(array.std(ddof=1)) if array.size > 1 else None
    return Spread(array.size, float(array.mean()), std)


def paired_difference(values: npt.ArrayLike, baseline: npt.ArrayLike) -> PairedDifference:
    """Difference of paired values, with a two-sided paired t-test.

    Parameters
    ----------
    values, baseline : array-like of shape (n,)
        Entry i of both belongs to the same pair, such as one seed.

    Raises
    ------
    ArgumentError
        If the shapes differ or are not one-dimensional.

    Notes
    -----
    `scipy.stats.ttest_rel`. Differences that are all the same have no variance to test with; that
    is said instead of a p-value of 0.

    Examples
    --------
    >>> found = paired_difference([2.0, 4.0, 4.0], [1.0, 2.0, 1.0])
    >>> found.n, found.mean, found.std, round(found.p, 3)
    (3, 2.0, 1.0, 0.074)
    >>> paired_difference([2.0], [1.5])
    PairedDifference(n=1, mean=0.5, std=None, p=None, reason='fewer than 2 equal seeds')
    """
    ours, theirs = _vector("values", values), _vector("baseline", baseline)
    if ours.shape != theirs.shape:
        raise invalid("baseline", f"of shape {ours.shape}, like values", theirs.shape)
    difference = ours - theirs
    if not difference.size:
        return PairedDifference(0, None, None, None, "no equal seeds")
    found = spread(difference)
    if found.std is None:
        return PairedDifference(1, found.mean, None, None, "fewer than 2 equal seeds")
    if found.std <= 1e-12 * max(1.0, float(np.abs(ours).max())):
        return PairedDifference(found.n, found.mean, 0.0, None, "differences without variance")
    # it costs a second to load, which readers of a run should not pay
    from scipy.stats import ttest_rel

    p = float(ttest_rel(ours, theirs).pvalue)
    return PairedDifference(found.n, found.mean, found.std, p)


def group_results(results: Sequence[Result]) -> list[Group]:
    """Group results that differ in nothing but the seed.

    Parameters
    ----------
    results : sequence of Result
        Of two with the same settings and the same known seed the first one counts.

    Returns
    -------
    list of Group
        In order of first appearance, labelled by what differs between them.

    Examples
    --------
    >>> results = [
    ...     Result("a", "ce", {"method": "ce", "lr": 0.1}, {}, 0),
    ...     Result("b", "ols", {"method": "ols", "lr": 0.1, "alpha": 0.5}, {}, 0),
    ...     Result("c", "ols", {"method": "ols", "lr": 0.1, "alpha": 0.9}, {}, 0),
    ... ]
    >>> [group.label for group in group_results(results)]
    ['ce', 'ols alpha=0.5', 'ols alpha=0.9']
    """
    members: dict[str, list[Result]] = {}
    for result in results:
        members.setdefault(_key(result.settings), []).append(result)
    varying = _varying([group[0].settings for group in members.values()])
    groups: dict[str, Group] = {}
    for group in members.values():
        label = _label(group[0], varying)
        # Settings that one method's runs name and others do not make no difference to name.
        same = sum(label in (taken, taken.rpartition(" #")[0]) for taken in groups)
        label = f"{label} #{same + 1}" if same else label
        groups[label] = _group(label, group)
    return list(groups.values())


def differences_to(
    groups: Sequence[Group],
    method: str,
    metrics: Sequence[str],
    method_options: Sequence[str] = (),
) -> dict[str, dict[str, PairedDifference]]:
    """Paired differences of each group to the one of a baseline method.

    Parameters
    ----------
    groups : sequence of Group
    method : str
        Training method of the baseline.
    metrics : sequence of str
        What to compare.
    method_options : sequence of str
        Settings that belong to a method and are therefore allowed to differ from the baseline's.

    Returns
    -------
    dict
        Label of the group, then metric, to the difference; without the groups of the baseline.

    Raises
    ------
    ArgumentError
        If no group, or for one of the others several groups, could be the baseline.
    """
    baselines = [group for group in groups if group.method == method]
    if not baselines:
        present = ", ".join(dict.fromkeys(group.method for group in groups))
        raise invalid("--baseline", f"one of the methods in the table ({present})", method)
    own = {"method", *method_options}
    found = {}
    for group in groups:
        if group.method == method:
            continue
        shared = _key(_without(group.settings, own))
        partners = [b for b in baselines if _key(_without(b.settings, own)) == shared]
        if len(partners) > 1:
            labels = ", ".join(partner.label for partner in partners)
            raise ArgumentError(
                f"--baseline {method}: {group.label} could be compared with each of {labels}; name "
                "the runs that the table is to hold."
            )
        found[group.label] = {m: _difference(group, partners, m) for m in metrics}
    return found


def _difference(group: Group, partners: Sequence[Group], metric: str) -> PairedDifference:
    if not partners:
        return PairedDifference(0, None, None, None, "no baseline of the same settings")
    ours, theirs = (_by_pair(g, metric) for g in (group, partners[0]))
    pairs = [pair for pair in ours if pair in theirs]
    return paired_difference([ours[p] for p in pairs], [theirs[p] for p in pairs])


def _by_pair(group: Group, metric: str) -> dict[tuple[int, str], float]:
    return {
        (result.seed, result.fingerprint): result.metrics[metric]
        for result in group.results
        if result.seed is not None and metric in result.metrics
    }


def _label(result: Result, varying: Sequence[str]) -> str:
    named = [f"{n}={result.settings[n]}" for n in varying if n in result.settings]
    return " ".join([result.method, *named])


def _group(label: str, members: Sequence[Result]) -> Group:
    kept: dict[Any, Result] = {}
    repeated = []
    for result in members:
        # Runs of unknown seed cannot be told to be the same.
        pair = object() if result.seed is None else (result.seed, result.fingerprint)
        if pair in kept:
            repeated.append(result.id)
        else:
            kept[pair] = result
    ordered = sorted(kept.values(), key=lambda r: math.inf if r.seed is None else r.seed)
    first = members[0]
    return Group(label, first.method, first.settings, tuple(ordered), tuple(repeated))


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings, except the method, of which two groups have different values."""
    names = dict.fromkeys(name for one in settings for name in one if name != "method")
    # A setting that some methods do not have varies only if those that have it disagree.
    return [n for n in names if len({repr(one[n]) for one in settings if n in one}) > 1]


def _key(settings: Mapping[str, Any]) -> str:
    return repr(sorted((name, repr(value)) for name, value in settings.items()))


def _without(settings: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _vector(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise invalid(name, "one-dimensional", array.shape)
    return array
