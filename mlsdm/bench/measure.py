"""Two things done in turn, and what the one costs beside the other."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.interval import Interval

__all__ = ["FULL", "QUICK", "Costs", "Side", "Size", "interleaved", "median"]

LEVEL = 0.95


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Parameters
    ----------
    dim, rows
        Of the full lattice.
    repetitions
        Pairs of measurements.
    events, rounds
        Different events of a simulated stream, and how many times they come.
    stepped, transcribed
        Events given one at a time to the engine and to the transcription, in each repetition; 22
        are two turns of the rhythm.
    queries, many
        Retrievals in each repetition, one at a time and in one call.
    filtered
        Events of each run of a fleet without vectors.
    """

    dim: int = 384
    rows: int = 20_000
    repetitions: int = 11
    events: int = 65_538
    rounds: int = 12
    stepped: int = 2_200
    transcribed: int = 22
    queries: int = 50
    many: int = 256
    filtered: int = 500_000


FULL = Size()
QUICK = Size(repetitions=6, rounds=4, queries=20)


class Side(NamedTuple):
    """One of two things that are timed: a call, and how many units of work are in it."""

    call: Callable[[], object]
    units: float


@dataclass(frozen=True)
class Costs:
    """What a unit of work cost, in seconds (or bytes), and what is to be said of the yardstick.

    `ours` and `yardstick` are (repetitions,), measured in turn.
    """

    ours: NDArray[np.float64]
    yardstick: NDArray[np.float64]
    note: str = ""


def interleaved(ours: Side, yardstick: Side, repetitions: int, note: str = "") -> Costs:
    """Time both in turn, after one call of each that is not timed."""
    sides = (ours, yardstick)
    costs = np.empty((repetitions, 2))
    for side in sides:
        side.call()
    collected = gc.isenabled()
    gc.disable()  # it would fall on either side by chance
    try:
        for turn in costs:
            for i, (call, units) in enumerate(sides):
                start = time.perf_counter()
                call()
                turn[i] = (time.perf_counter() - start) / units
    finally:
        if collected:
            gc.enable()
    return Costs(costs[:, 0], costs[:, 1], note)


def median(values: ArrayLike) -> Interval:
    """Return the median with the interval between two of the values that covers at least 95 %.

    The median lies below the k-th smallest of n values only if fewer than k of them are below it,
    which is as likely as fewer than k heads of n coins (David & Nagaraja 2003, Order Statistics,
    section 7.1). Fewer than 6 values have no such interval.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = ordered.size
    k, below = 0, 0.5**n
    while below <= (1.0 - LEVEL) / 2:
        k += 1
        below += math.comb(n, k) * 0.5**n
    bounds = (math.nan, math.nan) if k == 0 else (float(ordered[k - 1]), float(ordered[n - k]))
    return Interval(float(np.median(ordered)), *bounds, n)
