"""Retrieval against brute force: the same rows and the same resonances, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import euclidean_norm, inner_product

from mlsdm import LatticeParams, PhaseEntangledLatticeMemory
from mlsdm.engine.rules import guard, lanes

Found = list[tuple[int, float]]

PHASES = [0.0, 0.1, 0.25, 0.9, 1.0]
TOLERANCES = [0.0, 1e-9, 0.15, 0.8, 1.0, 1e300]
KINDS = [
    "normal", "copy", "scaled copy", "near copy", "opposite", "one-hot", "heavy-tailed", "zero",
    "smallest", "tiny", "huge", "largest", "integers", "one large",
]  # fmt: skip


def make(kind: str, dim: int, rng: Any, base: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a vector of one of the kinds that a search could get wrong."""
    normal = rng.standard_normal(dim)
    match kind:
        case "copy":
            made = base
        case "scaled copy":
            made = base * np.exp(rng.normal())
        case "near copy":
            made = base + 1e-6 * normal
        case "opposite":
            made = -base
        case "one-hot":
            made = np.eye(dim)[rng.integers(dim)] * rng.choice([-1, 1, 3])
        case "heavy-tailed":
            made = normal * np.exp(8 * rng.standard_normal(dim))
        case "zero":
            made = np.zeros(dim)
        case "smallest":
            made = rng.choice([-1e-45, 0.0, 1e-45, 3e-45], dim)
        case "tiny":
            made = 1e-40 * normal
        case "huge":
            made = 1e37 * normal
        case "largest":
            made = rng.choice([-1.0, 1.0], dim) * np.finfo(np.float32).max
        case "integers":
            made = rng.integers(-2, 3, dim)
        case "one large":
            made = 1e-6 * normal
            made[0] = 1.0
        case _:
            made = normal
    return np.clip(made, -3.4028234e38, 3.4028234e38).astype(np.float32)


def brute(
    memory: PhaseEntangledLatticeMemory, query: Any, phase: float, tolerance: float, top_k: int
) -> Found:
    """Look at every row; best first, ties by row."""
    query = np.asarray(query, np.float32)
    length = max(euclidean_norm(query), 1e-9)
    found = [
        (row, inner_product(vector, query) / (max(euclidean_norm(vector), 1e-9) * length))
        for row, (vector, tag) in enumerate(zip(memory.vectors, memory.phases, strict=True))
        if abs(tag - np.float32(phase)) <= np.float32(min(tolerance, 1.0))
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:top_k]


def retrieved(memory: PhaseEntangledLatticeMemory, *asked: Any) -> Found:
    return [(recall.row, recall.resonance) for recall in memory.retrieve(*asked)]


