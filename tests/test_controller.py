from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import engine_params, related_vectors, state_bytes

from mlsdm import (
    CognitiveController,
    EngineParams,
    LatticeParams,
    MoralParams,
    ParameterError,
    RhythmParams,
    RunError,
    simulate,
)

SMALL = EngineParams(dim=3, lattice=LatticeParams(capacity=50))
X = [1.0, 2.0, 3.0]


def test_a_first_event() -> None:
    outcome = CognitiveController(SMALL).process_event([1, 0, 0], 0.8)
    assert outcome == (0, True, "committed", "wake", 0.55, 0.55, (1.0, 0.0, 0.0), 1)
    assert outcome._fields == (
        "event", "accepted", "reason", "phase", "threshold", "acceptance_rate", "norms",
        "lattice_size",
    )  # fmt: skip


def test_without_parameters_it_is_the_default_engine() -> None:
    assert CognitiveController().params == EngineParams()
    for other in ({}, 0, "default", MoralParams()):
        with pytest.raises(ParameterError, match=r"CognitiveController\.params: must be EngineP"):
            CognitiveController(other)  # type: ignore[arg-type]


def test_the_moral_filter_answers_first_and_adapts_also_asleep() -> None:
    controller = CognitiveController(SMALL)
    for _ in range(8):
        controller.process_event(X, 0.95)
    assert controller.rhythm.phase == "sleep"
    before = controller.moral.acceptance_rate
    asleep = controller.process_event(X, 0.95)
    assert (asleep.accepted, asleep.reason) == (True, "sleep")
    assert asleep.acceptance_rate > before
    refused = controller.process_event(X, 0.0)
    assert (refused.accepted, refused.reason) == (False, "moral")


def test_refused_events_leave_the_memory_alone() -> None:
    controller = CognitiveController(SMALL)
    first = controller.process_event(X, 0.95)
    for _ in range(3):
        outcome = controller.process_event([9, 9, 9], 0.1)
        assert (outcome.norms, outcome.lattice_size) == (first.norms, 1)


def test_the_default_clock_counts_every_event() -> None:
    controller = CognitiveController(SMALL)
    phases = [controller.process_event(X, 0.0).phase for _ in range(22)]
    assert phases == (["wake"] * 7 + ["sleep"] * 3 + ["wake"]) * 2


def test_the_published_clock_counts_commits_and_never_wakes_again() -> None:
    controller = CognitiveController(EngineParams.published(3))
    for _ in range(5):
        assert controller.process_event(X, 0.0).phase == "wake"
    outcomes = [controller.process_event(X, 1.0) for _ in range(500)]
    assert [o.reason for o in outcomes] == ["committed"] * 8 + ["sleep"] * 492
    assert {o.phase for o in outcomes[7:]} == {"sleep"}
    assert outcomes[-1].lattice_size == 8


def test_falling_asleep_replays_the_wake_at_once() -> None:
    controller = CognitiveController(SMALL)
    values = [0.95, 0.0, 0.95, 0.95, 0.95, 0.0, 0.95, 0.95]
    vectors = related_vectors(8, 3, 1)
    outcomes = [controller.process_event(v, m) for v, m in zip(vectors, values, strict=True)]
    kept = vectors[[o.reason == "committed" for o in outcomes]]
    assert [o.lattice_size for o in outcomes[-2:]] == [len(kept) - 1, 2 * len(kept)]
    assert outcomes[-1].phase == "sleep"
    np.testing.assert_array_equal(controller.lattice.vectors, np.concatenate([kept, kept]))
    phases = [np.float32(0.1)] * len(kept) + [np.float32(0.9)] * len(kept)
    assert controller.lattice.phases.tolist() == phases


def test_the_last_event_of_a_wake_is_replayed_with_it() -> None:
    params = EngineParams(dim=1, rhythm=RhythmParams(wake_duration=1))
    controller = CognitiveController(params)
    assert controller.process_event([5], 0.95).lattice_size == 2
    assert controller.lattice.vectors.ravel().tolist() == [5, 5]


