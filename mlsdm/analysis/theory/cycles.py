"""Maximum cycle ratio on the graph of the moral filter's states, in whole numbers.

A state is a threshold and a cell of acceptance averages; a move is what one event does to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules import moral as rules
from mlsdm.engine.rules.compiling import compiled

__all__ = ["MOST", "MOVES", "improve", "reach", "replay", "successors", "walk"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Nodes = NDArray[np.int32]

MOVES = 6  # states that one move can lead to: two neighbouring cells, three thresholds
MOST = 2**62  # of any whole number here: what left int64 would come back as another, unseen


@compiled
def _node(thresholds: Floats, cells: int, threshold: float, rate: float) -> int:
    """Return the state's number; with a power of two of cells the product is exact."""
    first, last = 0, len(thresholds) - 1
    while first < last:
        middle = (first + last) // 2
        if thresholds[middle] < threshold:
            first = middle + 1
        else:
            last = middle
    return first * cells + min(int(rate * cells), cells - 1)


@compiled
def successors(thresholds: Floats, high: Floats, allowed: Bools, rule: Any, follows: Nodes) -> bool:
    """Write every state that a refusal (0) or an acceptance (1) of a state can lead to, then -1.

    The next average grows with the average, and the threshold's move with it: what the ends of a
    cell do bounds what all of its averages do. It grows with a slope of 1 - smoothing, at most 1,
    so that a cell, less than 1/cells wide, comes to lie in two neighbouring cells at most, at up to
    three thresholds: below, at and above its own. Return whether all had room; where rounding makes
    them more than that, what is written is not all.

    Parameters
    ----------
    high
        (cells,) the largest average of each cell.
    allowed
        (thresholds, 2): whether there is an event for that.
    follows
        (states, 2, MOVES), filled with -1.
    """
    cells = len(high)
    for i in range(len(thresholds)):
        for j in range(cells):
            for passed in range(2):
                if not allowed[i, passed]:
                    continue
                threshold, rate = rules.adapt(thresholds[i], j / cells, passed == 1, rule)
                first = _node(thresholds, cells, threshold, rate)
                threshold, rate = rules.adapt(thresholds[i], high[j], passed == 1, rule)
                last = _node(thresholds, cells, threshold, rate)
                down, up = first // cells, last // cells
                kinds = 1
                if up != down:
                    kinds = 2 if i in (down, up) else 3
                n = 0
                for cell in range(first % cells, last % cells + 1):
                    if n + kinds > MOVES:
                        return False
                    follows[i * cells + j, passed, n] = down * cells + cell
                    if kinds > 1:
                        follows[i * cells + j, passed, n + 1] = up * cells + cell
                    if kinds > 2:
                        follows[i * cells + j, passed, n + 2] = i * cells + cell
                    n += kinds
    return True


@compiled
def reach(follows: Nodes, start: int, nodes: Nodes, seen: Bools) -> int:
    """List the states that can come after the first one, nearest first; return how many."""
    nodes[0], seen[start] = start, True
    known, at = 1, 0
    while at < known:
        for passed in range(2):
            for n in range(MOVES):
                node = follows[nodes[at], passed, n]
                if node < 0:
                    break
                if not seen[node]:
                    nodes[known], seen[node] = node, True
                    known += 1
        at += 1
    return known


