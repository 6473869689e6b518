"""The exact worst case of the homeostatic filter: what share of toxic events can be passed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from mlsdm.analysis.theory.attacks import (
    FEWEST_CELLS,
    MOST_STATES,
    Attack,
    Graph,
    Objective,
    Options,
    checked,
)
from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.display import html_table
from mlsdm.engine.policies import MoralParams
from mlsdm.errors import ParameterError, nearest
from mlsdm.streams.stream import Stream

__all__ = ["WorstCase", "worst_case"]

Of = Literal["events", "toxic"]


@dataclass(frozen=True, eq=False, repr=False)
class WorstCase:
    """The largest long-run share of toxic events that any stream can pass, and an attack.

    Parameters
    ----------
    moral
        The filter.
    toxic_below, safe_above
        The two classes of events.
    of
        What the share is of.
    attained
        The share that the attack attains on the true rule, exactly.
    bound
        The share that no stream exceeds.
    approach, cycle
        The attack: events that lead from the filter's initial state to another, and events that
        bring that state back to the last bit. Both are empty where nothing toxic was made to pass.
    """

    moral: MoralParams
    toxic_below: float
    safe_above: float
    of: Of
    attained: Fraction
    bound: Fraction
    approach: Stream
    cycle: Stream

    @property
    def lower(self) -> float:
        """The attained share."""
        return float(self.attained)

    @property
    def upper(self) -> float:
        """The bound."""
        return float(self.bound)

    @property
    def exact(self) -> bool:
        """Whether the attack attains the bound."""
        return self.attained == self.bound

    def attack(self, n_cycles: int) -> Stream:
        """Return the attack with its cycle so many times over.

        Raises
        ------
        ParameterError
            When `n_cycles` is no whole number of at least 0.
        """
        n = as_whole("WorstCase.attack.n_cycles", n_cycles, 0)
        values, toxic = (
            np.concatenate([first, np.tile(again, n)])
            for first, again in (
                (self.approach.moral_values, self.cycle.moral_values),
                (self.approach.need_toxic(), self.cycle.need_toxic()),
            )
        )
        source = f"worst case: {len(self.approach)} events, then {n} times {len(self.cycle)}"
        return Stream(moral_values=values, toxic=toxic, source=source)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [
            ("no stream passes more", f"{self.bound} = {self.upper:.4f}"),
            ("the attack passes", f"{self.attained} = {self.lower:.4f}"),
            ("of all", "events" if self.of == "events" else "toxic events"),
            ("events before its cycle, and in it", f"{len(self.approach)}, {len(self.cycle)}"),
        ]
        return html_table("WorstCase", ("toxic events passed", "value"), rows)

    def __repr__(self) -> str:
        share = f"{self.attained}" if self.exact else f"{self.lower:.4f} to {self.upper:.4f}"
        return f"WorstCase({share} of {self.of}, by a cycle of {len(self.cycle)} events)"


@cites("dasdan2004", "dinkelbach1967", "bellman1958", "brent1980")
def worst_case(
    moral: MoralParams,
    *,
    toxic_below: float = 0.4,
    safe_above: float = 0.6,
    of: Of = "events",
    cells: int = 2**15,
) -> WorstCase:
    """Return the largest long-run share of toxic events passed that any stream can attain.

    The filter's state is its threshold, one of finitely many, and its acceptance average, which is
    cut into cells. A graph that has every true move, and more, bounds the share from above by its
    maximum cycle ratio, found and proved in whole numbers; the outcomes along its best cycle,
    replayed on the compiled rule itself, attain the share below. Finer graphs follow until both
    are the same. (Maximum cycle ratios: Dasdan 2004, 10.1145/1027084.1027085; by prices:
    Dinkelbach 1967, 10.1287/mnsc.13.7.492; relaxation: Bellman 1958, 10.1090/qam/102435.)

    Parameters
    ----------
    moral
        The filter.
    toxic_below, safe_above
        Toxic events have any value below the one, safe events any above the other. Where every
        harmless text may be used, also one that scores between, `safe_above` is `toxic_below`;
        where toxic texts can score higher than harmless ones, it is the smaller of the two.
    of
        ``"events"``: toxic events passed among all events. ``"toxic"``: among toxic events, where
        safe events that steer the filter cost nothing.
    cells
        Cells of the finest graph, a power of two of at least 512; fewer where there are many
        thresholds.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the step leaves more than 2,048 thresholds.
    """
    owner = "worst_case"
    if of not in get_args(Of):
        raise ParameterError(f"{owner}.of: {of!r} is unknown{nearest(str(of), get_args(Of))}")
    options = checked(owner, moral, toxic_below, safe_above, cells)
    gain = options.passed.astype(np.int64)
    cost = np.ones_like(gain) if of == "events" else options.toxic.astype(np.int64)
    bound, best = _search(options, Objective(gain, cost), cells)
    approach, state = options.stream(options.start, best.approach)
    cycle, _ = options.stream(state, best.cycle)
    return WorstCase(moral, toxic_below, safe_above, of, best.ratio, bound, approach, cycle)


def _search(options: Options, objective: Objective, cells: int) -> tuple[Fraction, Attack]:
    """Return what no stream exceeds, and the best attack found."""
    bound, best = Fraction(1), Attack(Fraction(0), [], [])
    size = FEWEST_CELLS
    while best.ratio < bound and size <= cells and size * len(options.thresholds) <= MOST_STATES:
        graph = Graph(options, size)
        found = list(graph.better(objective, best.ratio))
        bound = min(bound, found[-1][0] if found else best.ratio)
        for ratio, cycle in reversed(found):
            if ratio <= best.ratio:
                break
            best = max(best, graph.realise(objective, cycle, ratio), key=lambda one: one.ratio)
        size *= 4  # a graph that does not suffice costs little beside the next
    return bound, best
