from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import related_vectors, shares

from mlsdm import LatticeParams, ParameterError, PhaseEntangledLatticeMemory


def lattice(capacity: int = 10, dim: int = 2, **others: Any) -> PhaseEntangledLatticeMemory:
    return PhaseEntangledLatticeMemory(LatticeParams(capacity=capacity, **others), dim)


def rows(memory: PhaseEntangledLatticeMemory, *args: Any, **values: Any) -> list[int]:
    return [recall.row for recall in memory.retrieve(*args, **values)]


def test_starts_empty() -> None:
    memory = lattice()
    assert memory.size == 0
    assert memory.retrieve([1, 0], 0.1) == []
    assert memory.vectors.shape == (0, 2)


def test_entangle_returns_rows_in_order_and_wraps() -> None:
    memory = lattice(capacity=3)
    assert [memory.entangle([i, 1], 0.1) for i in range(5)] == [0, 1, 2, 0, 1]
    assert memory.size == 3
    assert memory.vectors[:, 0].tolist() == [3, 4, 2]  # the oldest went first


def test_a_ring_of_one() -> None:
    memory = lattice(capacity=1)
    assert [memory.entangle([i, 1], 0.1) for i in range(3)] == [0, 0, 0]
    assert memory.vectors.tolist() == [[2, 1]]


def test_best_first_by_cosine_whatever_the_length() -> None:
    memory = lattice()
    for vector in ([100, 100], [0.01, 0], [-1, 0], [0, 5]):
        memory.entangle(vector, 0.5)
    found = memory.retrieve([7, 0], 0.5)
    assert [recall.row for recall in found] == [1, 0, 3, 2]
    assert [recall.resonance for recall in found] == pytest.approx([1, 0.5**0.5, 0, -1])


def test_ties_go_to_the_smaller_row_also_at_the_cut() -> None:
    memory = lattice(capacity=50)
    for _ in range(50):
        memory.entangle([1, 2], 0.5)
    for top_k in (1, 3, 49, 50):
        assert rows(memory, [1, 0], 0.5, top_k=top_k) == list(range(top_k))


def test_top_k_from_parameters_call_and_what_there_is() -> None:
    memory = lattice(top_k=4)
    for i in range(7):
        memory.entangle([1, i], 0.5)
    assert len(memory.retrieve([1, 0], 0.5)) == 4
    assert len(memory.retrieve([1, 0], 0.5, top_k=2)) == 2
    assert len(memory.retrieve([1, 0], 0.5, top_k=2**70)) == 7


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int8, np.int64])
def test_top_k_of_any_integer_kind(kind: Any) -> None:
    memory = lattice()
    for i in range(7):
        memory.entangle([1, i], 0.5)
    assert rows(memory, [1, 0], 0.5, top_k=kind(3)) == [0, 1, 2]


def test_only_rows_in_phase_are_found() -> None:
    memory = lattice()
    for phase in (0.1, 0.9, 0.5):
        memory.entangle([1, 0], phase)
    assert rows(memory, [1, 0], 0.1) == [0]
    assert rows(memory, [1, 0], 0.9) == [1]
    assert rows(memory, [1, 0], 0.3, tolerance=0.21) == [0, 2]
    assert rows(memory, [1, 0], 0.7) == []


@pytest.mark.parametrize(
    ("stored", "asked", "tolerance", "found"),
    [
        (0.25, 0.1, 0.15, True), (0.75, 0.5, 0.25, True), (0.4, 0.1, 0.3, True),
        (0.5, 0.35, 0.15, True), (0.26, 0.1, 0.15, False), (0.1, 0.1, 0.0, True),
        (0.1, np.float32(0.1), 0.0, True), (0.0, 1.0, 1.0, True), (0.0, 1.0, 0.999, False),
    ],
)  # fmt: skip
def test_the_tolerance_is_included(
    stored: float, asked: float, tolerance: float, found: bool
) -> None:
    memory = lattice()
    memory.entangle([1, 0], stored)
    assert bool(memory.retrieve([1, 0], asked, tolerance)) is found


def test_the_edge_is_that_of_float32() -> None:
    """0.3 - 0.1 is at most 0.2 in float64, and more than it in float32, which counts."""
    memory = lattice()
    memory.entangle([1, 0], 0.3)
    assert 0.3 - 0.1 <= 0.2
    assert memory.retrieve([1, 0], 0.1, 0.2) == []


@pytest.mark.parametrize("tolerance", [1, 1.0, 50, 1e300])
def test_a_wide_tolerance_finds_every_phase(tolerance: float) -> None:
    memory = lattice(phase_tolerance=tolerance)
    memory.entangle([1, 0], 0.0)
    memory.entangle([1, 0], 1.0)
    assert rows(memory, [1, 0], 0.0) == [0, 1]
    assert rows(memory, [1, 0], 1.0, tolerance=tolerance) == [0, 1]


def test_zero_vectors_have_no_direction() -> None:
    memory = lattice()
    memory.entangle([0, 0], 0.5)
    memory.entangle([1, 0], 0.5)
    assert [recall.resonance for recall in memory.retrieve([0, 0], 0.5)] == [0, 0]
    assert [recall.resonance for recall in memory.retrieve([1, 0], 0.5)] == [1, 0]


