from __future__ import annotations

import math
import random
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import fleet, outcome, runs

from mlsdm.analysis.statistics import Interval, mean_interval
from mlsdm.display import named
from mlsdm.record import RESERVED
from mlsdm.rng import generator
from mlsdm.sweep.aggregate import aggregate, aggregates_table, by_point, interval_of
from mlsdm.sweep.outcome import RunOutcome


@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(made: list[RunOutcome], order: random.Random) -> None:
    shuffled = order.sample(made, len(made))
    plain, mixed = (
        {(a.metric, named(a.point)): repr(a) for a in aggregate(some)} for some in (made, shuffled)
    )
    assert plain == mixed


@given(runs())
def test_each_mean_is_over_the_finished_runs_that_have_the_metric(made: list[RunOutcome]) -> None:
    for one in aggregate(made):
        members = [run for run in made if run.point == one.point]
        values = [
            run.metrics[one.metric]
            for run in members
            if run.status == "FINISHED" and one.metric in run.metrics
        ]
        assert one.interval.mean == pytest.approx(np.mean(values))
        assert one.interval.n == len(values) >= 1
        assert one.missing == len(members) - len(values)
        if len(values) == 1:
            assert not one.interval.bounded
        else:
            assert one.interval.bounded


def test_the_interval_is_the_bootstrap_one_of_many_seeds() -> None:
    numbers = [float(seed % 7) for seed in range(40)]
    runs = [outcome({"x": value}, seed=seed) for seed, value in enumerate(numbers)]
    (one,) = aggregate(runs)
    assert one.interval == mean_interval(sorted(numbers), generator(0, "bootstrap"))
    assert one.missing == 0


def test_the_interval_of_few_seeds_covers_what_it_says() -> None:
    rng = np.random.default_rng(1)
    for count in (2, 5, 12):
        intervals = [interval_of(rng.standard_normal(count)) for _ in range(400)]
        covered = sum(interval.low <= 0 <= interval.high for interval in intervals)
        assert 0.92 < covered / 400 < 0.98


def test_a_single_run_gives_the_interval_that_it_recorded() -> None:
    (one,) = aggregate([fleet(0.3, 0.2, 0.4, 200)])
    assert (one.metric, one.interval) == ("x", Interval(0.3, 0.2, 0.4, 200))


def test_a_single_run_of_a_single_seed_has_no_interval() -> None:
    (one,) = aggregate([outcome({"x": 0.3, "interval/n/x": 1.0})])
    assert (one.interval.mean, one.interval.n, one.interval.bounded) == (0.3, 1, False)


def test_several_fleets_are_runs_like_others() -> None:
    (one,) = aggregate([fleet(1.0, 0.0, 2.0, 200), fleet(1.0, 0.5, 1.5, 200)])
    assert one.interval == Interval(1.0, 1.0, 1.0, 2)


def test_what_mlsdm_writes_itself_is_left_out() -> None:
    (one,) = aggregate([outcome({"x": 1.0, **{f"{group}/a": 1.0 for group in RESERVED}})])
    assert one.metric == "x"


def test_points_are_told_apart_by_their_values_and_not_by_how_they_are_written() -> None:
    points = [{"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": [1, 2.5]}, {"a": [1.0, 2.5]}]
    found = by_point([outcome(point=point) for point in points])
    assert [len(members) for members in found.values()] == [2, 1, 1, 2]
    large = [{"a": 2**60}, {"a": 2**60 + 1}]
    assert len(by_point([outcome(point=point) for point in large])) == 2
    assert named({"moral.step": 0.1, "gate": "norm"}) == "moral.step=0.1, gate=norm"


def test_a_table_has_a_row_per_metric_and_point() -> None:
    made = [
        *(outcome({"x": x, "n": 2.0}, point={"n": 5}, seed=int(x)) for x in (1.0, 3.0)),
        outcome({"x": 7.0}, point={"moral.step": 0.1}),
        outcome(status="FAILED", point={"moral.step": 0.1}),
    ]
    frame = aggregates_table(aggregate(made))
    assert list(frame.columns) == [
        "params.n", "params.moral.step", "metric", "mean", "low", "high", "n", "missing",
    ]  # fmt: skip
    assert frame[["metric", "mean", "n", "missing"]].to_numpy().tolist() == [
        ["n", 2.0, 2, 0],
        ["x", 2.0, 2, 0],
        ["x", 7.0, 1, 1],
    ]
    assert frame["params.n"].tolist()[:2] == [5, 5]
    assert math.isnan(frame["low"].iloc[-1])
    assert aggregates_table([]).columns.to_list()[0] == "metric"


def test_two_hundred_runs_of_fifty_metrics_take_seconds_at_most() -> None:
    rng = np.random.default_rng(1)
    made = [
        outcome({f"m{i}": float(x) for i, x in enumerate(rng.normal(size=50))}, seed=seed)
        for seed in range(200)
    ]
    begin = time.process_time()
    assert len(aggregate(made)) == 50
    assert time.process_time() - begin < 5


def test_a_plan_is_read_without_scipy() -> None:
    code = "import sys, mlsdm.sweep.check; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
