"""Statistics over seeds: the seed is the unit."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from mlsdm.analysis.interval import Interval
from mlsdm.errors import ParameterError

__all__ = ["Interval", "mean_interval", "pick", "summarise"]


def mean_interval(
    values: ArrayLike, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return the mean over seeds with a bootstrap interval (BCa; percentile where that fails).

    With fewer than about 30 seeds such an interval is too narrow, and covers less than it says.

    Values that are not finite have no place in a mean: they are left out, and `n` shows it. One
    value has a mean, but no interval: the bounds are NaN.

    Parameters
    ----------
    values
        (seeds,) one number per seed.
    rng
        Draws the resamples.
    level
        Confidence level in (0, 1).
    resamples
        Bootstrap resamples.

    Raises
    ------
    ParameterError
        When no value is finite, or an argument is not allowed.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ParameterError(
            f"mean_interval.values: must have one dimension, (seeds,) (got shape {array.shape})"
        )
    if not isinstance(rng, np.random.Generator):  # SciPy would draw a seed of its own
        raise ParameterError(f"mean_interval.rng: must be a Generator (got {rng!r})")
    if not 0.0 < level < 1.0:
        raise ParameterError(f"mean_interval.level: must lie in (0, 1) (got {level!r})")
    finite = array[np.isfinite(array)]
    if not finite.size:
        raise ParameterError(
            f"mean_interval.values: must hold a finite number (got {array.size} that are not)"
        )
    mean = float(finite.mean())
    if finite.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    if np.ptp(finite) == 0.0:  # nothing varies, and BCa would divide by it
        return Interval(mean, mean, mean, finite.size)
    for method in ("BCa", "percentile"):
        # On nearly constant or very large values BCa divides by zero: NaN, and the next method.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            found = stats.bootstrap(
                (finite,),
                np.mean,
                confidence_level=level,
                n_resamples=resamples,
                method=method,
                rng=rng,
            ).confidence_interval
        if np.isfinite(found.low) and np.isfinite(found.high):
            break
    return Interval(mean, float(found.low), float(found.high), finite.size)


def summarise(
    table: pd.DataFrame, by: list[str], values: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Return mean and interval over seeds of several measures in each group.

    Parameters
    ----------
    table
        One row per seed and group; columns `by` and `values`.
    by
        Columns that make a group.
    values
        Columns to summarise; a group in which a measure is nowhere finite has no row for it.
    rng
        Draws the resamples.

    Returns
    -------
    Columns `by`, ``measure``, ``mean``, ``low``, ``high`` and ``n``.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        for measure in values:
            numbers = group[measure].to_numpy(dtype=np.float64)
            if np.isfinite(numbers).any():
                interval = mean_interval(numbers, rng)
                names = dict(zip(by, key, strict=True))
                rows.append({**names, "measure": measure, **interval._asdict()})
    return pd.DataFrame(rows, columns=[*by, "measure", *Interval._fields])


def pick(table: pd.DataFrame, **where: object) -> Interval:
    """Return the one row of a summary for which each named column holds the given value.

    Where there is none, all is NaN and `n` is 0.

    Raises
    ------
    ParameterError
        When there are several such rows.
    """
    rows = table
    for column, value in where.items():
        rows = rows[rows[column] == value]
    if len(rows) > 1:
        raise ParameterError(f"pick: must name one row (got {len(rows)} for {where})")
    if rows.empty:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean, low, high, n = rows.iloc[0][list(Interval._fields)]
    return Interval(float(mean), float(low), float(high), int(n))
