from __future__ import annotations

import pytest

from mlsdm.record import Record
from mlsdm.sweep.check import Threshold, check
from mlsdm.sweep.outcome import RunOutcome, Status


def outcome(status: Status = "FINISHED", **metrics: float | None) -> RunOutcome:
    records = [
        Record("metric", name, value=value, nonfinite=int(value is None))
        for name, value in metrics.items()
    ]
    series = Record("series", "course", steps=(0,), values=(1.0,))
    return RunOutcome("id", status, [series, *records], 1.0, "", "02-moral", {})


@pytest.mark.parametrize(
    ("threshold", "ok"),
    [
        (Threshold("x", min=2.0), True),
        (Threshold("x", max=2.0), True),
        (Threshold("x", min=2.0, max=2.0), True),
        (Threshold("x", min=2.01), False),
        (Threshold("x", max=1.99), False),
    ],
)
def test_limits_are_included_and_hold_for_the_mean(threshold: Threshold, ok: bool) -> None:
    (row,) = check([threshold], [outcome(x=1.0), outcome(x=3.0)])
    assert (row.mean, row.runs, row.ok) == (2.0, 2, ok)


def test_a_failed_run_counts_as_missing() -> None:
    (row,) = check([Threshold("x", max=1.0)], [outcome(x=1.0), outcome("FAILED", x=1.0)])
    assert (row.mean, row.runs, row.ok) == (None, 1, False)


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [outcome("FAILED", x=1.0)],
        [outcome(y=1.0)],
        [outcome(x=1.0), outcome(y=1.0)],
        [outcome(x=1.0), outcome(x=None)],
    ],
)
def test_a_number_that_is_missing_in_any_run_is_not_ok(runs: list[RunOutcome]) -> None:
    (row,) = check([Threshold("x", max=1.0)], runs)
    assert (row.mean, row.ok) == (None, False)


def test_a_series_is_no_metric() -> None:
    (row,) = check([Threshold("course", max=1.0)], [outcome()])
    assert not row.ok


def test_a_row_is_plain_and_says_its_limits_exactly() -> None:
    (row,) = check([Threshold("x", 0.93333333, 0.94)], [outcome(x=0.5)])
    assert row.to_dict() == {
        "metric": "x",
        "mean": 0.5,
        "runs": 1,
        "bound": "in [0.93333333, 0.94]",
        "ok": False,
    }
