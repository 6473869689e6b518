"""The checks of plain arguments that every part of the package shares."""

from __future__ import annotations

import math
import numbers
from pathlib import Path
from typing import Any

import numpy as np

from mlsdm.errors import ParameterError

__all__ = ["as_generator", "as_path", "as_seconds", "as_whole"]


def as_whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return a whole number from `low` to `high` as an int, or refuse it in the name of `name`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"of at least {low}" if high is None else f"in [{low}, {high}]"
        raise ParameterError(f"{name}: must be a whole number {allowed} (got {value!r})")
    return int(value)


def as_seconds(name: str, value: Any) -> float:
    """Return a finite number of at least 0, or refuse it in the name of `name`."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf:
        raise ParameterError(f"{name}: must be a finite number of at least 0 (got {value!r})")
    return float(value)


def as_generator(name: str, value: Any) -> np.random.Generator:
    """Return a NumPy generator, or refuse what else it is in the name of `name`."""
    if not isinstance(value, np.random.Generator):
        raise ParameterError(f"{name}: must be a numpy.random.Generator (got {value!r})")
    return value


def as_path(name: str, value: Any) -> Path:
    """Return a path, or refuse what else it is in the name of `name`."""
    if not isinstance(value, (str, Path)):
        raise ParameterError(f"{name}: must be a path (got {value!r})")
    return Path(value)
