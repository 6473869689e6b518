"""What comes out of the engine, as a function of its parameters on one stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.sensitivity.space import Range
from mlsdm.citing import cites
from mlsdm.engine.fleet import simulate_many
from mlsdm.engine.inputs import as_params
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result
from mlsdm.engine.rules.layout import ASLEEP
from mlsdm.engine.simulation import simulate
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["ENGINE_RANGES", "FILTER_RANGES", "engine_outcomes", "with_values"]

Floats = NDArray[np.float64]

_AT_ONCE = 2**21  # events whose trace is held at a time

FILTER_RANGES: Mapping[str, Range] = {
    "moral.initial_threshold": Range(0.3, 0.7),
    "moral.min_threshold": Range(0.1, 0.5),
    "moral.max_threshold": Range(0.5, 0.95),
    "moral.smoothing": Range(0.02, 0.5, log=True),
    "moral.target_rate": Range(0.1, 0.9),
    "moral.dead_band": Range(0.0, 0.2),
    "moral.step": Range(0.005, 0.2, log=True),
    "moral.initial_rate": Range(0.0, 1.0),
    "rhythm.wake_duration": Range(2, 20, whole=True),
    "rhythm.sleep_duration": Range(1, 10, whole=True),
}
"""Ranges about the published values of all numbers that the filter and the rhythm have."""

ENGINE_RANGES: Mapping[str, Range] = {
    **FILTER_RANGES,
    "rhythm.wake_phase": Range(0.0, 0.5),
    "rhythm.sleep_phase": Range(0.5, 1.0),
    "synapse.decay.0": Range(0.1, 0.9),
    "synapse.decay.1": Range(0.02, 0.5, log=True),
    "synapse.decay.2": Range(0.002, 0.05, log=True),
    "synapse.threshold.0": Range(0.5, 2.5),
    "synapse.threshold.1": Range(0.5, 5.0),
    "synapse.transfer.0": Range(0.05, 0.9),
    "synapse.transfer.1": Range(0.05, 0.9),
    "lattice.capacity": Range(25, 400, log=True, whole=True),
    "lattice.phase_tolerance": Range(0.0, 0.6),
    "lattice.top_k": Range(1, 20, log=True, whole=True),
}
"""The same for the whole engine, on streams of a few hundred events.

