"""Whether the third synaptic level ever fills: a hypothesis beside the stated figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.engine.params import EngineParams
from mlsdm.engine.simulation import simulate
from mlsdm.rng import generator

__all__ = ["third_level"]

REPEATS = 50  # of each vector, in the stream that repeats itself


def third_level(seeds: Sequence[int], n_events: int = 2000, dim: int = 384) -> pd.DataFrame:
    """Return how high the third level rises by gate and kind of stream; every event is accepted.

    Parameters
    ----------
    seeds
        Of the vectors: isotropic unit vectors, and as a control such that come 50 times in a row.
    n_events, dim
        Events of a stream, and dimension of its vectors.

    Returns
    -------
    A row per gate, stream and seed: ``gate``, ``vectors``, ``seed`` and ``highest``, the largest
    norm of the third level.
    """
    rows = []
    for seed in seeds:
        drawn = _unit(generator(seed, "vectors").standard_normal((n_events, dim)))
        streams = {"isotropic": drawn, "repeated": np.repeat(drawn, REPEATS, axis=0)[:n_events]}
        for gate in ("element", "norm"):
            params = EngineParams(dim=dim).replace(
                {"synapse": {"gate": gate}, "moral": {"step": 0.0}, "lattice": {"capacity": 1}}
            )
            for name, vectors in streams.items():
                highest = simulate(params, vectors, np.ones(n_events)).norms[:, 2].max()
                rows.append(
                    {"gate": gate, "vectors": name, "seed": seed, "highest": float(highest)}
                )
    return pd.DataFrame(rows)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return units
