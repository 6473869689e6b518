from .linear import LinearMemory
from .measured import KINDS, Kind, lifetimes, measure, measure_seeds
from .models import cascade, leaky, open_levels
from .optimum import Best, best_open_levels, front, longest_lifetime, orthonormal
from .retention import Curve, Readout, Retention, log_ages, pooled
from .scaling import MEMORIES, by_size, growth, variables_for
from .search import best_gated_levels

__all__ = [
    "KINDS",
    "MEMORIES",
    "Best",
    "Curve",
    "Kind",
    "LinearMemory",
    "Readout",
    "Retention",
    "best_gated_levels",
    "best_open_levels",
    "by_size",
    "cascade",
    "front",
    "growth",
    "leaky",
    "lifetimes",
    "log_ages",
    "longest_lifetime",
    "measure",
    "measure_seeds",
    "open_levels",
    "orthonormal",
    "pooled",
    "variables_for",
]
