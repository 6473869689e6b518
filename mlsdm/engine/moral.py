"""The moral filter by itself: a policy, and its state."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlsdm.engine.inputs import as_context, as_moral_value, as_params
from mlsdm.engine.policies import MoralParams, MoralPolicy, as_homeostatic
from mlsdm.engine.rules import copies, layout
from mlsdm.engine.rules.policy import ask, tell
from mlsdm.errors import ParameterError

__all__ = ["MoralFilter", "as_learnt"]


class MoralFilter:
    """A moral filter: ask `accept`, then tell `adapt` what was decided.

    Parameters
    ----------
    params
        Its policy; by default the homeostatic one.
    """

    def __init__(self, params: MoralPolicy | None = None) -> None:
        owner = "MoralFilter"
        self.params: MoralPolicy = (
            MoralParams() if params is None else as_params(owner, params, MoralPolicy)
        )
        self._rules = layout.new_constants(**self.params.rule)
        self._states = layout.new_state(**self.params.initial_state)

    @property
    def threshold(self) -> float:
        """The current threshold."""
        return float(self._states["threshold"][0])

    @property
    def acceptance_rate(self) -> float:
        """The exponential average of the decisions."""
        return float(self._states["rate"][0])

    @property
    def memory(self) -> dict[str, float]:
        """What else the policy keeps, by name."""
        first = self._states[0]
        return {name: float(first[f"memory{i}"]) for i, name in enumerate(self.params.memory)}

    def accept(self, value: float, context: float | None = None) -> bool:
        """Return whether an event of this moral value in [0, 1] passes; nothing adapts.

        Parameters
        ----------
        value
            Moral value; 1 is harmless.
        context
            What else is known of the event, in [0, 1]; by default its moral value.

        Raises
        ------
        ParameterError
            When a number is not in [0, 1].
        """
        owner = "MoralFilter.accept"
        value = as_moral_value(owner, value)
        return bool(ask(self._rules, self._states, value, as_context(owner, context, value)))

    def adapt(
        self, accepted: bool, value: float | None = None, context: float | None = None
    ) -> None:
        """Take one decision into the average and move the threshold where it must.

        Parameters
        ----------
        accepted
            What was decided.
        value, context
            Those of the event; the homeostatic filter needs neither.

        Raises
        ------
        ParameterError
            When `accepted` is not True, False, 1 or 0, a number is not in [0, 1], or there is no
            value though the policy may ask for it.
        """
        if value is None:
            as_homeostatic("MoralFilter.adapt.value: must be given, else params", self.params)
            value = 1.0
        self._tell(*_as_decided("MoralFilter.adapt", accepted, value, context), layout.UNKNOWN)

    def learn(
        self, accepted: bool, toxic: bool, value: float, context: float | None = None
    ) -> None:
        """Take into account what an event truly was, and whether it was accepted.

        Parameters
        ----------
        accepted
            What was decided.
        toxic
            What it truly was.
        value, context
            Those of the event.

        Raises
        ------
        ParameterError
            When `accepted` or `toxic` is not True, False, 1 or 0, or a number is not in [0, 1].
        """
        self._tell(*as_learnt("MoralFilter.learn", accepted, toxic, value, context))

    def _tell(self, value: float, context: float, accepted: bool, label: int) -> None:
        tell(self._rules, self._states, value, context, accepted, label)
        copies.keep(self._states)  # those of a whole engine are held against their copies

    def __repr__(self) -> str:
        return (
            f"MoralFilter(policy={self.params.policy!r}, threshold={self.threshold:.2f}, "
            f"acceptance_rate={self.acceptance_rate:.3f})"
        )


def as_learnt(
    owner: str, accepted: Any, toxic: Any, value: Any, context: Any
) -> tuple[float, float, bool, int]:
    """Return an event with its decision and its label as the rules take them, or refuse it."""
    decided = _as_decided(owner, accepted, value, context)
    return (*decided, int(_as_bool(f"{owner}.toxic", toxic)))


def _as_decided(owner: str, accepted: Any, value: Any, context: Any) -> tuple[float, float, bool]:
    decided, value = _as_bool(f"{owner}.accepted", accepted), as_moral_value(owner, value)
    return value, as_context(owner, context, value), decided


def _as_bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, int, np.bool_, np.integer)) or value not in (0, 1):
        raise ParameterError(f"{name}: must be True or False (got {value!r})")
    return bool(value)
