from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from mlsdm import ParameterError
from mlsdm.analysis.statistics import (
    ENOUGH,
    STATISTICS,
    Interval,
    Statistic,
    interval,
    mean_interval,
    pick,
    summarise,
)

few_or_many = st.one_of(st.integers(2, ENOUGH - 1), st.integers(ENOUGH, 40))
samples = hnp.arrays(np.float64, few_or_many, elements=st.floats(-1e6, 1e6))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(samples, st.sampled_from(STATISTICS))
def test_the_interval_holds_the_statistic(values: Any, statistic: Statistic) -> None:
    found = interval(values, rng(), statistic, resamples=200)
    centre = {"mean": np.mean, "median": np.median, "iqm": middle}[statistic](values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(centre)
    slack = 1e-9 * (1 + np.abs(values).max())
    assert found.low - slack <= found.mean <= found.high + slack
    if statistic != "mean" or len(values) >= ENOUGH:  # Student's t may reach further
        assert values.min() - slack <= found.low <= found.high <= values.max() + slack


def middle(values: Any) -> float:
    """The interquartile mean, by hand."""
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


@given(
    hnp.arrays(np.int64, few_or_many, elements=st.integers(-1000, 1000)),
    st.sampled_from(STATISTICS),
    st.integers(-64, 64),
    st.sampled_from([2.0**-10, 0.5, 1.0, 4.0]),
)
def test_an_interval_moves_and_grows_with_its_values(
    values: Any, statistic: Statistic, shift: int, scale: float
) -> None:
    plain = interval(values, rng(), statistic, resamples=200)
    moved = interval(scale * values + shift, rng(), statistic, resamples=200)
    assert moved[:3] == pytest.approx([scale * number + shift for number in plain[:3]], abs=1e-9)


@given(hnp.arrays(np.float64, st.integers(2, ENOUGH - 1), elements=st.floats(-1e6, 1e6)))
def test_the_order_of_few_values_does_not_matter_to_the_last_bit(values: Any) -> None:
    if np.ptp(values):
        assert interval(values, rng()) == interval(values[::-1], rng())


def test_few_seeds_have_students_t_and_draw_nothing() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    source = rng()
    found = interval(values, source, level=0.9)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert found == (3.5, pytest.approx(low), pytest.approx(high), 4)
    assert source.random() == rng().random()


def test_from_30_seeds_on_the_mean_has_the_bootstrap() -> None:
    values = np.random.default_rng(3).exponential(size=ENOUGH)
    expected = stats.bootstrap((values,), np.mean, n_resamples=700, rng=rng()).confidence_interval
    assert interval(values, rng(), resamples=700)[1:3] == (expected.low, expected.high)


def test_the_mean_is_the_statistic_unless_another_is_asked_for() -> None:
    values = rng().exponential(size=40)
    assert mean_interval(values, rng(), 0.8, 300) == interval(values, rng(), "mean", 0.8, 300)
    assert interval([0.0, 0.0, 9.0], rng(), "median", resamples=50).mean == 0.0
    assert interval([-50.0, 1.0, 3.0, 99.0], rng(), "iqm", resamples=50).mean == 2.0


def test_the_same_generator_gives_the_same_interval() -> None:
    values = rng().normal(size=40)
    assert mean_interval(values, rng()) == mean_interval(values, rng())


def test_a_higher_level_is_wider_and_more_seeds_are_narrower() -> None:
    values = rng().normal(size=400)

    def width(sample: Any, level: float) -> float:
        found = mean_interval(sample, rng(), level=level)
        return found.high - found.low

    for few in (20, 40):
        assert width(values[:few], 0.5) < width(values[:few], 0.9) < width(values[:few], 0.99)
        assert width(values, 0.95) < 0.5 * width(values[:few], 0.95)


@pytest.mark.parametrize("value", [0.0, 7.5, 1e-300, 1e300])
def test_where_nothing_varies_the_interval_is_a_point(value: float) -> None:
    assert mean_interval(np.full(4, value), rng()) == Interval(value, value, value, 4)


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    values = [1.0, 2.0, np.nan, 3.0, np.inf, -np.inf]
    assert mean_interval(values, rng()) == mean_interval([1.0, 2.0, 3.0], rng())
    assert mean_interval(values, rng()).n == 3


def test_one_value_has_no_interval() -> None:
    found = mean_interval([2.0, np.nan], rng())
    assert (found.mean, found.n) == (2.0, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_nothing_finite_is_refused(values: Any) -> None:
    with pytest.raises(ParameterError, match=r"^interval\.values: must hold a finite number"):
        mean_interval(values, rng())


@pytest.mark.parametrize("resamples", [0, -1, 1.5])
def test_resamples_must_be_a_whole_number(resamples: Any) -> None:
    with pytest.raises(ParameterError, match=r"^interval\.resamples: must be a whole number of at"):
        interval(range(40), rng(), resamples=resamples)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, -0.5, math.nan])
