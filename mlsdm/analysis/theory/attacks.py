"""What an attacker can do to the moral filter: the events at each threshold, and their effect."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory import cycles
from mlsdm.checks import as_whole
from mlsdm.engine.inputs import as_fraction
from mlsdm.engine.policies import MoralParams, as_homeostatic
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import moral as rules
from mlsdm.errors import ParameterError, RunError
from mlsdm.streams.stream import Stream

__all__ = [
    "FEWEST_CELLS", "MOST_STATES", "Attack", "Graph", "Objective", "Options", "check_whole",
    "checked",
]  # fmt: skip

FEWEST_CELLS = 2**9
MOST_STATES = 2**21  # of one graph, some 150 MB
MOST_THRESHOLDS = 2**11
MOST_EVENTS = 2**22  # of a replay, until its state comes back


class Objective(NamedTuple):
    """What an event gains and costs: (thresholds, 2) of a refusal and of an acceptance."""

    gain: NDArray[np.int64]
    cost: NDArray[np.int64]


class Attack(NamedTuple):
    """Outcomes, 0 refused and 1 accepted, that lead to a cycle, and those of the cycle."""

    ratio: Fraction
    approach: list[int]
    cycle: list[int]


class Options:
    """The best event for either outcome at every threshold; of a class, only its ends matter."""

    def __init__(self, moral: MoralParams, toxic_below: float, safe_above: float) -> None:
        self.rule: Any = layout.new_constants(**moral.rule)[0]
        state = moral.initial_state
        self.start = (float(state["threshold"]), float(state["rate"]))
        self.thresholds = _thresholds(self.start[0], self.rule)
        shape = (len(self.thresholds), 2)
        self.allowed, self.toxic = np.ones(shape, bool), np.zeros(shape, bool)
        self.values = np.zeros(shape)
        toxic_high, safe_low = np.nextafter(toxic_below, 0.0), np.nextafter(safe_above, 1.0)
        has_safe = safe_above < 1.0
        for i, threshold in enumerate(self.thresholds):
            safe_refused = has_safe and not rules.accept(safe_low, threshold, self.rule)
            safe_passed = has_safe and rules.accept(1.0, threshold, self.rule)
            toxic_passed = rules.accept(toxic_high, threshold, self.rule)
            toxic_refused = not rules.accept(0.0, threshold, self.rule)
            self.allowed[i] = safe_refused or toxic_refused, toxic_passed or safe_passed
            self.toxic[i] = not safe_refused, toxic_passed
            self.values[i] = safe_low if safe_refused else 0.0, toxic_high if toxic_passed else 1.0

    @property
    def passed(self) -> NDArray[np.bool_]:
        """(thresholds, 2) whether a toxic event passes."""
        return self.toxic & [False, True]

    def stream(
        self, start: tuple[float, float], outcomes: list[int]
    ) -> tuple[Stream, tuple[float, float]]:
        """Return the events that have these outcomes from a state on, and the state after them."""
        threshold, rate = start
        at = np.empty(len(outcomes), np.int64)
        for n, passed in enumerate(outcomes):
            at[n] = np.searchsorted(self.thresholds, threshold)
            threshold, rate = rules.adapt(threshold, rate, passed == 1, self.rule)
        row = at, np.array(outcomes, np.int64)
        made = Stream(self.values[row], toxic=self.toxic[row], source="worst case")
        return made, (threshold, rate)


def checked(
    owner: str, moral: MoralParams, toxic_below: float, safe_above: float, cells: int
) -> Options:
    """Return what an attacker can do, where all arguments are allowed."""
    moral = as_homeostatic(f"{owner}.moral", moral)
    toxic_below = as_fraction(f"{owner}.toxic_below", toxic_below)
    safe_above = as_fraction(f"{owner}.safe_above", safe_above)
    if toxic_below == 0.0:
        raise ParameterError(f"{owner}.toxic_below: must be above 0 (got {toxic_below})")
    if as_whole(f"{owner}.cells", cells, FEWEST_CELLS).bit_count() != 1:
        raise ParameterError(f"{owner}.cells: must be a power of two (got {cells})")
    return Options(moral, toxic_below, safe_above)


def _thresholds(first: float, rule: Any) -> NDArray[np.float64]:
    """Return every threshold that can follow the first one, in order."""
    known, new = {first}, [first]
    while new:
        threshold = new.pop()
        # All moves lie between those of the least and of the largest average.
        for rate, passed in ((0.0, False), (1.0, True)):
            moved = float(rules.adapt(threshold, rate, passed, rule)[0])
            if moved not in known:
                known.add(moved)
                new.append(moved)
        if len(known) > MOST_THRESHOLDS:
            raise ParameterError(
                f"MoralParams.step: must leave at most {MOST_THRESHOLDS} thresholds for the worst "
                f"case to be found (got {float(rule['step'])})"
            )
    return np.array(sorted(known))


class Graph:
    """The optimistic graph: it has every move of the true rule, and more."""

    def __init__(self, options: Options, cells: int) -> None:
        self.options, self.cells = options, cells
        n = len(options.thresholds) * cells
        high = np.append(np.nextafter(np.arange(1, cells) / cells, 0.0), 1.0)
        self.follows = np.full((n, 2, cycles.MOVES), -1, np.int32)
        fixed = (options.thresholds, high, options.allowed, options.rule)
        if not cycles.successors(*fixed, self.follows):
            raise RunError(
                f"MoralParams.smoothing: must move a cell of averages to two cells, which by "
                f"rounding it does not (got {float(options.rule['smoothing'])!r})"
            )
        # One real way to each state, where a cycle's replay can begin.
        self.rates, self.before = np.full(n, np.nan), np.empty(n, np.int32)
        self.mark = np.empty(n, np.int32)
        begun = (options.thresholds, options.allowed, options.start, options.rule)
        cycles.walk(*begun, self.mark, self.rates, self.before)
        start, nodes = int(self.mark[0]), np.empty(n, np.int32)
        self.nodes = nodes[: cycles.reach(self.follows, start, nodes, np.zeros(n, bool))]

    def better(
        self, objective: Objective, ratio: Fraction
    ) -> Iterator[tuple[Fraction, list[tuple[int, int]]]]:
        """Yield cycles of ever larger ratios, from above the given one to the largest of all.

        The ratio is the price of Dinkelbach's (1967) iteration: a cycle that gains more than it
        costs at that price has a larger ratio, and where there is none no ratio is larger.
        """
        height = np.zeros(len(self.follows), np.int64)
        choice = np.empty(len(self.follows), np.int32)
        while True:
            price = (ratio.numerator, ratio.denominator)
            self._check_room(objective, price, height)
            first = node = cycles.improve(
                self.follows, self.nodes, *objective, price, height, choice, self.mark
            )
            if first < 0:
                return
            cycle: list[tuple[int, int]] = []
            gain = cost = 0
            while not cycle or node != first:
                after, passed = divmod(int(choice[node]), 2)
                cycle.append((node, passed))
                gain += int(objective.gain[node // self.cells, passed])
                cost += int(objective.cost[node // self.cells, passed])
                node = after
            before, ratio = ratio, Fraction(gain, cost)
            # Any heights are right to begin with; these are near those of the new price.
            fits = _largest(height) * ratio.denominator < cycles.MOST
            height = height * ratio.denominator // before.denominator if fits else height * 0
            yield ratio, cycle

    def _check_room(self, objective: Objective, price: tuple[int, int], height: Any) -> None:
        """Refuse numbers that could leave 64 bits, before any of them is made: see `improve`."""
        gain, cost = map(_largest, objective)
        worth = gain * price[1] + cost * max(abs(price[0]), 1)
        relaxed = _largest(height) + (2 * len(self.nodes) + 1) * worth
        replayed = (MOST_EVENTS + len(self.nodes)) * max(gain, cost)
        check_whole(max(relaxed, replayed))

    def realise(
        self, objective: Objective, cycle: list[tuple[int, int]], hoped: Fraction
    ) -> Attack:
        """Return the best of the cycle's replays on the true rule, begun at each of its states."""
        options, best = self.options, Attack(Fraction(0), [], [])
        word = np.array([passed for _, passed in cycle])
        for at, (node, _) in enumerate(cycle):
            if np.isnan(self.rates[node]):
                continue
            start = (float(options.thresholds[node // self.cells]), float(self.rates[node]))
            turned = np.roll(word, -at)
            before, words, gain, cost = cycles.replay(
                options.thresholds, options.allowed, start, turned, options.rule, *objective,
                MOST_EVENTS,
            )  # fmt: skip
            if words and cost and (ratio := Fraction(gain, cost)) > best.ratio:
                again = turned.tolist()
                best = Attack(ratio, self._way(node) + again * before, again * words)
            if best.ratio >= hoped:
                break
        return best

    def _way(self, node: int) -> list[int]:
        way = []
        while self.before[node] >= 0:
            node, passed = divmod(int(self.before[node]), 2)
            way.append(passed)
        return way[::-1]


def _largest(numbers: NDArray[np.int64]) -> int:
    return max(abs(int(numbers.min())), abs(int(numbers.max())))


def check_whole(largest: int) -> None:
    """Refuse whole numbers that 64 bits may not hold: a bound from wrapped ones would be false."""
    if largest >= cycles.MOST:
        raise RunError(
            f"worst case: the whole numbers of its proof must stay below 2^62 (got up to {largest})"
            "; fewer cells make shorter cycles, and smaller numbers"
        )
