"""The points of a sweep, and what dotted names set inside the parameters that they name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlsdm.errors import ParameterError
from mlsdm.plan.forms import Design, DesignSweep, Interval, Sweep

__all__ = ["draw", "merged", "names", "number", "points", "spread"]

Kind = type[int] | type[float]


def names(sweep: Sweep | None) -> list[str]:
    """Return what a sweep varies, in its order."""
    if isinstance(sweep, DesignSweep):
        return list(sweep.design.ranges)
    return list(sweep[0] if isinstance(sweep, list) else sweep or ())


def number(sweep: Sweep | None) -> int:
    """Return how many points a sweep has."""
    if isinstance(sweep, DesignSweep):
        return sweep.design.points
    if isinstance(sweep, list):
        return len(sweep)
    return math.prod(len(values) for values in (sweep or {}).values())


def points(sweep: Sweep | None, kinds: Mapping[str, Kind]) -> Iterator[dict[str, Any]]:
    """Return the points in order: of a grid, the last name varies fastest; of no sweep, one.

    `kinds` says, of each range of a design, what numbers it draws.
    """
    if isinstance(sweep, DesignSweep):
        return iter(draw(sweep.design, kinds))
    if isinstance(sweep, list):
        return iter(sweep)
    axes = sweep or {}
    grid = itertools.product(*axes.values())
    return (dict(zip(axes, point, strict=True)) for point in grid)


def _scaled(unit: np.ndarray, limits: Interval, kind: Kind) -> list[Any]:
    """Spread numbers in [0, 1) evenly over a range; whole numbers get shares of equal width."""
    whole = kind is int
    low, high = float(limits.low), float(limits.high)
    above = high + 1 if whole else high
    if limits.log:
        spread = np.exp(math.log(low) + unit * (math.log(above) - math.log(low)))
    else:
        spread = low + unit * (above - low)
    # Rounding must not carry a number over a limit, which a float may not even hold.
    found = (math.floor(value) if whole else value for value in spread.tolist())
    return [kind(min(max(value, limits.low), limits.high)) for value in found]


def draw(design: Design, kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Return the points of a design, the same for the same seed.

    Whole numbers may repeat where the ranges hold fewer of them than there are points.
    """
    from scipy.stats import qmc

    engines = {"sobol": qmc.Sobol, "halton": qmc.Halton, "latin-hypercube": qmc.LatinHypercube}
    unit = engines[design.method](len(design.ranges), rng=design.seed).random(design.points)
    columns = [
        _scaled(unit[:, i], limits, kinds[name])
        for i, (name, limits) in enumerate(design.ranges.items())
    ]
    return [dict(zip(design.ranges, point, strict=True)) for point in zip(*columns, strict=True)]


def merged(base: object, path: Sequence[str], value: object) -> Any:
    """Return a copy of `base` with `value` in the place that `path` leads to.

    Raises
    ------
    ParameterError
        When something on the way holds no names.
    """
    if not path:
        return value
    if not isinstance(base, Mapping):
        raise ParameterError(f"{path[0]!r} cannot be set inside {base!r}")
    first, *rest = path
    return {**base, first: merged(base.get(first, {}), rest, value)}


def spread(count: int, size: int) -> list[int]:
    """Return `count` different whole numbers below `size`, far apart: van der Corput's sequence.

    More of them begin with the same ones, so that a sweep can be given further seeds; and a
    notebook that uses seed, seed + 1, … does not meet the next one's.
    """
    found: dict[int, None] = {}
    number = 0
    while len(found) < count:
        digits = f"{number:b}"[::-1]  # the binary digits in reverse, as a fraction
        found[(int(digits, 2) * size) >> len(digits)] = None
        number += 1
    return list(found)
