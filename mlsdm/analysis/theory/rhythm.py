"""The duty cycle of the rhythm under both clocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_fraction, as_params
from mlsdm.engine.rhythm import RhythmParams

__all__ = ["DutyCycle", "duty_cycle"]


@dataclass(frozen=True)
class DutyCycle:
    """How much of the time an engine sleeps.

    Parameters
    ----------
    asleep
        Expected share of the events after which it is asleep.
    wake_events, sleep_events
        Expected length of one wake and of one sleep, in events; infinite where it never ends.
    """

    asleep: float
    wake_events: float
    sleep_events: float

    @property
    def awake(self) -> float:
        """Expected share of the events after which the engine is awake."""
        return 1.0 - self.asleep


@cites("mlsdm")
def duty_cycle(
    params: RhythmParams, n_events: int | None = None, acceptance: float = 1.0
) -> DutyCycle:
    """Return which share of the events an engine sleeps, from its start on or in the long run.

    With the event clock every event is a step: wake_duration events awake, sleep_duration asleep,
    in turn, whatever is accepted. With the commit clock an engine falls asleep with its
    wake_duration-th accepted event, a negative binomial time, and stays asleep: nothing commits
    in sleep, so no step ends it (our own derivation from the rule of MLSDM v1.2).

    Parameters
    ----------
    params
        Parameters of the rhythm.
    n_events
        Events since the start; None for the long run.
    acceptance
        Probability in [0, 1] that the moral filter accepts an event, each event by itself.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "duty_cycle"
    as_params(owner, params, RhythmParams)
    accepted = as_fraction(f"{owner}.acceptance", acceptance)
    if n_events is not None:
        as_whole(f"{owner}.n_events", n_events, 1)
    wake, sleep = params.wake_duration, params.sleep_duration
    if params.clock == "event":
        cycle = wake + sleep
        if n_events is None:
            return DutyCycle(sleep / cycle, wake, sleep)
        cycles, rest = divmod(n_events, cycle)
        asleep = cycles * sleep + max(0, rest - wake + 1)
        return DutyCycle(asleep / n_events, wake, sleep)
    length = wake / accepted if accepted else math.inf
    if n_events is None:
        return DutyCycle(1.0 if accepted else 0.0, length, math.inf)
    from scipy import stats

    # Asleep after event t are those that accepted at least `wake` of t events.
    share = float(np.mean(stats.binom.sf(wake - 1, np.arange(1, n_events + 1), accepted)))
    return DutyCycle(share, length, math.inf)
