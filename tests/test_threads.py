"""One engine, many threads: nothing is lost, nothing half done is seen, retrievals overlap."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support import related_vectors, state_bytes
from together import LONG, together

from mlsdm import CognitiveController, EngineParams, LatticeParams, simulate
from mlsdm.engine.rules import events, guard, layout, recall
from mlsdm.engine.sharing import SharedLock


def test_a_refused_event_lets_go_too() -> None:
    controller = CognitiveController(EngineParams(dim=3))
    largest = np.full(3, np.finfo(np.float32).max)
    for vector, value in (([1, 2, np.nan], 0.5), ([1, 2, 3], 2.0), (largest, 0.5)) * 2:
        with pytest.raises(ValueError, match="process_event"):
            controller.process_event(vector, value)
    together(lambda: controller.process_event([1, 2, 3], 0.95))
    assert controller.lattice.size == 1


def test_retrievals_run_side_by_side_and_events_wait_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = CognitiveController(EngineParams(dim=3))
    controller.process_event([1, 2, 3], 0.95)
    barrier, leave, order = threading.Barrier(4), threading.Event(), []
    scan = recall.scan

    def slow(*arguments: Any) -> Any:
        barrier.wait(LONG)  # three retrievals and the event's thread, or never
        leave.wait(LONG)
        order.append("retrieval")
        return scan(*arguments)

    def event() -> None:
        barrier.wait(LONG)
        threading.Timer(0.05, leave.set).start()
        controller.process_event([3, 2, 1], 0.95)
        order.append("event")

    monkeypatch.setattr(recall, "scan", slow)
    found = []
    asked = [lambda: found.append(len(controller.retrieve_context([1, 1, 1])))] * 3
    together(*asked, event)
    assert order == ["retrieval"] * 3 + ["event"]
    assert found == [1, 1, 1]


def test_a_thousand_callers_at_once() -> None:
    params = EngineParams(dim=8, lattice=LatticeParams(capacity=300))
    controller, start = CognitiveController(params), threading.Barrier(1000)
    vectors, values = related_vectors(1000, 8, 4), np.random.default_rng(4).random(1000)
    served: list[int | None] = [None] * 1000
    asides: list[bool] = []

    def call(caller: int) -> None:
        start.wait(LONG)
        served[controller.process_event(vectors[caller], values[caller]).event] = caller
        match caller % 4:
            case 0:
                found = controller.retrieve_context(vectors[caller], 3)
                asides.append(len({recall.row for recall in found}) == len(found) <= 3)
            case 1:
                rows, resonances = controller.lattice.retrieve_many(vectors[:4], 0.1, 1.0, 7)
                asides.append(rows.shape == resonances.shape and rows.max(initial=0) < 300)
            case 2:
                asides.append(controller.verify().whole)
            case _:
                asides.append(controller.repair().lost.whole)

    together(*(lambda caller=caller: call(caller) for caller in range(1000)))
    order = [caller for caller in served if caller is not None]
    assert sorted(order) == list(range(1000))
    assert asides == [True] * 1000
    assert controller.events == 1000
    alone = simulate(params, vectors[order], values[order]).engine
    assert state_bytes(controller) == state_bytes(alone)


class Shaker:
    """Gives way to others, or sleeps, wherever a schedule could turn out otherwise."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def __call__(self) -> None:
        if (chance := self._rng.random()) < 0.5:
            time.sleep(0 if chance < 0.3 else chance * 1e-3)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def shaken(*arguments: Any) -> Any:
            self()
            returned = call(*arguments)
            self()
            return returned

        return shaken


class ShakenLock(SharedLock):
    def __init__(self, shake: Shaker) -> None:
        super().__init__()
        self._shake = shake

    def reading(self, call: Callable[[], Any]) -> Any:
        self._shake()
        return super().reading(self._shake.around(call))

    def writing(self, call: Callable[[], Any]) -> Any:
        self._shake()
        return super().writing(self._shake.around(call))


QUERIES = related_vectors(3, 5, 99)


def answer(controller: CognitiveController, query: int) -> Any:
    """Return all that a retrieval shows, and of which phase it is."""
    found = controller.retrieve_context(QUERIES[query], 4)
    return [(one.row, one.resonance, one.phase, one.vector.tobytes()) for one in found]


