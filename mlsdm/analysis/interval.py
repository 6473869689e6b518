"""A mean with the bounds of its interval; apart from what makes one, which needs SciPy."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Interval"]


class Interval(NamedTuple):
    """A mean, the bounds of its confidence interval, and how many seeds stand behind it.

    Where there is no interval, as of one seed, the bounds are NaN.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def bounded(self) -> bool:
        """Whether both bounds are there."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __format__(self, spec: str) -> str:
        """Write as ``mean [low, high]`` in the given format; n/a where there is no mean."""
        if not math.isfinite(self.mean):
            return "n/a"
        mean, low, high = (format(number, spec) for number in self[:3])
        return f"{mean} [{low}, {high}]" if self.bounded else mean
