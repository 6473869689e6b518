"""The claims of the calibration tables: fixed thresholds, and tolerances of the phase."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.audit.measured import Floats, Measured, Sample, Samples
from mlsdm.engine.lattice import LatticeParams, PhaseEntangledLatticeMemory
from mlsdm.engine.moral import MoralFilter
from mlsdm.engine.policies import MoralParams
from mlsdm.rng import generator

__all__ = ["thresholds", "tolerances"]

TOXIC = (0.1, 0.15, 0.2, 0.25, 0.35, 0.4)
SAFE = (0.45, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
TOLERANCES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
PER_PHASE = 50
RARE = 0.05  # a stated value that redrawn ones are seldom as far from is unusual


def thresholds(seeds: Sequence[int]) -> dict[str, Measured]:
    """Measure the table of fixed thresholds; each seed draws its values anew, from even ranges."""
    measured = {}
    tables = {
        "toxic": (TOXIC, [generator(s, "moral").uniform(0.1, 0.4, len(TOXIC)) for s in seeds]),
        "safe": (SAFE, [generator(s, "moral").uniform(0.45, 0.95, len(SAFE)) for s in seeds]),
    }
    for threshold in THRESHOLDS:
        for kind, (stated, drawn) in tables.items():
            figure = _rejected(threshold, stated)
            values = np.array([_rejected(threshold, table) for table in drawn])
            away = np.abs(values - values.mean()) >= abs(figure - values.mean()) - 1e-12
            share = float(away.mean())
            id = f"calibration.threshold_{threshold:g}.{kind}_rejected".replace("0.", "0")
            measured[id] = Measured(figure, values, np.array([share]), np.array([share - RARE]))
    return measured


def _rejected(threshold: float, values: ArrayLike) -> float:
    """Return the share of the values that a filter with this threshold, held fixed, refuses."""
    fixed = MoralFilter(MoralParams(initial_threshold=threshold, step=0.0))
    return float(np.mean([not fixed.accept(float(value)) for value in np.asarray(values)]))


def tolerances(seed: int) -> Samples:
    """Return the samples of one seed for recall and precision at the tolerances of the phase."""
    rng = generator(seed, "vectors")
    vectors = rng.standard_normal((2 * PER_PHASE, 16)).astype(np.float32)
    two = np.repeat([0.1, 0.9], PER_PHASE)
    even = rng.uniform(0.0, 1.0, 2 * PER_PHASE)
    found, _ = _worst(vectors, even)  # of which the precision is 1 whatever the tolerance
    return {
        f"calibration.tolerance.{name}": Sample(figure, found, found - figure)
        for name, figure in zip(("recall", "precision"), _worst(vectors, two), strict=True)
    }, {}


def _worst(vectors: NDArray[np.float32], phases: Floats) -> tuple[float, float]:
    """Return the lowest recall and precision over tolerances and the two phases asked."""
    lattice = PhaseEntangledLatticeMemory(
        LatticeParams(capacity=len(vectors), top_k=len(vectors)), vectors.shape[1]
    )
    for vector, phase in zip(vectors, phases, strict=True):
        lattice.entangle(vector, phase)
    recalls, precisions = [], []
    for asked in (0.1, 0.9):
        nearer = np.abs(phases - asked) < np.abs(phases - (1.0 - asked))
        for tolerance in TOLERANCES:
            found = [r.row for r in lattice.retrieve(vectors[0], asked, tolerance=tolerance)]
            recalls.append(nearer[found].sum() / nearer.sum())
            precisions.append(nearer[found].mean() if found else 1.0)
    return float(min(recalls)), float(min(precisions))
