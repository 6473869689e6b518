"""A few rows are checked before each event: what one pass over the memory finds, and what then."""

from __future__ import annotations

import math

import numpy as np
import pytest
from damage import Flip, flip, flips, held, lived
from support import every_byte, related_vectors, state_bytes

from mlsdm import CognitiveController, EngineParams, LatticeParams, RunError
from mlsdm.engine.integrity import Integrity

X = np.ones(6)
LARGEST = np.finfo(np.float32).max


def engine(scrub_rows: int, events: int = 150) -> CognitiveController:
    lattice = LatticeParams(capacity=30, scrub_rows=scrub_rows)
    return lived(EngineParams(dim=6, lattice=lattice), events)


def two_bits(row: int) -> tuple[Flip, Flip]:
    """Return what cannot be put right: a flipped bit in each of two words."""
    return Flip("vectors", row * 24 + 1, 3, row), Flip("vectors", row * 24 + 9, 5, row)


@pytest.mark.parametrize("events", [150, 12], ids=["full", "partly"])
@pytest.mark.parametrize("kind", ["vectors", "rows", "codes"])
@pytest.mark.parametrize("scrub_rows", [1, 3, 7, 100])
def test_one_pass_finds_any_flip_and_puts_it_right(scrub_rows: int, kind: str, events: int) -> None:
    """Whatever it is and wherever the check stands; refused events write no row anew."""
    controller, undisturbed = engine(scrub_rows, events), engine(scrub_rows, events)
    size = controller.lattice.size
    assert size < 30 if events == 12 else size == 30
    passes = []
    for n, one in enumerate(flips(controller, kind, 25, seed=scrub_rows)):
        flip(controller, one)
        for event in range(3 * size):
            outcome = controller.process_event(X, 0.0)
            assert outcome == undisturbed.process_event(X, 0.0)
            if controller.restored > n:
                passes.append(event + 1)
                break
        assert (controller.restored, controller.emergency) == (n + 1, None)
        assert held(controller)[3:] == held(undisturbed)[3:]
    assert max(passes) <= math.ceil(size / scrub_rows)
    assert len(set(passes)) > 1 or scrub_rows >= size


@pytest.mark.parametrize("kind", ["vectors", "rows", "codes"])
def test_what_is_about_to_be_replayed_is_checked_first(kind: str) -> None:
    """Else the copy would be made of the damage, and could not be told from what was meant."""
    for one in flips(awake(), kind, 100, seed=1):
        controller, undisturbed = awake(), awake()
        flip(controller, one)
        outcome = controller.process_event(X, 0.95)
        assert (outcome.phase, outcome.lattice_size) == ("sleep", 16)
        assert outcome == undisturbed.process_event(X, 0.95)
        assert controller.restored == 1
        assert held(controller) == held(undisturbed)


def awake() -> CognitiveController:
    """Return an engine at the last event of its first wake, with 7 rows."""
    controller = CognitiveController(EngineParams(dim=6, lattice=LatticeParams(capacity=20)))
    for vector in related_vectors(7, 6, 1):
        controller.process_event(vector, 0.95)
    assert (controller.rhythm.counter, controller.lattice.size) == (1, 7)
    return controller


def test_without_a_scrub_only_verify_finds_a_flip() -> None:
    controller = engine(0)
    flip(controller, Flip("vectors", 100, 6, 4))
    for _ in range(90):
        assert controller.process_event(X, 0.0).reason == "moral"
    assert (controller.restored, controller.emergency) == (0, None)
    assert controller.verify() == Integrity(rows=(4,))
    assert controller.repair().restored == (4,)


@pytest.mark.parametrize("scrub_rows", [0, 1])
def test_a_flip_in_the_state_is_put_right_at_once(scrub_rows: int) -> None:
    """Even where no row is checked: the state says where to write."""
    controller, undisturbed = engine(scrub_rows), engine(scrub_rows)
    for one in flips(controller, "states", 200, seed=2):
        flip(controller, one)
        assert controller.process_event(X, 0.0) == undisturbed.process_event(X, 0.0)
        assert state_bytes(controller) == state_bytes(undisturbed)
    assert controller.restored == 0  # which counts rows


