"""The rules of the moral filter."""

from __future__ import annotations

from typing import Any

from mlsdm.engine.rules.compiling import compiled

__all__ = ["accept", "adapt"]


@compiled
def accept(value: float, threshold: float, rule: Any) -> bool:
    """Accept at or above the upper bound, refuse below the lower one, else ask the threshold."""
    # The same as one comparison: a processor cannot predict whether an event passes.
    return bool(value >= min(max(threshold, rule.min_threshold), rule.max_threshold))


@compiled
def adapt(threshold: float, rate: float, accepted: bool, rule: Any) -> tuple[float, float]:
    """Return the next threshold and acceptance average.

    r <- α·a + (1 - α)·r;  where |r - target| > dead band: θ <- clip(θ + step·sign(r - target)).
    """
    # Both moves are ready before the average is: one event waits for the one before it.
    up = min(max(threshold + rule.step, rule.min_threshold), rule.max_threshold)
    down = min(max(threshold - rule.step, rule.min_threshold), rule.max_threshold)
    rate = (rule.smoothing if accepted else 0.0) + (1.0 - rule.smoothing) * rate
    error = rate - rule.target_rate
    moved = up if error > 0.0 else down
    return moved if abs(error) > rule.dead_band else threshold, rate
