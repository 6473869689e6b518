"""The claims about the rhythm: the published controller beside its control, and fair controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis import metrics
from mlsdm.analysis.published import CONTROL_PHASE, control_lattice, rhythm_figures
from mlsdm.audit.engines import FIXED, PUBLISHED
from mlsdm.audit.measured import Sample, Samples
from mlsdm.engine.lattice import PhaseEntangledLatticeMemory, Recall
from mlsdm.engine.result import Result
from mlsdm.engine.simulation import simulate
from mlsdm.rng import generator
from mlsdm.streams.published import rhythm_stream

__all__ = ["rhythm"]

SPLITS = 100
Vectors = NDArray[np.float32]


def rhythm(seed: int) -> Samples:
    """Return the samples of one seed for every claim about the rhythm."""
    figures = rhythm_figures(seed)
    samples: dict[str, Sample] = {}
    facts: dict[str, float] = {}

    def put(id: str, control: float, margin: float) -> None:
        samples[id] = Sample(figures[id], control, margin)

    result, vectors = _run(100, seed)
    phases = result.engine.lattice.phases
    for phase in ("wake", "sleep"):
        held = float((phases == np.float32(PUBLISHED.rhythm.phase_value(phase))).sum())
        id = f"rhythm.stored_{phase}"
        put(id, held, -abs(figures[id] - held))

    queries, awake = vectors[:20], PUBLISHED.rhythm.wake_phase
    control = control_lattice(rhythm_stream(100, PUBLISHED.dim, seed), PUBLISHED)
    for id, found in (
        ("rhythm", [result.engine.retrieve_context(query) for query in queries]),
        ("rhythm.control", _recalls(control, queries, awake)),
    ):
        number = float(np.mean([len(recall) for recall in found]))
        put(f"{id}.semantic_coherence", number, number - 1.0)
    facts["asked_awake"] = metrics.semantic_coherence(
        _recalls(result.engine.lattice, queries, awake)
    )
    facts["stored_awake"] = metrics.semantic_coherence(_recalls(control, queries, CONTROL_PHASE))

    result, _ = _run(150, seed)
    late = float(result.committed[-100:].sum())
    for id in ("rhythm.committed", "rhythm.load_reduction"):
        put(id, late, late - 1.0)
    accepted = float(simulate(FIXED, None, result.moral_values).accepted.sum())
    id = "rhythm.control.committed"
    put(id, accepted, figures[id] - accepted)

    result, vectors = _run(120, seed)
    rng = generator(seed, "splits")
    mine = _separation_of_splits(vectors[result.committed], rng)
    theirs = _separation_of_splits(vectors[result.accepted], rng)
    id = "rhythm.phase_separation"
    put(id, mine, figures[id] - mine)
    id = "rhythm.control.phase_separation"
    put(id, theirs, figures[id] - theirs)
    overall, control_overall = (
        metrics.overall_coherence(1.0, 0.0, separation, 1.0) for separation in (mine, theirs)
    )
    put("rhythm.coherence", overall, figures["rhythm.coherence"] - overall)
    id = "rhythm.control.coherence"
    put(id, control_overall, figures[id] - control_overall)
    gain = figures["rhythm.coherence"] / control_overall - 1.0
    put("rhythm.coherence_gain", gain, gain)
    return samples, facts


def _run(n: int, seed: int) -> tuple[Result, Vectors]:
    stream = rhythm_stream(n, PUBLISHED.dim, seed)
    vectors = stream.need_vectors()
    return simulate(PUBLISHED, vectors, stream.moral_values), vectors


def _recalls(
    lattice: PhaseEntangledLatticeMemory, queries: Vectors, phase: float
) -> list[list[Recall]]:
    return [lattice.retrieve(query, phase) for query in queries]


def _separation_of_splits(vectors: Vectors, rng: np.random.Generator) -> float:
    """Return the mean separation of splits at random into groups of 7 and 1, of 8 vectors drawn."""
    separations = []
    for _ in range(SPLITS):
        drawn = vectors[rng.permutation(len(vectors))[:8]]
        separations.append(metrics.phase_separation(drawn[:7], drawn[7:]))
    return float(np.mean(separations))
