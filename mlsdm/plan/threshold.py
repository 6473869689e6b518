"""What the results of a sweep must meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mlsdm.analysis.interval import Interval

__all__ = ["Threshold", "Verdict"]

Verdict = Literal["met", "not met", "undecided", "missing"]


@dataclass(frozen=True)
class Threshold:
    """The limits, both included, that the mean of a metric is held to at each point."""

    metric: str
    min: float = -math.inf
    max: float = math.inf

    def __str__(self) -> str:
        if math.isinf(self.max):
            return f">= {self.min:.12g}"
        if math.isinf(self.min):
            return f"<= {self.max:.12g}"
        return f"in [{self.min:.12g}, {self.max:.12g}]"

    @property
    def more_is_better(self) -> bool | None:
        """Whether more is better, or less; None where there are two limits."""
        if math.isinf(self.min) == math.isinf(self.max):
            return None
        return math.isinf(self.max)

    def verdict(self, interval: Interval) -> Verdict:
        """Say whether the whole interval, or the mean where there is none, keeps the limits."""
        low, high = interval[1:3] if interval.bounded else (interval.mean, interval.mean)
        if self.min <= low and high <= self.max:
            return "met"
        return "not met" if high < self.min or low > self.max else "undecided"
