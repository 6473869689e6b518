"""The states of the moral filter: the thresholds that it can reach, and nodes for its average."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.policies import MoralParams
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import moral as rules
from mlsdm.errors import ParameterError

__all__ = ["DOWN", "REST", "UP", "Nodes", "Thresholds", "nodes", "reachable"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DOWN, REST, UP = 0, 1, 2
MOST_THRESHOLDS = 20_000
_SAME = 1e-12  # thresholds that differ by rounding only
_ATOM = 1e-9  # chances that do
_ONE = int(np.float64(1.0).view(np.int64))  # floats in [0, 1] are ordered as their bits are


class Thresholds(NamedTuple):
    """The reachable thresholds, in order, and where each move leads."""

    values: Floats
    to: Indices
    """(3, thresholds): the place after a move DOWN, REST and UP."""
    start: int
    floats: Floats
    """What the rule itself reaches: some differ by rounding only."""
    place: Indices
    """(floats,): the threshold that stands for each; -1 where none does."""


class Nodes(NamedTuple):
    """Points of the acceptance average, and what each decision (0, 1) makes of each."""

    rates: Floats
    move: Indices
    """(2, nodes) DOWN, REST or UP."""
    left: Indices
    """(2, nodes): the node at or below the next average; the one after it gets the rest."""
    right_share: Floats
    start: int


def reachable(moral: MoralParams, law: Callable[[Floats], Floats]) -> Thresholds:
    """Return the thresholds that the rule's own steps and bounds can reach.

    Those that rounding alone tells apart are one, where neither they nor what follows from them
    can be told apart by a value of the stream; `law` (k, n) is P(value >= x) of each class.

    Raises
    ------
    ParameterError
        When there are more than 20,000 of them.
    """
    # An average that is the decision itself: every decision moves the threshold.
    rule = _rule(moral, smoothing=1.0, target_rate=0.5, dead_band=0.0)
    first = moral.initial_state["threshold"]
    follow: dict[float, tuple[float, float]] = {}
    waiting = [first]
    while waiting:
        at = waiting.pop()
        if at not in follow:
            down, up = (rules.adapt(at, 0.5, bool(a), rule)[0] for a in (0, 1))
            follow[at] = (down, up)
            waiting += [down, up]
        if len(follow) > MOST_THRESHOLDS:
            raise ParameterError(
                f"stationary.moral.step: must make at most {MOST_THRESHOLDS} thresholds "
                f"(got {moral.step})"
            )
    values = np.array(sorted(follow))
    to = np.array(
        [np.searchsorted(values, [follow[v][i] for v in values]) for i in (0, 1)], np.int64
    )
    gaps = np.abs(np.diff(law(values), axis=1, prepend=-1.0)).max(axis=0)
    same = (np.diff(values, prepend=-1.0) < _SAME) & (gaps < _ATOM)
    group = np.cumsum(~same) - 1
    while True:  # split until what is one also moves as one
        split = np.unique(np.stack([group, *group[to]]), axis=1, return_inverse=True)[1]
        split = np.asarray(split).reshape(-1)
        if split.max() == group.max():
            break
        group = split
    one = np.unique(group, return_index=True)[1]
    order = np.argsort(one)  # groups in the order of their least threshold
    name = np.argsort(order)
    kept = one[order]
    moves = [name[group[to[0][kept]]], np.arange(len(kept)), name[group[to[1][kept]]]]
    place = name[group].astype(np.int64)
    start = int(place[np.searchsorted(values, first)])
    return Thresholds(values[kept], np.array(moves, np.int64), start, values, place)


def nodes(moral: MoralParams, width: float, pairs: int, halved: int) -> Nodes:
    """Return nodes for the acceptance average, and the rule's moves from them.

    The rule's decision to move jumps at a few averages, whose two sides are nodes each, and so are
    those of the averages from which a later decision leads there: up to `pairs` of them. Between
    those the nodes are at most `width` apart, and then halved `halved` times.
    """
    # A step that shows its direction wherever it starts from.
    rule = _rule(moral, min_threshold=0.0, max_threshold=1.0, step=1.0)

    def told(r: float, a: int) -> tuple[int, float]:
        threshold, rate = rules.adapt(0.5, r, bool(a), rule)
        return round(2.0 * threshold), min(max(rate, 0.0), 1.0)

    def jump(a: int, what: int, to: float) -> tuple[float, float] | None:
        return _jump(lambda r: told(r, a)[what] >= to)

    points = {0.0, 1.0, moral.initial_rate}
    waiting = deque(jump(a, 0, to) for a in (0, 1) for to in (REST, UP))
    found = 0
    while waiting and found < 4 * pairs:
        pair = waiting.popleft()
        if pair is None or pair[1] in points:
            continue
        near_end = min(pair[0], 1.0 - pair[1]) < width
        found += 1 if near_end else 4  # towards 0 and 1 they crowd, and each is cheap to follow
        points.update(pair)
        waiting += [jump(a, 1, pair[1]) for a in (0, 1)]
    fixed = np.array(sorted(points))
    parts = np.maximum(1, np.ceil(np.diff(fixed) / width).astype(int)) * 2**halved
    # What is a few floats wide cannot be parted.
    parts = np.where(np.diff(fixed) < 1e-9, 1, parts)
    ends = zip(fixed.tolist(), fixed[1:].tolist(), parts.tolist(), strict=False)
    rates = np.unique(np.concatenate([np.linspace(low, high, n + 1) for low, high, n in ends]))
    answers = np.array([[told(r, a) for r in rates.tolist()] for a in (0, 1)])
    moves, after = answers[..., 0], answers[..., 1]
    left = np.clip(np.searchsorted(rates, after, side="right") - 1, 0, len(rates) - 2)
    share = (after - rates[left]) / (rates[left + 1] - rates[left])
    start = int(np.searchsorted(rates, moral.initial_rate))
    return Nodes(
        rates, moves.astype(np.int64), left.astype(np.int64), np.clip(share, 0.0, 1.0), start
    )


def _rule(moral: MoralParams, **changes: float) -> Any:
    return layout.new_constants(**moral.replace(changes).rule)[0]


def _jump(passed: Callable[[float], bool]) -> tuple[float, float] | None:
    """Return the neighbouring floats in [0, 1] between which a monotone question turns to yes."""
    if passed(0.0) or not passed(1.0):
        return None
    low, high = 0, _ONE
    while high - low > 1:
        middle = (low + high) // 2
        if passed(float(np.int64(middle).view(np.float64))):
            high = middle
        else:
            low = middle
    return float(np.int64(low).view(np.float64)), float(np.int64(high).view(np.float64))
