"""The set-ups of the original system's own effectiveness figures, for any seed, size and share.

They draw from NumPy's legacy generator, as the original does; seed 42 gives its very streams.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_dim, as_fraction
from mlsdm.streams.stream import Stream

__all__ = ["moral_stream", "rhythm_stream"]

PUBLISHED_SEED = 42


def _legacy(owner: str, seed: int) -> np.random.RandomState:
    return np.random.RandomState(as_whole(f"{owner}.seed", seed, 0, 2**32 - 1))


@cites("mlsdm")
def moral_stream(n: int, toxic_share: float, seed: int = PUBLISHED_SEED) -> Stream:
    """Return toxic (value below 0.4) and safe (above 0.6) events, shuffled; values only.

    Parameters
    ----------
    n
        Events.
    toxic_share
        Share of toxic events in [0, 1]; their number is rounded down.
    seed
        Seed of NumPy's legacy generator, 0 to 2**32 - 1.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    n = as_whole("moral_stream.n", n, 0, sys.maxsize)
    toxic_share = as_fraction("moral_stream.toxic_share", toxic_share)
    generator = _legacy("moral_stream", seed)
    n_toxic = int(n * toxic_share)
    values = np.concatenate(
        [generator.uniform(0.1, 0.4, n_toxic), generator.uniform(0.6, 0.95, n - n_toxic)]
    )
    generator.shuffle(values)
    return Stream(
        moral_values=values,
        toxic=values < 0.4,
        source=f"moral_stream(n={n}, toxic_share={toxic_share:g}, seed={seed})",
    )


@cites("mlsdm")
def rhythm_stream(n: int, dim: int = 384, seed: int = PUBLISHED_SEED) -> Stream:
    """Return n unit vectors scattered about three centroids in turn, all of moral value 0.8.

    The same seed gives the same centroids and first vectors for every n: the original's queries are
    the first vectors of its stream.

    Parameters
    ----------
    n
        Events.
    dim
        Dimension of the vectors.
    seed
        Seed of NumPy's legacy generator, 0 to 2**32 - 1.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    n, dim = as_whole("rhythm_stream.n", n, 0, sys.maxsize), as_dim("rhythm_stream", dim)
    generator = _legacy("rhythm_stream", seed)
    centroids = np.stack([_unit(generator.randn(dim)) for _ in range(3)]).astype(np.float32)
    vectors = np.empty((n, dim), np.float32)
    for i in range(n):
        vectors[i] = _unit(centroids[i % 3] + 0.3 * generator.randn(dim))
    return Stream(
        moral_values=np.full(n, 0.8),
        vectors=vectors,
        toxic=np.zeros(n, bool),
        source=f"rhythm_stream(n={n}, dim={dim}, seed={seed})",
    )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)