@pytest.mark.parametrize("scrub_rows", [1, 3])
def test_what_cannot_be_put_right_is_an_emergency_within_one_pass(scrub_rows: int) -> None:
    controller = engine(scrub_rows)
    flip(controller, *two_bits(11))
    outcomes = [controller.process_event(X, 0.0).reason for _ in range(math.ceil(30 / scrub_rows))]
    assert outcomes[-1] == "emergency"
    assert controller.emergency == "row 11 is damaged beyond what can be restored"
    first = outcomes.index("emergency")
    assert outcomes == ["moral"] * first + ["emergency"] * (len(outcomes) - first)


def test_in_an_emergency_by_damage_nothing_changes_until_it_is_repaired() -> None:
    controller, undisturbed = engine(30), engine(30)
    flip(controller, *two_bits(11))
    first = controller.process_event(X, 0.95)
    before = every_byte(controller)
    for value in (0.0, 0.95) * 10:
        assert controller.process_event(X, value) == first
    assert every_byte(controller) == before
    assert (first.reason, first.event, first.accepted) == ("emergency", 150, False)
    with pytest.raises(RunError, match=r"recover: refused, .*row 11"):
        controller.recover()
    assert every_byte(controller) == before
    assert controller.repair().quarantined == (11,)
    assert controller.process_event(X, 0.95).reason == "emergency"
    controller.recover()
    assert controller.process_event(X, 0.95) == undisturbed.process_event(X, 0.95)
    assert controller.verify().whole


def test_what_can_be_put_right_is_so_also_where_something_else_cannot() -> None:
    controller = engine(30)
    flip(controller, Flip("vectors", 3 * 24, 2, 3), *two_bits(11), Flip("vectors", 20 * 24, 2, 20))
    assert controller.process_event(X, 0.0).reason == "emergency"
    assert controller.restored == 2
    assert controller.verify() == Integrity(rows=(11,))


def test_all_rows_damaged_at_once_are_put_right_in_one_call() -> None:
    controller, undisturbed = engine(1), engine(1)
    flip(controller, *(Flip("vectors", row * 24 + row % 24, row % 8, row) for row in range(30)))
    assert controller.verify().rows == tuple(range(30))
    assert controller.process_event(X, 0.0) == undisturbed.process_event(X, 0.0)
    assert controller.restored == 30
    assert held(controller)[3:] == held(undisturbed)[3:]


def test_a_refused_call_checks_nothing() -> None:
    """The event is looked at first: who asks wrongly changes nothing, not even where it stands."""
    controller = engine(30)
    flip(controller, *two_bits(11))
    before = every_byte(controller)
    for vector, value in ((np.full(6, np.nan), 0.9), (X, 1.5), (np.full(6, LARGEST), 0.9)):
        with pytest.raises(ValueError, match=r"^CognitiveController\.process_event\."):
            controller.process_event(vector, value)
    assert every_byte(controller) == before


def test_a_lived_engine_is_whole_at_every_moment() -> None:
    """No event, replay or wrap leaves anything that looks like damage."""
    for params in (EngineParams(dim=6, lattice=LatticeParams(capacity=30)), EngineParams(dim=3)):
        controller = CognitiveController(params)
        values = np.random.default_rng(1).beta(3, 1, 300)
        for vector, value in zip(related_vectors(300, params.dim, 1), values, strict=True):
            controller.process_event(vector, float(value))
            assert controller.verify().whole
        assert controller.restored == 0


@pytest.mark.parametrize("decay", [(1.0, 1.0, 1.0), (0.5, 0.7, 0.6)])
@pytest.mark.parametrize("gate", ["norm", "element"])
def test_levels_that_decay_to_nothing_are_whole(decay: tuple[float, ...], gate: str) -> None:
    """Negative elements decay to -0.0, whose bits are not those of 0."""
    params = EngineParams.from_dict({"dim": 1, "synapse": {"decay": list(decay), "gate": gate}})
    controller = CognitiveController(params)
    reasons = []
    for value in [-5.0, 0.1, 0.1, 3.0, -1e-44, *[0.0] * 400]:
        reasons.append(controller.process_event([value], 1.0).reason)
        assert controller.verify().whole
    assert "committed" in reasons[-11:]
    assert "emergency" not in reasons
