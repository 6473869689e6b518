"""The three levels that remember longest while their gates are open: exact, but for the search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.forgetting.linear import LinearMemory
from mlsdm.analysis.forgetting.retention import as_list
from mlsdm.checks import as_generator, as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_distance, as_values
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError

__all__ = ["Best", "best_open_levels", "front", "longest_lifetime", "orthonormal"]

Floats = NDArray[np.float64]

SLOWEST = 1e-5  # share lost per event: a memory of more dimensions than that would want less
DOUBLINGS = 20  # ages up to 2^20 events
GENERATIONS, POPULATION, TOLERANCE = 400, 20, 1e-11


class Best(NamedTuple):
    """Parameters of the levels, with the ratio right after storing and the lifetime in events."""

    params: SynapseParams
    initial: float
    lifetime: float


@cites("heuberger1995")
def orthonormal(kept: ArrayLike) -> LinearMemory:
    """Return the linear memory with these eigenvalues whose responses are orthonormal.

    Its covariance is the identity, so that the best readout's ratio at age a is √dim · |h(a)|. Any
    memory with the same eigenvalues, in which all variables are reached, is this one in other
    coordinates, and its best readout has the same ratio (Heuberger, Van den Hof & Bosgra 1995,
    doi:10.1109/9.376057).

    Parameters
    ----------
    kept
        (variables,) real, what is kept of each per event; from 0 on and below 1.

    Raises
    ------
    ParameterError
        When one is not allowed.
    """
    values = as_values("orthonormal", kept, field="kept").astype(np.float64)
    if not values.size or not np.all((values >= 0.0) & (values < 1.0)):
        raise ParameterError(f"orthonormal.kept: must be (variables,) in [0, 1) (got {values})")
    return LinearMemory(*_orthonormal(values))


def _orthonormal(kept: Floats) -> tuple[Floats, Floats]:
    """Return transition and drive; leading axes are a batch."""
    m = kept.shape[-1]
    through = np.sqrt(1.0 - kept**2)
    transition, drive = np.zeros((*kept.shape, m)), np.zeros(kept.shape)
    for k in range(m):
        transition[..., k, k] = kept[..., k]
        gain = through[..., k].copy()
        for j in range(k - 1, -1, -1):
            transition[..., k, j] = gain * through[..., j]
            gain *= -kept[..., j]
        drive[..., k] = gain
    return transition, drive


def _remembered(kept: Floats, dim: int) -> tuple[Floats, Floats]:
    """Return (batch,) the initial ratio and the lifetime at ratio 1, of the best readout.

    That ratio never rises with age, so that the last whole age above 1 is found bit by bit.
    """
    transition, held = _orthonormal(kept)
    powers = [transition]
    for _ in range(DOUBLINGS):
        powers.append(powers[-1] @ powers[-1])

    def square(vector: Floats) -> Any:
        return dim * np.sum(vector**2, axis=-1)

    initial, age = np.sqrt(square(held)), np.zeros(len(kept))
    for j in range(DOUBLINGS, -1, -1):
        later = (powers[j] @ held[..., None])[..., 0]
        above = square(later) >= 1.0
        held = np.where(above[:, None], later, held)
        age += above * 2.0**j
    before, after = square(held), square((transition @ held[..., None])[..., 0])
    share = np.log(before) / np.log(before / np.maximum(after, 1e-300))
    return initial, np.where(initial >= 1.0, age + share, 0.0)


@cites("heuberger1995", "storn1997")
def best_open_levels(
    dim: int = 384,
    least_initial: float = 1.0,
    *,
    rng: np.random.Generator,
) -> Best:
    """Return the levels with open gates that hold a trace longest, read in the best way.

    The best readout depends on the three eigenvalues alone, that is on what each level keeps per
    event after decay and transfer; the search (differential evolution, Storn & Price 1997,
    doi:10.1023/A:1008202821328) is over them. What a level loses is divided equally between decay
    and transfer, the fastest level is the first (our own choice: neither changes the ratio).

    Parameters
    ----------
    dim
        Components of a vector.
    least_initial
        Ratio that must be reached right after storing; up to √dim, that nothing exceeds.
    rng
        Drives the search.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "best_open_levels"
    as_whole(f"{owner}.dim", dim, 2)
    as_generator(f"{owner}.rng", rng)
    if not 0.0 < as_distance(f"{owner}.least_initial", least_initial) < np.sqrt(dim):
        raise ParameterError(
            f"{owner}.least_initial: must lie in (0, {np.sqrt(dim):.4g}), the root of dim "
            f"(got {least_initial!r})"
        )
    from scipy.optimize import differential_evolution

    def loss(lost: Floats) -> Floats:
        initial, lifetime = _remembered(1.0 - np.exp(lost.T), dim)
        return -np.where(initial >= least_initial, lifetime, initial / least_initial - 1.0)

    found = differential_evolution(
        loss, [(np.log(SLOWEST), 0.0)] * 3, vectorized=True, updating="deferred", rng=rng,
        maxiter=GENERATIONS, popsize=POPULATION, tol=TOLERANCE, polish=False,
    )  # fmt: skip
    kept = np.sort(1.0 - np.exp(found.x))
    initial, lifetime = _remembered(kept[None], dim)
    return Best(_levels(kept), float(initial[0]), float(lifetime[0]))


