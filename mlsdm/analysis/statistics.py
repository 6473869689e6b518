"""Statistics over seeds: the seed is the unit."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.interval import Interval
from mlsdm.checks import as_generator, as_whole
from mlsdm.citing import cites
from mlsdm.errors import ParameterError, nearest

__all__ = ["Interval", "Statistic", "interval", "mean_interval", "pick", "summarise"]

Statistic = Literal["mean", "median", "iqm"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
ENOUGH = 30  # seeds for a bootstrap of the mean


@cites("agarwal2021")
def _iqm(values: NDArray[np.float64], axis: int = -1) -> Any:
    from scipy import stats

    return stats.trim_mean(values, 0.25, axis=axis)


# Each takes `axis`, so that the resamples of a bootstrap are done at once.
CENTRES: dict[Statistic, Callable[..., Any]] = {"mean": np.mean, "median": np.median, "iqm": _iqm}


def interval(
    values: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = "mean",
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Return the mean, median or interquartile mean over seeds with its confidence interval.

    It is the bootstrap's: BCa (Efron 1987, doi:10.1080/01621459.1987.10478410), percentile where
    that fails. A mean of fewer than 30 seeds (our own choice) has Student's t: a bootstrap is too
    narrow there. The interquartile mean leaves out the lowest and the highest quarter (Agarwal et
    al. 2021, arXiv:2108.13264).

    How often 95 % intervals covered in simulations: of the mean of 5 to 29 normal values 95 %, of
    exponential ones 88 to 93 %; of the mean of either 92 % at 30 seeds and 94 to 95 % from 50 on;
    of the median and the interquartile mean 89 to 94 % at 5 to 20, and 93 to 95 % from 30 on.

    Values that are not finite have no place in a statistic: they are left out, and `n` shows it.
    One value has no interval: the bounds are NaN.

    Parameters
    ----------
    values
        (seeds,) one number per seed.
    rng
        Draws the resamples; Student's t draws nothing.
    statistic
        "mean", "median" or "iqm" (interquartile mean).
    level
        Confidence level in (0, 1).
    resamples
        Bootstrap resamples.

    Returns
    -------
    The interval; its field `mean` holds the statistic, whichever it is.

    Raises
    ------
    ParameterError
        When no value is finite, or an argument is not allowed.
    """
    finite = finite_values("interval.values", values)
    as_generator("interval.rng", rng)  # SciPy would draw a seed of its own
    if statistic not in STATISTICS:
        raise ParameterError(
            f"interval.statistic: {statistic!r} is unknown{nearest(str(statistic), STATISTICS)}"
        )
    as_level("interval.level", level)
    as_whole("interval.resamples", resamples, 1)
    centre = float(CENTRES[statistic](finite))
    if finite.size == 1:
        return Interval(centre, math.nan, math.nan, 1)
    if np.ptp(finite) == 0.0:  # nothing varies, and BCa would divide by it
        return Interval(centre, centre, centre, finite.size)
    if statistic == "mean" and finite.size < ENOUGH:
        return _student(finite, level)
    return Interval(centre, *_bootstrap(finite, rng, statistic, level, resamples), finite.size)


def as_level(name: str, level: float) -> float:
    """Return a confidence level, or refuse it in the name of `name`."""
    if not isinstance(level, Real) or not 0.0 < level < 1.0:
        raise ParameterError(f"{name}: must lie in (0, 1) (got {level!r})")
    return level


def finite_values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return the finite numbers among one per seed, or refuse what holds none in that name."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ParameterError(f"{name}: must have one dimension, (seeds,) (got shape {array.shape})")
    finite = array[np.isfinite(array)]
    if not finite.size:
        raise ParameterError(f"{name}: must hold a finite number (got {array.size} that are not)")
    return finite


def _student(values: NDArray[np.float64], level: float) -> Interval:
    """Return the mean with Student's t interval, the same in whatever order the values come."""
    from scipy import stats

    numbers = values.tolist()
    mean = statistics.fmean(numbers)
    scale = statistics.stdev(numbers) / math.sqrt(len(numbers))
    low, high = stats.t.interval(level, len(numbers) - 1, mean, scale)
    return Interval(mean, float(low), float(high), len(numbers))


@cites("efron1987")
def _bootstrap(
    values: NDArray[np.float64],
    rng: np.random.Generator,
    statistic: Statistic,
    level: float,
    resamples: int,
) -> tuple[float, float]:
    from scipy import stats

    for method in ("BCa", "percentile"):
        # On nearly constant or very large values BCa divides by zero: NaN, and the next method.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            found = stats.bootstrap(
                (values,),
                CENTRES[statistic],
                confidence_level=level,
                n_resamples=resamples,
                method=method,
                rng=rng,
            ).confidence_interval
        if np.isfinite(found.low) and np.isfinite(found.high):
            break
    return float(found.low), float(found.high)


def mean_interval(
    values: ArrayLike, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return the `interval` of the mean over seeds."""
    return interval(values, rng, "mean", level, resamples)


def summarise(
    table: pd.DataFrame,
    by: list[str],
    values: list[str],
    rng: np.random.Generator,
    statistic: Statistic = "mean",
) -> pd.DataFrame:
    """Return a statistic and its interval over seeds of several measures in each group.

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
    statistic
        "mean", "median" or "iqm" (interquartile mean).

    Returns
    -------
    Columns `by`, ``measure``, one named as the statistic, ``low``, ``high`` and ``n``.
    """
    columns = ["measure", statistic, "low", "high", "n"]
    rows = []
    for key, group in table.groupby(by, sort=False, observed=True, dropna=False):
        for measure in values:
            numbers = group[measure].to_numpy(dtype=np.float64)
            if np.isfinite(numbers).any():
                found = interval(numbers, rng, statistic)
                cells = dict(zip(columns, (measure, *found), strict=True))
                rows.append(dict(zip(by, key, strict=True)) | cells)
    return pd.DataFrame(rows, columns=[*by, *columns])


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
    statistic = next((name for name in STATISTICS if name in rows), "mean")
    centre, low, high, n = rows.iloc[0][[statistic, "low", "high", "n"]]
    return Interval(float(centre), float(low), float(high), int(n))
