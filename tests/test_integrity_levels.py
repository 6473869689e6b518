"""The synaptic levels: one that is damaged follows from the others and their parity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import Flip, flip, held, lived, put_back
from numpy.typing import NDArray
from support import related_vectors

from mlsdm import CognitiveController, EngineParams, LatticeParams, RunError, simulate
from mlsdm.engine.integrity import Integrity, Repair
from mlsdm.engine.synapse import MultiLevelSynapticMemory

SMALL = EngineParams(dim=12, lattice=LatticeParams(capacity=24))
LEVELS = (1, 2, 3, 4)  # 4: their parity
X = np.ones(12)


def words_of(levels: Any) -> NDArray[np.uint32]:
    return np.ascontiguousarray(levels).view(np.uint32)


def in_level(level: int, word: int, bit: int = 3) -> Flip:
    return Flip("levels", 48 * (level - 1) + 4 * word, bit, level - 1)


def test_the_parity_is_the_exclusive_or_of_the_levels_after_every_event() -> None:
    controller = CognitiveController(SMALL)
    outcomes = set()
    for vector, value in zip(
        related_vectors(200, 12, 2), np.random.default_rng(2).beta(3, 1, 200), strict=True
    ):
        outcomes.add(controller.process_event(vector, float(value)).reason)
        held_words = words_of(controller._memory.levels)
        assert held_words.shape == (4, 12)
        assert (held_words[3] == np.bitwise_xor.reduce(held_words[:3])).all()
    assert outcomes == {"committed", "moral", "sleep"}
    assert held_words.any(axis=1).all()


def test_the_parity_of_the_levels_by_themselves() -> None:
    memory = MultiLevelSynapticMemory(dim=12)
    for vector in related_vectors(20, 12, 3):
        memory.update(vector)
    assert memory.levels.shape == (3, 12)
    assert memory.levels.any(axis=1).all()
    parity = words_of(memory._levels)[3]
    assert (parity == np.bitwise_xor.reduce(words_of(memory.levels))).all()


def test_the_parity_of_a_simulated_stream_is_that_of_its_events() -> None:
    vectors, values = related_vectors(120, 12, 4), np.random.default_rng(4).beta(4, 1, 120)
    controller = CognitiveController(SMALL)
    for vector, value in zip(vectors, values, strict=True):
        controller.process_event(vector, float(value))
    expected = words_of(controller._memory.levels)
    chunks = [(vectors[i : i + 17], values[i : i + 17]) for i in range(0, 120, 17)]
    for engine in (simulate(SMALL, vectors, values).engine, simulate(SMALL, chunks=chunks).engine):
        np.testing.assert_array_equal(words_of(engine._memory.levels), expected)
        assert engine.verify().whole
    assert expected[3].any()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_of_which_any_number_of_words_is_damaged_is_restored(level: int) -> None:
    controller, rng = lived(SMALL, 200), np.random.default_rng(level)
    before = held(controller)
    damaged = words_of(controller._memory.levels[level - 1])
    for _ in range(300):
        some = rng.choice(12, rng.integers(1, 13), replace=False)
        flipped = rng.integers(1, 2**32, len(some), dtype=np.uint32)
        if np.bitwise_xor.reduce(flipped) == 0:
            continue
        damaged[some] ^= flipped
        assert controller.verify() == Integrity(levels=(level,))
        assert controller.repair() == Repair(levels=(level,))
        assert held(controller) == before
        assert controller.verify().whole


@pytest.mark.parametrize("level", LEVELS)
def test_a_damaged_level_is_put_right_before_the_event(level: int) -> None:
    controller, undisturbed = lived(SMALL, 30), lived(SMALL, 30)
    flip(controller, *(in_level(level, word) for word in (0, 4, 7)))
    assert controller.process_event(X, 0.95) == undisturbed.process_event(X, 0.95)
    assert (controller.restored, controller.emergency) == (0, None)  # which counts rows
    assert held(controller) == held(undisturbed)


def test_a_level_is_restored_together_with_rows_and_state() -> None:
    controller, undisturbed = lived(SMALL, 30), lived(SMALL, 30)
    flip(controller, in_level(2, 5), Flip("vectors", 48 * 3, 2, 3), Flip("states", 40, 6, 0))
    assert controller.repair() == Repair(restored=(3,), levels=(2,), state=True)
    assert held(controller) == held(undisturbed)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 3), (2, 3), (2, 4), (1, 4)])
def test_two_damaged_levels_are_lost_and_stop_the_controller(one: int, other: int) -> None:
    controller = lived(SMALL, 30)
    flip(controller, in_level(one, 1), in_level(other, 6))
    lost, before = Integrity(levels=(one, other)), held(controller)
    assert controller.verify() == lost
    outcome = controller.process_event(X, 0.95)
    assert (outcome.reason, outcome.event) == ("emergency", 30)
    assert controller.emergency == (
        f"level {one}, {other} is damaged beyond what can be restored; go on from a snapshot"
    )
    refused = rf"recover: refused, .*level {one}, {other}\b"
    with pytest.raises(RunError, match=refused):
        controller.recover()
    assert controller.repair() == Repair(lost=lost)
    assert controller.process_event(X, 0.95).reason == "emergency"
    assert held(controller) == before


def test_a_level_is_not_restored_from_one_that_is_damaged_unseen() -> None:
    """The same bit of two words leaves a level's check as it was: the norm then tells."""
    controller = lived(SMALL, 30)
    words_of(controller._memory.levels)[0, [2, 9]] ^= np.uint32(15 << 19)
    flip(controller, in_level(2, 4))
    before = held(controller)
    assert controller.verify() == Integrity(levels=(2,))
    assert controller.repair() == Repair(lost=Integrity(levels=(2,)))
    assert held(controller) == before


def test_a_snapshot_goes_on_where_levels_were_lost(tmp_path: Path) -> None:
    controller = lived(SMALL, 30)
    before = held(controller)
    saved = controller.save(tmp_path / "it")
    flip(controller, in_level(1, 1), in_level(3, 6))
    assert controller.process_event(X, 0.95).reason == "emergency"
    again = CognitiveController.load(saved)
    assert held(again) == before
    put_back(controller, before)
    controller.recover()
    assert again.process_event(X, 0.95) == controller.process_event(X, 0.95)
    assert held(again) == held(controller)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_that_was_damaged_when_it_was_saved_is_restored_after_it(
    level: int, tmp_path: Path
) -> None:
    controller = lived(SMALL, 30)
    before = held(controller)
    flip(controller, in_level(level, 8))
    loaded = CognitiveController.load(controller.save(tmp_path / "it"))
    assert loaded.verify() == Integrity(levels=(level,))
    assert loaded.repair() == Repair(levels=(level,))
    assert held(loaded) == before
