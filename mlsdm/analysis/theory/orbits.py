"""Where chance plays no part: the cycles of the rule itself, event by event in its own floats.

On nodes an average between two of them goes to both, which is a small noise. Beside chance it does
not show, but among several stable cycles it would choose.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.chain import Chain
from mlsdm.engine.policies import MoralParams
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import moral as rules
from mlsdm.engine.rules.compiling import allocating

__all__ = ["Cycle", "cycles", "undisturbed"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_MOST = 2_000_000  # events until a cycle has closed
_TRACE = 1e-9


class Cycle(NamedTuple):
    """A cycle of the filter."""

    weight: float
    """The probability to end on it."""
    places: Indices
    """The thresholds of its events, by their number."""
    arrival: float
    """Events from where it was entered until the threshold stays; inf where it does not."""


def undisturbed(moral: MoralParams, chain: Chain) -> list[Cycle]:
    """Return the one cycle that the start leads to where chance has no say; else nothing."""
    state = moral.initial_state
    return _cycle(moral, chain, 1.0, state["threshold"], state["rate"])


def cycles(moral: MoralParams, chain: Chain, entry: Floats) -> list[Cycle]:
    """Return the cycles of the fated states that are entered with these probabilities."""
    values, rates = chain.thresholds.values.tolist(), chain.nodes.rates.tolist()
    return [
        cycle
        for j, i in np.argwhere(entry > _TRACE).tolist()
        for cycle in _cycle(moral, chain, float(entry[j, i]), values[i], rates[j])
    ]


def _cycle(
    moral: MoralParams, chain: Chain, weight: float, threshold: float, rate: float
) -> list[Cycle]:
    known = chain.thresholds
    rule = layout.new_constants(**moral.rule)[0]
    places, arrival = _follow(
        threshold, rate, rule, known.floats, known.place, chain.accepted, _MOST
    )
    if not len(places):
        return []
    return [Cycle(weight, places, float(arrival) if np.ptp(places) == 0 else math.inf)]


@allocating
def _follow(
    threshold: float, rate: float, rule: Any, floats: Floats, place: Indices, chance: Floats,
    most: int,
) -> tuple[Indices, int]:  # fmt: skip
    """Return the cycle that is reached (Brent 1980), and how many events it took to its last move.

    The cycle is empty where chance decides on the way, or none has closed.
    """
    seen_threshold, seen_rate = threshold, rate
    length, room, moved = 0, 1, 0
    for n in range(most):
        accepted = chance[place[np.searchsorted(floats, threshold)]]
        if accepted != 0.0 and accepted != 1.0:
            break
        before = threshold
        threshold, rate = rules.adapt(threshold, rate, accepted == 1.0, rule)
        if threshold != before:
            moved = n + 1
        length += 1
        if threshold == seen_threshold and rate == seen_rate:
            places = np.empty(length, np.int64)
            for i in range(length):
                places[i] = place[np.searchsorted(floats, threshold)]
                threshold, rate = rules.adapt(threshold, rate, chance[places[i]] == 1.0, rule)
            return places, moved
        if length == room:
            seen_threshold, seen_rate, length, room = threshold, rate, 0, 2 * room
    return np.empty(0, np.int64), moved
