"""Clusters of vectors whose tightness is a parameter."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_dim, as_fraction
from mlsdm.streams.stream import Stream

__all__ = ["cluster_stream"]


def cluster_stream(
    n: int, rng: np.random.Generator, *, n_clusters: int = 10, cosine: float = 0.5, dim: int = 384
) -> tuple[Stream, NDArray[np.int64]]:
    """Return n unit vectors in clusters, and the cluster of each (our own choice of a model).

    A vector is √cosine·u + √(1 − cosine)·z/√dim, scaled to unit length, with the centre u of its
    cluster, a unit vector of random direction, and z standard normal. (The published streams have
    u + 0.3·z, a cosine of 0.03 at 384 dimensions.) All moral values are 1, which every filter
    accepts.

    Parameters
    ----------
    n
        Events.
    rng
        Draws the centres, the clusters and the vectors.
    n_clusters
        Clusters, each as likely as the others.
    cosine
        Expected cosine of two vectors of a cluster, nearly, in [0, 1]; 0 gives isotropic vectors.
    dim
        Dimension of the vectors.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "cluster_stream"
    as_generator(f"{owner}.rng", rng)
    n, dim = as_whole(f"{owner}.n", n, 0, sys.maxsize), as_dim(owner, dim)
    n_clusters = as_whole(f"{owner}.n_clusters", n_clusters, 1)
    cosine = as_fraction(f"{owner}.cosine", cosine)
    centres = _units(rng.standard_normal((n_clusters, dim)))
    labels = rng.integers(n_clusters, size=n)
    noise = rng.standard_normal((n, dim)) / np.sqrt(dim)
    vectors = _units(np.sqrt(cosine) * centres[labels] + np.sqrt(1.0 - cosine) * noise)
    stream = Stream(
        moral_values=np.ones(n),
        vectors=vectors.astype(np.float32),
        toxic=np.zeros(n, bool),
        source=f"cluster_stream(n={n}, n_clusters={n_clusters}, cosine={cosine:g}, dim={dim})",
    )
    return stream, labels


def _units(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    units: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units
