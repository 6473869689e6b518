"""The compiled engine against the plain transcription of its rules, event by event."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import Engine
from support import engine_params, related_vectors

from mlsdm import CognitiveController, EngineParams, simulate

FIELDS = ("accepted", "reason", "phase", "threshold", "acceptance_rate", "lattice_size")

# Both presets are among these: (event, norm, replay) and (commit, element, none).
BEHAVIOURS = list(itertools.product(["event", "commit"], ["norm", "element"], ["replay", "none"]))
# One wake of 40 overflows a ring of 3 and one of 39; 5,000 rows are more than any stream here.
RINGS = [(1, 8, 3), (3, 40, 2), (39, 40, 1), (40, 40, 3), (41, 40, 3), (5_000, 1, 1), (17, 5, 9)]


class Compared(NamedTuple):
    """The reference after a stream, and whatever the package shows otherwise, to the last bit."""

    reference: Engine
    differences: list[str]


def side_by_side(
    params: EngineParams, vectors: NDArray[np.float32], values: NDArray[np.float64]
) -> Compared:
    """Run engine, simulation and reference side by side and compare all that they show."""
    reference = Engine(params.to_dict())
    controller = CognitiveController(params)
    result = simulate(params, vectors, values)
    frame = {name: column.to_list() for name, column in result.to_frame().items()}
    differences: list[str] = []

    def compare(what: str, got: Any, expected: Any) -> None:
        if not np.array_equal(got, expected):
            differences.append(f"{what}: {got!r} in place of {expected!r}")

    for t, (vector, value) in enumerate(zip(vectors, values.tolist(), strict=True)):
        expected = reference.process(vector, value)
        outcome = controller.process_event(vector, value)
        for name in FIELDS:
            compare(f"event {t}, {name}", getattr(outcome, name), getattr(expected, name))
            compare(f"simulated event {t}, {name}", frame[name][t], getattr(expected, name))
        levels = (reference.levels.l1, reference.levels.l2, reference.levels.l3)
        compare(f"event {t}, levels", controller.synapse.levels, levels)
        compare(f"event {t}, norms", outcome.norms, expected.norms)
        compare(f"simulated event {t}, norms", result.norms[t], expected.norms)
        compare(f"event {t}, counter", controller.rhythm.counter, reference.rhythm.counter)
    for engine in (controller, result.engine):
        for what, got, wanted in lattices(params, engine, reference):
            compare(what, got, wanted)
    return Compared(reference, differences)


def lattices(
    params: EngineParams, controller: CognitiveController, reference: Engine
) -> Iterator[tuple[str, Any, Any]]:
    """Return what is to be compared of two lattices."""
    rows = reference.lattice.rows
    vectors = np.array([row.vector for row in rows], np.float32).reshape(-1, params.dim)
    yield "vectors", controller.lattice.vectors, vectors
    yield "phases", controller.lattice.phases, [row.phase for row in rows]
    yield "damage", controller.verify().whole, True
    for seed, top_k in ((1, 1), (2, 5), (3, 200)):
        query = related_vectors(4, params.dim, seed)[3]
        found = controller.retrieve_context(query, top_k)
        expected = reference.retrieve_context(query, top_k)
        yield "recalled", [(recall.row, recall.resonance) for recall in found], expected
        for recall in found:
            yield "recalled vector", recall.vector, rows[recall.row].vector
            yield "recalled phase", recall.phase, rows[recall.row].phase
    probe = np.zeros(params.dim)  # the row it takes is where the pointer stands
    yield "pointer", controller.lattice.entangle(probe, 0.5), reference.lattice.pointer


def params_of(behaviour: tuple[str, str, str], ring: tuple[int, int, int], dim: int) -> Any:
    clock, gate, consolidation = behaviour
    capacity, wake, sleep = ring
    return EngineParams.from_dict(
        {
            "dim": dim,
            "rhythm": {"clock": clock, "wake_duration": wake, "sleep_duration": sleep},
            "synapse": {"gate": gate},
            "lattice": {"capacity": capacity, "consolidation": consolidation},
        }
    )


@pytest.mark.parametrize("ring", RINGS, ids=str)
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids="-".join)
def test_behaviours_and_rings(behaviour: tuple[str, str, str], ring: tuple[int, int, int]) -> None:
    params = params_of(behaviour, ring, dim=8)
    seed = 10 * BEHAVIOURS.index(behaviour) + RINGS.index(ring)
    values = np.random.default_rng(seed).beta(3, 2, 200)
    assert side_by_side(params, related_vectors(200, 8, seed), values).differences == []


@pytest.mark.parametrize("dim", [1, 2, 7, 8, 9, 31, 32, 33, 384])
@pytest.mark.parametrize("gate", ["norm", "element"])
def test_dimensions_with_gates_that_open(dim: int, gate: str) -> None:
    params = params_of(("event", gate, "replay"), (50, 8, 3), dim)
    values = np.random.default_rng(dim).beta(3, 1, 250)
    vectors = np.abs(related_vectors(250, dim, dim, scale=4.0 if dim < 10 else 2.0))
    reference, differences = side_by_side(params, vectors, values)
    assert differences == []
    assert reference.levels.l2.any()
    assert reference.levels.l3.any()


@pytest.mark.parametrize(
    "preset", [EngineParams(dim=24), EngineParams.published(24)], ids=["default", "published"]
)
def test_presets_over_thousands_of_events(preset: EngineParams) -> None:
    rng = np.random.default_rng(5)
    stream = related_vectors(3000, 24, 6, scale=0.5), rng.random(3000)
    assert side_by_side(preset, *stream).differences == []


def test_row_phases_and_tolerance_are_compared_in_float32() -> None:
    # Where float64 says 0.30000000000000004 > 0.3 and float32 says equal.
    params = EngineParams.from_dict(
        {
            "dim": 2,
            "rhythm": {"wake_phase": 0.1, "sleep_phase": 0.4, "wake_duration": 2},
            "lattice": {"phase_tolerance": 0.3, "capacity": 9},
        }
    )
    reference, differences = side_by_side(params, related_vectors(3, 2, 1), np.full(3, 0.95))
    assert differences == []
    assert len(reference.retrieve_context(np.ones(2, np.float32), 9)) == 4


@settings(max_examples=80)
@given(
    params=engine_params(),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-20, 0.1, 1.0, 3.0, 1e15]),
)
def test_any_parameters(params: EngineParams, seed: int, scale: float) -> None:
    values = np.random.default_rng(seed).random(60)
    vectors = related_vectors(60, params.dim, seed, scale)
    assert side_by_side(params, vectors, values).differences == []
