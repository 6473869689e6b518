"""What a policy holds: kept by snapshots, and held against flipped bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from damage import raw
from hypothesis import given, settings
from hypothesis import strategies as st
from support import policy_values, related_vectors, state_bytes
from telling import DIM, PARTS, Told, engines, lived, streams

from mlsdm import (
    POLICIES,
    CognitiveController,
    DataError,
    EngineParams,
    MoralPolicy,
    QuantileParams,
    RiskParams,
    moral_policy,
)
from mlsdm.engine.rules import layout


@settings(max_examples=60)
@given(engines(), streams(), st.integers(0, 40))
def test_going_on_from_a_snapshot(params: EngineParams, told: Told, stop: int) -> None:
    first = Told(*(None if part is None else part[:stop] for part in told[:3]), told.delay)
    later = Told(*(None if part is None else part[stop:] for part in told[:3]), told.delay)
    vectors = related_vectors(len(told.values), DIM, 1)
    steady, _ = lived(params, vectors, first)
    with tempfile.TemporaryDirectory() as folder:
        loaded = CognitiveController.load(steady.save(Path(folder, "it")))
    assert loaded.params == params
    assert loaded.moral.memory == steady.moral.memory
    for t, value in enumerate(later.values):
        context = None if later.contexts is None else later.contexts[t]
        outcomes = [
            engine.process_event(vectors[stop + t], value, context) for engine in (steady, loaded)
        ]
        assert outcomes[0] == outcomes[1]
        for engine in (steady, loaded):
            engine.learn(outcomes[0].accepted, bool(later.labels[t] > 0), value, context)
        assert state_bytes(loaded) == state_bytes(steady)


def test_a_snapshot_with_a_policy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = CognitiveController(EngineParams(dim=1, moral=QuantileParams()))
    with tempfile.TemporaryDirectory() as folder:
        path = engine.save(Path(folder, "it"))
        monkeypatch.setattr(
            POLICIES, "_held", {k: v for k, v in POLICIES._held.items() if k != "quantile"}
        )
        with pytest.raises(ValueError, match=r"is not allowed: MoralParams\.policy: 'quantile' is"):
            CognitiveController.load(path)


def aged(name: str) -> CognitiveController:
    engine = CognitiveController(EngineParams(moral=POLICIES[name](), **PARTS))
    rng = np.random.default_rng(4)
    for t, value in enumerate(rng.random(30)):
        outcome = engine.process_event(related_vectors(30, DIM, 4)[t], value, value / 2)
        engine.learn(outcome.accepted, value < 0.4, value, value / 2)
    return engine


@pytest.mark.parametrize("name", policy_values())
@pytest.mark.parametrize("kind", ["states", "rules"])
def test_a_flipped_bit_of_what_a_policy_holds_is_found_and_restored(name: str, kind: str) -> None:
    """Before it is used: by the next event, and by the next label; addresses too."""
    engine, twin = aged(name), aged(name)
    array = getattr(engine._memory, kind)
    fields = [
        field
        for field in array.dtype.names
        if field in ("threshold", "rate", "smoothing", "accept", "adapt", "learn", "by_policy")
        or field.startswith(("memory", "setting"))
    ]
    rng = np.random.default_rng(5)
    for field in fields:
        dtype, offset = array.dtype.fields[field]
        for trial in range(6):
            copy = int(rng.integers(layout.COPIES)) if trial else 0
            byte = copy * array.dtype.itemsize + offset + int(rng.integers(dtype.itemsize))
            raw(array)[byte] ^= np.uint8(1 << int(rng.integers(8)))
            assert engine.verify().state
            if trial % 2:
                engine.learn(True, bool(trial & 2), 0.8, 0.7)
                twin.learn(True, bool(trial & 2), 0.8, 0.7)
            else:
                vector = np.ones(DIM, np.float32)
                assert engine.process_event(vector, 0.6, 0.7) == twin.process_event(
                    vector, 0.6, 0.7
                )
            assert engine.verify().whole
            assert engine.emergency is None
            assert state_bytes(engine) == state_bytes(twin)


def test_what_cannot_be_restored_is_an_emergency_for_a_label_too() -> None:
    engine = aged("risk")
    for copy in range(layout.COPIES):
        raw(engine._memory.states)[copy * layout.STATE.itemsize] ^= np.uint8(1 << copy)
    before = [array.tobytes() for array in engine._memory]
    engine.learn(True, True, 0.9)
    assert "the state is damaged beyond what can be restored" in str(engine.emergency)
    assert [array.tobytes() for array in engine._memory] == before


def test_the_filter_of_an_engine_reads_its_constants() -> None:
    """It had constants of its own, that nothing checked."""
    engine = aged("risk")
    assert np.shares_memory(engine.moral._rules, engine._memory.rules)
    assert engine._memory.rules.tobytes() == engine.params.rules.tobytes()


def test_a_snapshot_of_a_policy_that_kept_other_things_is_refused(tmp_path: Path) -> None:
    def kept(*names: str) -> MoralPolicy:
        body = {"memory": names, "__annotations__": {}}
        policy: type[MoralPolicy] = moral_policy("kept")(type("Kept", (MoralPolicy,), body))
        return policy()

    CognitiveController(EngineParams(dim=2, moral=kept("x", "y"))).save(tmp_path / "it")
    CognitiveController.load(tmp_path / "it")
    kept("y", "x")
    with pytest.raises(DataError, match=r"holds a policy 'kept' that kept \('x', 'y'\) in its st"):
        CognitiveController.load(tmp_path / "it")


def test_what_the_filter_of_an_engine_is_told_stays() -> None:
    engine = CognitiveController(EngineParams(dim=1, moral=RiskParams()))
    engine.moral.learn(True, True, 0.9)
    told = engine.moral.threshold
    assert engine.verify().whole
    engine.process_event([1], 0.1)
    assert engine.moral.threshold == told > 0.5
