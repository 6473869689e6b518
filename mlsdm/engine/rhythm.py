"""The cognitive rhythm: some events awake, some asleep, again and again."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine import rules
from mlsdm.engine.inputs import as_params
from mlsdm.parameters import Count, Parameters, Share, parameters

__all__ = ["PHASES", "CognitiveRhythm", "Phase", "RhythmParams"]

Phase = Literal["wake", "sleep"]
PHASES: tuple[Phase, Phase] = ("wake", "sleep")


@parameters
class RhythmParams(Parameters):
    """Parameters of the rhythm (values: MLSDM v1.2).

    Parameters
    ----------
    wake_duration, sleep_duration
        Steps per phase, at least 1.
    clock
        ``"event"``: every event is a step, whatever becomes of it; ``"commit"``: only a committed
        event is, so that the first sleep never ends (the released code).
    wake_phase, sleep_phase
        The phases as numbers in [0, 1], as the lattice tags its rows.
    """

    wake_duration: Count = 8
    sleep_duration: Count = 3
    clock: Literal["event", "commit"] = "event"
    wake_phase: Share = 0.1
    sleep_phase: Share = 0.9

    @property
    def rule(self) -> rules.RhythmRule:
        """The constants that the compiled rules read."""
        return rules.RhythmRule(self.wake_duration, self.sleep_duration, self.clock == "event")

    def initial_state(self) -> NDArray[np.int64]:
        """Return (2,) int64: the phase and the counter before the first event."""
        return np.array([rules.AWAKE, self.wake_duration], np.int64)

    def phase_value(self, phase: Phase) -> float:
        """Return the number that stands for a phase."""
        return self.wake_phase if phase == "wake" else self.sleep_phase


class CognitiveRhythm:
    """The rhythm by itself; what counts as a step is up to the caller."""

    def __init__(self, params: RhythmParams | None = None) -> None:
        owner = "CognitiveRhythm"
        self.params = RhythmParams() if params is None else as_params(owner, params, RhythmParams)
        self._state = self.params.initial_state()
        self._rule = self.params.rule

    @property
    def phase(self) -> Phase:
        """The current phase, ``"wake"`` or ``"sleep"``."""
        return PHASES[self._state[0]]

    @property
    def counter(self) -> int:
        """Steps left in this phase."""
        return int(self._state[1])

    def step(self) -> None:
        """Count one step down; at zero the phase flips and its duration is loaded."""
        self._state[:] = rules.step(self._state[0], self._state[1], self._rule)

    def __repr__(self) -> str:
        return f"CognitiveRhythm(phase={self.phase!r}, counter={self.counter})"
