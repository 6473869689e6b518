"""The smallest engines, the largest, and what each holds in memory."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
from damage import held, lived
from support import related_vectors, state_bytes

from mlsdm import (
    CognitiveController,
    EngineParams,
    LatticeParams,
    ParameterError,
    PhaseEntangledLatticeMemory,
    simulate,
)

BOUND = int(1.4 * 2**30)


def sized(dim: int, capacity: int, **lattice: Any) -> EngineParams:
    return EngineParams(dim=dim, lattice=LatticeParams(capacity=capacity, **lattice))


@pytest.mark.parametrize(
    ("dim", "capacity"), [(384, 2_000), (8, 50_000), (4096, 100), (1, 200_000), (33, 7_001)]
)
def test_memory_bytes_is_what_the_interpreter_counts(dim: int, capacity: int) -> None:
    """Within 2 %, all that belongs to an engine, at first and after it has been used."""
    params = sized(dim, capacity)
    vectors = related_vectors(40, dim, 1)
    warm = lived(sized(dim, 3), 40)  # what the first use of anything takes is not the engine's
    warm.process_event(vectors[0], 0.9)
    warm.retrieve_context(vectors[0])
    gc.collect()
    tracemalloc.start()
    try:
        controller = CognitiveController(params)
        made, _ = tracemalloc.get_traced_memory()
        for vector in vectors:
            controller.process_event(vector, 0.9)
            controller.retrieve_context(vector)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made == pytest.approx(params.memory_bytes(), rel=0.02)
    assert used == pytest.approx(params.memory_bytes(), rel=0.02)


def test_a_full_engine_takes_at_most_a_third_more_than_its_vectors() -> None:
    params = EngineParams()
    assert params.memory_bytes() <= 1.35 * 20_000 * 384 * 4


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_a_million_rows_within_the_bound(dim: int) -> None:
    params = sized(dim, 1_000_000)
    assert params.memory_bytes() < BOUND
    controller = CognitiveController(params)
    for vector in related_vectors(20, dim, 2):
        controller.process_event(vector, 0.95)
    assert controller.lattice.size > 8
    assert controller.verify().whole
    assert controller.retrieve_context(np.ones(dim))


def test_a_million_rows_full_and_wrapped() -> None:
    memory = PhaseEntangledLatticeMemory(LatticeParams(capacity=1_000_000), 1)
    values = np.full(1_400_000, 0.95)
    engine = simulate(sized(1, 1_000_000), np.arange(1_400_000.0)[:, None] + 1, values).engine
    assert memory.size == 0
    assert engine.lattice.size == 1_000_000
    assert engine.verify().whole
    (best,) = engine.lattice.retrieve([1.0], 0.1, top_k=1)
    assert best.resonance == 1.0


@pytest.mark.parametrize(("dim", "capacity"), [(384, 1_000_000), (4096, 100_000), (32_767, 20_000)])
def test_over_the_bound_nothing_is_made(dim: int, capacity: int) -> None:
    sentence = (
        rf"^EngineParams\.lattice\.capacity: {capacity} rows of dimension {dim} make an engine of "
        rf"\d+ bytes, over max_memory_bytes = {BOUND}$"
    )
    with pytest.raises(ParameterError, match=sentence):
        sized(dim, capacity)
    allowed = EngineParams.from_dict(
        {"dim": dim, "lattice": {"capacity": capacity}, "max_memory_bytes": 10**12}
    )
    assert allowed.memory_bytes() > BOUND


def test_the_bound_lies_between_two_rows() -> None:
    row = sized(384, 2).memory_bytes() - sized(384, 1).memory_bytes()
    most = (BOUND - sized(384, 1).memory_bytes()) // row + 1
    assert sized(384, most).memory_bytes() <= BOUND
    with pytest.raises(ParameterError, match="max_memory_bytes"):
        sized(384, most + 1)


@pytest.mark.parametrize("capacity", [0, -1, 1_000_001])
def test_more_rows_than_a_million_and_fewer_than_one_are_refused(capacity: int) -> None:
    with pytest.raises(ParameterError, match=rf"^LatticeParams\.capacity: .*\(got {capacity}\)$"):
        LatticeParams(capacity=capacity)


@pytest.mark.parametrize("scrub_rows", [0, 1, 100])
@pytest.mark.parametrize("capacity", [1, 2, 9])
@pytest.mark.parametrize("dim", [1, 2, 31, 4096])
def test_the_smallest_and_the_widest_work(dim: int, capacity: int, scrub_rows: int) -> None:
    """Stepwise and simulated alike, through replays that overflow the ring, whole at the end."""
    params = sized(dim, capacity, scrub_rows=scrub_rows)
    vectors, values = related_vectors(60, dim, 3), np.random.default_rng(3).beta(4, 1, 60)
    controller = CognitiveController(params)
    for vector, value in zip(vectors, values, strict=True):
        assert controller.process_event(vector, float(value)).lattice_size <= capacity
    simulated = simulate(params, vectors, values).engine
    assert state_bytes(controller) == state_bytes(simulated)
    assert controller.verify().whole
    found = controller.lattice.retrieve(vectors[0], 0.5, tolerance=1.0, top_k=99)
    assert len(found) == capacity
    rows, resonances = controller.lattice.retrieve_many(vectors[:3], 0.5, 1.0, 99)
    assert rows.shape == resonances.shape == (3, capacity)
    assert rows[0].tolist() == [one.row for one in found]


@pytest.mark.parametrize(("dim", "capacity"), [(1, 1), (1, 50), (4096, 3)])
def test_flips_in_the_smallest_and_the_widest_are_put_right(dim: int, capacity: int) -> None:
    controller = lived(sized(dim, capacity), 100)
    before = held(controller)
    words = controller._memory.vectors.view(np.uint32)
    for row, word, bit in ((0, 0, 31), (capacity - 1, dim - 1, 30), (0, dim - 1, 0)):
        words[row, word] ^= np.uint32(1 << bit)
        assert controller.verify().rows == (row,)
        assert controller.repair().restored == (row,)
        assert held(controller) == before
