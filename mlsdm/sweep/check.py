"""The means of a sweep, held against the thresholds of its plan and against an earlier sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

from mlsdm.analysis.interval import Interval
from mlsdm.display import named
from mlsdm.plan.threshold import Threshold, Verdict
from mlsdm.sweep.aggregate import aggregate, by_point, interval_of, seed_of
from mlsdm.sweep.outcome import RunOutcome

__all__ = ["Change", "Row", "check", "compare", "counted"]

Comparison = Literal["same", "changed", "better", "worse", "only now", "only in the baseline"]

NOTHING = Interval(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Row:
    """One threshold beside the mean at one point; None for what there is not.

    The verdict is ``"met"`` or ``"not met"`` where the whole interval says so, ``"undecided"``
    where it crosses a limit, and ``"missing"`` where a run failed or has no such metric: the mean
    is then over the others. `missing` counts those runs.
    """

    metric: str
    point: dict[str, Any]
    mean: float | None
    low: float | None
    high: float | None
    n: int
    bound: str
    verdict: Verdict
    missing: int = 0

    columns: ClassVar = ("metric", "point", "mean", "n", "threshold", "verdict")

    @property
    def ok(self) -> bool:
        """Whether the threshold is met."""
        return self.verdict == "met"

    @property
    def measured(self) -> str:
        """The mean and its interval as text."""
        return _written(self.mean, self.low, self.high)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, a cell for each of `columns`."""
        lost = f" ({counted(self.missing, 'run')} missing)" if self.missing else ""
        place = named(self.point)
        return self.metric, place, self.measured, f"{self.n}{lost}", self.bound, self.verdict

    @property
    def text(self) -> str:
        """The row as one sentence."""
        metric, place, measured, n, bound, verdict = self.cells
        name = f"{metric} at {place}" if place else metric
        more = ": the interval crosses a limit, so more seeds are needed"
        hint = more if verdict == "undecided" else ""
        return f"{name}: mean {measured}, n = {n}, must be {bound}: {verdict}{hint}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """One metric at one point now and in the baseline; None for what there is not.

    Where only one side has the point at all, the metric is empty. A metric whose threshold gives
    one limit is ``"better"`` or ``"worse"`` where another is ``"changed"``. `ok` is false for what
    is worse, and for a metric with a threshold that is gone.
    """

    metric: str
    point: dict[str, Any]
    now: float | None
    before: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: Comparison
    ok: bool = True

    columns: ClassVar = ("metric", "point", "now", "baseline", "difference", "verdict")

    @property
    def cells(self) -> tuple[str, ...]:
        """The change as text, a cell for each of `columns`."""
        now, before = _written(self.now), _written(self.before)
        moved = _written(self.difference, self.low, self.high)
        metric = self.metric or "every metric"
        return metric, named(self.point), now, before, moved, self.verdict

    @property
    def text(self) -> str:
        """The change as one sentence."""
        metric, place, now, before, moved, verdict = self.cells
        name = f"{metric} at {place}" if place else metric
        if self.difference is None:
            return f"{name}: {verdict}"
        return f"{name}: {verdict}, {now} after {before}, difference {moved}"

    def to_dict(self) -> dict[str, Any]:
        """Return the change as plain values."""
        return asdict(self)


def counted(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _written(mean: float | None, low: float | None = None, high: float | None = None) -> str:
    if mean is None:
        return "n/a"
    bounds = "" if low is None or high is None else f" [{low:.6g}, {high:.6g}]"
    return f"{mean:.6g}{bounds}"


def _plain(interval: Interval) -> tuple[float | None, float | None, float | None]:
    """Return the mean and the bounds, None for what there is not."""
    mean, low, high = (x if math.isfinite(x) else None for x in interval[:3])
    return mean, low, high


def check(thresholds: Iterable[Threshold], runs: Sequence[RunOutcome]) -> list[Row]:
    """Hold each threshold against the mean at each point, over all runs there."""
    points = by_point(runs) or {"": []}
    means = {key: {one.metric: one for one in aggregate(points[key])} for key in points}
    rows = []
    for threshold in thresholds:
        for key, members in points.items():
            found = means[key].get(threshold.metric)
            interval = found.interval if found else NOTHING
            missing = found.missing if found else len(members)
            verdict = "missing" if missing or not found else threshold.verdict(interval)
            point = members[0].point if members else {}
            row = Row(
                threshold.metric,
                point,
                *_plain(interval),
                interval.n,
                str(threshold),
                verdict,
                missing,
            )
            rows.append(row)
    return rows


def compare(
    thresholds: Iterable[Threshold], runs: Sequence[RunOutcome], baseline_runs: Sequence[RunOutcome]
) -> list[Change]:
    """Compare each metric at each point with a baseline, over the finished runs of both.

    Where both sides ran the same seeds, the interval is that of the differences of each seed (BCa
    bootstrap); else it is made of both intervals (MOVER: Zou and Donner 2008,
    doi:10.1002/sim.2929). Single numbers without an interval can differ, but not be better or
    worse. Means that agree to nine digits are the same: rounding differs between machines.
    """
    limits = {threshold.metric: threshold for threshold in thresholds}
    now, before = by_point(runs), by_point(baseline_runs)
    changes = []
    for key in {**now, **before}:
        if key not in now or key not in before:
            point = [*now.get(key, []), *before.get(key, [])][0].point
            changes.append(_change("", point, "only now" if key in now else "only in the baseline"))
            continue
        new, old = ({a.metric: a.interval for a in aggregate(s[key])} for s in (now, before))
        point = now[key][0].point
        for metric in sorted({*new, *old}):
            if metric not in old:
                changes.append(_change(metric, point, "only now", new[metric]))
            elif metric not in new:
                gone = _change(metric, point, "only in the baseline", before=old[metric])
                changes.append(replace(gone, ok=metric not in limits))
            else:
                moved = _difference(metric, now[key], before[key], new[metric], old[metric])
                verdict = _comparison(limits.get(metric), moved, new[metric], old[metric])
                changes.append(_change(metric, point, verdict, new[metric], old[metric], moved))
    return changes


def _change(
    metric: str,
    point: dict[str, Any],
    verdict: Comparison,
    now: Interval = NOTHING,
    before: Interval = NOTHING,
    moved: Interval = NOTHING,
) -> Change:
    (new, *_), (old, *_) = _plain(now), _plain(before)
    return Change(metric, point, new, old, *_plain(moved), verdict, verdict != "worse")


def _difference(
    metric: str,
    runs: Sequence[RunOutcome],
    baseline_runs: Sequence[RunOutcome],
    now: Interval,
    before: Interval,
) -> Interval:
    ours, theirs = _by_seed(metric, runs), _by_seed(metric, baseline_runs)
    if len(ours) > 1 and ours.keys() == theirs.keys():
        return interval_of(ours[seed] - theirs[seed] for seed in ours)
    # MOVER: the distance of each mean from its own bound, put together as independent.
    mean = now.mean - before.mean
    low = mean - math.hypot(now.mean - now.low, before.high - before.mean)
    high = mean + math.hypot(now.high - now.mean, before.mean - before.low)
    return Interval(mean, low, high, now.n + before.n)


def _by_seed(metric: str, runs: Iterable[RunOutcome]) -> dict[int, float]:
    """Return the value of each seed; nothing where a run has none, or another's."""
    having = [run for run in runs if run.status == "FINISHED" and metric in run.metrics]
    values = {seed: run.metrics[metric] for run in having if (seed := seed_of(run)) is not None}
    return values if len(values) == len(having) else {}


def _comparison(
    limits: Threshold | None, moved: Interval, now: Interval, before: Interval
) -> Comparison:
    alike = math.isclose(now.mean, before.mean, rel_tol=1e-9, abs_tol=1e-12)
    if alike or moved.low <= 0.0 <= moved.high:
        return "same"
    if limits is None or limits.more_is_better is None or not moved.bounded:
        return "changed"
    return "better" if (moved.mean > 0.0) == limits.more_is_better else "worse"
