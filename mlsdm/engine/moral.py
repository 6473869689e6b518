"""The moral filter: an adaptive threshold that steers the share of accepted events."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import model_validator

from mlsdm.engine.inputs import as_moral_value, as_params
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import moral as rules
from mlsdm.errors import ParameterError
from mlsdm.parameters import Parameters, Share, parameters

__all__ = ["MoralFilter", "MoralParams"]


@parameters
class MoralParams(Parameters):
    """Parameters of the moral filter, all dimensionless (values: MLSDM v1.2).

    Parameters
    ----------
    initial_threshold
        Threshold before the first event, clipped to the bounds.
    min_threshold, max_threshold
        Bounds of the threshold; below the lower one every event is refused, from the upper one on
        every event is accepted.
    smoothing
        Weight of the newest decision in the acceptance average.
    target_rate
        Acceptance average that the threshold steers to.
    dead_band
        Deviation from the target up to which the threshold rests.
    step
        Move of the threshold per event.
    initial_rate
        Acceptance average before the first event.
    """

    initial_threshold: Share = 0.50
    min_threshold: Share = 0.30
    max_threshold: Share = 0.90
    smoothing: Share = 0.1
    target_rate: Share = 0.5
    dead_band: Share = 0.05
    step: Share = 0.05
    initial_rate: Share = 0.5

    @model_validator(mode="after")
    def _bounds_in_order(self) -> MoralParams:
        if self.min_threshold > self.max_threshold:
            raise ParameterError(
                f"MoralParams.min_threshold: must be at most max_threshold = {self.max_threshold} "
                f"(got {self.min_threshold})"
            )
        return self

    @property
    def rule(self) -> dict[str, Any]:
        """The constants that the compiled rules read, by name."""
        return {
            "low": self.min_threshold,
            "high": self.max_threshold,
            "smoothing": self.smoothing,
            "target": self.target_rate,
            "dead_band": self.dead_band,
            "step": self.step,
        }

    @property
    def initial_state(self) -> dict[str, Any]:
        """The threshold and the acceptance average before the first event, by name."""
        threshold = min(max(self.initial_threshold, self.min_threshold), self.max_threshold)
        return {"threshold": threshold, "rate": self.initial_rate}


class MoralFilter:
    """The moral filter by itself: ask `accept`, then tell `adapt` what was decided."""

    def __init__(self, params: MoralParams | None = None) -> None:
        owner = "MoralFilter"
        self.params = MoralParams() if params is None else as_params(owner, params, MoralParams)
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

    def accept(self, value: float) -> bool:
        """Return whether an event of this moral value in [0, 1] passes; nothing adapts.

        Raises
        ------
        ParameterError
            When the value is not a number in [0, 1].
        """
        value = as_moral_value("MoralFilter.accept", value)
        return bool(rules.accept(value, self.threshold, self._rules[0]))

    def adapt(self, accepted: bool) -> None:
        """Take one decision into the average and move the threshold where it must.

        Raises
        ------
        ParameterError
            When `accepted` is not True, False, 1 or 0.
        """
        if not isinstance(accepted, (bool, int, np.bool_, np.integer)) or accepted not in (0, 1):
            raise ParameterError(
                f"MoralFilter.adapt.accepted: must be True or False (got {accepted!r})"
            )
        threshold, rate = rules.adapt(
            self.threshold, self.acceptance_rate, bool(accepted), self._rules[0]
        )
        self._states["threshold"], self._states["rate"] = threshold, rate

    def __repr__(self) -> str:
        return (
            f"MoralFilter(threshold={self.threshold:.2f}, "
            f"acceptance_rate={self.acceptance_rate:.3f})"
        )
