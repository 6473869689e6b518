"""The engines that the audit compares: the released one, and what its controls change in it."""

from __future__ import annotations

from mlsdm.engine.params import EngineParams

__all__ = ["FIXED", "PUBLISHED", "WIDE"]

PUBLISHED = EngineParams.published()
FIXED = PUBLISHED.replace({"moral": {"step": 0.0, "initial_threshold": 0.5}})
WIDE = PUBLISHED.replace({"moral": {"min_threshold": 0.0, "max_threshold": 1.0}})
