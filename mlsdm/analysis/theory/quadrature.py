"""The two quadratures behind the laws of recall."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "gauss", "order_statistic"]

Floats = NDArray[np.float64]

# Points of the two quadratures: doubling both moves no `right_recall` by 1e-9.
POINTS, NODES = 256, 64
REACH = 8.0  # standard deviations on both sides of the mean, beyond which lies 1e-15
NEGLIGIBLE = 1e-14


def order_statistic(first: int, second: int, share: float) -> tuple[Floats, Floats]:
    """Return logits of points v in (0, 1), and weights of a Beta(first, second) law of share·v.

    The trapezoidal rule: over logit v the integrand is analytic, and decays on both sides. What the
    law has above `share` is left out.
    """
    from scipy import special

    ends = [inverse(first, second, NEGLIGIBLE) / share
            for inverse in (special.betaincinv, special.betainccinv)]  # fmt: skip
    low, high = np.minimum(special.logit(np.minimum(ends, 1.0)), -math.log(NEGLIGIBLE))
    logits, step = np.linspace(low, high, POINTS, retstep=True)
    points, rest = special.expit(logits), special.expit(-logits)
    logs = first * np.log(share * points) + np.log(rest)
    logs += (second - 1) * np.log(1.0 - share + share * rest)
    return logits, step * np.exp(logs - special.betaln(first, second))


def gauss(low: float, high: float) -> tuple[Floats, Floats]:
    """Return nodes and weights of Gauss and Legendre's quadrature from `low` to `high`."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = (high - low) / 2
    return low + half * (nodes + 1.0), half * weights
