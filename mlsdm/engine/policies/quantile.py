"""Acceptance steered to a target, with a bound that holds for any stream."""

from __future__ import annotations

from typing import Any

from mlsdm.checks import as_whole
from mlsdm.engine.policies.policy import MoralPolicy, moral_policy
from mlsdm.parameters import Positive, Share

__all__ = ["ProportionalIntegralParams", "QuantileParams"]


@moral_policy("quantile")
class QuantileParams(MoralPolicy):
    """Online quantile tracking: θ <- θ + γ·(a - target) after each decision a.

    Guarantee: for any stream, adversarial ones too, the share of n events accepted is within
    `bound(n)`, of the order 1/(γn), of the target; nothing is said of which ones. The threshold may
    leave [0, 1] by γ, which is what the guarantee rests on. Adaptive conformal inference, Gibbs &
    Candès 2021 (arXiv 2106.00170).

    Parameters
    ----------
    target_rate
        Share of events to accept.
    gain
        γ, move of the threshold per event.
    initial_threshold
        Threshold before the first event.
    """

    target_rate: Share = 0.5
    gain: Positive = 0.01
    initial_threshold: Share = 0.5
    papers = ("gibbs2021",)

    @staticmethod
    def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
        """Move the threshold against the decision."""
        state.threshold += rule.gain * ((1.0 if accepted else 0.0) - rule.target_rate)

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        return {"threshold": self.initial_threshold}

    def bound(self, n: int) -> float:
        """Return how far the share accepted of n events of any stream can be from the target."""
        n = as_whole("QuantileParams.bound.n", n, 1)
        up = 1.0 + self.gain * (1.0 - self.target_rate) - self.initial_threshold
        down = self.initial_threshold + self.gain * self.target_rate
        return max(up, down) / (self.gain * n)


@moral_policy("proportional-integral")
class ProportionalIntegralParams(MoralPolicy):
    """Proportional-integral control: θ = θ0 + k_i·Σ(a - target) + k_p·(r - target).

    r is the acceptance average, which answers at once; the sum does the rest. Guarantee: as that of
    quantile tracking, with `bound(n)` of the order 1/(k_i·n). Conformal PID control, Angelopoulos,
    Candès & Tibshirani 2023 (arXiv 2307.16895).

    Parameters
    ----------
    target_rate
        Share of events to accept.
    proportional_gain, integral_gain
        k_p and k_i.
    smoothing
        Weight of the newest decision in the acceptance average.
    initial_threshold
        θ0.
    """

    target_rate: Share = 0.5
    proportional_gain: Share = 0.2
    integral_gain: Positive = 0.01
    smoothing: Share = 0.1
    initial_threshold: Share = 0.5
    memory = ("sum",)
    papers = ("angelopoulos2023",)

    @staticmethod
    def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
        """Take the decision into the sum, and set the threshold."""
        state.sum += (1.0 if accepted else 0.0) - rule.target_rate
        state.threshold = (
            rule.initial_threshold
            + rule.integral_gain * state.sum
            + rule.proportional_gain * (state.acceptance_rate - rule.target_rate)
        )

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        return {"threshold": self.initial_threshold, "acceptance_rate": self.target_rate}

    def bound(self, n: int) -> float:
        """Return how far the share accepted of n events of any stream can be from the target."""
        n, target = as_whole("ProportionalIntegralParams.bound.n", n, 1), self.target_rate
        up = 1.0 - self.initial_threshold + self.proportional_gain * target
        down = self.initial_threshold + self.proportional_gain * (1.0 - target)
        sums = up / self.integral_gain + 1.0 - target, down / self.integral_gain + target
        return max(sums) / n
