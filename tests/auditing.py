"""What the tests of the audit share: the audit itself, made once, and its streams drawn anew."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference import Filter

from mlsdm.audit import Measured, measure, measure_here
from mlsdm.audit.measured import over_seeds
from mlsdm.audit.moral import moral
from mlsdm.audit.rhythm import rhythm
from mlsdm.engine.moral import MoralParams

FILTER = MoralParams().to_dict()


@cache
def portable() -> dict[str, Measured]:
    """What comes out the same everywhere, over three seeds."""
    return measure(range(3))


@cache
def of_this_machine() -> dict[str, Measured]:
    """What depends on the machine, in two blocks."""
    return measure_here(2)


@cache
def over_twenty() -> dict[str, Measured]:
    """The moral filter and the rhythm over twenty seeds."""
    return over_seeds(moral, range(20), 42) | over_seeds(rhythm, range(20), 42)


def moral_values(n: int, share: float, seed: int) -> NDArray[np.float64]:
    """Return the stated stream: toxic values, then safe ones, shuffled."""
    draw = np.random.RandomState(seed)
    n_toxic = int(n * share)
    values = np.array([*draw.uniform(0.1, 0.4, n_toxic), *draw.uniform(0.6, 0.95, n - n_toxic)])
    draw.shuffle(values)
    return values


def filtered(values: Any, **changes: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return decisions, and the thresholds after them, of the filter with the changes made."""
    moral, accepted, thresholds = Filter(FILTER | changes), [], []
    for value in values:
        accepted.append(moral.accept(value))
        moral.adapt(accepted[-1])
        thresholds.append(moral.threshold)
    return np.array(accepted), np.array(thresholds)


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def rhythm_vectors(n: int, seed: int = 42) -> NDArray[np.float32]:
    """Return the stated stream: vectors about three centroids in turn."""
    draw = np.random.RandomState(seed)
    centroids = [unit(draw.randn(384)).astype(np.float32) for _ in range(3)]
    drawn = [unit(centroids[i % 3] + 0.3 * draw.randn(384)) for i in range(n)]
    return np.array(drawn, np.float32)
