from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ols_core.analysis.comparison import (
    Result,
    differences_to,
    group_results,
    paired_difference,
    spread,
)
from ols_core.errors import ArgumentError

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


def _result(method: str, seed: int | None, value: float, **settings: object) -> Result:
    shared = {"method": method, "lr": 0.1} | settings
    return Result(f"{method}-{seed}-{value}", method, shared, {"accuracy": value}, seed)


@given(NUMBERS)
def test_spread_is_that_of_numpy(values: list[float]) -> None:
    found = spread(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))


def test_one_value_has_no_spread_and_none_is_refused() -> None:
    assert spread([0.5]).std is None
    with pytest.raises(ArgumentError, match="values must be at least one number"):
        spread([])
    with pytest.raises(ArgumentError, match="values must be one-dimensional"):
        spread([[1.0]])


def test_the_spread_of_an_infinite_loss_is_no_number() -> None:
    found = spread([1.0, np.inf])
    assert found.mean == np.inf
    assert np.isnan(found.std)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_paired_test_is_that_of_scipy_and_of_the_textbook(n: int) -> None:
    random = np.random.default_rng(n)
    ours, theirs = random.normal(size=(2, n))
    found = paired_difference(ours, theirs)
    difference = ours - theirs
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(n))
    assert found.n == n
    assert found.mean == pytest.approx(difference.mean())
    assert found.std == pytest.approx(difference.std(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), n - 1))
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    back = paired_difference(theirs, ours)
    assert (back.mean, back.p) == (pytest.approx(-found.mean), pytest.approx(found.p))


def test_where_there_is_no_test_the_reason_is_given() -> None:
    assert paired_difference([], []).reason == "no equal seeds"
    assert paired_difference([1.0], [0.5]).reason == "fewer than 2 equal seeds"
    constant = paired_difference([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert (constant.p, constant.reason) == (None, "differences without variance")
    assert constant.mean == pytest.approx(0.1)
    with pytest.raises(ArgumentError, match="baseline must be of shape"):
        paired_difference([1.0, 2.0], [1.0])


def test_groups_differ_in_more_than_the_seed_and_say_in_what() -> None:
    groups = group_results(
        [
            _result("ce", 1, 0.5),
            _result("ols", 0, 0.6, alpha=0.5),
            _result("ce", 0, 0.4),
            _result("ols", 0, 0.7, alpha=0.9),
        ]
    )
    assert [group.label for group in groups] == ["ce", "ols alpha=0.5", "ols alpha=0.9"]
    assert [result.seed for result in groups[0].results] == [0, 1]
    assert groups[0].spread("accuracy").mean == pytest.approx(0.45)
    assert groups[0].spread("nll") is None


def test_a_setting_that_one_method_lacks_does_not_name_its_rows() -> None:
    groups = group_results([_result("ce", 0, 0.5), _result("ols", 0, 0.6, alpha=0.5)])
    assert [group.label for group in groups] == ["ce", "ols"]


def test_labels_stay_apart_when_only_one_group_names_a_setting() -> None:
    groups = group_results([_result("ce", 0, 0.5), _result("ce", 0, 0.6, extra=1)])
    assert [group.label for group in groups] == ["ce", "ce #2"]


def test_of_equal_seeds_the_first_counts_and_unknown_seeds_all_do() -> None:
    (group,) = group_results([_result("ce", 0, 0.5), _result("ce", 0, 0.9)])
    assert [result.metrics["accuracy"] for result in group.results] == [0.5]
    assert group.repeated == ("ce-0-0.9",)
    (unknown,) = group_results([_result("ce", None, 0.5), _result("ce", None, 0.9)])
    assert len(unknown.results) == 2


def test_differences_pair_equal_seeds_only() -> None:
    groups = group_results(
        [_result("ce", seed, value) for seed, value in ((0, 0.1), (1, 0.2), (2, 0.4))]
        + [_result("ols", seed, value, alpha=0.5) for seed, value in ((1, 0.5), (2, 0.6), (3, 0))]
    )
    found = differences_to(groups, "ce", ["accuracy"], ["alpha"])["ols"]["accuracy"]
    assert found == paired_difference([0.5, 0.6], [0.2, 0.4])


def test_runs_on_other_labels_or_settings_are_no_partners() -> None:
    ours = Result("a", "ols", {"method": "ols"}, {"accuracy": 0.5}, 0, "one")
    theirs = Result("b", "ce", {"method": "ce"}, {"accuracy": 0.5}, 0, "two")
    found = differences_to(group_results([ours, theirs]), "ce", ["accuracy"])
    assert found["ols"]["accuracy"].reason == "no equal seeds"

    groups = group_results([_result("ce", 0, 0.5, lr=0.1), _result("ols", 0, 0.5, lr=0.2)])
    found = differences_to(groups, "ce", ["accuracy"])
    assert found["ols lr=0.2"]["accuracy"].reason == "no baseline of the same settings"


def test_an_unknown_or_ambiguous_baseline_is_refused() -> None:
    groups = group_results(
        [
            _result("ce", 0, 0.5),
            _result("ols", 0, 0.5, alpha=0.1),
            _result("ols", 0, 0.5, alpha=0.9),
        ]
    )
    with pytest.raises(ArgumentError, match=r"--baseline must be one of .*\(ce, ols\), got 'ls'"):
        differences_to(groups, "ls", ["accuracy"])
    with pytest.raises(ArgumentError, match=r"ce could be compared with each of ols alpha=0\.1"):
        differences_to(groups, "ols", ["accuracy"], ["alpha"])