def test_levels_lie_between_0_and_1(level: float) -> None:
    with pytest.raises(ParameterError, match=r"^interval\.level: must lie in \(0, 1\) \(got "):
        mean_interval([1.0, 2.0, 4.0], rng(), level=level)


@pytest.mark.parametrize("source", [None, 7])
def test_the_generator_is_required(source: Any) -> None:
    with pytest.raises(
        ParameterError, match=r"^interval\.rng: must be a numpy.random.Generator \(got "
    ):
        mean_interval([1.0, 2.0, 4.0], source)


def test_the_statistic_has_a_name() -> None:
    with pytest.raises(ParameterError, match=r"^interval\.statistic: 'meadian'.*mean 'median'\?$"):
        interval([1.0, 2.0], rng(), "meadian")  # type: ignore[arg-type]


def test_one_number_per_seed() -> None:
    with pytest.raises(ParameterError, match=r"^interval\.values: must have one dimension"):
        mean_interval([[1.0, 2.0], [3.0, 4.0]], rng())


@pytest.mark.parametrize(
    "values", [[0, 1], [0, 0, 0, 1], [1, 1 + 1e-15], [0, 1e-320], [1e300, -1e300], [3, 5]]
)
@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("times", [1, 20])
def test_awkward_data_still_give_finite_bounds_without_a_warning(
    values: Any, statistic: Statistic, times: int
) -> None:
    found = interval(values * times, rng(), statistic)
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)
    assert found.low <= found.high


# The quantile function of each distribution, and what its statistics are.
NORMAL = stats.norm.ppf, {"mean": 0.0, "median": 0.0, "iqm": 0.0}
EXPONENTIAL = (
    stats.expon.ppf,
    {
        "mean": 1.0,
        "median": math.log(2),
        "iqm": 1 + 1.5 * math.log(4 / 3) - 0.5 * math.log(4),
    },
)


def covering(
    statistic: Statistic, distribution: Any, seeds: int, intervals: int, resamples: int
) -> bool:
    """Whether 95 % intervals cover as a binomial draw of 95 % does 999 times in 1000."""
    ppf, truth = distribution
    source = np.random.default_rng(11)
    hits = 0
    for values in ppf(source.random((intervals, seeds))):
        found = interval(values, source, statistic, resamples=resamples)
        hits += found.low <= truth[statistic] <= found.high
    low, high = stats.binom.interval(0.999, intervals, 0.95)
    return bool(low <= hits <= high)


# At as many seeds as the docstring says that it takes; fewer cover less.
COVERING = [
    *[("mean", NORMAL, seeds) for seeds in (2, 5, 12, 29, 50)],
    ("mean", EXPONENTIAL, 100),
    *[
        (statistic, distribution, 50)
        for statistic in ("median", "iqm")
        for distribution in (NORMAL, EXPONENTIAL)
    ],
]


@pytest.mark.parametrize(("statistic", "distribution", "seeds"), COVERING)
def test_95_percent_intervals_cover_95_percent(
    statistic: Statistic, distribution: Any, seeds: int
) -> None:
    assert covering(statistic, distribution, seeds, intervals=1000, resamples=500)


@pytest.mark.long
@pytest.mark.parametrize("distribution", [NORMAL, EXPONENTIAL])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_intervals_of_200_seeds_cover_95_percent(statistic: Statistic, distribution: Any) -> None:
    assert covering(statistic, distribution, 200, intervals=4000, resamples=1000)