def test_each_replay_takes_its_own_wake_only() -> None:
    params = EngineParams(dim=1, rhythm=RhythmParams(wake_duration=2, sleep_duration=1))
    controller = CognitiveController(params)
    for x in range(6):
        controller.process_event([x], 0.95)
    assert controller.lattice.vectors.ravel().tolist() == [0, 1, 0, 1, 3, 4, 3, 4]


@pytest.mark.parametrize(
    ("capacity", "rows"),
    [(1, [4]), (2, [4, 3]), (3, [3, 4, 2]), (4, [4, 1, 2, 3]), (5, [0, 1, 2, 3, 4])],
)
def test_replay_in_a_ring_smaller_than_the_wake(capacity: int, rows: list[int]) -> None:
    """As if all had been read before the first is written: the wake's last rows, oldest first."""
    params = EngineParams(
        dim=1, rhythm=RhythmParams(wake_duration=5), lattice=LatticeParams(capacity=capacity)
    )
    controller = CognitiveController(params)
    for x in range(5):
        controller.process_event([x], 0.95)
    assert controller.lattice.vectors.ravel().tolist() == rows
    assert set(controller.lattice.phases.tolist()) == {float(np.float32(0.9))}


def test_no_consolidation_no_replay() -> None:
    lattice = LatticeParams(capacity=50, consolidation="none")
    controller = CognitiveController(EngineParams(dim=3, lattice=lattice))
    sizes = [controller.process_event(X, 0.95).lattice_size for _ in range(11)]
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]


def test_context_is_what_was_stored_in_this_phase() -> None:
    controller = CognitiveController(SMALL)
    assert controller.retrieve_context(X) == []
    vectors = related_vectors(8, 3, 2)
    for vector in vectors[:7]:
        controller.process_event(vector, 0.95)
    awake = controller.retrieve_context(vectors[0])
    assert len(awake) == 5
    assert (awake[0].row, awake[0].phase) == (0, np.float32(0.1))
    controller.process_event(vectors[7], 0.95)
    asleep = controller.retrieve_context(vectors[0], top_k=2)
    assert len(asleep) == 2
    assert (asleep[0].row, asleep[0].phase) == (8, np.float32(0.9))


def test_the_published_engine_asleep_recalls_nothing() -> None:
    controller = CognitiveController(EngineParams.published(3))
    for _ in range(20):
        controller.process_event(X, 0.95)
    assert controller.rhythm.phase == "sleep"
    assert controller.retrieve_context(X) == []


@given(engine_params(), st.integers(0, 1000))
def test_invariants_of_every_event(params: EngineParams, seed: int) -> None:
    controller = CognitiveController(params)
    rng = np.random.default_rng(seed)
    bounds = params.moral
    for t, vector in enumerate(related_vectors(50, params.dim, seed)):
        before = (controller.moral.threshold, controller.rhythm.phase, controller.lattice.size)
        outcome = controller.process_event(vector, rng.random())
        assert outcome.event == t
        assert bounds.min_threshold <= outcome.threshold <= bounds.max_threshold
        assert abs(outcome.threshold - before[0]) <= bounds.step + 1e-15
        assert 0 <= outcome.acceptance_rate <= 1
        assert before[2] <= outcome.lattice_size <= params.lattice.capacity
        assert (outcome.reason == "moral") == (not outcome.accepted)
        assert (outcome.reason == "sleep") == (outcome.accepted and before[1] == "sleep")
        found = controller.retrieve_context(vector)
        assert len(found) <= params.lattice.top_k
    assert controller.events == 50


def stopped_by_hand(controller: CognitiveController, monkeypatch: Any) -> None:
    controller.stop("a drill")


def stopped_by_memory(controller: CognitiveController, monkeypatch: Any) -> None:
    held = SimpleNamespace(rss=10**15 + 1)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: held)


