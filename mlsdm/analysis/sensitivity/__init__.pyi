from .engine import ENGINE_RANGES, FILTER_RANGES, engine_outcomes
from .result import Indices
from .sobol import indices
from .space import Range

__all__ = [
    "ENGINE_RANGES",
    "FILTER_RANGES",
    "Indices",
    "Range",
    "engine_outcomes",
    "indices",
]
