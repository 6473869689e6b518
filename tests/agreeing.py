"""Whether means over samples are what theory says, at a level corrected for their number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.01


def agrees(samples: Any, expected: Any) -> NDArray[np.bool_]:
    """Return which means differ by no more than chance allows, corrected for their number."""
    samples, expected = np.asarray(samples, float), np.asarray(expected, float)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    reach = stats.t.isf(LEVEL / expected.size / 2, len(samples) - 1) * error
    good: NDArray[np.bool_] = np.abs(samples.mean(axis=0) - expected) <= reach + 1e-12
    return good
