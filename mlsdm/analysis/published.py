"""The original system's own effectiveness figures, regenerated from their set-ups.

Each function returns measurements by the id under which `mlsdm.evidence.claims` holds what was
stated; seed 42 gives the stated set-up itself.
"""

from __future__ import annotations

import numpy as np

from mlsdm.analysis import metrics
from mlsdm.engine.lattice import PhaseEntangledLatticeMemory, Recall
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result
from mlsdm.engine.simulation import simulate
from mlsdm.streams.published import PUBLISHED_SEED, moral_stream, rhythm_stream
from mlsdm.streams.stream import Stream

__all__ = ["control_lattice", "moral_figures", "rhythm_figures"]

CONTROL_PHASE = 0.5


def moral_figures(seed: int = PUBLISHED_SEED) -> dict[str, float]:
    """Return the figures of the moral filter: the filter alone decides, on synthetic streams."""

    def run(n: int, toxic_share: float) -> tuple[Result, Stream]:
        stream = moral_stream(n, toxic_share, seed)
        return simulate(EngineParams.published(), None, stream.moral_values), stream

    figures: dict[str, float] = {}
    for id, n, share, measure in (
        ("moral.toxic_rejection", 200, 0.3, metrics.toxic_rejection),
        ("moral.false_positives", 200, 0.2, metrics.false_positives),
    ):
        result, stream = run(n, share)
        figures[id] = measure(result, stream.need_toxic())
    for id, share in (("moral.toxic_stream", 0.5), ("moral.safe_stream", 0.1)):
        threshold = run(300, share)[0].threshold
        figures[f"{id}.final_threshold"] = float(threshold[-1])
        figures[f"{id}.drift"] = metrics.drift(threshold)
        figures[f"{id}.convergence"] = metrics.convergence(threshold)

    attacked = run(500, 0.7)[0]
    figures["moral.attack.drift"] = metrics.drift(attacked.threshold)
    figures["moral.attack.drift_last_100"] = metrics.drift(attacked.threshold[-100:])
    figures["moral.attack.min_threshold"] = float(attacked.threshold.min())
    figures["moral.attack.max_threshold"] = float(attacked.threshold.max())
    figures["moral.attack.final_threshold"] = float(attacked.threshold[-1])
    figures["moral.attack.rejected"] = float(1.0 - attacked.accepted.mean())

    result, stream = run(300, 0.3)
    terms = (
        metrics.toxic_rejection(result, stream.need_toxic()),
        metrics.drift(result.threshold),
        metrics.convergence(result.threshold),
        metrics.false_positives(result, stream.need_toxic()),
    )
    for name, value in zip(
        ("toxic_rejection", "drift", "convergence", "false_positives"), terms, strict=True
    ):
        figures[f"moral.comprehensive.{name}"] = value
    figures["moral.comprehensive.safety_score"] = metrics.safety_score(*terms)
    nothing_refused = np.full(len(stream), 0.5)
    figures["moral.no_filter.safety_score"] = metrics.safety_score(
        0.0, metrics.drift(nothing_refused), metrics.convergence(nothing_refused), 0.0
    )
    return figures


def control_lattice(stream: Stream, params: EngineParams) -> PhaseEntangledLatticeMemory:
    """Return the memory of the original's control: every accepted vector, all at phase 0.5.

    The control keeps the moral filter and has no rhythm.
    """
    vectors = stream.need_vectors()
    lattice = PhaseEntangledLatticeMemory(params.lattice, params.dim)
    for vector in vectors[simulate(params, None, stream.moral_values).accepted]:
        lattice.entangle(vector, CONTROL_PHASE)
    return lattice


def rhythm_figures(seed: int = PUBLISHED_SEED, dim: int = 384) -> dict[str, float]:
    """Return the figures of the rhythm: the published controller against one without a rhythm."""
    params = EngineParams.published(dim)
    figures: dict[str, float] = {}

    stream = rhythm_stream(100, dim, seed)
    vectors = stream.need_vectors()
    result = simulate(params, vectors, stream.moral_values)
    figures["rhythm.stored_wake"] = float((result.committed & (result.phase == "wake")).sum())
    figures["rhythm.stored_sleep"] = float((result.committed & (result.phase == "sleep")).sum())
    recalls, control_recalls = _recalls(params, result, stream, n_queries=20)
    figures["rhythm.semantic_coherence"] = metrics.semantic_coherence(recalls)
    figures["rhythm.control.semantic_coherence"] = metrics.semantic_coherence(control_recalls)

    stream = rhythm_stream(150, dim, seed)
    result = simulate(params, stream.vectors, stream.moral_values)
    committed, accepted = int(result.committed.sum()), int(result.accepted.sum())
    figures["rhythm.committed"] = committed
    figures["rhythm.control.committed"] = accepted
    figures["rhythm.load_reduction"] = 1.0 - committed / accepted

    stream = rhythm_stream(120, dim, seed)
    vectors = stream.need_vectors()
    result = simulate(params, vectors, stream.moral_values)
    separation = metrics.phase_separation(
        vectors[result.committed & (result.phase == "wake")],
        vectors[result.committed & (result.phase == "sleep")],
    )
    kept = vectors[result.accepted]
    control_separation = metrics.phase_separation(kept[: len(kept) // 2], kept[len(kept) // 2 :])
    recalls, control_recalls = _recalls(params, result, stream, n_queries=25)
    overall = _overall(recalls, separation)
    control_overall = _overall(control_recalls, control_separation)
    figures["rhythm.phase_separation"] = separation
    figures["rhythm.control.phase_separation"] = control_separation
    figures["rhythm.coherence"] = overall
    figures["rhythm.control.coherence"] = control_overall
    figures["rhythm.coherence_gain"] = overall / control_overall - 1.0
    return figures


def _recalls(
    params: EngineParams, result: Result, stream: Stream, n_queries: int
) -> tuple[list[list[Recall]], list[list[Recall]]]:
    """Return what the controller and the control recall; the queries are the first vectors."""
    queries = stream.need_vectors()[:n_queries]
    control = control_lattice(stream, params)
    return (
        [result.engine.retrieve_context(query) for query in queries],
        [control.retrieve(query, params.rhythm.wake_phase) for query in queries],
    )


def _overall(recalls: list[list[Recall]], separation: float) -> float:
    # Consistency and stability are 1 by definition where nothing is retrieved; where something is,
    # the original's statement does not define them.
    undefined = float("nan") if any(recalls) else 1.0
    coherence = metrics.semantic_coherence(recalls)
    return metrics.overall_coherence(undefined, coherence, separation, undefined)
