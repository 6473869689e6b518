"""What a chain is in the long run, and how long that takes.

The stationary law is found by aggregation and disaggregation (Koury, McAllister and Stewart 1984,
doi:10.1137/0605019), each coarse chain solved without subtractions (Grassmann, Taksar and Heyman
1985, doi:10.1287/opre.33.5.1107): so sets of states that are left once in 10¹² events weigh what
they must.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.chain import Chain
from mlsdm.engine.rules.compiling import allocating

__all__ = ["mixing_time", "settle"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Moves = tuple[Indices, Indices, Floats]

_LEAST = 1e-120  # a state of the class keeps a trace of mass: none may divide by 0
_CYCLES = 60
_EVENTS = 12  # between two coarse solutions
_WORK, _BINS = 5e6, 8  # operations of a coarse solution; ranges of the average that it has at least
_WATCHED = 2e8  # states that are looked at while waiting for the chain to mix


def settle(
    chain: Chain, live: Mask, guess: Floats | None = None, close: float = 1e-7
) -> tuple[Floats, float]:
    """Return the stationary law of a closed class, and how far the last cycle moved it (L1).

    `guess` need not be close; it stops where a cycle moves less than `close`.
    """
    rows, columns = np.flatnonzero(live.any(axis=1)), np.flatnonzero(live.any(axis=0))
    inside = np.full(live.shape[1], -1)
    inside[columns] = np.arange(len(columns))
    to = inside[chain.thresholds.to[:, columns]]
    chance = chain.accepted[columns]
    alive = live[:, columns]
    law = np.where(alive, 1.0 if guess is None else np.maximum(guess[:, columns], _LEAST), 0.0)
    law /= law.sum()
    reach = 1 + int(np.abs(np.where(to < 0, 0, to - np.arange(len(columns)))).max())
    bins = int((_WORK / (len(columns) * reach**2)) ** (1 / 3))
    bins = min(len(rows), max(_BINS, bins))
    moves, seen, damped = [math.inf], np.zeros(len(law)), False
    for cycle in range(_CYCLES):
        before = law
        seen += (law.sum(axis=1) - seen) / (cycle + 1)
        block = _blocks(seen, live.any(axis=1), bins)
        law = _coarse(law, alive, chance, to, chain.moves, reach, block, bins)
        # Sets that are hardly ever left may weigh now too much, now too little: go half the way.
        damped = damped or (cycle > 8 and moves[-1] > 0.5 * moves[-5])
        if damped:
            law = np.sqrt(law) * np.sqrt(before)
            law /= law.sum()
        _smooth(law, alive, chance, to, *chain.moves, _EVENTS)
        moves.append(float(np.abs(law - before).sum()))
        if bins == len(rows):  # the coarse chain was the chain itself
            moves[-1] = 0.0
        if moves[-1] < close:
            break
    whole = np.zeros(live.shape)
    whole[:, columns] = law
    return whole, moves[-1]


def mixing_time(chain: Chain, settled: Floats) -> float:
    """Return after how many events the law of the threshold stays within 1/4 of the settled one.

    Distances are total variation. It is watched until the whole chain is that close, which is for
    good; where that takes too long, the time is extrapolated from how the distance decays.
    """
    events = int(min(1e6, max(1000.0, _WATCHED / settled.size)))
    distances = np.empty(events + 1)
    n = _watch(chain.start(), settled, chain.accepted, chain.thresholds.to, *chain.moves, distances)
    over = np.flatnonzero(distances[:n] > 0.25)
    last = int(over[-1]) + 1 if len(over) else 0
    if n <= events or last <= events // 2:
        return float(last)
    quarter = events // 4
    earlier = float(distances[-2 * quarter : -quarter].max())
    later = float(distances[-quarter:].max())
    if not later < earlier * (1.0 - 1e-12):
        return math.inf
    rate = math.log(earlier / later) / quarter
    return float(math.ceil(events + max(0.0, math.log(4.0 * later) / rate)))


def _blocks(seen: Floats, used: Any, bins: int) -> Indices:
    """Return which range of averages each node belongs to.

    A range ends where there is much mass or where there are many nodes, so that rare ways out of a
    dead band are seen too. The mass is that of all laws so far: ranges that followed each of them
    could make the laws alternate.
    """
    rows = np.flatnonzero(used)
    block = np.zeros(len(seen), np.int64)
    if len(rows) == bins:
        block[rows] = np.arange(bins)
        return block
    weight = seen + used / len(rows)
    middle = np.cumsum(weight) - weight / 2
    block[:] = np.minimum(middle / weight.sum() * bins, bins - 1)
    return block


def _coarse(
    law: Floats, alive: Mask, chance: Floats, to: Indices, moves: Moves, reach: int,
    block: Indices, bins: int,
) -> Floats:  # fmt: skip
    """Return the law with the masses of its blocks those of the chain between the blocks.

    A block is one threshold and a range of averages.
    """
    held = np.zeros((bins, law.shape[1]))
    np.add.at(held, block, law)
    used = (held > 0).T  # threshold by threshold, as the band wants it
    number = np.cumsum(used.reshape(-1)).reshape(used.shape) - 1
    size = int(used.sum())
    width = min(size, (reach + 1) * bins)
    band = np.zeros((size, 2 * width + 1))
    _gather(law, chance, to, *moves, block, number, width, band)
    band /= held.T[used][:, None]
    solved = _without_subtraction(band, width)
    ratio = np.zeros_like(held)
    ratio.T[used] = solved / held.T[used]
    return cast(Floats, np.where(alive, np.maximum(law * ratio[block], _LEAST), 0.0))


@allocating
def _push(
    law: Floats, chance: Floats, to: Indices, move: Indices, left: Indices, share: Floats,
    made: Floats,
) -> None:  # fmt: skip
    """Make `made` what one event makes of the law."""
    made[:] = 0.0
    for a in range(2):
        for j in range(law.shape[0]):
            right, node, place = share[a, j], left[a, j], to[move[a, j]]
            for i in range(law.shape[1]):
                mass = law[j, i]
                if mass > 0.0:
                    mass *= chance[i] if a else 1.0 - chance[i]
                    made[node, place[i]] += mass * (1.0 - right)
                    made[node + 1, place[i]] += mass * right


@allocating
def _smooth(
    law: Floats, alive: Mask, chance: Floats, to: Indices, move: Indices, left: Indices,
    share: Floats, events: int,
) -> None:  # fmt: skip
    """Let events pass, each with chance 1/2: a periodic chain would never settle else."""
    made = np.empty_like(law)
    for _ in range(events):
        _push(law, chance, to, move, left, share, made)
        total = 0.0
        for j in range(law.shape[0]):
            for i in range(law.shape[1]):
                if alive[j, i]:
                    law[j, i] = max(0.5 * (law[j, i] + made[j, i]), _LEAST)
                    total += law[j, i]
        law /= total


@allocating
def _watch(
    law: Floats, settled: Floats, chance: Floats, to: Indices, move: Indices, left: Indices,
    share: Floats, distances: Floats,
) -> int:  # fmt: skip
    """Note the threshold's distance event by event; return how many until the chain was close."""
    made = np.empty_like(law)
    goal = settled.sum(axis=0)
    for n in range(len(distances)):
        distances[n] = 0.5 * np.abs(law.sum(axis=0) - goal).sum()
        if distances[n] <= 0.25 and 0.5 * np.abs(law - settled).sum() <= 0.25:
            return n + 1
        _push(law, chance, to, move, left, share, made)
        law, made = made, law
    return len(distances) + 1