@pytest.mark.parametrize("scale", [1e-8, 1.0, 3e38])
def test_cosines_from_tiny_to_huge(scale: float) -> None:
    memory = lattice(dim=4)
    memory.entangle(np.full(4, scale), 0.5)
    (found,) = memory.retrieve(np.full(4, scale), 0.5)
    assert found.resonance == pytest.approx(1.0)


def test_recalled_vectors_are_copies() -> None:
    memory = lattice()
    given = np.array([1, 2], np.float32)
    memory.entangle(given, 0.5)
    given[:] = 9
    memory.retrieve([1, 0], 0.5)[0].vector[:] = 9
    memory.vectors[:] = 9
    memory.phases[:] = 0
    (found,) = memory.retrieve([1, 0], 0.5)
    assert found.vector.tolist() == [1, 2]
    assert found.phase == 0.5
    assert found.vector.dtype == np.float32


@given(
    capacity=st.integers(1, 30),
    phases=st.lists(st.one_of(shares, st.sampled_from([0.1, 0.25, 0.9])), max_size=60),
    asked=shares,
    tolerance=st.floats(0, 1.5),
    top_k=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_retrieval_invariants(
    capacity: int, phases: list[float], asked: float, tolerance: float, top_k: int, seed: int
) -> None:
    memory = lattice(capacity, 3)
    vectors = related_vectors(max(len(phases), 1), 3, seed)
    vectors[::4] = vectors[0]  # some ties
    for t, phase in enumerate(phases):
        assert memory.entangle(vectors[t], phase) == t % capacity
        assert memory.size == min(t + 1, capacity)
    found = memory.retrieve(vectors[0], asked, tolerance, top_k)
    in_phase = np.abs(memory.phases - np.float32(asked)) <= np.float32(tolerance)
    assert len(found) == min(top_k, int(in_phase.sum()))
    assert len({recall.row for recall in found}) == len(found)
    order = [(-recall.resonance, recall.row) for recall in found]
    assert order == sorted(order)
    for recall in found:
        assert in_phase[recall.row]
        assert recall.phase == memory.phases[recall.row]
        assert abs(recall.resonance) <= 1 + 1e-12
        np.testing.assert_array_equal(recall.vector, memory.vectors[recall.row])
    missed = set(np.flatnonzero(in_phase)) - {recall.row for recall in found}
    everything = {r.row: r.resonance for r in memory.retrieve(vectors[0], asked, tolerance, 99)}
    assert all(everything[row] <= found[-1].resonance for row in missed)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (([1, 0, 0], 0.5), "query"), (([1, np.nan], 0.5), "query"), (("ab", 0.5), "query"),
        (([1, 0], 1.5), "phase"), (([1, 0], None), "phase"), (([1, 0], "wake"), "phase"),
        (([1, 0], 0.5, -0.1), "tolerance"), (([1, 0], 0.5, np.nan), "tolerance"),
        (([1, 0], 0.5, np.inf), "tolerance"), (([1, 0], 0.5, 10**400), "tolerance"),
        (([1, 0], 0.5, 0.1, 0), "top_k"), (([1, 0], 0.5, 0.1, 2.0), "top_k"),
        (([1, 0], 0.5, 0.1, True), "top_k"), (([1, 0], 0.5, 0.1, "5"), "top_k"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_bad_questions_are_refused_by_name(arguments: Any, field: str) -> None:
    memory = lattice()
    memory.entangle([1, 0], 0.5)
    owner = re.escape(f"PhaseEntangledLatticeMemory.retrieve.{field}")
    with pytest.raises(ParameterError, match=rf"^{owner}.*: must .*\(got "):
        memory.retrieve(*arguments)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (([1, 0, 0], 0.5), "vector"), (([1, np.inf], 0.5), "vector"),
        (([1, 1e39], 0.5), "vector"), (([1, 0], -0.1), "phase"), (([1, 0], True), "phase"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_bad_entanglements_store_nothing(arguments: Any, field: str) -> None:
    memory = lattice()
    owner = re.escape(f"PhaseEntangledLatticeMemory.entangle.{field}")
    with pytest.raises(ParameterError, match=rf"^{owner}.*: must .*\(got "):
        memory.entangle(*arguments)
    assert memory.size == 0
    assert memory.entangle([1, 0], 0.5) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capacity", 0), ("capacity", 1_000_001), ("capacity", 3.0), ("capacity", True),
        ("phase_tolerance", -0.1), ("phase_tolerance", float("nan")), ("phase_tolerance", "1"),
        ("phase_tolerance", float("inf")), ("top_k", 0), ("top_k", None),
        ("consolidation", "dream"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^LatticeParams\.{name}: .*\(got "):
        LatticeParams(**{name: value})


def test_other_things_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"LatticeMemory\.params: must be LatticeParams"):
        PhaseEntangledLatticeMemory(20_000)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"LatticeMemory\.dim: must be a whole number"):
        PhaseEntangledLatticeMemory(dim=0)


def test_a_million_rows_are_allowed() -> None:
    assert lattice(capacity=1_000_000, dim=1).size == 0


def test_reprs_are_short() -> None:
    memory = lattice()
    memory.entangle([1, 0], 0.5)
    assert repr(memory) == "PhaseEntangledLatticeMemory(size=1 of 10, dim=2)"
    assert repr(memory.retrieve([1, 0], 0.5)) == "[Recall(row=0, resonance=1.0000, phase=0.50)]"
