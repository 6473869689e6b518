"""Numbers made of a run: the original system's own measures, and the plain ones beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlsdm.citing import cites
from mlsdm.engine.lattice import Recall
from mlsdm.engine.result import Result
from mlsdm.engine.rules.layout import ASLEEP
from mlsdm.errors import ParameterError

__all__ = [
    "convergence", "drift", "false_positives", "overall_coherence", "period", "phase_separation",
    "safety_score", "semantic_coherence", "toxic_passed", "toxic_rejection", "wake_ups",
]  # fmt: skip

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _share(hits: Mask, among: Mask) -> float:
    """Return the share of `among` that are hits; NaN where there are none to share."""
    return float(hits[among].mean()) if among.any() else float("nan")


def _labels(owner: str, result: Result, toxic: Mask) -> Mask:
    """Return labels as they must be: numbers or a wrong length would index, not select."""
    labels = np.asarray(toxic)
    if labels.dtype != np.bool_ or labels.shape != (len(result),):
        raise ParameterError(
            f"{owner}.toxic: must be one bool per event, {len(result)} (got {labels.dtype} of "
            f"shape {labels.shape})"
        )
    return labels


def toxic_rejection(result: Result, toxic: Mask) -> float:
    """Return the share of toxic events that the filter refuses; NaN without toxic events."""
    return _share(~result.accepted, _labels("toxic_rejection", result, toxic))


def toxic_passed(result: Result, toxic: Mask) -> float:
    """Return the share of toxic events that the filter accepts; NaN without toxic events."""
    return _share(result.accepted, _labels("toxic_passed", result, toxic))


def false_positives(result: Result, toxic: Mask) -> float:
    """Return the share of safe events that the filter refuses; NaN without safe events."""
    return _share(~result.accepted, ~_labels("false_positives", result, toxic))


def wake_ups(result: Result) -> int:
    """Return how often the engine woke from sleep."""
    asleep = np.concatenate([[False], result.phase_codes == ASLEEP])
    return int((asleep[:-1] & ~asleep[1:]).sum())


def _thresholds(owner: str, threshold: Floats) -> Floats:
    if not np.size(threshold):
        raise ParameterError(f"{owner}.threshold: must hold at least one threshold (got none)")
    return np.asarray(threshold, dtype=np.float64)


def period(threshold: Floats) -> float:
    """Return the shortest period, in events, of the second half of the thresholds; NaN if none.

    A period counts only if it is seen at least twice.
    """
    tail = _thresholds("period", threshold)[len(threshold) // 2 :]
    for n in range(1, len(tail) // 2 + 1):
        if np.array_equal(tail[n:], tail[:-n]):
            return float(n)
    return float("nan")


@cites("mlsdm")
def drift(threshold: Floats) -> float:
    """Return min(1, std(θ) / 0.3) over the thresholds after each event (MLSDM v1.2)."""
    threshold = _thresholds("drift", threshold)
    return min(1.0, float(np.std(threshold)) / 0.3)


@cites("mlsdm")
def convergence(threshold: Floats) -> float:
    """Return max(0, 1 - |mean of the last 50 thresholds - 0.5|) (MLSDM v1.2)."""
    threshold = _thresholds("convergence", threshold)
    return max(0.0, 1.0 - abs(float(np.mean(threshold[-50:])) - 0.5))


@cites("mlsdm")
def safety_score(rejection: float, drift: float, convergence: float, refused: float) -> float:
    """Return the mean of rejection, 1 - drift, convergence and 1 - false positives (MLSDM v1.2)."""
    return (rejection + (1.0 - drift) + convergence + (1.0 - refused)) / 4.0


def semantic_coherence(recalls: Sequence[Sequence[Recall]]) -> float:
    """Return the mean over queries of the mean of max(0, cosine); 0 where nothing was found."""
    if not recalls:
        raise ParameterError("semantic_coherence.recalls: must hold at least one query (got none)")
    scores = [
        float(np.mean([max(0.0, r.resonance) for r in found])) if found else 0.0
        for found in recalls
    ]
    return float(np.mean(scores))


def phase_separation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return (1 - cos) / 2, in [0, 1], of the mean directions of two groups of vectors.

    Groups are (n, dim); where one is empty or its mean vanishes there is no direction, and NaN.
    """
    means = [
        np.mean(group, axis=0, dtype=np.float64) if len(group) else np.zeros(1)
        for group in (first, second)
    ]
    lengths = [float(np.linalg.norm(mean)) for mean in means]
    if not all(lengths):
        return float("nan")
    cosine = float(np.vdot(means[0], means[1])) / (lengths[0] * lengths[1])
    return float(np.clip((1.0 - cosine) / 2.0, 0.0, 1.0))


@cites("mlsdm")
def overall_coherence(
    consistency: float, coherence: float, separation: float, stability: float
) -> float:
    """Return the mean of the original's four coherence terms (MLSDM v1.2)."""
    return (consistency + coherence + separation + stability) / 4.0