Left out: `dim`, which is the stream's; bounds on memory and `scrub_rows`, which decide nothing that
comes out.
"""


def with_values(params: EngineParams, point: Mapping[Any, Any]) -> EngineParams:
    """Return parameters with values by dotted name; ``"synapse.decay.0"`` is the first of several.

    Raises
    ------
    ParameterError
        For an unknown name or a value that is not allowed.
    """
    changes: dict[str, Any] = {}
    for name, value in point.items():
        *owners, last = str(name).split(".")
        place: Any = changes
        held: Any = params
        for owner in owners:
            held = getattr(held, owner, None)
            place = place.setdefault(owner, list(held) if isinstance(held, tuple) else {})
            if not isinstance(place, (dict, list)):
                raise ParameterError(
                    f"with_values.{name}: is given twice, as {owner!r} and by parts"
                )
        if not isinstance(place, list):
            place[last] = value
        elif last in map(str, range(len(place))):
            place[int(last)] = value
        else:
            raise ParameterError(
                f"with_values.{name}: must end in a number from 0 to {len(place) - 1}"
            )
    return params.replace(changes)


@cites("mlsdm")
def engine_outcomes(
    stream: Stream, params: EngineParams | None = None, queries: Any = None
) -> Callable[[pd.DataFrame], dict[str, Floats]]:
    """Return a function from points to what comes out of an engine that runs over the stream.

    All points have the same stream (common random numbers): differences are the parameters' alone,
    and the indices are those of this stream; other seeds tell how far they are its own.

    Outcomes: the shares of events ``accepted``, ``committed`` and ``asleep``, with labels ``toxic
    passed`` and ``safe refused``; of the threshold its ``mean threshold``, ``sd threshold`` and
    ``cycles`` (times per 100 events that it goes above and below its mean). With vectors also
    ``rows`` held at the end, the mean norms ``level 1`` to ``level 3``, and ``span``, the age in
    events of the oldest commit whose row is not overwritten. With queries ``coherence``, the mean
    cosine, at least 0, of what each of them finds in the wake phase, and 0 where that is nothing.

    Parameters
    ----------
    stream
        The events. Without vectors only the filter and the rhythm run, which is much quicker.
    params
        What is not varied; by default the specification's.
    queries
        (queries, dim) vectors.

    Raises
    ------
    ParameterError
        When the stream is none, or has no vectors to be queried.
    """
    if not isinstance(stream, Stream) or not len(stream):
        raise ParameterError(f"engine_outcomes.stream: must be a Stream of events (got {stream!r})")
    vectors = stream.vectors
    if vectors is None and queries is not None:
        raise ParameterError("engine_outcomes.queries: must be None, as the stream has no vectors")
    base = EngineParams() if params is None else as_params("engine_outcomes", params, EngineParams)
    if vectors is not None:
        base = base.replace({"dim": vectors.shape[1]})

    def filters(engines: list[EngineParams]) -> dict[str, Floats]:
        step = max(1, _AT_ONCE // len(stream))
        parts = [
            _filter_outcomes(
                simulate_many(engines[i : i + step], None, stream.moral_values), stream.toxic
            )
            for i in range(0, len(engines), step)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def whole(engines: list[EngineParams]) -> dict[str, Floats]:
        rows = []
        for one in engines:
            result = simulate(one, vectors, stream.moral_values, progress=False)
            row = _filter_outcomes(result, stream.toxic) | _memory_outcomes(result)
            rows.append(
                row if queries is None else row | {"coherence": _coherence(result, queries)}
            )
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def outcomes(points: pd.DataFrame) -> dict[str, Floats]:
        if not isinstance(points, pd.DataFrame) or not len(points):
            raise ParameterError(
                "engine_outcomes.points: must be a DataFrame of at least one point "
                f"(got {type(points).__name__})"
            )
        engines = [with_values(base, point) for point in points.to_dict("records")]
        return filters(engines) if vectors is None else whole(engines)

    return outcomes


def _filter_outcomes(result: Result, toxic: NDArray[np.bool_] | None) -> dict[str, Any]:
    """Return what is seen of the filter and the rhythm, of one run or of each of a fleet."""
    accepted, threshold = result.accepted, result.threshold
    mean = threshold.mean(axis=-1)
    above = threshold > mean[..., None]
    crossings = np.count_nonzero(above[..., 1:] != above[..., :-1], axis=-1)
    found = {
        "accepted": accepted.mean(axis=-1),
        "committed": result.committed.mean(axis=-1),
        "asleep": (result.phase_codes == ASLEEP).mean(axis=-1),
        "mean threshold": mean,
        "sd threshold": threshold.std(axis=-1),
        "cycles": 50.0 * crossings / len(result),
    }
    if toxic is None:
        return found
    errors = {
        "toxic passed": accepted[..., toxic].sum(axis=-1) / max(1, toxic.sum()),
        "safe refused": (~accepted)[..., ~toxic].sum(axis=-1) / max(1, (~toxic).sum()),
    }
    return errors | found


def _memory_outcomes(result: Result) -> dict[str, float]:
    levels = result.norms.mean(axis=0)
    return {
        "rows": float(result.lattice_size[-1]),
        **{f"level {i}": float(norm) for i, norm in enumerate(levels, 1)},
        "span": _span(result),
    }


def _span(result: Result) -> float:
    """Return the age, in events, of the oldest commit whose row is not overwritten."""
    lattice, committed = result.engine.params.lattice, result.committed
    asleep = result.phase_codes == ASLEEP
    falls = asleep & ~np.concatenate([[False], asleep[:-1]])
    replayed = np.zeros(len(result), np.int64)
    if lattice.consolidation == "replay":
        in_wake = np.diff(np.cumsum(committed)[falls], prepend=0)
        replayed[falls] = np.minimum(in_wake, lattice.capacity)
    written = np.cumsum(committed + replayed)
    held = committed & (written[-1] - (written - replayed) < lattice.capacity)
    return float(len(held) - np.argmax(held)) if held.any() else 0.0


def _coherence(result: Result, queries: Any) -> float:
    """Return the mean over queries of the mean cosine, at least 0, of what each finds awake."""
    wake = result.engine.params.rhythm.wake_phase
    _, cosines = result.engine.lattice.retrieve_many(queries, wake)
    return float(np.maximum(cosines, 0.0).mean()) if cosines.size else 0.0
