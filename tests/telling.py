"""Streams of any kind that a policy is told of, and engines that take them one at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from support import policies

from mlsdm import (
    CognitiveController,
    EngineParams,
    LatticeParams,
    Result,
    RhythmParams,
)

DIM = 3
PARTS = {
    "dim": DIM,
    "rhythm": RhythmParams(wake_duration=4, sleep_duration=2),
    "lattice": LatticeParams(capacity=9),
}


class Told(NamedTuple):
    """What a stream tells a policy."""

    values: Any
    contexts: Any
    labels: Any
    delay: int

    @property
    def keywords(self) -> dict[str, Any]:
        """An event's context is its value where there is none; some policies ask to be told."""
        contexts = self.values if self.contexts is None else self.contexts
        return {"context": contexts, "labels": self.labels, "delay": self.delay}


def streams(most: int = 40) -> st.SearchStrategy[Told]:
    """Any values, exact ends among them; contexts or none; labels, some unknown; any delay."""
    ends = st.sampled_from([0.0, 1.0, 0.5, 5e-324, float(np.nextafter(1, 0))])
    events = st.tuples(
        st.one_of(st.floats(0, 1), ends), st.one_of(st.floats(0, 1), ends), st.integers(-1, 1)
    )

    def told(drawn: list[tuple[float, float, int]], known: bool, delay: int) -> Told:
        table = np.array(drawn, float).reshape(-1, 3)
        contexts = np.ascontiguousarray(table[:, 1]) if known else None
        return Told(np.ascontiguousarray(table[:, 0]), contexts, table[:, 2].astype(int), delay)

    return st.builds(told, st.lists(events, max_size=most), st.booleans(), st.integers(0, most + 5))


def engines() -> st.SearchStrategy[EngineParams]:
    return policies().map(lambda policy: EngineParams(moral=policy, **PARTS))


def lived(params: EngineParams, vectors: Any, told: Told) -> tuple[CognitiveController, list[Any]]:
    """Return an engine that took the events one at a time, and what it held after each of them."""
    engine = CognitiveController(params)
    trace = []
    decided = []
    for t, value in enumerate(told.values):
        context = None if told.contexts is None else told.contexts[t]
        outcome = engine.process_event(vectors[t], value, context)
        decided.append(outcome.accepted)
        due = t - told.delay
        if due >= 0 and told.labels[due] >= 0:
            known = None if told.contexts is None else told.contexts[due]
            engine.learn(decided[due], bool(told.labels[due]), told.values[due], known)
        moral = engine.moral
        state = (moral.threshold, moral.acceptance_rate)
        trace.append((outcome.accepted, outcome.reason, outcome.phase, *state))
    return engine, trace


def told_by(result: Result) -> list[Any]:
    """Return what a simulation says of each event, as `lived` does."""
    columns = (result.accepted, result.reason, result.phase)
    numbers = (result.threshold.tolist(), result.acceptance_rate.tolist())
    return list(zip(*(list(column) for column in columns), *numbers, strict=True))