def answers(controller: CognitiveController, query: int) -> Any:
    """Return what a retrieval of many shows."""
    rows, resonances = controller.lattice.retrieve_many(QUERIES[[query, 0]], 0.9, 0.3, 6)
    return rows.tolist(), resonances.tolist()


@pytest.fixture
def _hurried() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize("seed", range(6))
def test_any_schedule_is_some_sequence(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events in their order give all outcomes; an answer is that after some of them."""
    params = EngineParams(dim=5, lattice=LatticeParams(capacity=25))
    controller = CognitiveController(params)
    shake = Shaker(seed)
    controller._lock = controller.lattice._lock = ShakenLock(shake)
    for module, name in ((events, "process"), (recall, "scan"), (recall, "sift")):
        monkeypatch.setattr(module, name, shake.around(getattr(module, name)))
    vectors, values = related_vectors(160, 5, seed), np.random.default_rng(seed).beta(3, 1, 160)
    outcomes: dict[int, Any] = {}
    seen: list[tuple[int, int, Callable[..., Any], int, Any]] = []

    def work(caller: int) -> None:
        rng = random.Random(100 * seed + caller)
        for event in range(caller, 160, 8):
            outcome = controller.process_event(vectors[event], values[event])
            while outcome.reason == "emergency":
                outcome = controller.process_event(vectors[event], values[event])
            outcomes[outcome.event] = (event, outcome)
            ask, query = rng.choice([answer, answers]), rng.randrange(3)
            before = controller.events
            got = ask(controller, query)
            seen.append((before, controller.events, ask, query, got))
            assert controller.verify().whole

    def disturb() -> None:
        for _ in range(10):
            controller.stop("a drill")
            time.sleep(1e-3)
            controller.recover()
            time.sleep(1e-3)

    together(*(lambda caller=caller: work(caller) for caller in range(8)), disturb)
    monkeypatch.undo()
    assert sorted(outcomes) == list(range(160))
    again = CognitiveController(params)
    asked = [(ask, query) for ask in (answer, answers) for query in range(3)]
    possible = [{pair: pair[0](again, pair[1]) for pair in asked}]
    for number in range(160):
        event, outcome = outcomes[number]
        assert again.process_event(vectors[event], values[event]) == outcome
        possible.append({pair: pair[0](again, pair[1]) for pair in asked})
    assert state_bytes(again) == state_bytes(controller)
    for first, last, ask, query, got in seen:
        assert got in [possible[n][ask, query] for n in range(first, last + 1)]


def moved(counter: list[int], call: Callable[[], object]) -> bool:
    """Return whether a thread counted on while one of up to 200 calls was under way."""
    for _ in range(200):
        before = counter[0]
        call()
        if counter[0] > before:
            return True
    return False


def test_compiled_parts_let_other_threads_run() -> None:
    """With a GIL that nobody is asked for, another thread runs only if a call lets go of it."""
    engine = simulate(EngineParams(dim=64), np.ones((30_000, 64)), np.full(30_000, 0.95)).engine
    rules, states, _, vectors, rows, codes = engine._memory
    size, query, values = engine.lattice.size, np.ones(64, np.float32), np.full(300_000, 0.5)
    room = [np.empty(len(values), kind) for kind in ("i1", "i1", "f8", "f8")]
    known = (values, np.empty(0), np.empty(0, np.int8), layout.new_pending(0))
    counts, wide = np.zeros(4, np.int64), np.float32(1.0)
    short, best = np.empty(64, np.int16), (np.empty(5), np.empty(5, np.int64))
    calls: dict[str, Callable[[], object]] = {
        "verify": lambda: guard.damaged(0, size, vectors, rows, codes),
        "retrieve": lambda: recall.scan(
            size, vectors, rows, codes, query, short, wide, wide, *best
        ),
        "simulate": lambda: events.run_filter(rules, states.copy(), *known, *room, counts),
        "nothing": lambda: sum(range(30_000)),
    }
    for call in calls.values():
        call()  # compiled, before the other thread counts
    counter, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            counter[0] += 1
            time.sleep(0)

    before = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    sys.setswitchinterval(1000.0)
    try:
        thread.start()
        counted = {name: moved(counter, call) for name, call in calls.items()}
    finally:
        done.set()
        sys.setswitchinterval(before)
        thread.join(LONG)
    assert counted == {"verify": True, "retrieve": True, "simulate": True, "nothing": False}