@compiled
def improve(
    follows: Nodes,
    nodes: Nodes,
    gain: Ints,
    cost: Ints,
    price: tuple[int, int],
    height: Ints,
    choice: Nodes,
    mark: Nodes,
) -> int:
    """Return a state on a cycle whose gain exceeds its cost at a price, or -1 if there is none.

    Heights rise to the best of (gain·q - cost·p + height of the next state) by Bellman and Ford's
    relaxation. A cycle among the choices has a positive sum; heights that no move can raise prove
    that no cycle has one, since along a cycle their differences add up to nothing.

    Between sweeps no choices make a cycle, so that no height is above the first ones by more than
    the worth of a move times the states, nor during a sweep by more than twice that: whoever calls
    sees to it that this stays below `MOST`.

    Parameters
    ----------
    gain, cost
        (thresholds, 2) of a refusal and an acceptance.
    price
        p and q: a price of p/q.
    height
        (states,) of any values; kept from one call to the next, it saves time.
    choice
        (states,): twice the chosen next state, and 1 more if by an acceptance; -1 for none.
    mark
        (states,) of room.
    """
    cells = len(follows) // len(gain)
    choice[:] = -1
    sweep = 0
    while True:
        raised = False
        for at in range(len(nodes)):
            node = nodes[at] if sweep % 2 == 0 else nodes[len(nodes) - 1 - at]
            best = height[node]
            for passed in range(2):
                worth = (
                    gain[node // cells, passed] * price[1] - cost[node // cells, passed] * price[0]
                )
                for n in range(MOVES):
                    after = follows[node, passed, n]
                    if after < 0:
                        break
                    if worth + height[after] > best:
                        best = worth + height[after]
                        choice[node] = 2 * after + passed
            if best > height[node]:
                height[node] = best
                raised = True
        found = _best_cycle(nodes, gain, cost, cells, choice, mark)
        if found >= 0 or not raised:
            return found
        sweep += 1


@compiled
def _best_cycle(
    nodes: Nodes, gain: Ints, cost: Ints, cells: int, choice: Nodes, mark: Nodes
) -> int:
    """Return a state on the cycle of the largest ratio among the choices, or -1."""
    for at in range(len(nodes)):
        mark[nodes[at]] = -1
    best, most, least = -1, 0, 0
    for at in range(len(nodes)):
        node = nodes[at]
        while choice[node] >= 0 and mark[node] < 0:
            mark[node] = at
            node = choice[node] // 2
        if choice[node] < 0 or mark[node] != at:
            continue
        total, paid, last = 0, 0, node
        while True:
            total += gain[node // cells, choice[node] % 2]
            paid += cost[node // cells, choice[node] % 2]
            node = choice[node] // 2
            if node == last:
                break
        # Any of them will do: as floats the products may round, but not wrap.
        if best < 0 or float(total) * least > float(most) * paid:
            best, most, least = node, total, paid
    return best


@compiled
def walk(
    thresholds: Floats,
    allowed: Bools,
    start: tuple[float, float],
    rule: Any,
    nodes: Nodes,
    rates: Floats,
    before: Nodes,
) -> None:
    """Find one real way to each state, the shortest of those that go by such ways only.

    Parameters
    ----------
    rates
        (states,) the real average at the way's end, filled with NaN: none.
    before
        (states,): twice the state before, and 1 more if by an acceptance; -1 at the start.
    """
    cells = len(rates) // len(thresholds)
    nodes[0] = _node(thresholds, cells, start[0], start[1])
    rates[nodes[0]], before[nodes[0]] = start[1], -1
    known, at = 1, 0
    while at < known:
        node = nodes[at]
        for passed in range(2):
            if not allowed[node // cells, passed]:
                continue
            threshold, rate = rules.adapt(thresholds[node // cells], rates[node], passed == 1, rule)
            after = _node(thresholds, cells, threshold, rate)
            if np.isnan(rates[after]):
                rates[after], before[after] = rate, 2 * node + passed
                nodes[known] = after
                known += 1
        at += 1


@compiled
def replay(
    thresholds: Floats,
    allowed: Bools,
    state: tuple[float, float],
    word: Ints,
    rule: Any,
    gain: Ints,
    cost: Ints,
    limit: int,
) -> tuple[int, int, int, int]:
    """Repeat a word of refusals and acceptances until the very state comes back, by Brent's method.

    Returns
    -------
    Words until then, words in the cycle, and the cycle's gain and cost; no words in the cycle where
    a move is not allowed or the limit of events is reached.
    """
    threshold, rate = state
    old_threshold, old_rate = state
    before, words, power, total, paid = 0, 0, 1, 0, 0
    while (before + words) * len(word) < limit:
        for passed in word:
            i = _node(thresholds, 1, threshold, 0.0)
            if not allowed[i, passed]:
                return 0, 0, 0, 0
            total += gain[i, passed]
            paid += cost[i, passed]
            threshold, rate = rules.adapt(threshold, rate, passed == 1, rule)
        words += 1
        if threshold == old_threshold and rate == old_rate:
            return before, words, total, paid
        if words == power:
            before, power = before + words, 2 * power
            words, total, paid = 0, 0, 0
            old_threshold, old_rate = threshold, rate
    return 0, 0, 0, 0
