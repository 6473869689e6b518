"""Simulation beside the theory of the filter: independent runs, and how far chance takes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.theory.threshold import Stationary
from mlsdm.analysis.theory.values import Judged, Labelled, Uniforms, judged, labelled, uniforms
from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.fleet import simulate_many
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import MoralParams
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["beside_simulation", "random_filter"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MEASURES = ("toxic_passed", "safe_refused", "acceptance")
_SLOWEST = 50_000  # events to mix; what is slower cannot be simulated this way
_PERIODIC = 1000  # events left out where the phase of a cycle never mixes


def beside_simulation(
    moral: MoralParams,
    stream: Any,
    found: Stationary,
    rng: np.random.Generator,
    runs: int = 20,
    n_events: int = 20_000,
    tests: int = 3,
    toxic_below: float = 0.4,
    safe_above: float = 0.6,
) -> pd.DataFrame:
    """Return what independent runs do, beside what `stationary` found.

    Each run leaves out its first events, 100 and ten times the mixing time. The standard error is
    that of the mean over runs, and so needs no word on how events depend on each other.

    Parameters
    ----------
    moral, stream, toxic_below, safe_above
        What `stationary` was given.
    found
        What it returned.
    rng
        Where the events are drawn from.
    runs, n_events
        Runs, at least 2, and the events of each that count.
    tests
        Comparisons that are made in all: the limit of each is such that all of them hold with
        probability 0.95 (Bonferroni), if the theory is right.

    Returns
    -------
    DataFrame
        For each of the three shares ``measure``, ``theory``, ``error_bound``, ``mean``, ``low``
        and ``high`` of its 95 % interval, ``limit`` of the difference by chance (Student's t), and
        ``score`` = the difference as a share of it; above 1 they disagree. NaN where a class is
        empty, and the score also where the runs do not differ.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the filter takes more than 50,000 events to mix.
    """
    from scipy import stats

    owner = "beside_simulation"
    runs, n_events = as_whole(f"{owner}.runs", runs, 2), as_whole(f"{owner}.n_events", n_events, 1)
    tests, rng = as_whole(f"{owner}.tests", tests, 1), as_generator(f"{owner}.rng", rng)
    mixing = _PERIODIC if math.isinf(found.mixing_time) else found.mixing_time
    if mixing > _SLOWEST:
        raise ParameterError(
            f"{owner}.found.mixing_time: must be at most {_SLOWEST} events, or no run shows the "
            f"long run (got {mixing:g})"
        )
    burn = 100 + 10 * int(mixing)
    size = (runs, burn + n_events)
    law = judged(f"{owner}.stream", stream, toxic_below, safe_above)
    values, toxic, safe = _drawn(stream, law, size, rng, toxic_below, safe_above)
    result = simulate_many(EngineParams(moral=moral), None, values)
    accepted, toxic, safe = (part[:, burn:] for part in (result.accepted, toxic, safe))
    with np.errstate(invalid="ignore"):
        shares = np.array(
            [
                (accepted & toxic).sum(axis=1) / toxic.sum(axis=1),
                (~accepted & safe).sum(axis=1) / safe.sum(axis=1),
                accepted.mean(axis=1),
            ]
        )
    mean, error = shares.mean(axis=1), shares.std(axis=1, ddof=1) / math.sqrt(runs)
    reach = stats.t(runs - 1).isf([0.025, 0.025 / tests])[:, None] * error
    theory = np.array([getattr(found, name) for name in MEASURES])
    difference = np.abs(theory - mean)
    score = np.divide(difference, reach[1], out=np.full(3, math.nan), where=reach[1] > 0)
    return pd.DataFrame(
        {
            "measure": [name.replace("_", " ") for name in MEASURES],
            "theory": theory,
            "error_bound": found.error_bound,
            "mean": mean,
            "low": mean - reach[0],
            "high": mean + reach[0],
            "limit": reach[1],
            "score": score,
        }
    )


def random_filter(rng: np.random.Generator) -> tuple[MoralParams, Any]:
    """Return a filter and a stream from anywhere in the range that theory is tried over.

    Smoothing from 0.01 to 1 and step from 0.002 to 0.3 (evenly by logarithm), dead band up to 0.3,
    target from 0.05 to 0.95, any bounds and initial threshold; the stream of the published kind,
    of four random uniforms, or of two overlapping classes.
    """
    from scipy import stats

    low, high = np.sort(as_generator("random_filter.rng", rng).random(2)).tolist()
    moral = MoralParams(
        initial_threshold=rng.random(),
        min_threshold=low,
        max_threshold=high,
        smoothing=float(10 ** rng.uniform(-2.0, 0.0)),
        target_rate=rng.uniform(0.05, 0.95),
        dead_band=rng.uniform(0.0, 0.3),
        step=float(np.exp(rng.uniform(np.log(0.002), np.log(0.3)))),
    )
    share, kind = rng.uniform(0.05, 0.95), int(rng.integers(3))
    if kind == 0:
        return moral, uniforms((share, 0.1, 0.4), (1.0 - share, 0.6, 0.95))
    if kind == 1:
        parts = [(rng.random(), *np.sort(rng.random(2)).tolist()) for _ in range(4)]
        return moral, uniforms(*parts)
    return moral, labelled(share, stats.beta(2, 3), stats.beta(4, 2))


def _drawn(
    stream: Any, law: Judged, size: tuple[int, int], rng: np.random.Generator, below: float,
    above: float,
) -> tuple[Floats, Mask, Mask]:  # fmt: skip
    """Return values (runs, events) of a stream, and which are toxic and which safe."""
    if isinstance(stream, Stream) and stream.toxic is not None:
        at = rng.integers(len(stream), size=size)
        toxic = stream.toxic[at]
        return stream.moral_values[at], toxic, ~toxic
    if isinstance(stream, Labelled):
        toxic = rng.random(size) < law.toxic_share
        values = np.where(toxic, _of(stream.toxic, size, rng), _of(stream.safe, size, rng))
        return values, toxic, ~toxic
    values = _of(stream.moral_values if isinstance(stream, Stream) else stream, size, rng)
    return values, values < below, values > above


def _of(law: Any, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    if isinstance(law, Uniforms):
        weights, low, high = np.array(law.parts).T
        part = rng.choice(len(weights), size, p=weights)
        made: Floats = low[part] + (high - low)[part] * rng.random(size)
        return made
    if callable(getattr(law, "rvs", None)):
        return np.asarray(law.rvs(size, random_state=rng), np.float64)
    return rng.choice(np.asarray(law, np.float64), size)
