"""The homeostatic filter in the long run, under a stream of independent events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.longrun import LongRun, long_run
from mlsdm.analysis.theory.states import UP
from mlsdm.analysis.theory.values import judged
from mlsdm.citing import cites
from mlsdm.display import html_table, named
from mlsdm.engine.policies import MoralParams, as_homeostatic

__all__ = ["Stationary", "stationary"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Stationary:
    """The long-run average of a filter under independent events, from its initial state on.

    Parameters
    ----------
    toxic_passed, safe_refused
        Expected share of the toxic events that pass, and of the safe events that are refused; NaN
        where the stream has none.
    acceptance
        Expected share of all events that are accepted.
    threshold_values, threshold_probabilities
        (n,) thresholds in order, and the share of the events that meet each.
    error_bound
        How far each of the three shares may be off. An estimate, not a proof: see `stationary`.
    period
        Mean number of events between two passages of the threshold upward through its mean, in
        events; inf where it does not move. On a constant stream that is the period of its cycle.
    amplitude
        Half the range of the threshold, without the lowest and the highest 5 % of the events.
    mixing_time
        Events until the law of the threshold is, and stays, within a total variation distance of
        1/4 of the one above (Levin, Peres and Wilmer 2017, doi:10.1090/mbk/107); inf where that
        never happens, as on a cycle without chance. A run must be many times as long to show these
        averages. It is long as well where the start's own steps lie between those from a bound, and
        a bound is seldom met: then the law moves from the ones to the others.
    """

    toxic_passed: float
    safe_refused: float
    acceptance: float
    threshold_values: Floats
    threshold_probabilities: Floats
    error_bound: float
    period: float
    amplitude: float
    mixing_time: float

    def _numbers(self) -> dict[str, object]:
        return {
            name: getattr(self, name)
            for name in (
                "toxic_passed", "safe_refused", "acceptance", "error_bound", "period", "amplitude",
                "mixing_time",
            )
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"Stationary({named(self._numbers())}, {len(self.threshold_values)} thresholds)"

    def _repr_html_(self) -> str:
        ends = f"{self.threshold_values[0]:.4g} to {self.threshold_values[-1]:.4g}"
        rows = [*self._numbers().items(), ("thresholds", f"{len(self.threshold_values)}, {ends}")]
        return html_table("Stationary", ("in the long run", "value"), rows)


@cites("koury1984", "grassmann1985", "levin2017")
def stationary(
    moral: MoralParams, stream: Any, toxic_below: float = 0.4, safe_above: float = 0.6
) -> Stationary:
    """Return what the homeostatic filter does in the long run to a stream of independent events.

    Threshold and acceptance average are a Markov chain. Its thresholds are exact: the floats that
    the rule itself reaches, and the exact chances to be accepted at each. The average is put on
    nodes, an average between two of them going to both so that its mean is kept; where the rule's
    decision jumps, the two neighbouring floats are nodes both. The nodes are made finer until
    twice the difference of the last two grids, and no less than that of the two before, is below
    0.0005, or until there are too many: that, and how far the solver still moved, is `error_bound`.
    It is an estimate, which long simulations and finer grids are held against, and no proven bound;
    it can be large where parts of the chain are left once in millions of events. Period, amplitude
    and mixing time have none. Where each event passes surely or surely does not,
    the rule is followed in its own floats. Where the chain can end in several sets of states, or
    runs on a cycle, the result is the average over time (Cesàro) from the initial state on.

    Parameters
    ----------
    moral
        Parameters of the filter.
    stream
        What each event's moral value is drawn from: (n,) values of equal weight in [0, 1],
        `uniforms`, a frozen law of `scipy.stats` on [0, 1], or, with classes that are not told by
        the value, `labelled` or a `Stream` that has labels.
    toxic_below, safe_above
        Events of a value below the one are toxic, above the other safe, if the stream has no
        labels of its own. Exactly on a bound they are neither, as those between are.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the step makes more than 20,000 thresholds.
    """
    moral = as_homeostatic("stationary.moral", moral)
    law = judged("stationary.stream", stream, toxic_below, safe_above)
    run = long_run(moral, law)
    values, probabilities = run.chain.thresholds.values, run.probabilities
    met = probabilities > 0.0
    toxic, safe, acceptance = (float(share) for share in law.shares(values, probabilities))
    return Stationary(
        toxic, safe, acceptance, values[met], probabilities[met], run.bound,
        _period(run), _amplitude(values, probabilities), run.mixing_time,
    )  # fmt: skip


def _period(run: LongRun) -> float:
    chain, values = run.chain, run.chain.thresholds.values
    mean = run.probabilities @ values
    passing = (values < mean) & (values[chain.thresholds.to[UP]] >= mean)
    flux = math.fsum(
        float(run.settled[move == UP].sum(axis=0)[passing] @ chance[passing])
        for move, chance in zip(
            chain.nodes.move, (1.0 - chain.accepted, chain.accepted), strict=True
        )
    )
    for cycle in run.cycles:
        above = values[cycle.places] >= mean
        flux += cycle.weight * float(np.mean(above & ~np.roll(above, 1)))
    return 1.0 / flux if flux > 0.0 else math.inf


def _amplitude(values: Floats, probabilities: Floats) -> float:
    ends = np.searchsorted(np.cumsum(probabilities), [0.05 - 1e-9, 0.95 - 1e-9])
    low, high = values[np.minimum(ends, len(values) - 1)]
    return float(high - low) / 2
