"""The thresholds of a plan, held against the mean of each metric over the runs of the sweep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlsdm.sweep.outcome import RunOutcome

__all__ = ["Row", "Threshold", "check"]


@dataclass(frozen=True)
class Threshold:
    """The limits, both included, that the mean of a metric is held to."""

    metric: str
    min: float = -math.inf
    max: float = math.inf

    def __str__(self) -> str:
        if math.isinf(self.max):
            return f">= {self.min:.12g}"
        if math.isinf(self.min):
            return f"<= {self.max:.12g}"
        return f"in [{self.min:.12g}, {self.max:.12g}]"


@dataclass(frozen=True)
class Row:
    """One threshold beside the mean over all runs; None where a run failed or has no number."""

    metric: str
    mean: float | None
    runs: int
    bound: str
    ok: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


def check(thresholds: Iterable[Threshold], runs: Sequence[RunOutcome]) -> list[Row]:
    """Hold each threshold against all runs: one that failed or lacks the metric is not ok."""
    metrics = [
        {record.name: record.value for record in run.records if record.kind == "metric"}
        for run in runs
        if run.status == "FINISHED"
    ]
    rows = []
    for threshold in thresholds:
        values = [value for m in metrics if (value := m.get(threshold.metric)) is not None]
        complete = bool(values) and len(values) == len(runs)
        mean = statistics.fmean(values) if complete else None
        ok = mean is not None and threshold.min <= mean <= threshold.max
        rows.append(Row(threshold.metric, mean, len(values), str(threshold), ok))
    return rows
