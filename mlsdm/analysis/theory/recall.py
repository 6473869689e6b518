"""What a memory of isotropic rows recalls: the best cosine, and the probability of right recall."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.quadrature import REACH, gauss, order_statistic
from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import MOST_DIMENSIONS, as_distance, as_fraction
from mlsdm.errors import ParameterError

__all__ = [
    "best_cosine",
    "best_cosine_cdf",
    "cosine_cdf",
    "right_recall",
    "tolerable_noise",
]

Floats = NDArray[np.float64]


@cites("cai2013")
def cosine_cdf(x: Any, dim: int) -> Any:
    """Return P(cos ≤ x) of two vectors of independent, uniformly random direction.

    (1 + cos)/2 is Beta((d − 1)/2, (d − 1)/2) distributed (Cai, Fan and Jiang 2013,
    arXiv:1306.0256).

    Parameters
    ----------
    x
        Cosines, a number or an array.
    dim
        Dimension d of the vectors, at least 2.

    Raises
    ------
    ParameterError
        When the dimension is not allowed.
    """
    from scipy import special

    half = (_dim("cosine_cdf", dim) - 1) / 2
    return special.betainc(half, half, np.clip((1.0 + np.asarray(x, np.float64)) / 2, 0.0, 1.0))


@cites("cai2013", "david2003")
def best_cosine_cdf(x: Any, rows: int, dim: int, rank: int = 1) -> Any:
    """Return the probability that the `rank`-th largest cosine of a cue with random rows is ≤ x.

    Exact: fewer than `rank` of so many independent cosines lie above x (order statistics: David
    and Nagaraja 2003, doi:10.1002/0471722162).

    Parameters
    ----------
    x
        Cosines, a number or an array.
    rows
        Rows of uniformly random direction, independent of the cue.
    dim
        Dimension of the vectors, at least 2.
    rank
        1 for the best of all, up to `rows`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    from scipy import special

    _ranked("best_cosine_cdf", rows, rank)
    _dim("best_cosine_cdf", dim)
    # By symmetry; 1 - P(cos <= x) would lose the tail that the best of many comes from.
    above = cosine_cdf(-np.asarray(x, np.float64), dim)
    return special.betaincc(rank, rows - rank + 1, above)


@cites("cai2013", "david2003")
def best_cosine(rows: int, dim: int, rank: int = 1) -> float:
    """Return the expected `rank`-th largest cosine of a cue with random rows, by quadrature.

    Parameters
    ----------
    rows, dim, rank
        As of `best_cosine_cdf`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    _ranked("best_cosine", rows, rank)
    logits, weights = order_statistic(rank, rows - rank + 1, 1.0)
    # Their sum is 1 but for rounding, which grows with the rows.
    return float(weights @ _cosine_of(logits, _dim("best_cosine", dim))[0] / weights.sum())


@cites("cai2013", "frady2018")
def right_recall(
    noise: float, rows: int, dim: int, top_k: int = 1, phase_share: float = 1.0
) -> float:
    """Return the probability that a noisy cue finds its own row among the `top_k` best.

    For isotropic rows, and the cue x + noise·‖x‖·z/√d of a stored row x with z standard normal.
    Its cosine c with its own row has c/√(1 − c²)·√(d − 1) noncentral t distributed, with d − 1
    degrees of freedom and noncentrality √d/noise; its cosines with the others are independent of
    c, and distributed as those of random vectors. So it is P(c > the `top_k`-th best of the
    others), one integral over that one's distribution: exact, up to a quadrature whose error is
    below 1e-8. (The form of the integral, with normal approximations: Frady, Kleyko and Sommer
    2018, doi:10.1162/neco_a_01084; the exact laws in it: our own.)

    Parameters
    ----------
    noise
        Length of the cue's noise as a multiple of the vector's, at least 0.
    rows
        Rows stored, the cue's own among them.
    dim
        Dimension of the vectors, at least 2.
    top_k
        Rows that a retrieval returns.
    phase_share
        Probability in [0, 1] that another row is in phase, each by itself; the own row is.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "right_recall"
    noise = as_distance(f"{owner}.noise", noise)
    others = as_whole(f"{owner}.rows", rows, 1) - 1
    dim = _dim(owner, dim)
    top_k = as_whole(f"{owner}.top_k", top_k, 1)
    share = as_fraction(f"{owner}.phase_share", phase_share)
    if noise == 0.0 or top_k > others or share == 0.0:
        return 1.0
    logits, weights = order_statistic(top_k, others - top_k + 1, share)
    beyond = 1.0 - float(weights.sum())  # fewer than top_k others in phase: found whatever the cue
    slopes = _cosine_of(logits, dim)[1]
    found = float(weights @ _own_beyond(slopes, math.sqrt(dim) / noise, dim - 1))
    return min(1.0, max(0.0, beyond + found))


