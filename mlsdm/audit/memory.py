"""The claims about memory and about many callers: counted, not timed."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from mlsdm.audit.engines import PUBLISHED
from mlsdm.audit.measured import Measured, Sample, repeated
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.lattice import LatticeParams, PhaseEntangledLatticeMemory
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.errors import ParameterError
from mlsdm.rng import generator

__all__ = ["allocation", "callers", "footprint"]

OVER = {"dim": 384, "lattice": {"capacity": 1_000_000}}  # over the bound of 1.4 GiB
EVENTS_A_CALLER = 10
LONG = 4096  # dimension of the vectors of such events
COUNTS = 3  # of what events leave allocated
CLOSE = 0.02  # how far what was allocated may be from what is counted
MIB = 2**20


def _single(figure: float, control: float, margin: float, **facts: float) -> Measured:
    return repeated([Sample(figure, control, margin)], figure, facts)


def _allocated(make: Callable[[], Any]) -> tuple[Any, int]:
    """Return what is made, and the bytes that the interpreter then holds more than before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        return made, tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def footprint(params: EngineParams = PUBLISHED) -> dict[str, Measured]:
    """Measure what the lattice and the engine hold, and whether the bound is one.

    Parameters
    ----------
    params
        Of the engine that is made and filled.
    """

    def filled() -> CognitiveController:
        controller = CognitiveController(params)
        for i in range(params.lattice.capacity):
            controller.lattice.entangle(row, i % 2)
        return controller

    row = np.ones(params.dim, np.float32)
    PhaseEntangledLatticeMemory(LatticeParams(capacity=1), params.dim).entangle(row, 0)  # compiles
    controller, allocated = _allocated(filled)
    lattice: PhaseEntangledLatticeMemory = controller.lattice
    vectors = lattice.vectors.nbytes / MIB
    both = vectors + lattice.phases.nbytes / MIB
    _, lattice_only = _allocated(lambda: PhaseEntangledLatticeMemory(params.lattice, params.dim))
    # What the interpreter's own objects take differs by some hundred bytes: rounded away.
    whole, counted = round(lattice_only / MIB, 1), params.memory_bytes()
    off = abs(allocated / counted - 1.0)

    def beside_the_whole(mib: float) -> Measured:
        times = whole / mib
        return _single(mib, whole, CLOSE - abs(times - 1.0), times=times)

    try:
        params.replace(OVER)
        made = 1.0
    except ParameterError:
        made = 0.0
    return {
        "memory.bound": _single(counted / 1e9, round(allocated / 1e9, 4), CLOSE - off),
        "memory.vectors": beside_the_whole(vectors),
        "memory.footprint": beside_the_whole(both),
        "memory.hard_bound": _single(made, round(100 * off, 1), CLOSE - off),
    }


def allocation(n_events: int = 2000) -> dict[str, Measured]:
    """Measure what events leave allocated, in bytes each, and what one takes for a moment.

    The latter in whole vectors, long ones: Python's own objects, the answer and what counts the
    lines of a test need less than one of them.
    What is made but once does not count: as many events go before, and the least of some counts is
    taken, as what every event needs shows in all of them.

    Parameters
    ----------
    n_events
        Events that are counted.
    """
    # On the clock of commits it would sleep, and refuse.
    params = EngineParams.published(
        LONG, rhythm={"clock": "event"}, lattice={"capacity": n_events // 2}
    )
    controller = CognitiveController(params)
    rng = generator(0, "vectors")
    vectors = rng.standard_normal((n_events, params.dim)).astype(np.float32)

    def work() -> tuple[int, int]:
        first, most = tracemalloc.get_traced_memory()[0], 0
        for vector in vectors:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            controller.process_event(vector, 0.95)
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
        return tracemalloc.get_traced_memory()[0] - first, most

    tracemalloc.start()
    try:
        work()
        left, most = zip(*(work() for _ in range(COUNTS)), strict=True)
    finally:
        tracemalloc.stop()
    per_event = round(min(left) / n_events)  # whole: objects of the interpreter come and go
    momentary = min(most) // vectors[0].nbytes
    return {"memory.allocation": _single(per_event, momentary, -momentary)}


def callers(n_callers: int = 1000, capacity: int = 20_000) -> dict[str, Measured]:
    """Measure what many threads at once lose, and whether one after another they do the same.

    Each sends its events and then retrieves; all start together.

    Parameters
    ----------
    n_callers
        Threads.
    capacity
        Rows of the lattice.
    """
    params = EngineParams(lattice=LatticeParams(capacity=capacity))
    rng = generator(0, "vectors")
    n_events = EVENTS_A_CALLER * n_callers
    vectors = rng.standard_normal((n_events, params.dim)).astype(np.float32)
    values = generator(0, "moral").random(n_events)
    controller = CognitiveController(params)
    barrier = threading.Barrier(n_callers)
    answers: list[list[Outcome]] = [[] for _ in range(n_callers)]
    found = [False] * n_callers

    def call(caller: int) -> None:
        barrier.wait()
        for event in range(caller * EVENTS_A_CALLER, (caller + 1) * EVENTS_A_CALLER):
            answers[caller].append(controller.process_event(vectors[event], values[event]))
        controller.retrieve_context(vectors[caller])
        found[caller] = True

    # Daemons: where no more threads can be had, those that wait must not keep the process alive.
    threads = [
        threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(n_callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sent = {}
    for caller, answered in enumerate(answers):
        for i, outcome in enumerate(answered):
            sent[outcome.event] = caller * EVENTS_A_CALLER + i
    lost = n_events - len(set(sent) & set(range(n_events)))
    served = sum(
        len(a) == EVENTS_A_CALLER and whole for a, whole in zip(answers, found, strict=True)
    )
    order = [sent[number] for number in sorted(sent)]
    differing = _differing(controller, params, vectors[order], values[order])
    return {
        "concurrency.callers": _single(served if not lost else 0, differing, -differing),
        "memory.lost_updates": _single(lost, differing, -differing),
    }


def _differing(
    controller: CognitiveController, params: EngineParams, vectors: Any, values: Any
) -> int:
    """Return how many parts of the state differ from that of the same events one after another."""
    alone = CognitiveController(params)
    for vector, value in zip(vectors, values, strict=True):
        alone.process_event(vector, value)

    def state(engine: CognitiveController) -> list[Any]:
        rhythm, moral, lattice = engine.rhythm, engine.moral, engine.lattice
        return [
            lattice.vectors.tobytes(),
            lattice.phases.tobytes(),
            engine.synapse.levels.tobytes(),
            (moral.threshold, moral.acceptance_rate),
            (rhythm.phase, rhythm.counter),
        ]

    return sum(a != b for a, b in zip(state(controller), state(alone), strict=True))
