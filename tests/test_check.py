from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import fleet, outcome, runs

from mlsdm.cli import show
from mlsdm.plan.threshold import Threshold
from mlsdm.sweep.aggregate import interval_of
from mlsdm.sweep.check import Change, check, compare
from mlsdm.sweep.outcome import RunOutcome

numbers = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1.0])
thresholds = st.one_of(
    st.builds(lambda x: Threshold("x", min=x), numbers),
    st.builds(lambda x: Threshold("x", max=x), numbers),
    st.builds(lambda x, y: Threshold("x", min(x, y), max(x, y)), numbers, numbers),
)


@given(thresholds, st.lists(numbers, min_size=3, max_size=3).map(sorted))
def test_a_threshold_is_met_exactly_if_the_whole_interval_keeps_it(
    threshold: Threshold, bounds: list[float]
) -> None:
    low, mean, high = bounds
    (row,) = check([threshold], [fleet(mean, low, high)])
    inside = threshold.min <= low and high <= threshold.max
    outside = high < threshold.min or low > threshold.max
    assert row.verdict == ("met" if inside else "not met" if outside else "undecided")
    assert row.ok == inside
    assert (row.mean, row.low, row.high, row.n) == (mean, low, high, 9)


@given(thresholds, numbers)
def test_a_single_number_is_never_undecided(threshold: Threshold, value: float) -> None:
    (row,) = check([threshold], [outcome({"x": value})])
    inside = threshold.min <= value <= threshold.max
    assert row.verdict == ("met" if inside else "not met")
    assert (row.mean, row.low, row.high, row.n) == (value, None, None, 1)


@given(runs(), st.lists(thresholds, max_size=3))
def test_there_is_one_row_per_threshold_and_point(
    made: list[RunOutcome], held: list[Threshold]
) -> None:
    rows = check(held, made)
    points = [
        run.point for i, run in enumerate(made) if run.point not in [r.point for r in made[:i]]
    ]
    assert [row.point for row in rows] == (points or [{}]) * len(held)
    for row in rows:
        members = [run for run in made if run.point == row.point]
        complete = [run for run in members if run.status == "FINISHED" and "x" in run.metrics]
        assert (row.verdict == "missing") == (not members or len(complete) < len(members))
        assert row.missing == len(members) - len(complete)
        assert row.text.startswith("x")
        assert len(row.cells) == len(row.columns)


@pytest.mark.parametrize(
    ("made", "mean", "n", "missing"),
    [
        ([], None, 0, 0),
        ([outcome({"x": 1.0}, status="FAILED")], None, 0, 1),
        ([outcome({"x": 1.0}, status="KILLED")], None, 0, 1),
        ([outcome({"y": 1.0})], None, 0, 1),
        ([outcome({"x": 1.0}), outcome({"y": 1.0})], 1.0, 1, 1),
        ([outcome({"x": 1.0}), outcome({"x": 0.5}, status="FAILED")], 1.0, 1, 1),
    ],
)
def test_what_any_run_lacks_is_missing(
    made: list[RunOutcome], mean: float | None, n: int, missing: int
) -> None:
    (row,) = check([Threshold("x", max=1.0)], made)
    assert (row.verdict, row.ok) == ("missing", False)
    assert (row.mean, row.n, row.missing) == (mean, n, missing)


def test_the_mean_over_seeds_is_held_and_not_each_seed() -> None:
    made = [outcome({"x": value}, seed=i) for i, value in enumerate([0.8, 0.9, 1.0, 1.1, 1.2] * 5)]
    rows = check([Threshold("x", max=1.1), Threshold("x", max=1.0), Threshold("x", 1.1)], made)
    assert [row.verdict for row in rows] == ["met", "undecided", "not met"]


def test_a_row_is_plain_and_says_its_limits_exactly() -> None:
    made = [outcome({"x": 0.5}, point={"moral.step": 0.1})]
    (row,) = check([Threshold("x", 0.93333333, 0.94)], made)
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False)) == {
        "metric": "x",
        "point": {"moral.step": 0.1},
        "mean": 0.5,
        "low": None,
        "high": None,
        "n": 1,
        "bound": "in [0.93333333, 0.94]",
        "verdict": "not met",
        "missing": 0,
    }
    assert row.text == (
        "x at moral.step=0.1: mean 0.5, n = 1, must be in [0.93333333, 0.94]: not met"
    )


