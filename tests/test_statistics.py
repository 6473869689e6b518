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

from mlsdm import ParameterError
from mlsdm.analysis.statistics import Interval, mean_interval, pick, summarise


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(hnp.arrays(np.float64, st.integers(2, 25), elements=st.floats(-1e6, 1e6)))
def test_the_interval_holds_the_mean_and_lies_within_the_data(values: Any) -> None:
    found = mean_interval(values, rng(), resamples=200)
    assert found.n == len(values)
    assert found.mean == pytest.approx(values.mean())
    slack = 1e-9 * (1 + np.abs(values).max())
    assert values.min() - slack <= found.low <= found.high <= values.max() + slack


def test_the_same_generator_gives_the_same_interval() -> None:
    values = rng().normal(size=12)
    assert mean_interval(values, rng()) == mean_interval(values, rng())


def test_a_higher_level_is_wider_and_more_seeds_are_narrower() -> None:
    values = rng().normal(size=400)

    def width(sample: Any, level: float) -> float:
        found = mean_interval(sample, rng(), level=level)
        return found.high - found.low

    assert width(values[:20], 0.5) < width(values[:20], 0.9) < width(values[:20], 0.99)
    assert width(values, 0.95) < 0.5 * width(values[:20], 0.95)


def test_shift_and_scale_carry_over() -> None:
    values = rng().exponential(size=15)
    plain, moved = mean_interval(values, rng()), mean_interval(3 + 10 * values, rng())
    assert moved[:3] == pytest.approx([3 + 10 * bound for bound in plain[:3]])


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
    with pytest.raises(ParameterError, match=r"^mean_interval\.values: must hold a finite number"):
        mean_interval(values, rng())


@pytest.mark.parametrize("level", [0.0, 1.0, 95, -0.5, math.nan])
def test_levels_lie_between_0_and_1(level: float) -> None:
    with pytest.raises(ParameterError, match=r"^mean_interval\.level: must lie in \(0, 1\) \(got "):
        mean_interval([1.0, 2.0, 4.0], rng(), level=level)


@pytest.mark.parametrize("source", [None, 7])
def test_the_generator_is_required(source: Any) -> None:
    with pytest.raises(ParameterError, match=r"^mean_interval\.rng: must be a Generator \(got "):
        mean_interval([1.0, 2.0, 4.0], source)


def test_one_number_per_seed() -> None:
    with pytest.raises(ParameterError, match=r"^mean_interval\.values: must have one dimension"):
        mean_interval([[1.0, 2.0], [3.0, 4.0]], rng())


@pytest.mark.parametrize(
    "values", [[0, 1], [0, 0, 0, 1], [1, 1 + 1e-15], [0, 1e-320], [1e300, -1e300], [3, 5]]
)
def test_awkward_data_still_give_finite_bounds_without_a_warning(values: Any) -> None:
    found = mean_interval(values, rng())
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)
    assert found.low <= found.high


@pytest.mark.parametrize(
    ("draw", "mean"),
    [("normal", 0.0), ("uniform", 0.5), ("exponential", 1.0)],
)
def test_nominal_intervals_cover_about_as_often_as_they_say(draw: str, mean: float) -> None:
    """300 intervals over 30 seeds each; the binomial spread of 95 % is 1.3 % here."""
    source = np.random.default_rng(11)
    hits = 0
    for _ in range(300):
        found = mean_interval(getattr(source, draw)(size=30), source, resamples=500)
        hits += found.low <= mean <= found.high
    assert 0.89 <= hits / 300 <= 0.985


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


def test_summarise_groups_by_several_columns() -> None:
    table = pd.DataFrame({"x": [1, 1, 2, 2], "y": list("aabb"), "m": [0.0, 1.0, 2.0, 2.0]})
    found = summarise(table, ["x", "y"], ["m"], rng())
    assert found[["x", "y", "mean"]].to_numpy().tolist() == [[1, "a", 0.5], [2, "b", 2.0]]
    assert summarise(table[:0], ["x"], ["m"], rng()).columns.to_list()[:2] == ["x", "measure"]


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
