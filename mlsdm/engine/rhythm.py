"""The cognitive rhythm: some events awake, some asleep, again and again."""

from __future__ import annotations

from typing import Any, Literal

from mlsdm.engine.inputs import as_params
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import rhythm as rules
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
    def rule(self) -> dict[str, Any]:
        """The constants that the compiled rules read, by name."""
        return {
            "wake_duration": self.wake_duration,
            "sleep_duration": self.sleep_duration,
            "on_event": self.clock == "event",
            "wake_phase": self.wake_phase,
            "sleep_phase": self.sleep_phase,
        }

    @property
    def initial_state(self) -> dict[str, Any]:
        """The phase and the counter before the first event, by name."""
        return {"phase": layout.AWAKE, "counter": self.wake_duration}

    def phase_value(self, phase: Phase) -> float:
        """Return the number that stands for a phase."""
        return self.wake_phase if phase == "wake" else self.sleep_phase


class CognitiveRhythm:
    """The rhythm by itself; what counts as a step is up to the caller."""

    def __init__(self, params: RhythmParams | None = None) -> None:
        owner = "CognitiveRhythm"
        self.params = RhythmParams() if params is None else as_params(owner, params, RhythmParams)
        self._rules = layout.new_constants(**self.params.rule)
        self._states = layout.new_state(**self.params.initial_state)

    @property
    def phase(self) -> Phase:
        """The current phase, ``"wake"`` or ``"sleep"``."""
        return PHASES[int(self._states["phase"][0] != layout.AWAKE)]  # whatever became of it

    @property
    def counter(self) -> int:
        """Steps left in this phase."""
        return int(self._states["counter"][0])

    def step(self) -> None:
        """Count one step down; at zero the phase flips and its duration is loaded."""
        state = self._states[0]
        phase, counter = rules.step(state["phase"], state["counter"], self._rules[0])
        self._states["phase"], self._states["counter"] = phase, counter

    def __repr__(self) -> str:
        return f"CognitiveRhythm(phase={self.phase!r}, counter={self.counter})"
