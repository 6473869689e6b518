"""Two scorers' moral values as one."""

from __future__ import annotations

import math

from mlsdm.engine.rules.compiling import compiled

__all__ = ["pooled"]

LEAST = 1e-6  # from 0 and 1: what a scorer says that is sure counts as nearly so


@compiled
def log_odds(value: float) -> float:
    """Return the logarithm of v / (1 - v), bounded."""
    inside = min(max(value, LEAST), 1.0 - LEAST)
    return math.log(inside / (1.0 - inside))


@compiled
def pooled(value: float, context: float, weight: float, caution: float) -> float:
    """Return the moral value whose log odds are the weighted mean of those of both, less `caution`.

    The logarithmic opinion pool, Genest & Zidek 1986 (10.1214/ss/1177013825); `weight` is the
    context's. Without caution it is the value itself where both are equal, or without weight.
    """
    if caution == 0.0 and (weight == 0.0 or context == value):
        return value
    mean = (1.0 - weight) * log_odds(value) + weight * log_odds(context)
    return 1.0 / (1.0 + math.exp(caution - mean))
