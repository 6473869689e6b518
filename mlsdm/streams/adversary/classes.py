"""What the values of a class are drawn from: a range, or values that were seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.inputs import as_fraction, as_values
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["SAFE", "TOXIC", "Classes", "Values", "mixture"]

Values = tuple[float, float] | NDArray[np.float64]
"""A pair (low, high), drawn from evenly and below `high`; or an array (n,) of values, each as
likely."""

TOXIC, SAFE = (0.1, 0.4), (0.6, 0.95)
"""The published classes."""


class Source:
    """The values of one class."""

    def __init__(self, name: str, values: Values) -> None:
        self.spread = isinstance(values, tuple)
        if isinstance(values, tuple):
            if len(values) != 2:
                raise ParameterError(f"{name}: must be a pair (low, high) (got {values!r})")
            low, high = (as_fraction(name, value) for value in values)
            if low > high:
                raise ParameterError(f"{name}: must be a pair (low, high) in order (got {values})")
            self.values: NDArray[np.float64] = np.array([low, high])
        else:
            self.values = np.sort(as_values(name, values).astype(np.float64))
            if not len(self.values):
                raise ParameterError(f"{name}: must hold at least one value (got none)")
            for value in (self.values[0], self.values[-1]):  # NaN is sorted to the end
                as_fraction(name, float(value))
        self.lowest, highest = float(self.values[0]), float(self.values[-1])
        self.highest = float(np.nextafter(highest, self.lowest)) if self.spread else highest

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return n values drawn independently."""
        if self.spread:
            return rng.uniform(self.values[0], self.values[1], n)
        return rng.choice(self.values, n)

    def from_(self, threshold: float) -> float:
        """Return the smallest value at or above a threshold; the highest where there is none."""
        if self.spread:
            return min(max(threshold, self.lowest), self.highest)
        place = int(np.searchsorted(self.values, threshold))
        return float(self.values[min(place, len(self.values) - 1)])

    def below(self, threshold: float) -> float:
        """Return the largest value below a threshold; the lowest where there is none."""
        if self.spread:
            return min(max(float(np.nextafter(threshold, 0.0)), self.lowest), self.highest)
        return float(self.values[max(int(np.searchsorted(self.values, threshold)) - 1, 0)])


class Classes(NamedTuple):
    """Both classes."""

    toxic: Source
    safe: Source

    @classmethod
    def of(cls, owner: str, toxic: Values, safe: Values) -> Classes:
        """Check both, in the name of their owner."""
        return cls(Source(f"{owner}.toxic", toxic), Source(f"{owner}.safe", safe))


def mixture(
    labels: NDArray[np.bool_], classes: Classes, rng: np.random.Generator, source: str
) -> Stream:
    """Return a stream with these labels, each value drawn from its class."""
    toxic, safe = (one.draw(len(labels), rng) for one in classes)
    return Stream(moral_values=np.where(labels, toxic, safe), toxic=labels, source=source)
