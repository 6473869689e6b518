"""The ranges of parameters, and the points among them at which a function is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.errors import ParameterError

__all__ = ["Range", "as_ranges", "at"]


@dataclass(frozen=True)
class Range:
    """Where a parameter lies: uniform from `low` to `high`, both included.

    Parameters
    ----------
    log
        Uniform in the logarithm instead.
    whole
        Whole numbers only; without `log` all are alike likely.

    Raises
    ------
    ParameterError
        When the bounds are not finite, not in order, or not what `log` and `whole` ask for.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        for name, value in (("low", self.low), ("high", self.high)):
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                raise ParameterError(f"Range.{name}: must be a finite number (got {value!r})")
            if self.whole and value != int(value):
                raise ParameterError(f"Range.{name}: must be a whole number (got {value!r})")
        if not self.low < self.high:
            raise ParameterError(f"Range.high: must be above low = {self.low} (got {self.high})")
        if self.log and self.low <= 0:
            raise ParameterError(f"Range.low: must be above 0 where log is set (got {self.low})")

    def at(self, share: NDArray[np.float64]) -> NDArray[Any]:
        """Return the values at shares of the range in [0, 1)."""
        low, high = float(self.low), float(self.high) + self.whole
        values = low * (high / low) ** share if self.log else low + (high - low) * share
        if self.whole:
            values = np.floor(values).astype(np.int64)
        return np.clip(values, self.low, self.high)  # rounding may go over it


def as_ranges(owner: str, ranges: Any) -> dict[str, Range]:
    """Return ranges by name, each of which may be given as a pair, or refuse them."""
    if not isinstance(ranges, Mapping) or not ranges:
        raise ParameterError(
            f"{owner}.ranges: must map names of parameters to ranges (got {ranges!r})"
        )
    found = {}
    for name, given in ranges.items():
        if isinstance(given, (tuple, list)) and len(given) == 2:
            given = Range(*given)
        if not isinstance(name, str) or not isinstance(given, Range):
            raise ParameterError(
                f"{owner}.ranges[{name!r}]: must be a Range, or a pair (low, high) (got {given!r})"
            )
        found[name] = given
    return found


def at(ranges: Mapping[str, Range], shares: NDArray[np.float64]) -> pd.DataFrame:
    """Return one row for each of (points, parameters) shares of the ranges."""
    columns = zip(ranges.items(), shares.T, strict=True)
    return pd.DataFrame({name: one.at(share) for (name, one), share in columns})
