"""The figures of events: streams, single events, fleets, and what is held and checked."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
from numpy.typing import NDArray

from mlsdm.bench.measure import Costs, Side, Size, interleaved
from mlsdm.bench.transcription import Transcription
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.fleet import simulate_many
from mlsdm.engine.params import EngineParams
from mlsdm.engine.simulation import simulate
from mlsdm.rng import generator

__all__ = ["events", "fleet", "holding", "simulating", "stepping", "stepping_small", "verifying"]

TURN = 11  # events of a wake and a sleep, by default
RUNS = 16  # of a fleet: several for each core of most machines
PLAIN = 20_000  # events of the filter in plain Python


def events(n: int, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return (n, dim) isotropic unit vectors and (n,) moral values, n a multiple of 22.

    Such vectors are what the original's language-model wrapper feeds; with longer ones the gates of
    the synaptic levels open at every event, and it takes longer.

    Half of the events are accepted, as the filter steers to: of each wake 4 of 8, in random order,
    of two sleeps 3 of 6. So every 22 events make the same work, and none is foreseen.
    """
    rng = generator(0, "moral")
    accepted = np.zeros((n // (2 * TURN), 2 * TURN), bool)
    for first, last, passing in ((0, 8, 4), (8, 11, 2), (11, 19, 4), (19, 22, 1)):
        accepted[:, first : first + passing] = True
        accepted[:, first:last] = rng.permuted(accepted[:, first:last], axis=1)
    # Above and below whatever the threshold may be.
    values = np.where(accepted.ravel(), 0.9, 0.0) + 0.1 * rng.random(accepted.size)
    vectors = generator(0, "vectors").standard_normal((n, dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, values


def _params(size: Size, rows: int | None = None) -> EngineParams:
    capacity = size.rows if rows is None else rows
    return EngineParams().replace({"dim": size.dim, "lattice": {"capacity": capacity}})


def _full(params: EngineParams) -> CognitiveController:
    """Return an engine whose lattice is full, at the beginning of a wake."""
    turns = -(-params.lattice.capacity // 16)  # 8 rows committed and 8 replayed in 22 events
    return simulate(params, *events(2 * TURN * turns, params.dim), progress=False).engine


def simulating(size: Size) -> Costs:
    """Time a stream through a fresh engine, by the byte that must be read or written."""
    params, (vectors, values) = _params(size), events(size.events, size.dim)
    chunks = [(vectors, values)] * size.rounds

    def ours() -> int:
        result = simulate(params, chunks=chunks, n_events=len(chunks) * len(values), progress=False)
        return int(result.totals.counts[0])  # type: ignore[union-attr]

    def copied() -> None:
        for _ in range(size.rounds):
            np.copyto(room, vectors)

    room = np.zeros_like(vectors)
    # Every wake is whole: what was committed was written once, and once more as it was replayed.
    moved = size.rounds * vectors.nbytes + 2 * ours() * vectors[0].nbytes
    return interleaved(
        Side(ours, moved), Side(copied, 2 * size.rounds * vectors.nbytes), size.repetitions
    )


def _stepped(controller: CognitiveController | Transcription, size: Size, n: int) -> Side:
    vectors, values = events(n, size.dim)
    each = list(zip(vectors, values.tolist(), strict=True))

    def call() -> None:
        for vector, value in each:
            controller.process_event(vector, value)

    return Side(call, n)


def stepping(size: Size) -> Costs:
    """Time single events at full memory, replays among them, beside the transcription."""
    controller, transcription = _full(_params(size)), Transcription(_params(size))
    transcription.fill(controller.lattice.vectors, 0.1)
    return interleaved(
        _stepped(controller, size, size.stepped),
        _stepped(transcription, size, size.transcribed),
        size.repetitions,
    )


def stepping_small(size: Size) -> Costs:
    """Time single events at full memory beside the same with a memory of 100 rows."""
    small = _full(_params(size, 100))
    return interleaved(
        _stepped(_full(_params(size)), size, size.stepped),
        _stepped(small, size, size.stepped),
        5 * size.repetitions,
    )


def fleet(size: Size) -> Costs:
    """Time filter and rhythm of many engines on all cores, beside one in plain Python."""
    params = _params(size)
    values = generator(0, "moral").random((RUNS, size.filtered))
    plain = values[0, :PLAIN].tolist()
    transcription = Transcription(_params(size, 1))

    def filtered() -> None:
        for value in plain:
            transcription.tick(transcription.decide(value))

    done = simulate_many(params, None, values).summary()
    return interleaved(
        Side(lambda: simulate_many(params, None, values), done["runs"] * done["events"]),
        Side(filtered, len(plain)),
        size.repetitions,
    )


def holding(size: Size) -> Costs:
    """Count the bytes that an engine with a full memory holds, beside those of its vectors."""
    params = _params(size)
    vectors, values = events(2 * TURN, size.dim)
    turn = list(zip(vectors, values.tolist(), strict=True))
    warm = _full(_params(size, 1))  # what is compiled and imported is no part of an engine
    warm.process_event(*turn[0])
    warm.retrieve_context(vectors[0])
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        controller = CognitiveController(params)
        while controller.lattice.size < params.lattice.capacity:
            for vector, value in turn:
                controller.process_event(vector, value)
        controller.retrieve_context(vectors[0])
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    stored = controller.lattice.vectors.nbytes
    note = f"memory_bytes() says {params.memory_bytes() / stored:.3f}"
    return Costs(np.array([held], np.float64), np.array([stored], np.float64), note)


def verifying(size: Size) -> Costs:
    """Time the check of all rows beside a pass that only reads them."""
    controller = _full(_params(size))
    memory = controller._memory
    # The same bytes, as whole words: the fastest pass over them that NumPy has.
    words = [
        np.frombuffer(array, np.uint64, array.nbytes // 8)
        for array in (memory.vectors, memory.rows, memory.codes)
    ]

    def read() -> None:
        for array in words:
            np.bitwise_xor.reduce(array)

    return interleaved(Side(controller.verify, 1), Side(read, 1), 5 * size.repetitions)