@st.composite
def filled(draw: Any) -> tuple[PhaseEntangledLatticeMemory, list[NDArray[np.float32]]]:
    """Return a lattice of awkward vectors, some rows of it quarantined, and awkward queries."""
    dim = draw(st.integers(1, 70))
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=45))
    capacity = draw(st.sampled_from([30, 50]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    phases = draw(st.sampled_from([PHASES, [0.1], [0.1, 0.9]]))
    base = rng.standard_normal(dim)
    memory = PhaseEntangledLatticeMemory(LatticeParams(capacity=capacity), dim)
    for kind in kinds:
        memory.entangle(make(kind, dim, rng, base), float(rng.choice(phases)))
    if draw(st.booleans()):
        *_, vectors, rows, codes = memory._memory
        for row in range(0, memory.size, 5):
            guard.quarantine(vectors, rows, codes, row)
    asked = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    return memory, [make(kind, dim, rng, base) for kind in asked]


@settings(max_examples=250)
@given(
    filled(),
    st.sampled_from(PHASES),
    st.sampled_from(TOLERANCES) | st.floats(0, 1.5),
    st.integers(1, 53),
)
def test_retrieve_is_brute_force_to_the_last_bit(
    made: tuple[PhaseEntangledLatticeMemory, Any], phase: float, tolerance: float, top_k: int
) -> None:
    memory, queries = made
    expected = [brute(memory, query, phase, tolerance, top_k) for query in queries]
    assert [retrieved(memory, query, phase, tolerance, top_k) for query in queries] == expected
    rows, resonances = memory.retrieve_many(np.stack(queries), phase, tolerance, top_k)
    assert (rows.dtype, resonances.dtype) == (np.int64, np.float64)
    together = zip(rows.tolist(), resonances.tolist(), strict=True)
    assert [list(zip(*pair, strict=True)) for pair in together] == expected


@given(filled(), st.sampled_from(PHASES))
def test_every_number_of_rows_that_can_be_asked_for(
    made: tuple[PhaseEntangledLatticeMemory, Any], phase: float
) -> None:
    memory, queries = made
    whole = brute(memory, queries[0], phase, 1.0, 99)
    for top_k in range(1, memory.size + 4):
        assert retrieved(memory, queries[0], phase, 1.0, top_k) == whole[:top_k]


def large(dim: int, n: int, spread: float) -> PhaseEntangledLatticeMemory:
    """Return n rows about one direction; the smaller the spread, the harder to tell apart."""
    rng = np.random.default_rng(n)
    memory = PhaseEntangledLatticeMemory(LatticeParams(capacity=n), dim)
    base = rng.standard_normal(dim)
    for i, noise in enumerate(rng.standard_normal((n, dim))):
        memory.entangle(base + spread * noise, (0.1, 0.9)[i % 8 > 4])
    return memory


@pytest.mark.parametrize("spread", [1e-7, 1e-5, 1e-3, 1.0, 100.0])
def test_many_rows_that_are_hard_to_tell_apart(spread: float) -> None:
    """More than one block of rows; resonances that differ in their last bits, or not at all."""
    memory = large(96, 5_000, spread)
    vectors, phases = memory.vectors, memory.phases
    queries = vectors[::1250].astype(np.float64) * 3.3 + 1e-3
    norms = np.array([lanes.norm(vector) for vector in vectors])
    for phase, top_k in ((0.1, 1), (0.9, 5), (0.1, 100)):
        rows, resonances = memory.retrieve_many(queries, phase, top_k=top_k)
        for i, query in enumerate(queries.astype(np.float32)):
            exact = np.array([lanes.dot(vector, query) for vector in vectors])
            exact /= norms * lanes.norm(query)
            exact[phases != np.float32(phase)] = -2.0
            best = np.lexsort((np.arange(5_000), -exact))[:top_k]
            assert retrieved(memory, query, phase, None, top_k) == list(
                zip(best.tolist(), exact[best].tolist(), strict=True)
            )
            assert (rows[i].tolist(), resonances[i].tolist()) == (
                best.tolist(), exact[best].tolist(),
            )  # fmt: skip


def test_ties_across_all_blocks_go_to_the_smaller_row() -> None:
    memory = large(8, 5_000, 0.0)
    query = np.ones(8)
    assert [row for row, _ in retrieved(memory, query, 0.5, 1.0, 7)] == list(range(7))
    rows, resonances = memory.retrieve_many([query, -query], 0.5, 1.0, 3_000)
    assert rows.tolist() == [list(range(3_000))] * 2
    assert [len(set(values)) for values in resonances.tolist()] == [1, 1]


def test_many_queries_are_as_one_by_one() -> None:
    """More queries than are looked at together, of which none sees another."""
    memory = large(33, 300, 1.0)
    queries = np.random.default_rng(0).standard_normal((1_100, 33)).astype(np.float32)
    queries[5] = 0.0
    queries[700] = queries[3]
    rows, resonances = memory.retrieve_many(queries, 0.1)
    assert rows.shape == resonances.shape == (1_100, 5)
    one_by_one = [retrieved(memory, query, 0.1) for query in queries]
    together = zip(rows.tolist(), resonances.tolist(), strict=True)
    assert [list(zip(*pair, strict=True)) for pair in together] == one_by_one


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("stored", ["nothing", "out of phase", "in phase"])
def test_where_there_is_little_to_find(n: int, stored: str) -> None:
    memory = PhaseEntangledLatticeMemory(LatticeParams(capacity=9), 3)
    if stored != "nothing":
        memory.entangle([1, 2, 3], 0.1 if stored == "in phase" else 0.9)
    rows, resonances = memory.retrieve_many(np.ones((n, 3)), 0.1)
    assert rows.shape == resonances.shape == (n, stored == "in phase")
    assert (rows.dtype, resonances.dtype) == (np.int64, np.float64)
    assert rows.tolist() == [[0]] * n if stored == "in phase" else not rows.size
    assert len(memory.retrieve([1, 1, 1], 0.1)) == (stored == "in phase")


def test_queries_of_any_make() -> None:
    memory = large(6, 50, 1.0)
    whole = np.random.default_rng(1).integers(-5, 6, (7, 6))
    expected = memory.retrieve_many(whole.astype(np.float32), 0.1)
    wide = np.zeros((14, 12))
    wide[::2, ::2] = whole
    read_only = whole.astype(np.float32)
    read_only.flags.writeable = False
    for queries in (
        whole, whole.astype(np.int8), whole.astype(np.float64), whole.astype(">f4"),
        whole.astype(np.float16), whole.tolist(), np.asfortranarray(whole, np.float32),
        wide[::2, ::2], read_only, whole[::-1].copy()[::-1],
    ):  # fmt: skip
        rows, resonances = memory.retrieve_many(queries, 0.1)
        assert rows.tolist() == expected[0].tolist()
        assert resonances.tolist() == expected[1].tolist()


def test_what_is_returned_belongs_to_the_caller() -> None:
    memory = large(6, 50, 1.0)
    query = np.ones((1, 6), np.float32)
    first = memory.retrieve_many(query, 0.1)
    kept = [array.copy() for array in first]
    for array in first:
        array[:] = 0
    assert [array.tolist() for array in memory.retrieve_many(query, 0.1)] == [
        array.tolist() for array in kept
    ]
