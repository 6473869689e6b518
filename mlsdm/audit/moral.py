"""The claims about the moral filter: the filter alone decides, on the original's own streams."""

from __future__ import annotations

import numpy as np

from mlsdm.analysis import metrics
from mlsdm.analysis.published import moral_figures
from mlsdm.audit.engines import FIXED, PUBLISHED, WIDE
from mlsdm.audit.measured import Floats, Sample, Samples
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result
from mlsdm.engine.simulation import simulate
from mlsdm.streams.published import moral_stream

__all__ = ["moral"]

LAST = 50  # events at the end of a run, as the original's convergence takes them
STEP = 0.05  # of the threshold: what still counts as settled
APART = 0.05  # of the score: what tells one policy from another


def moral(seed: int) -> Samples:
    """Return the samples of one seed for every claim about the moral filter."""
    figures = moral_figures(seed)
    samples: dict[str, Sample] = {}

    def put(id: str, control: float, margin: float) -> None:
        samples[id] = Sample(figures[id], control, margin)

    def rejects(id: str, n: int, share: float) -> None:
        fixed = _toxic_rejection(FIXED, n, share, seed)
        put(id, fixed, figures[id] - fixed)

    def refuses(id: str, n: int, share: float) -> None:
        fixed = _false_positives(FIXED, n, share, seed)
        put(id, fixed, fixed - figures[id])

    def settles(id: str, threshold: Floats) -> None:
        spread = float(np.ptp(threshold[-LAST:]))
        put(f"{id}.final_threshold", spread, STEP - spread)

    def adapts(id: str, threshold: Floats) -> None:
        half = len(threshold) // 2
        more = metrics.drift(threshold[half:]) - metrics.drift(threshold[:half])
        put(f"{id}.drift", more, -more)

    def converges(id: str, threshold: Floats) -> None:
        furthest = float(np.abs(threshold[-LAST:] - 0.5).max())
        put(f"{id}.convergence", furthest, STEP - furthest)

    rejects("moral.toxic_rejection", 200, 0.3)
    refuses("moral.false_positives", 200, 0.2)
    for id, share in (("moral.toxic_stream", 0.5), ("moral.safe_stream", 0.1)):
        threshold = _run(PUBLISHED, 300, share, seed).threshold
        settles(id, threshold)
        adapts(id, threshold)
        converges(id, threshold)

    id, free = "moral.attack", _run(WIDE, 500, 0.7, seed).threshold
    for name, drift in (
        ("drift", metrics.drift(free)),
        ("drift_last_100", metrics.drift(free[-100:])),
    ):
        put(f"{id}.{name}", drift, figures[f"{id}.{name}"] - drift)
    lowest, highest = float(free.min()), float(free.max())
    put(f"{id}.min_threshold", lowest, lowest - figures[f"{id}.min_threshold"])
    put(f"{id}.max_threshold", highest, figures[f"{id}.max_threshold"] - highest)
    settles(id, _run(PUBLISHED, 500, 0.7, seed).threshold)
    refused = 1.0 - float(_run(FIXED, 500, 0.7, seed).accepted.mean())
    put(f"{id}.rejected", refused, figures[f"{id}.rejected"] - refused)

    id, threshold = "moral.comprehensive", _run(PUBLISHED, 300, 0.3, seed).threshold
    rejects(f"{id}.toxic_rejection", 300, 0.3)
    adapts(id, threshold)
    converges(id, threshold)
    refuses(f"{id}.false_positives", 300, 0.3)
    unfiltered = figures["moral.no_filter.safety_score"]
    score = f"{id}.safety_score"
    put(score, unfiltered, figures[score] - unfiltered)
    everything = metrics.safety_score(1.0, 0.0, 1.0, 1.0)  # refused: no drift, threshold at rest
    put("moral.no_filter.safety_score", everything, abs(unfiltered - everything) - APART)

    facts = _facts(seed)
    facts["below"] = float(figures[score] < unfiltered)
    figures["moral.industry"] = figures["moral.toxic_rejection"]
    precision = facts["precision"]
    put("moral.industry", precision, precision - figures["moral.industry"])
    return samples, facts


def _facts(seed: int) -> dict[str, float]:
    stream = moral_stream(200, 0.3, seed)
    refused = ~_run(PUBLISHED, 200, 0.3, seed).accepted
    return {
        "safe_refused": _false_positives(PUBLISHED, 200, 0.3, seed),
        "at_share_70": _toxic_rejection(PUBLISHED, 200, 0.7, seed),
        "fixed_score": _safety_score(FIXED, 300, 0.3, seed),
        "toxic_passed": 1.0 - _toxic_rejection(PUBLISHED, 500, 0.7, seed),
        "precision": float(stream.need_toxic()[refused].mean()),
    }


def _run(params: EngineParams, n: int, share: float, seed: int) -> Result:
    return simulate(params, None, moral_stream(n, share, seed).moral_values)


def _toxic_rejection(params: EngineParams, n: int, share: float, seed: int) -> float:
    toxic = moral_stream(n, share, seed).need_toxic()
    return metrics.toxic_rejection(_run(params, n, share, seed), toxic)


def _false_positives(params: EngineParams, n: int, share: float, seed: int) -> float:
    toxic = moral_stream(n, share, seed).need_toxic()
    return metrics.false_positives(_run(params, n, share, seed), toxic)


def _safety_score(params: EngineParams, n: int, share: float, seed: int) -> float:
    threshold = _run(params, n, share, seed).threshold
    return metrics.safety_score(
        _toxic_rejection(params, n, share, seed),
        metrics.drift(threshold),
        metrics.convergence(threshold),
        _false_positives(params, n, share, seed),
    )
