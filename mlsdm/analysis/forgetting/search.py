"""The search for gates that remember longer, on measured lifetimes with common random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.forgetting.measured import drawn, measure
from mlsdm.analysis.forgetting.optimum import Best
from mlsdm.analysis.forgetting.retention import as_list, log_ages, pooled
from mlsdm.checks import as_generator, as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_dim, as_distance
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError, nearest

__all__ = ["best_gated_levels"]

Floats = NDArray[np.float64]

# Of each gate: thresholds from below all that occurs in levels of unit vectors to above all of it.
THRESHOLDS = {"norm": (0.05, 30.0), "element": (0.002, 2.0)}
LEAST_DECAY = 1e-3  # slower ones would need longer streams to become stationary
PER_DECADE = 10  # ages


@cites("nelder1965")
def best_gated_levels(
    gate: str,
    dim: int = 384,
    least_initial: float = 1.0,
    *,
    rng: np.random.Generator,
    points: int = 256,
    steps: int = 150,
    starts: Sequence[SynapseParams] = (),
    seeds: Sequence[int] = (0,),
    events: int = 4000,
) -> Best:
    """Return the levels found to hold a trace longest, thresholds and all, on isotropic vectors.

    Sobol' points over the three decays, the two transfers and the two thresholds, then Nelder-Mead
    (1965, doi:10.1093/comjnl/7.4.308) from the best of them and from each of `starts`. Every point
    sees the same streams, so that differences are those of the parameters. It is a search: what it
    finds may not be the best there is, and its lifetime is a little too good, as the best of many
    measured ones; measure it again on other seeds.

    Parameters
    ----------
    gate
        "norm" or "element".
    dim
        Components of a vector.
    least_initial
        Ratio that must be reached right after storing.
    rng
        Scrambles the Sobol' points.
    points
        Sobol' points, a power of two.
    steps
        Most evaluations from each start.
    starts
        Further parameters to start from; their thresholds are brought within the bounds.
    seeds
        Of the streams.
    events
        Events to measure after, for each seed.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "best_gated_levels"
    if gate not in list(THRESHOLDS):
        raise ParameterError(f"{owner}.gate: {gate!r} is unknown{nearest(str(gate), THRESHOLDS)}")
    as_generator(f"{owner}.rng", rng)
    as_dim(owner, dim)
    if as_distance(f"{owner}.least_initial", least_initial) == 0.0:
        raise ParameterError(f"{owner}.least_initial: must be above 0 (got {least_initial!r})")
    as_list(f"{owner}.starts", starts, SynapseParams)
    as_whole(f"{owner}.steps", steps, 1)
    as_whole(f"{owner}.events", events, 1)
    if points & (as_whole(f"{owner}.points", points, 1) - 1):
        raise ParameterError(f"{owner}.points: must be a power of two (got {points})")
    from scipy.optimize import minimize
    from scipy.stats import qmc

    ages = log_ages(3 * dim, PER_DECADE)
    burn_in = max(3 * dim, round(3.0 / LEAST_DECAY))
    if not (seeds := as_list(f"{owner}.seeds", seeds)):
        raise ParameterError(f"{owner}.seeds: must hold at least one seed (got none)")
    streams = [drawn("isotropic", burn_in + events, dim, seed)[:2] for seed in seeds]
    low, high = _bounds(gate)

    def remembered(x: Floats) -> Best:
        params = _params(np.clip(x, low, high), gate)
        curve = pooled([measure(params, *each, ages, burn_in=burn_in) for each in streams]).snr()
        return Best(params, curve.initial, min(curve.lifetime(), float(ages[-1])))

    loss = _loss(remembered, least_initial)
    spread = qmc.scale(qmc.Sobol(low.size, rng=rng).random(points), low, high)
    tried = sorted((loss(x), i) for i, x in enumerate(spread))
    begun = [spread[tried[0][1]], *(np.clip(_point(start), low, high) for start in starts)]
    options = {"maxfev": steps, "xatol": 1e-3, "fatol": 0.1}
    ended = [
        minimize(
            loss, x, method="Nelder-Mead", bounds=list(zip(low, high, strict=True)), options=options
        )
        for x in begun
    ]
    return remembered(min(ended, key=lambda found: float(found.fun)).x)


def _loss(remembered: Callable[[Floats], Best], least: float) -> Callable[[Floats], float]:
    """Return what is minimised: -lifetime, or how far the initial ratio is from what it must be."""

    def loss(x: Floats) -> float:
        found = remembered(x)
        short = found.initial / least - 1.0
        return -found.lifetime if short >= 0.0 else -short

    return loss


def _bounds(gate: str) -> tuple[Floats, Floats]:
    """Return the corners of the box: logarithms of decays and thresholds, and transfers."""
    least, most = np.log(THRESHOLDS[gate])
    low = np.array([np.log(LEAST_DECAY)] * 3 + [0.0] * 2 + [least] * 2)
    return low, np.array([0.0] * 3 + [1.0] * 2 + [most] * 2)


def _params(x: Floats, gate: str) -> SynapseParams:
    decay, threshold = np.exp(x[:3]), np.exp(x[5:])
    return SynapseParams.from_dict(
        {
            "decay": np.minimum(decay, 1.0).tolist(),
            "transfer": x[3:5].tolist(),
            "threshold": threshold.tolist(),
            "gate": gate,
        }
    )


def _point(params: SynapseParams) -> Floats:
    return np.array([*np.log(params.decay), *params.transfer, *np.log(params.threshold)])