@allocating
def _gather(
    law: Floats, chance: Floats, to: Indices, move: Indices, left: Indices, share: Floats,
    block: Indices, number: Indices, width: int, band: Floats,
) -> None:  # fmt: skip
    """Add to `band` the mass that one event takes from block to block."""
    for a in range(2):
        for j in range(law.shape[0]):
            for i in range(law.shape[1]):
                mass = law[j, i] * (chance[i] if a else 1.0 - chance[i])
                if mass > 0.0:
                    place, source = to[move[a, j], i], number[i, block[j]]
                    for side in range(2):
                        part = share[a, j] if side else 1.0 - share[a, j]
                        if part > 0.0:
                            target = number[place, block[left[a, j] + side]]
                            band[source, target - source + width] += mass * part


@allocating
def _without_subtraction(band: Floats, width: int) -> Floats:
    """Return the stationary law of a banded chain; `band` is (states, 2 · width + 1), and used."""
    n = band.shape[0]
    for k in range(n - 1, 0, -1):
        low = max(0, k - width)
        out = 0.0
        for j in range(low, k):
            out += band[k, j - k + width]
        for i in range(low, k):
            into = band[i, k - i + width] / out
            band[i, k - i + width] = into
            if into > 0.0:
                for j in range(low, k):
                    band[i, j - i + width] += into * band[k, j - k + width]
    law = np.zeros(n)
    law[0] = 1.0
    for k in range(1, n):
        for i in range(max(0, k - width), k):
            law[k] += law[i] * band[i, k - i + width]
        if law[k] > 1e200:
            law[: k + 1] /= law[k]
    law /= law.sum()
    return law
