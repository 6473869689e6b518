"""The worst case of the homeostatic filter at each toxic share of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlsdm.analysis.theory.attacks import (
    MOST_STATES,
    Attack,
    Graph,
    Objective,
    check_whole,
    checked,
)
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_fraction
from mlsdm.engine.policies import MoralParams

__all__ = ["WorstByShare", "worst_by_share"]

MOST_LINES = 24


class _Line(NamedTuple):
    """Whatever the stream: passed <= level + slope · toxic, both as shares of all events."""

    slope: Fraction
    level: Fraction


class _Point(NamedTuple):
    """What a cycle of an attack has, as shares of all its events."""

    toxic: Fraction
    passed: Fraction


@dataclass(frozen=True, eq=False, repr=False)
class WorstByShare:
    """What share of toxic events can pass at most, by the toxic share of the stream.

    Parameters
    ----------
    lines
        What bounds it: toxic events passed are at most level + slope · toxic events, as long-run
        shares of all events.
    attacks
        What is attained on the true rule, one row an attack: ``toxic_share`` of its events, and
        ``toxic_passed``, the share of the toxic ones.
    """

    lines: tuple[tuple[float, float], ...]
    attacks: pd.DataFrame

    def upper(self, toxic_share: Sequence[float]) -> pd.DataFrame:
        """Return the bounds on the share of toxic events passed: ``toxic_share``, ``toxic_passed``.

        Parameters
        ----------
        toxic_share
            (n,) toxic shares; the bound at 0 is NaN.

        Raises
        ------
        ParameterError
            When a share is not in [0, 1].
        """
        owner = "WorstByShare.upper.toxic_share"
        shares = np.array([as_fraction(owner, share) for share in toxic_share])
        with np.errstate(divide="ignore", invalid="ignore"):
            passed = np.min([level / shares + slope for level, slope in self.lines], axis=0)
        return pd.DataFrame({"toxic_share": shares, "toxic_passed": np.minimum(passed, 1.0)})

    def __repr__(self) -> str:
        return f"WorstByShare({len(self.lines)} bounds, {len(self.attacks)} attacks)"


@cites("dasdan2004", "dinkelbach1967", "bellman1958", "brent1980")
def worst_by_share(
    moral: MoralParams, *, toxic_below: float = 0.4, safe_above: float = 0.6, cells: int = 2**12
) -> WorstByShare:
    """Return the largest share of toxic events that can pass, by the toxic share of the stream.

    What any stream can attain, as toxic events and toxic events passed among all events, lies under
    a concave line from the origin, through the attack that passes the largest share of its toxic
    events, to the one that passes most events. Its pieces are found one by one, each the worst case
    at a price of toxic events, by the means of `worst_case`.

    Parameters
    ----------
    moral
        The filter.
    toxic_below, safe_above
        Toxic events have any value below the one, safe events any above the other, as in
        `worst_case`.
    cells
        Cells of the graph, a power of two of at least 512; fewer where there are many thresholds,
        so that there are at most 2,097,152 states.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the step leaves more than 2,048 thresholds.
    """
    options = checked("worst_by_share", moral, toxic_below, safe_above, cells)
    while cells * len(options.thresholds) > MOST_STATES:
        cells //= 2
    hull = _Hull(Graph(options, cells))
    hull.find()
    attacks = pd.DataFrame(sorted(hull.attacks), columns=["toxic_share", "toxic_passed"])
    return WorstByShare(
        tuple((float(line.level), float(line.slope)) for line in hull.lines), attacks
    )


class _Hull:
    """The pieces found so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.passed = graph.options.passed.astype(np.int64)
        self.toxic = graph.options.toxic.astype(np.int64)
        self.lines: list[_Line] = []
        self.attacks: set[tuple[float, float]] = set()

    def find(self) -> None:
        """Find the two ends, then what lies above the line between neighbours."""
        ratio, first = self._largest(Objective(self.passed, self.toxic), Fraction(0))
        self.lines.append(_Line(ratio, Fraction(0)))
        if first is None:
            return
        last = self._at_price(Fraction(0), first)
        between = [(first, last)]
        while between and len(self.lines) < MOST_LINES:
            one, other = between.pop(0)
            if one.toxic < other.toxic:
                price = (other.passed - one.passed) / (other.toxic - one.toxic)
                found = self._at_price(price, one)
                if found != one:
                    between += [(one, found), (found, other)]

    def _at_price(self, price: Fraction, known: _Point) -> _Point:
        """Return the point with most passed events less the price of toxic ones, or the known."""
        check_whole(price.denominator + abs(price.numerator))
        gain = self.passed * price.denominator - self.toxic * price.numerator
        worth = (known.passed - price * known.toxic) * price.denominator
        most, point = self._largest(Objective(gain, np.ones_like(gain)), worth)
        self.lines.append(_Line(price, most / price.denominator))
        return known if point is None else point

    def _largest(self, objective: Objective, known: Fraction) -> tuple[Fraction, _Point | None]:
        """Return the largest ratio and where it lies; no place where none is above the known."""
        found = list(self.graph.better(objective, known))
        if not found:
            return known, None
        ratio, cycle = found[-1]
        for hoped, one in found:
            self._note(self.graph.realise(objective, one, hoped))
        rows = [(node // self.graph.cells, passed) for node, passed in cycle]
        toxic, passed = (sum(int(of[row]) for row in rows) for of in (self.toxic, self.passed))
        return ratio, _Point(Fraction(toxic, len(cycle)), Fraction(passed, len(cycle)))

    def _note(self, attack: Attack) -> None:
        """Keep what an attack attains on the true rule."""
        if not attack.cycle:
            return
        options = self.graph.options
        _, state = options.stream(options.start, attack.approach)
        toxic = options.stream(state, attack.cycle)[0].need_toxic()
        passed = toxic & np.array(attack.cycle, bool)
        self.attacks.add((float(toxic.mean()), float(passed.sum() / toxic.sum())))
