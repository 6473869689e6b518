"""The published policy: a threshold that steers the share of accepted events."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from mlsdm.citing import Reference, note
from mlsdm.engine.policies.policy import MoralPolicy, moral_policy
from mlsdm.errors import ParameterError
from mlsdm.parameters import Share

__all__ = ["MoralParams", "as_homeostatic"]


@moral_policy("homeostatic")
class MoralParams(MoralPolicy):
    """The published filter: a relay with a dead band; all dimensionless (values: MLSDM v1.2).

    It steers the acceptance average, and so knows nothing of what the events are. Guarantee: the
    threshold stays within its bounds and moves by at most one step per event, so whatever came
    before, what is below the lower bound is refused and what reaches the upper one is accepted.

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
    papers: ClassVar[tuple[str | Reference, ...]] = ("mlsdm",)

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
        note(*self.papers)
        return {
            name: getattr(self, name)
            for name in (
                "min_threshold",
                "max_threshold",
                "smoothing",
                "target_rate",
                "dead_band",
                "step",
            )
        }

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        threshold = min(max(self.initial_threshold, self.min_threshold), self.max_threshold)
        return {"threshold": threshold, "acceptance_rate": self.initial_rate}


_PUBLISHED = (MoralParams.rule, MoralParams.start)


def as_homeostatic(owner: str, policy: Any) -> MoralParams:
    """Return parameters that follow the published rule, or refuse others, derived ones too."""
    kind = type(policy)
    if not isinstance(policy, MoralParams) or (kind.rule, kind.start) != _PUBLISHED:
        raise ParameterError(
            f"{owner}: must be a policy that follows the homeostatic rule, as MoralParams does "
            f"(got {policy!r})"
        )
    return policy