def test_what_is_undecided_asks_for_more_seeds() -> None:
    (row,) = check([Threshold("x", min=0.9)], [fleet(0.91, 0.88, 0.94, 20)])
    assert row.text == (
        "x: mean 0.91 [0.88, 0.94], n = 20, must be >= 0.9: undecided: "
        "the interval crosses a limit, so more seeds are needed"
    )


def verdicts(changes: list[Change]) -> list[tuple[str, str, bool]]:
    return [(change.metric, change.verdict, change.ok) for change in changes]


@given(runs(), st.lists(thresholds, max_size=1))
def test_a_sweep_is_the_same_as_itself(made: list[RunOutcome], held: list[Threshold]) -> None:
    assert {change.verdict for change in compare(held, made, made)} <= {"same"}


@given(runs(), runs(), st.lists(thresholds, max_size=1), st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(
    made: list[RunOutcome],
    baseline: list[RunOutcome],
    held: list[Threshold],
    order: random.Random,
) -> None:
    def told(changes: list[Change]) -> list[str]:
        return sorted(repr(change) for change in changes)

    changes = compare(held, made, baseline)
    shuffled = (order.sample(some, len(some)) for some in (made, baseline))
    assert told(compare(held, *shuffled)) == told(changes)
    for change in changes:
        json.dumps(change.to_dict(), allow_nan=False)
        gone = change.verdict == "only in the baseline" and change.metric == "x" and held
        assert change.ok == (change.verdict != "worse" and not gone)


@given(runs(), runs(), numbers)
def test_what_is_better_one_way_is_worse_the_other(
    made: list[RunOutcome], baseline: list[RunOutcome], limit: float
) -> None:
    held = [Threshold("x", min=limit)]
    other = {"better": "worse", "worse": "better", "only now": "only in the baseline"}
    other |= {there: here for here, there in other.items()}

    def told(changes: list[Change]) -> dict[tuple[str, str], str]:
        return {(change.metric, str(change.point)): change.verdict for change in changes}

    there = told(compare(held, made, baseline))
    back = told(compare(held, baseline, made))
    assert back == {key: other.get(verdict, verdict) for key, verdict in there.items()}


def test_the_difference_of_two_fleets_has_the_mover_interval() -> None:
    """The two sides of each bound, by hand: 3-4-5 and 5-12-13 triangles."""
    now, before = fleet(30.0, 27.0, 42.0), fleet(10.0, 5.0, 14.0)
    (change,) = compare([], [now], [before])
    assert (change.difference, change.low, change.high) == (20.0, 15.0, 33.0)
    assert (change.now, change.before, change.verdict) == (30.0, 10.0, "changed")


@given(*[st.lists(numbers, min_size=3, max_size=3).map(sorted)] * 2)
def test_mover_intervals_hold_the_difference_and_mirror(one: list[float], two: list[float]) -> None:
    (low, mean, high), (low2, mean2, high2) = one, two
    now, before = fleet(mean, low, high), fleet(mean2, low2, high2)
    (there,), (back,) = compare([], [now], [before]), compare([], [before], [now])
    assert there.low is not None
    assert there.high is not None
    assert there.low <= mean - mean2 <= there.high
    assert there.high - there.low <= (high - low) + (high2 - low2) + 1e-9
    assert (back.low, back.high) == (-there.high, -there.low)


def test_the_same_seeds_are_compared_in_pairs() -> None:
    seeds = range(10)
    before = [outcome({"x": 10.0 * seed}, seed=seed) for seed in seeds]
    now = [outcome({"x": 10.0 * seed + 0.1 + seed / 100}, seed=seed) for seed in seeds]
    (change,) = compare([Threshold("x", min=0.0)], now, before)
    gains = [run.metrics["x"] - old.metrics["x"] for run, old in zip(now, before, strict=True)]
    expected = interval_of(gains)
    assert (change.difference, change.low, change.high) == expected[:3]
    assert (change.verdict, change.ok) == ("better", True)
    others = [outcome(run.metrics, seed=seed + 100) for seed, run in enumerate(now)]
    (change,) = compare([Threshold("x", min=0.0)], others, before)
    assert change.verdict == "same"  # as the spread of the seeds hides it


@pytest.mark.parametrize(
    ("held", "now", "verdict"),
    [
        ([Threshold("x", min=0.0)], 2.0, "better"),
        ([Threshold("x", min=0.0)], 0.5, "worse"),
        ([Threshold("x", max=9.0)], 2.0, "worse"),
        ([Threshold("x", max=9.0)], 0.5, "better"),
        ([Threshold("x", 0.0, 9.0)], 0.5, "changed"),
        ([Threshold("y", 0.0)], 0.5, "changed"),
        ([Threshold("x", min=0.0)], 1.0 - 1e-12, "same"),
    ],
)
def test_a_threshold_says_which_way_is_better(
    held: list[Threshold], now: float, verdict: str
) -> None:
    made, baseline = fleet(now, now - 0.1, now + 0.1), fleet(1.0, 0.9, 1.1)
    assert verdicts(compare(held, [made], [baseline])) == [("x", verdict, verdict != "worse")]


def test_single_numbers_change_but_are_not_worse() -> None:
    held = [Threshold("x", min=0.0)]
    (change,) = compare(held, [outcome({"x": 1.0})], [outcome({"x": 2.0})])
    assert (change.verdict, change.ok, change.difference, change.low) == ("changed", True, -1, None)
    assert change.text == "x: changed, 1 after 2, difference -1"


def test_what_only_one_side_has_is_told() -> None:
    now = [outcome({"x": 1.0, "new": 1.0}), outcome({"x": 1.0}, point={"a": 1})]
    before = [outcome({"x": 1.0, "old": 1.0, "y": 1.0}), outcome({"x": 1.0}, point={"a": 2})]
    changes = compare([Threshold("x", min=0.0), Threshold("y", min=0.0)], now, before)
    assert verdicts(changes) == [
        ("new", "only now", True),
        ("old", "only in the baseline", True),
        ("x", "same", True),
        ("y", "only in the baseline", False),
        ("", "only now", True),
        ("", "only in the baseline", True),
    ]
    assert changes[-1].text == "every metric at a=2: only in the baseline"
    assert (changes[0].now, changes[0].before) == (1.0, None)


def test_a_metric_is_gone_where_every_run_failed() -> None:
    held = [Threshold("x", min=0.0)]
    changes = compare(held, [outcome(status="FAILED")], [outcome({"x": 1.0})])
    assert verdicts(changes) == [("x", "only in the baseline", False)]


@pytest.mark.parametrize("seed", [None, [1]])
def test_runs_without_a_seed_of_their_own_are_not_paired(seed: Any) -> None:
    now, before = ([outcome({"x": x}, seed=seed) for x in xs] for xs in ((1.0, 2.0), (1.1, 2.1)))
    (change,) = compare([], now, before)
    assert change.low is not None
    assert change.low < -0.5


def test_the_table_of_checks_has_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    held = [Threshold("x", min=0.25), Threshold("y", min=1.0)]
    show.checks(check(held, [fleet(0.3, 0.2, 0.4, 200, point={"a": 1})]))
    printed = capsys.readouterr().out
    for word in ("metric", "point", "a=1", "0.3 [0.2, 0.4]", "200", ">= 0.25", "undecided"):
        assert word in printed
    assert "0 (1 run missing)" in printed
    show.checks([])
    assert capsys.readouterr().out == ""


def test_only_what_differs_from_the_baseline_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    now, before = outcome({"x": 1.0, "other": 3.0}), outcome({"x": 2.0, "other": 3.0})
    show.changes(compare([], [now], [before]))
    printed = capsys.readouterr().out
    assert "other" not in printed
    assert "changed" in printed
    assert printed.endswith("1 the same as in the baseline, 1 not\n")
    show.changes(compare([], [now], [now]))
    assert capsys.readouterr().out == "2 the same as in the baseline, 0 not\n"


def test_a_limit_gives_a_direction_and_two_give_none() -> None:
    assert Threshold("x", min=0.0).more_is_better is True
    assert Threshold("x", max=0.0).more_is_better is False
    assert Threshold("x", 0.0, 1.0).more_is_better is None
    assert Threshold("x", -math.inf, math.inf).more_is_better is None
