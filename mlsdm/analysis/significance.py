"""What differences over seeds can and cannot show: p-values, their correction, sizes of effects."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.interval import Interval
from mlsdm.analysis.statistics import as_level, finite_values
from mlsdm.checks import as_generator, as_whole
from mlsdm.citing import cites
from mlsdm.errors import ParameterError

__all__ = [
    "effect_size",
    "holm",
    "improvement",
    "paired_improvement",
    "seeds_needed",
    "sign_flip",
]

Floats = NDArray[np.float64]

SIGNS_AT_ONCE = 500  # bounds the memory that a permutation test takes


def seeds_needed(tests: int = 1, level: float = 0.95) -> int:
    """Return how many seeds `sign_flip` needs before its p-value can fall to ``1 - level``.

    n seeds have 2ⁿ patterns of signs, of which two are the most extreme, so that p is at least
    2¹⁻ⁿ; Holm's correction multiplies the smallest p-value by the number of tests. One test at
    95 % needs 6 seeds. This is the least, by far not enough to find a small difference.

    Parameters
    ----------
    tests
        Tests in the family.
    level
        Confidence level in (0, 1).

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    as_whole("seeds_needed.tests", tests, 1)
    most = 1.0 - as_level("seeds_needed.level", level)
    return 1 + math.ceil(math.log2(tests / most) - 1e-9)


@cites("fisher1935", "phipson2010")
def sign_flip(differences: ArrayLike, rng: np.random.Generator, resamples: int = 9999) -> float:
    """Return the two-sided p-value of a mean difference, by flipping the signs of differences.

    It assumes that a difference is as likely as its opposite if there is no effect, and nothing
    else (Fisher 1935, The Design of Experiments, § 21). Where not all patterns of signs can be
    tried, the observed one counts as one more (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).

    Parameters
    ----------
    differences
        (seeds,)
    rng
        Draws the signs; where all patterns are tried it draws nothing.
    resamples
        The most patterns to try; with 9999 all of them up to 13 seeds.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    values = finite_values("sign_flip.differences", differences)
    as_generator("sign_flip.rng", rng)
    as_whole("sign_flip.resamples", resamples, 1)
    scale = np.abs(values).max()
    if values.size == 1 or scale == 0.0:
        return 1.0

    def mean(flipped: Floats, axis: int = -1) -> Any:
        # Rounded, or equal sums of other terms would not be ties.
        return np.round(np.mean(flipped, axis=axis), 12)

    from scipy import stats

    found = stats.permutation_test(
        (values / scale,),
        mean,
        permutation_type="samples",
        n_resamples=resamples,
        batch=SIGNS_AT_ONCE,
        rng=rng,
    )
    return float(found.pvalue)


@cites("holm1979")
def holm(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted for a family of tests, in the order given.

    If those of at most α are called effects, the chance of even one false call is at most α,
    however the tests depend on each other (Holm 1979, Scandinavian Journal of Statistics 6: 65-70,
    https://www.jstor.org/stable/4615733).

    Parameters
    ----------
    p_values
        (tests,) in [0, 1].

    Raises
    ------
    ParameterError
        When they are not of one dimension, or one is not in [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not np.all((p >= 0.0) & (p <= 1.0)):
        raise ParameterError(f"holm.p_values: must be (tests,) numbers in [0, 1] (got {p})")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return np.minimum(adjusted, 1.0)


@cites("lakens2013")
def effect_size(differences: ArrayLike) -> float:
    """Return Cohen's d_z: the mean difference over the standard deviation of the differences.

    See Lakens 2013, doi:10.3389/fpsyg.2013.00863. NaN where the differences do not vary.

    Parameters
    ----------
    differences
        (seeds,)

    Raises
    ------
    ParameterError
        When no difference is finite.
    """
    values = finite_values("effect_size.differences", differences)
    # Rounding makes differences vary that do not.
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return math.nan
    return float(values.mean() / values.std(ddof=1))


@cites("wilson1927")
def paired_improvement(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Return the probability that a difference is positive, ties counted half.

    The bounds are Wilson's (1927, doi:10.1080/01621459.1927.10502953): unlike a bootstrap's they
    stay apart where every seed is better. Ties make them a little too wide.

    Parameters
    ----------
    differences
        (seeds,)
    level
        Confidence level in (0, 1).

    Raises
    ------
    ParameterError
        When no difference is finite, or the level is not allowed.
    """
    signs = np.sign(finite_values("paired_improvement.differences", differences))
    share, n = float(signs.mean() + 1.0) / 2.0, signs.size
    z2n = _z(as_level("paired_improvement.level", level)) ** 2 / n
    centre = (share + z2n / 2.0) / (1.0 + z2n)
    reach = math.sqrt(z2n * share * (1.0 - share) + z2n**2 / 4.0) / (1.0 + z2n)
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach), n)


@cites("agarwal2021", "newcombe2006")
def improvement(values: ArrayLike, baseline: ArrayLike, level: float = 0.95) -> Interval:
    """Return the probability that a value is larger than one of the baseline, ties counted half.

    The two are independent samples; where they share seeds, compare these as pairs. The estimate is
    Mann and Whitney's U over the number of pairs (Agarwal et al. 2021, arXiv:2108.13264), the
    interval Newcombe's fifth (2006, doi:10.1002/sim.2324), whose bounds stay apart where the
    samples do not overlap.

    Parameters
    ----------
    values, baseline
        (seeds,) each.
    level
        Confidence level in (0, 1).

    Returns
    -------
    The probability with its bounds; `n` counts the seeds of both.

    Raises
    ------
    ParameterError
        When one side holds no finite number, or the level is not allowed.
    """
    ours = finite_values("improvement.values", values)
    theirs = finite_values("improvement.baseline", baseline)
    z2 = _z(as_level("improvement.level", level)) ** 2
    larger = np.count_nonzero(ours[:, None] > theirs)
    ties = np.count_nonzero(ours[:, None] == theirs)
    share = float((larger + ties / 2.0) / (ours.size * theirs.size))
    low = _newcombe(share, ours.size, theirs.size, z2)
    high = 1.0 - _newcombe(1.0 - share, ours.size, theirs.size, z2)
    return Interval(share, low, high, ours.size + theirs.size)


def _newcombe(share: float, ours: int, theirs: int, z2: float) -> float:
    """Return the lower bound; the upper one is that of the opposite."""
    from scipy import optimize

    others = (ours + theirs) / 2.0 - 1.0

    def excess(theta: float) -> float:
        spread = 1.0 + others * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta))
        return (share - theta) ** 2 - z2 * theta * (1.0 - theta) * spread / (ours * theirs)

    # Short of 1, which is a solution of its own where the share is 1.
    return float(optimize.brentq(excess, 0.0, min(share, 1.0 - 1e-12)))


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1.0 + level) / 2.0)