def test_a_bootstrap_of_the_mean_of_few_seeds_would_cover_too_little() -> None:
    """Why there is Student's t."""
    source = np.random.default_rng(11)
    values = source.normal(size=(1000, 10))
    found = stats.bootstrap((values,), np.mean, axis=1, n_resamples=500, rng=source)
    low, high = found.confidence_interval
    assert ((low <= 0) & (high >= 0)).sum() < stats.binom.ppf(0.0005, 1000, 0.95)


def test_summarise_makes_one_row_a_group_and_measure() -> None:
    table = pd.DataFrame(
        {
            "gate": ["norm"] * 3 + ["element"] * 3,
            "seed": [1, 2, 3] * 2,
            "a": [1.0, 2.0, 3.0, 5.0, 5.0, 5.0],
            "b": [np.nan, np.inf, np.nan, 1.0, np.nan, 3.0],
        }
    )
    found = summarise(table, ["gate"], ["a", "b"], rng())
    assert list(found.columns) == ["gate", "measure", "mean", "low", "high", "n"]
    assert found[["gate", "measure", "n"]].to_numpy().tolist() == [
        ["norm", "a", 3], ["element", "a", 3], ["element", "b", 2],
    ]  # fmt: skip
    assert found["mean"].to_list() == [2.0, 5.0, 2.0]
    assert found["low"][1] == found["high"][1] == 5.0


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_summary_names_its_statistic(statistic: Statistic) -> None:
    table = pd.DataFrame({"a": ["x"] * 5, "m": [0.0, 1.0, 2.0, 3.0, 40.0]})
    found = summarise(table, ["a"], ["m"], rng(), statistic)
    assert list(found.columns) == ["a", "measure", statistic, "low", "high", "n"]
    assert pick(found, a="x") == interval(table["m"], rng(), statistic)


def test_summarise_groups_by_several_columns() -> None:
    table = pd.DataFrame({"x": [1, 1, 2, 2], "y": list("aabb"), "m": [0.0, 1.0, 2.0, 2.0]})
    found = summarise(table, ["x", "y"], ["m"], rng())
    assert found[["x", "y", "mean"]].to_numpy().tolist() == [[1, "a", 0.5], [2, "b", 2.0]]
    assert summarise(table[:0], ["x"], ["m"], rng()).columns.to_list()[:2] == ["x", "measure"]


def test_summarise_keeps_a_group_without_a_name_and_makes_up_none() -> None:
    table = pd.DataFrame({"x": [1.0, np.nan, np.nan], "m": [0.0, 1.0, 2.0]})
    assert summarise(table, ["x"], ["m"], rng())["n"].to_list() == [1, 2]
    table["x"] = pd.Categorical(list("abb"), categories=list("abc"))
    assert summarise(table, ["x"], ["m"], rng())["x"].to_list() == ["a", "b"]


def test_a_row_of_a_summary_is_picked_by_its_columns() -> None:
    table = pd.DataFrame({"a": ["x", "y"], "mean": [1.0, 2.0], "low": 0.5, "high": 3.0, "n": 7})
    assert pick(table, a="y") == Interval(2.0, 0.5, 3.0, 7)
    assert pick(table, a="z").n == 0
    with pytest.raises(ParameterError, match=r"^pick: must name one row"):
        pick(table, n=7)


def test_intervals_are_written_in_the_format_asked_for() -> None:
    assert f"{Interval(0.25, 0.2, 0.3, 9):.0%}" == "25% [20%, 30%]"
    assert f"{Interval(0.25, math.nan, math.nan, 1):.2f}" == "0.25"
    assert f"{Interval(math.nan, math.nan, math.nan, 0):.2f}" == "n/a"


def test_an_interval_is_had_without_what_makes_one() -> None:
    heavy = "{'scipy', 'numba', 'matplotlib'}"
    code = f"import sys, mlsdm.analysis.interval; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("low", "high", "bounded"), [(0.0, 1.0, True), (math.nan, 1.0, False), (0.0, math.inf, False)]
)
def test_an_interval_has_both_bounds_or_none(low: float, high: float, bounded: bool) -> None:
    assert Interval(0.5, low, high, 3).bounded is bounded