def _levels(kept: Floats) -> SynapseParams:
    """Return levels that keep these shares of themselves per event, with gates that open always."""
    half = np.sqrt(kept[:2])  # decay and transfer lose the same share each
    lost = 1.0 - np.append(half, kept[2])
    return SynapseParams(
        decay=(lost[0], lost[1], lost[2]),
        threshold=(1e-9, 1e-9),
        transfer=(lost[0], lost[1]),
    )


@cites("dambre2012")
def longest_lifetime(dim: int, variables: int, initial: float) -> float:
    """Return a lifetime in events that no memory of this many variables exceeds, gated or not.

    For independent patterns the squares of the best ratio, summed over all ages, are at most
    dim · variables: the components of the patterns are orthogonal, and no more of them can be read
    off linearly than there are numbers in the memory (Bessel's inequality; Dambre et al. 2012,
    doi:10.1038/srep00514). Linear memories reach that sum, and still live less long, as they spend
    some of it on ratios above 1 and some on ratios below.

    Parameters
    ----------
    dim
        Components of a pattern.
    variables
        Variables for each.
    initial
        Ratio right after storing; the ratio is taken to be at least 1 until the lifetime ends.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    as_whole("longest_lifetime.dim", dim, 1)
    as_whole("longest_lifetime.variables", variables, 1)
    initial = as_distance("longest_lifetime.initial", initial)
    return max(0.0, dim * variables + 1.0 - initial**2)


def front(dim: int, least_initial: Sequence[float], rng: np.random.Generator) -> pd.DataFrame:
    """Return the longest lifetime for each ratio that must be reached right after storing.

    Parameters
    ----------
    dim
        Components of a vector.
    least_initial
        The ratios to be reached.
    rng
        Drives the searches.

    Returns
    -------
    Columns ``initial``, ``lifetime``, ``decay1`` … ``decay3``, ``transfer1``, ``transfer2``, and
    ``bound``, as `longest_lifetime` gives it.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    rows = []
    for least in as_list("front.least_initial", least_initial):
        best = best_open_levels(dim, least, rng=rng)
        decays = {f"decay{k}": value for k, value in enumerate(best.params.decay, 1)}
        passed = {f"transfer{k}": value for k, value in enumerate(best.params.transfer, 1)}
        bound = longest_lifetime(dim, 3, best.initial)
        rows.append(
            {"initial": best.initial, "lifetime": best.lifetime, **decays, **passed, "bound": bound}
        )
    return pd.DataFrame(rows)
