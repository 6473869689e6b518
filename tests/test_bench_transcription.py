"""The plain NumPy yardstick: does it do what the engine does, and hash all that it stores?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import engine_params, related_vectors

from mlsdm.bench.transcription import Transcription
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import ContextualParams
from mlsdm.errors import ParameterError, RunError

EXACT = ("accepted", "reason", "phase", "threshold", "acceptance_rate", "lattice_size")
BEHAVIOURS = list(itertools.product(["event", "commit"], ["norm", "element"], ["replay", "none"]))


def hold_together(params: EngineParams, vectors: Any, values: Any) -> Transcription:
    controller, transcription = CognitiveController(params), Transcription(params)
    for vector, value in zip(vectors, values.tolist(), strict=True):
        outcome = controller.process_event(vector, value)
        done = transcription.process_event(vector, value)
        for name in EXACT:
            assert getattr(done, name) == getattr(outcome, name), name
        assert done.norms == pytest.approx(outcome.norms, rel=1e-5)
    levels = controller.synapse.levels
    np.testing.assert_allclose(transcription.levels, levels, rtol=1e-5, atol=1e-6 * levels.max())
    rows = transcription.size
    np.testing.assert_array_equal(transcription.vectors[:rows], controller.lattice.vectors)
    np.testing.assert_array_equal(transcription.phases[:rows], controller.lattice.phases)
    stored = controller._memory.rows["norm"][:rows]
    np.testing.assert_allclose(transcription.norms[:rows], stored, rtol=1e-12)
    assert transcription.next == controller.lattice.entangle(vectors[0], 0.5)
    return transcription


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids="-".join)
@pytest.mark.parametrize("capacity", [3, 40, 500])
def test_it_is_the_engine_within_rounding(behaviour: tuple[str, str, str], capacity: int) -> None:
    clock, gate, consolidation = behaviour
    params = EngineParams.from_dict(
        {
            "dim": 16,
            "rhythm": {"clock": clock},
            "synapse": {"gate": gate},
            "lattice": {"capacity": capacity, "consolidation": consolidation},
        }
    )
    values = np.random.default_rng(capacity).beta(3, 2, 200)
    held = hold_together(params, related_vectors(200, 16, capacity), values)
    assert held.levels[1].any()


@settings(max_examples=30)
@given(params=engine_params(), seed=st.integers(0, 10_000))
def test_it_is_the_engine_for_any_parameters(params: EngineParams, seed: int) -> None:
    values = np.random.default_rng(seed).random(60)
    vectors = related_vectors(60, params.dim, seed)
    held = hold_together(params, vectors, values)
    assert held.checksum == held.sha256()


def test_each_row_is_written_between_two_hashes_of_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transcription = Transcription(EngineParams.from_dict({"dim": 4, "lattice": {"capacity": 6}}))
    hashed = []
    sha256 = transcription.sha256

    def counted() -> bytes:
        hashed.append(transcription.size)
        return sha256()

    monkeypatch.setattr(transcription, "sha256", counted)
    for vector in related_vectors(11, 4, 1):
        transcription.process_event(vector, 0.95)
    # 8 rows committed, and the last 6 of them replayed, in a ring of 6.
    assert hashed == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, *[6] * 17]


@pytest.mark.parametrize("array", ["vectors", "phases", "norms"])
def test_a_flipped_bit_is_found_before_the_next_row_is_written(array: str) -> None:
    transcription = Transcription(EngineParams(dim=4))
    vectors = related_vectors(3, 4, 1)
    transcription.process_event(vectors[0], 0.95)
    transcription.process_event(vectors[1], 0.95)
    getattr(transcription, array)[:1].view(np.uint8)[..., 0] ^= 1
    with pytest.raises(RunError, match="not what was written"):
        transcription.process_event(vectors[2], 0.95)
    assert transcription.size == 2


def test_a_full_memory_to_begin_with() -> None:
    params = EngineParams.from_dict({"dim": 4, "lattice": {"capacity": 5}})
    transcription, vectors = Transcription(params), related_vectors(6, 4, 1)
    transcription.fill(vectors[:5], 0.1)
    assert transcription.process_event(vectors[5], 0.95).lattice_size == 5
    np.testing.assert_array_equal(transcription.vectors, vectors[[5, 1, 2, 3, 4]])
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    np.testing.assert_allclose(transcription.norms, norms[[5, 1, 2, 3, 4]])


@pytest.mark.parametrize(("element", "value"), [(np.nan, 0.5), (np.inf, 0.5), (1.0, 1.5)])
def test_bad_events_are_refused_and_change_nothing(element: float, value: float) -> None:
    transcription = Transcription(EngineParams(dim=2))
    with pytest.raises(ValueError, match="finite"):
        transcription.process_event(np.array([1.0, element], np.float32), value)
    assert (transcription.size, transcription.rate) == (0, 0.5)


def test_it_has_the_published_rule_only() -> None:
    said = r"^Transcription\.moral: must be a policy that follows the homeostatic rule"
    with pytest.raises(ParameterError, match=said):
        Transcription(EngineParams(dim=2, moral=ContextualParams()))
