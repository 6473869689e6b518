from .averages import (
    Moments,
    autocorrelation,
    exponential_average,
    level_decay,
    level_power,
    level_steady,
    time_constant,
)
from .beside import beside_simulation, random_filter
from .clusters import cluster_recall
from .frontier import Frontier, frontier
from .recall import best_cosine, best_cosine_cdf, cosine_cdf, right_recall, tolerable_noise
from .rhythm import DutyCycle, duty_cycle
from .threshold import Stationary, stationary
from .values import labelled, uniforms
from .worst_case import WorstCase, worst_case
from .worst_shares import WorstByShare, worst_by_share

__all__ = [
    "DutyCycle",
    "Frontier",
    "Moments",
    "Stationary",
    "WorstByShare",
    "WorstCase",
    "autocorrelation",
    "beside_simulation",
    "best_cosine",
    "best_cosine_cdf",
    "cluster_recall",
    "cosine_cdf",
    "duty_cycle",
    "exponential_average",
    "frontier",
    "labelled",
    "level_decay",
    "level_power",
    "level_steady",
    "random_filter",
    "right_recall",
    "stationary",
    "time_constant",
    "tolerable_noise",
    "uniforms",
    "worst_by_share",
    "worst_case",
]