@cites("cai2013", "frady2018")
def tolerable_noise(
    probability: float, rows: int, dim: int, top_k: int = 1, phase_share: float = 1.0
) -> float:
    """Return the noise of the cue at which `right_recall` has fallen to a probability.

    Infinite where even a random cue has that probability.

    Parameters
    ----------
    probability
        In (0, 1).
    rows, dim, top_k, phase_share
        As of `right_recall`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "tolerable_noise"
    if not 0.0 < as_fraction(f"{owner}.probability", probability) < 1.0:
        raise ParameterError(f"{owner}.probability: must lie in (0, 1) (got {probability!r})")
    from scipy import optimize

    def excess(log_noise: float) -> float:
        found = right_recall(math.exp(log_noise), rows, dim, top_k, phase_share)
        return found - probability

    low, high = math.log(1e-4), math.log(1e7)
    if excess(high) >= 0.0:
        return math.inf
    return math.exp(optimize.brentq(excess, low, high, xtol=1e-6))


def _dim(owner: str, dim: int) -> int:
    return as_whole(f"{owner}.dim", dim, 2, MOST_DIMENSIONS)  # in one dimension a cosine is ±1


def _ranked(owner: str, rows: int, rank: int) -> None:
    as_whole(f"{owner}.rank", rank, 1, as_whole(f"{owner}.rows", rows, 1))


def _cosine_of(logits: Floats, dim: int) -> tuple[Floats, Floats]:
    """Return the cosines t that random vectors exceed with these odds, and t/√(1 − t²)."""
    from scipy import special

    half = (dim - 1) / 2
    less, more = (special.betaincinv(half, half, special.expit(s)) for s in (logits, -logits))
    return more - less, (more - less) / (2.0 * np.sqrt(less * more))


def _own_beyond(slopes: Floats, centre: float, degrees: int) -> Floats:
    """Return P(W > τ·Y) for each slope τ, of a normal W about `centre` and a chi distributed Y.

    Integrated over the one in which the probability given the other is smooth. (SciPy's noncentral
    t does not return for large noncentralities.)
    """
    from scipy import special, stats

    middle = math.sqrt(max(degrees - 0.5, 0.0))
    lengths, weights = gauss(max(0.0, middle - REACH), middle + REACH)
    weights = weights * stats.chi.pdf(lengths, degrees)
    found: Floats = special.ndtr(centre - np.outer(slopes, lengths)) @ weights
    for sign, low, high in (
        (1.0, max(0.0, centre - REACH), centre + REACH),
        (-1.0, min(0.0, centre - REACH), 0.0),
    ):
        steep = sign * slopes > 1.0
        normals, weights = gauss(low, high)
        weights = weights * stats.norm.pdf(normals - centre)
        shorter = special.chdtr(degrees, (normals / slopes[steep, None]) ** 2) @ weights
        found[steep] = shorter if sign > 0.0 else 1.0 - shorter
    return found
