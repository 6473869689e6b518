"""The rule of the wake/sleep rhythm."""

from __future__ import annotations

from typing import Any

from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.layout import ASLEEP, AWAKE

__all__ = ["step"]


@compiled
def step(phase: int, counter: int, rule: Any) -> tuple[int, int]:
    """Return the phase and the counter after one step: at zero the phase flips."""
    counter -= 1
    if counter > 0:
        return phase, counter
    if phase == AWAKE:
        return ASLEEP, rule.sleep_duration
    return AWAKE, rule.wake_duration
