"""What a memory of clustered rows recalls."""

from __future__ import annotations

import math

import numpy as np

from mlsdm.analysis.theory.quadrature import REACH, gauss
from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import MOST_DIMENSIONS, as_distance, as_fraction
from mlsdm.errors import ParameterError

__all__ = ["cluster_recall"]


@cites("frady2018")
def cluster_recall(noise: float, rows: int, dim: int, cosine: float, n_clusters: int = 1) -> float:
    """Return the probability that a noisy cue finds its own row first among clustered rows.

    Rows of a cluster, x = √ρ·u + √(1 − ρ)·g, have their centre u in common, and g each for itself.
    Within a cluster the centre cancels, so that the noise counts 1/√(1 − ρ) times as much; between
    clusters the noise along a centre moves all rows of it together. In the limit of a large
    dimension all of this is normal, with σ = noise/√d, and rows come in equal shares (our own
    choice of a model, in the manner of Frady, Kleyko and Sommer 2018, doi:10.1162/neco_a_01084).

    Parameters
    ----------
    noise
        Length of the cue's noise as a multiple of the vector's, at least 0.
    rows
        Rows stored, the cue's own among them.
    dim
        Dimension of the vectors, at least 2.
    cosine
        Mean cosine ρ of two rows of a cluster, in [0, 1).
    n_clusters
        Clusters; 1 for rows that all have a common direction, as embeddings have.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    from scipy import special

    owner = "cluster_recall"
    noise = as_distance(f"{owner}.noise", noise)
    rows = as_whole(f"{owner}.rows", rows, 1)
    dim = as_whole(f"{owner}.dim", dim, 2, MOST_DIMENSIONS)
    if (rho := as_fraction(f"{owner}.cosine", cosine)) == 1.0:
        raise ParameterError(f"{owner}.cosine: must be below 1, else all rows are one (got 1.0)")
    n_clusters = as_whole(f"{owner}.n_clusters", n_clusters, 1)
    if noise == 0.0:
        return 1.0
    sigma, own, shared = noise / math.sqrt(dim), math.sqrt(1.0 - rho), math.sqrt(rho)
    size = rows / n_clusters
    normal, weights = gauss(-REACH, REACH)
    weights = weights * np.exp(-(normal**2) / 2) / math.sqrt(2 * math.pi)
    # The noise along what is the own row's alone; then that along its centre, and along another.
    siblings = np.exp(max(size - 1.0, 0.0) * special.log_ndtr(own / sigma + normal))
    score = 1.0 / sigma + own * normal[:, None] + shared * normal
    beyond = (score[..., None] - shared * normal) / own
    below = np.exp(size * special.log_ndtr(beyond)) @ weights
    return float(min(1.0, weights @ (siblings * (below ** (n_clusters - 1) @ weights))))
