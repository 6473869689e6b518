"""Closed forms of the engine's running averages: the acceptance average and the synaptic levels."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_fraction, as_params
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError, nearest

__all__ = [
    "Gates", "Moments", "autocorrelation", "exponential_average", "level_decay", "level_power",
    "level_steady", "time_constant",
]  # fmt: skip

Floats = NDArray[np.float64]

Gates = Literal["open", "closed"]


class Moments(NamedTuple):
    """Mean and variance of a random number."""

    mean: float
    variance: float


@cites("roberts1959", "lucas1990")
def exponential_average(
    probability: float, smoothing: float, n_events: int | None = None, start: float = 0.5
) -> Moments:
    """Return mean and variance of r ← α·a + (1 − α)·r for independent a, 1 with probability p.

    After n events the mean is p + (r₀ − p)(1 − α)ⁿ and the variance
    p(1 − p)·α/(2 − α)·(1 − (1 − α)²ⁿ); in the long run p and p(1 − p)·α/(2 − α) (Roberts 1959,
    doi:10.1080/00401706.1959.10489860; Lucas and Saccucci 1990,
    doi:10.1080/00401706.1990.10484583).

    Parameters
    ----------
    probability
        p, such as the acceptance of a filter whose threshold stands still, in [0, 1].
    smoothing
        α in [0, 1], `MoralParams.smoothing`.
    n_events
        Events since the start; None for the long run.
    start
        r₀ in [0, 1], where the average starts.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "exponential_average"
    p = as_fraction(f"{owner}.probability", probability)
    alpha = as_fraction(f"{owner}.smoothing", smoothing)
    start = as_fraction(f"{owner}.start", start)
    if n_events is not None:
        as_whole(f"{owner}.n_events", n_events, 0)
    if alpha == 0.0:  # it stays where it starts
        return Moments(start, 0.0)
    kept = 0.0 if n_events is None else (1.0 - alpha) ** n_events
    variance = p * (1.0 - p) * alpha / (2.0 - alpha) * (1.0 - kept**2)
    return Moments(p + (start - p) * kept, variance)


@cites("roberts1959")
def autocorrelation(smoothing: float, lag: int) -> float:
    """Return the correlation (1 − α)^lag of the average with itself `lag` events later.

    In the long run, over independent decisions (Roberts 1959,
    doi:10.1080/00401706.1959.10489860).

    Parameters
    ----------
    smoothing
        α in (0, 1]; with 0 the average does not vary.
    lag
        Events, at least 0.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    return (1.0 - _moving("autocorrelation", smoothing)) ** as_whole("autocorrelation.lag", lag, 0)


@cites("roberts1959")
def time_constant(smoothing: float) -> float:
    """Return the events −1/ln(1 − α) after which a decision's weight has fallen to 1/e of it.

    Parameters
    ----------
    smoothing
        α in (0, 1]; 1 forgets at once, a constant of 0.

    Raises
    ------
    ParameterError
        When the argument is not allowed.
    """
    alpha = _moving("time_constant", smoothing)
    return 0.0 if alpha == 1.0 else -1.0 / math.log1p(-alpha)


@cites("mlsdm")
def level_decay(params: SynapseParams, n_events: int, gates: Gates = "closed") -> Floats:
    """Return how much of one event's vector each level holds right after it and ever after.

    With gates that are always open, or always closed, the levels are linear: with kept shares
    k = 1 − λ and passed shares g (0 where closed), an event's vector x makes
    L1 ← (1 − g12)·u, L2 ← (1 − g23)·w, L3 ← k3·L3 + g23·w, where u = k1·L1 + x and
    w = k2·L2 + g12·u. (The rule is MLSDM v1.2's, its closed form our own.)

    Parameters
    ----------
    params
        Parameters of the levels; the thresholds and the kind of gate play no part.
    n_events
        Events after the one whose trace this is.
    gates
        ``"open"`` or ``"closed"``, at every event.

    Returns
    -------
    (n_events + 1, 3), dimensionless: multiples of the vector.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    keep, taken = _linear("level_decay", params, gates)
    held = np.empty((as_whole("level_decay.n_events", n_events, 0) + 1, 3))
    held[0] = taken
    for t in range(1, len(held)):
        held[t] = keep @ held[t - 1]
    return held


@cites("mlsdm")
def level_steady(params: SynapseParams, gates: Gates = "closed") -> Floats:
    """Return (3,) what the levels settle at, as multiples of a vector that every event brings.

    With closed gates it is 1/λ1, 0, 0.

    Parameters
    ----------
    params, gates
        As of `level_decay`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    keep, taken = _linear("level_steady", params, gates)
    return np.asarray(np.linalg.solve(np.eye(3) - keep, taken), np.float64)


@cites("mlsdm")
def level_power(params: SynapseParams, gates: Gates = "closed") -> Floats:
    """Return (3,) the expected squared norms of the levels under isotropic unit vectors.

    In the long run, for vectors of independent, uniformly random direction: the sum over ages of
    the squared shares of `level_decay`; with closed gates 1/(1 − (1 − λ1)²), 0, 0.

    Parameters
    ----------
    params, gates
        As of `level_decay`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    from scipy import linalg

    keep, taken = _linear("level_power", params, gates)
    covariance = linalg.solve_discrete_lyapunov(keep, np.outer(taken, taken))
    power: Floats = np.diag(covariance).copy()
    return power


def _moving(owner: str, smoothing: float) -> float:
    """Return a smoothing with which an average moves, or refuse it."""
    if not (alpha := as_fraction(f"{owner}.smoothing", smoothing)):
        raise ParameterError(f"{owner}.smoothing: must be above 0, else nothing moves (got 0.0)")
    return alpha


def _linear(owner: str, params: SynapseParams, gates: Gates) -> tuple[Floats, Floats]:
    """Return K (3, 3) and b (3,) of levels ← K·levels + b·x with gates that stay as they are."""
    if gates not in get_args(Gates):
        known = get_args(Gates)
        raise ParameterError(f"{owner}.gates: {gates!r} is unknown{nearest(str(gates), known)}")
    decay = as_params(owner, params, SynapseParams).decay
    keep1, keep2, keep3 = (1.0 - lost for lost in decay)
    pass1, pass2 = params.transfer if gates == "open" else (0.0, 0.0)
    # What each level holds before it passes on, as a map of (L1, L2, L3, x).
    first = np.array([keep1, 0.0, 0.0, 1.0])
    second = np.array([0.0, keep2, 0.0, 0.0]) + pass1 * first
    third = np.array([0.0, 0.0, keep3, 0.0]) + pass2 * second
    step: Floats = np.array([(1.0 - pass1) * first, (1.0 - pass2) * second, third], np.float64)
    return step[:, :3], step[:, 3]
