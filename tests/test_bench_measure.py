"""Timing in turn, and the interval of a median."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.bench import measure
from mlsdm.bench.measure import Side, interleaved, median


@pytest.mark.parametrize(
    ("n", "low", "high"), [(6, 1, 6), (8, 1, 8), (9, 2, 8), (11, 2, 10), (15, 4, 12), (22, 6, 17)]
)
def test_the_interval_lies_between_the_tabled_order_statistics(n: int, low: int, high: int) -> None:
    values = np.random.default_rng(n).permutation(n) + 1
    assert median(values) == (np.median(values), low, high, n)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_than_six_values_have_no_interval(n: int) -> None:
    found = median(np.ones(n))
    assert (found.mean, found.n, found.bounded) == (1.0, n, False)


@pytest.mark.parametrize("n", [6, 11, 22])
def test_the_interval_covers_the_median_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [median(rng.exponential(size=n)) for _ in range(1500)]
    covered = np.mean([interval.low <= math.log(2) <= interval.high for interval in found])
    assert 0.935 < covered < 0.995


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_a_median_lies_within_its_interval(values: list[float]) -> None:
    found = median(values)
    assert min(values) <= found.mean <= max(values)
    if found.bounded:
        assert found.low <= found.mean <= found.high


def test_both_sides_are_done_in_turn_and_counted_by_the_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    clock = iter(np.cumsum([0, 2, 0, 3, 0, 4, 0, 9]).tolist())
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    ours = Side(lambda: done.append("ours"), 2)
    theirs = Side(lambda: done.append("theirs"), 1)
    costs = interleaved(ours, theirs, 2, "a note")
    assert done == ["ours", "theirs"] * 3  # the first of each is not timed
    assert costs.ours.tolist() == [1.0, 2.0]
    assert costs.yardstick.tolist() == [3.0, 9.0]
    assert costs.note == "a note"


def test_the_collector_rests_meanwhile_and_works_again_afterwards() -> None:
    seen = []

    def fail() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 2:
            raise ZeroDivisionError

    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        interleaved(Side(fail, 1), Side(lambda: None, 1), 3)
    assert seen == [True, False]
    assert gc.isenabled()
