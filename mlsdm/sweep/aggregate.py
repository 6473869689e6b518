"""The metrics of a sweep as means with intervals, one a point; the seed is the unit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from mlsdm.analysis.interval import Interval
from mlsdm.analysis.statistics import mean_interval
from mlsdm.record import RESERVED
from mlsdm.rng import generator
from mlsdm.sweep.outcome import RunOutcome

__all__ = [
    "Aggregate",
    "aggregate",
    "aggregates_table",
    "by_point",
    "interval_of",
    "numbered",
    "seed_of",
]


@dataclass(frozen=True)
class Aggregate:
    """One metric at one point.

    Without an interval, as of a single run that recorded none, the bounds are NaN. `missing` counts
    the runs of the point that did not finish, or have no such metric; they are not in the mean.
    """

    metric: str
    point: dict[str, Any]
    interval: Interval
    missing: int


Placed = TypeVar("Placed", RunOutcome, Aggregate)


def by_point(runs: Iterable[Placed]) -> dict[str, list[Placed]]:
    """Return the runs of each point by a text that is the same for equal points, in order."""
    found: dict[str, list[Placed]] = {}
    for run in runs:
        # One sweep may say 1 and another 1.0.
        plain = json.loads(json.dumps(run.point, default=str), parse_float=_whole)
        found.setdefault(json.dumps(plain, sort_keys=True), []).append(run)
    return found


def _whole(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def seed_of(run: RunOutcome) -> int | None:
    """Return the seed of a run; None for a fleet of seeds, and where there is none."""
    seed = run.parameters.get("seed")
    return seed if isinstance(seed, int) else None


def interval_of(values: Iterable[float]) -> Interval:
    """Return the mean of the values of several runs with its interval, in whatever order they come.

    Raises
    ------
    ParameterError
        When no value is finite.
    """
    return mean_interval(sorted(values), generator(0, "bootstrap"))


def _recorded(metric: str, metrics: Mapping[str, float]) -> Interval:
    """Return what one run says of a metric: its seeds' interval if it recorded that."""
    low, high = (metrics.get(f"interval/{part}/{metric}", math.nan) for part in ("low", "high"))
    return Interval(metrics[metric], low, high, int(metrics.get(f"interval/n/{metric}", 1)))


def aggregate(runs: Sequence[RunOutcome]) -> list[Aggregate]:
    """Return each metric at each point, over the finished runs; mlsdm's own metrics are left out.

    Several runs give an interval over their values, whatever each of them recorded; a single one
    gives the interval that it recorded.
    """
    found = []
    for members in by_point(runs).values():
        finished = [run.metrics for run in members if run.status == "FINISHED"]
        names = {name for metrics in finished for name in metrics}
        for name in sorted(name for name in names if name.split("/")[0] not in RESERVED):
            having = [metrics for metrics in finished if name in metrics]
            if len(having) == 1:
                interval = _recorded(name, having[0])
            else:
                interval = interval_of(metrics[name] for metrics in having)
            found.append(Aggregate(name, members[0].point, interval, len(members) - len(having)))
    return found


def aggregates_table(aggregates: Iterable[Aggregate]) -> pd.DataFrame:
    """Return a row per metric and point.

    Returns
    -------
    Columns ``params.<name>`` of the point, ``metric``, ``mean``, ``low``, ``high``, ``n`` and
    ``missing``.
    """
    rows = [
        {f"params.{name}": value for name, value in one.point.items()}
        | {"metric": one.metric, **one.interval._asdict(), "missing": one.missing}
        for one in aggregates
    ]
    own = ["metric", *Interval._fields, "missing"]
    points = dict.fromkeys(name for row in rows for name in row if name not in own)
    return pd.DataFrame(rows, columns=[*points, *own])


def numbered(
    aggregates: Iterable[Aggregate], runs: Sequence[RunOutcome]
) -> list[tuple[str, float, int]]:
    """Return the aggregates as points of metrics: name, value, and the number of the point.

    Points are counted from 1, one alone is 0. Those whose runs have not all finished are left out:
    MLflow forgets no value, and theirs will be another when the rest of the runs is made.
    """
    points = by_point(runs)
    found: list[tuple[str, float, int]] = []
    made = by_point(aggregates)
    for number, (key, members) in enumerate(points.items(), start=int(len(points) > 1)):
        if any(run.status != "FINISHED" for run in members):
            continue
        for one in made.get(key, []):
            mean, low, high, n = one.interval
            values = {"": mean, "interval/low/": low, "interval/high/": high}
            values |= {"interval/n/": n} if n > 1 else {}
            found += [
                (f"{group}{one.metric}", float(value), number)
                for group, value in values.items()
                if math.isfinite(value)
            ]
    return found
