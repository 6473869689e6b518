"""The chain on finer and finer nodes, until what it is in the long run changes no more."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.chain import TRACE, Chain, closed, entered, fated, reached
from mlsdm.analysis.theory.orbits import Cycle, cycles, undisturbed
from mlsdm.analysis.theory.settling import mixing_time, settle
from mlsdm.analysis.theory.states import Nodes, Thresholds, nodes, reachable
from mlsdm.analysis.theory.values import Judged
from mlsdm.engine.policies import MoralParams

__all__ = ["LongRun", "long_run"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BOUND = 5e-4  # three digits
_FIRST, _LAST = (3, 1), 8  # grids, for few thresholds and for many; at least three are compared
_STATES = 150_000  # of the grid after which there is no finer one
_FEW = 64  # thresholds that are all kept
_JUMPS = 12
_ROUNDING = 1e-12


class LongRun(NamedTuple):
    """A chain and its law over time: where chance has a say, and where it has none."""

    chain: Chain
    settled: Floats
    cycles: list[Cycle]
    bound: float
    mixing_time: float

    @property
    def probabilities(self) -> Floats:
        """Share of the events that meet each threshold."""
        by_chance: Floats = self.settled.sum(axis=0)
        return by_chance + _law_of(self.cycles, len(by_chance))


def long_run(moral: MoralParams, law: Judged) -> LongRun:
    """Return the long-run average from the initial state on."""
    thresholds = reachable(moral, law.chances)
    many = len(thresholds.values) > _FEW
    first = _FIRST[many]
    chain = _chain(moral, law, thresholds, first)
    nothing = np.zeros(chain.shape)
    certain = undisturbed(moral, chain)
    if certain:
        return LongRun(chain, nothing, certain, _ROUNDING, certain[0].arrival)
    apart, ends = fated(chain), reached(chain)
    weights = [float(entry.sum()) for entry in entered(chain, ends)] if len(ends) > 1 else [1.0]
    settled, _ = _mixture(chain, list(zip(ends, weights, strict=True)), None, many)
    mixing = mixing_time(chain, settled)
    kept = settled.sum(axis=0) > TRACE if many else np.ones(len(thresholds.values), bool)
    certain, doubt = [], 0.0
    if any(apart[live].all() for live in ends):
        certain, doubt = _by_entry(moral, law, chain, first + 2)
        kept |= _law_of(certain, len(kept)) > 0
    if certain:
        settled = np.where(apart, 0.0, settled)
    open_share = 1.0 - math.fsum(cycle.weight for cycle in certain)
    thresholds = _without(thresholds, kept)
    place = np.cumsum(kept) - 1
    certain = [cycle._replace(places=place[cycle.places]) for cycle in certain]
    chain = _chain(moral, law, thresholds, first)
    settled = settled[:, kept]
    if open_share < 1e-9:
        return LongRun(chain, nothing[:, kept], certain, min(1.0, doubt + _ROUNDING), mixing)
    found: list[Floats] = []
    bound = math.inf
    for level in range(first, _LAST + 1):
        before, chain = chain.nodes, _chain(moral, law, thresholds, level)
        guess = _refined(settled, before, chain.nodes)
        settled, moved = _mixture(chain, closed(chain, guess), guess)
        settled *= open_share
        run = LongRun(chain, settled, certain, bound, mixing)
        found.append(law.shares(thresholds.values, run.probabilities))
        if len(found) > 2:
            bound = min(1.0, _bound(found) + 2.0 * moved + doubt + _ROUNDING)
            if bound <= _BOUND or settled.size > _STATES:
                break
    return run._replace(bound=bound)


def _chain(moral: MoralParams, law: Judged, thresholds: Thresholds, level: int) -> Chain:
    # About half of the average's own jumps; they are halved at each level.
    width = min(1 / 32, max(moral.smoothing / 2, 1 / 400)) if moral.smoothing else 1 / 32
    accepted = np.clip(np.round(law.accepted(thresholds.values), 13), 0.0, 1.0)
    return Chain(accepted, thresholds, nodes(moral, width, _JUMPS, level))


def _mixture(
    chain: Chain, parts: list[tuple[Mask, float]], guess: Floats | None, rough: bool = False
) -> tuple[Floats, float]:
    """Return the stationary laws of closed classes in their shares, and how far they moved last."""
    total = math.fsum(weight for _, weight in parts)
    law, moved = np.zeros(chain.shape), 0.0
    for live, weight in parts:
        if weight > TRACE:
            part, last = settle(chain, live, guess, 1e-4 if rough else 1e-7)
            law += weight / total * part
            moved += weight / total * last
    return law, moved


def _by_entry(
    moral: MoralParams, law: Judged, chain: Chain, finer: int
) -> tuple[list[Cycle], float]:
    """Return the cycles that chance leads to, and how far finer nodes have changed their law.

    There are none where one has not closed: the nodes must do there too.
    """
    found = []
    for grid in (chain, _chain(moral, law, chain.thresholds, finer)):
        apart = fated(grid)
        others = [live for live in reached(grid) if not apart[live].all()]
        entry = entered(grid, [apart, *others])[0]
        found.append(cycles(moral, grid, entry))
        if math.fsum(cycle.weight for cycle in found[-1]) < entry.sum() - 1e-6:
            return [], 0.0
    coarse, fine = (_law_of(cycle, len(chain.accepted)) for cycle in found)
    return found[1], float(np.abs(fine - coarse).sum())


def _law_of(certain: list[Cycle], n: int) -> Floats:
    law = np.zeros(n)
    for cycle in certain:
        law += cycle.weight * np.bincount(cycle.places, minlength=n) / len(cycle.places)
    return law


def _without(thresholds: Thresholds, kept: NDArray[np.bool_]) -> Thresholds:
    """Return the thresholds that are kept; a move to another one is no move."""
    old = np.flatnonzero(kept)
    to = thresholds.to[:, old]
    new = np.cumsum(kept) - 1
    place = np.where(kept[thresholds.place], new[thresholds.place], -1)
    moves = new[np.where(kept[to], to, old)]
    return Thresholds(thresholds.values[old], moves, -1, thresholds.floats, place)


def _refined(law: Floats, old: Nodes, new: Nodes) -> Floats:
    """Return a law on finer nodes, as a density between those that it was on."""
    density = law / _room(old.rates)[:, None]
    left = np.searchsorted(old.rates, new.rates, side="right") - 1
    left = np.clip(left, 0, len(old.rates) - 2)
    part = (new.rates - old.rates[left]) / (old.rates[left + 1] - old.rates[left])
    between = density[left] * (1.0 - part[:, None]) + density[left + 1] * part[:, None]
    made: Floats = between * _room(new.rates)[:, None]
    return made


def _room(rates: Floats) -> Floats:
    gaps = np.diff(rates)
    halves: Floats = (np.append(gaps, 0.0) + np.insert(gaps, 0, 0.0)) / 2
    return np.maximum(halves, 1e-12)  # neighbouring floats have none to speak of


def _bound(found: list[Floats]) -> float:
    """Return twice the last difference of the grids, or the one before it if that is more."""
    steps = np.abs(np.diff(found[-3:], axis=0))
    return max(2.0 * float(np.nanmax(steps[-1])), float(np.nanmax(steps[0])))
