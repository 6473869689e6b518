"""Who is let in: the decisions of an event, before there is a vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.inputs import as_context, as_moral_value
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.rules.policy import ask

__all__ = ["admit"]


def admit(
    controller: CognitiveController,
    moral_value: Any,
    context: Any = None,
    *,
    asleep: bool = False,
) -> Outcome | None:
    """Take an event whose vector is not known yet, if it is refused already.

    Of an event that it refuses the engine keeps nothing of the vector: so a caller can ask before
    it makes one. Nothing else can happen between the decision and the event.

    Parameters
    ----------
    controller
        The engine.
    moral_value, context
        As `CognitiveController.process_event` takes them.
    asleep
        Whether an event that the filter accepts is let in while the engine sleeps.

    Returns
    -------
    Outcome or None
        None for one that is let in: nothing has happened then, but that damage was put right. Else
        what became of it: ``"moral"``, ``"sleep"`` or ``"emergency"``.

    Raises
    ------
    ParameterError
        When a number is not in [0, 1]; the state is then what it was.
    """
    owner = "admit"
    value = as_moral_value(owner, moral_value)
    known = as_context(owner, context, value)
    nothing = np.zeros(controller.params.dim, dtype=np.float32)

    def decided() -> Outcome | None:
        controller._mend()
        if controller.emergency is not None:
            return controller._stopped()
        accepted = ask(controller._memory.rules, controller._memory.states, value, known)
        if accepted and (asleep or controller.rhythm.phase == "wake"):
            return None
        return controller._handle(nothing, nothing, value, known)

    return controller._lock.writing(decided)