@pytest.mark.parametrize("stop", [stopped_by_hand, stopped_by_memory])
@pytest.mark.parametrize("events", [0, 3, 7, 8, 10])
def test_in_an_emergency_nothing_changes_at_all(
    stop: Any, events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = EngineParams(dim=3, max_process_bytes=10**15)
    controller, undisturbed = CognitiveController(params), CognitiveController(params)
    for _ in range(events):
        controller.process_event(X, 0.95)
        undisturbed.process_event(X, 0.95)
    before = state_bytes(undisturbed)
    with monkeypatch.context() as patched:
        stop(controller, patched)
        for value in (0.95, 0.0) * 10:
            outcome = controller.process_event(X, value)
            assert (outcome.accepted, outcome.reason) == (False, "emergency")
            assert outcome.event == events
            assert outcome.threshold == undisturbed.moral.threshold
            assert outcome.phase == undisturbed.rhythm.phase
        assert controller.emergency is not None
    controller.recover()
    assert controller.emergency is None
    assert state_bytes(controller) == before
    assert controller.process_event(X, 0.95) == undisturbed.process_event(X, 0.95)


def test_recover_refuses_while_the_cause_lasts() -> None:
    controller = CognitiveController(EngineParams(dim=3, max_process_bytes=1))
    assert controller.process_event(X, 0.95).reason == "emergency"
    with pytest.raises(RunError, match=r"CognitiveController\.recover: .*max_process_bytes = 1$"):
        controller.recover()
    assert "max_process_bytes = 1" in str(controller.emergency)
    assert controller.process_event(X, 0.95).reason == "emergency"
    assert controller.events == 0


def test_an_emergency_lasts_until_recover(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = CognitiveController(EngineParams(dim=3, max_process_bytes=10**15))
    with monkeypatch.context() as patched:
        stopped_by_memory(controller, patched)
        controller.process_event(X, 0.95)
    assert controller.process_event(X, 0.95).reason == "emergency"
    controller.recover()
    assert controller.process_event(X, 0.95).reason == "committed"


def test_recover_without_an_emergency_does_nothing() -> None:
    controller = CognitiveController(SMALL)
    before = state_bytes(controller)
    controller.recover()
    assert state_bytes(controller) == before


def test_a_thousand_concurrent_callers_lose_nothing() -> None:
    params = EngineParams(dim=3, lattice=LatticeParams(capacity=3000))
    controller = CognitiveController(params)
    vectors = related_vectors(1000, 3, 4)
    values = np.random.default_rng(4).random(1000)
    order: list[int] = [-1] * 1000
    start = threading.Barrier(1000)

    def call(caller: int) -> None:
        start.wait()
        order[controller.process_event(vectors[caller], values[caller]).event] = caller
        controller.retrieve_context(vectors[caller])

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controller.events == 1000
    assert sorted(order) == list(range(1000))
    # The same as one caller in the order in which they were served.
    assert state_bytes(controller) == state_bytes(
        simulate(params, vectors[order], values[order]).engine
    )


def test_reprs_show_the_state() -> None:
    controller = CognitiveController(SMALL)
    controller.process_event(X, 0.95)
    assert repr(controller) == (
        "CognitiveController(events=1, phase='wake', threshold=0.55, rows=1 of 50)"
    )
    controller.stop("a drill")
    assert "emergency='a drill'" in repr(controller)
    assert "<td>a drill</td>" in controller._repr_html_()


@pytest.mark.parametrize("why", [None, "", "  ", 3])
def test_a_stop_by_hand_says_why(why: Any) -> None:
    controller = CognitiveController(EngineParams(dim=2))
    with pytest.raises(ParameterError, match=r"^CognitiveController\.stop\.why: must be a text"):
        controller.stop(why)
    assert controller.emergency is None


def test_what_a_stop_says_is_shown_as_text_not_as_html() -> None:
    controller = CognitiveController(EngineParams(dim=2))
    controller.stop("<script>")
    assert "&lt;script&gt;" in controller._repr_html_()


def test_an_outcome_is_shown_as_a_table() -> None:
    outcome = CognitiveController(EngineParams(dim=2)).process_event([1.0, 0.0], 0.8)
    assert "<td>reason</td><td>committed</td>" in outcome._repr_html_()
