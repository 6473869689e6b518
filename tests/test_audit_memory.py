"""The audit of memory and of many callers, on sound controllers and on broken ones."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from auditing import portable

from mlsdm.audit import Measured
from mlsdm.audit import memory as module
from mlsdm.audit.memory import allocation, callers, footprint
from mlsdm.audit.verdict import row_of
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.lattice import LatticeParams
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rules import events
from mlsdm.evidence import claims

SMALL = EngineParams.published(64, lattice=LatticeParams(capacity=2000))


class Unlocked:
    """Stands for a lock, and keeps nobody out."""

    def reading(self, call: Callable[[], Any]) -> Any:
        return call()

    writing = reading


def verdict(id: str, of: Measured) -> str:
    return str(row_of(claims()[id], of, 0)["verdict"])


def test_footprint_counts_the_bytes_of_the_arrays() -> None:
    footprint(SMALL)  # what is made but once, also by what counts the lines of a test
    found = footprint(SMALL)
    assert set(found) == {"memory.bound", "memory.vectors", "memory.footprint", "memory.hard_bound"}
    vectors, phases = 2000 * 64 * 4, 2000 * 4
    assert found["memory.vectors"].regenerated == pytest.approx(vectors / 2**20)
    assert found["memory.footprint"].regenerated == pytest.approx((vectors + phases) / 2**20)
    # A row's phase, checks and the like take 32 bytes, its compact form one an element.
    lattice = vectors + 2000 * 32 + 2000 * 64
    # And three levels of 64 with their parity, the state and the constants, three times each.
    whole = lattice + 4 * 64 * 4 + 3 * 160 + 3 * 248
    assert found["memory.bound"].regenerated == pytest.approx(whole / 1e9)
    for id, named in (("memory.vectors", vectors), ("memory.footprint", vectors + phases)):
        assert found[id].control == [round(lattice / 2**20, 1)] == [0.7]
        assert found[id].facts["times"] == pytest.approx(0.7 * 2**20 / named)
        assert found[id].margin == pytest.approx([1.02 - found[id].facts["times"]])
    assert found["memory.hard_bound"].regenerated == 0
    for id in ("memory.bound", "memory.hard_bound"):
        assert found[id].margin[0] > 0  # what was allocated is close to the count
    assert not tracemalloc.is_tracing()


def test_the_stated_memory_comes_out_and_the_count_is_what_is_allocated() -> None:
    for id in ("memory.bound", "memory.hard_bound"):
        found = portable()[id]
        assert claims()[id].agrees(found.regenerated), id
        assert verdict(id, found) == "reproduced"
    assert portable()["memory.bound"].control == pytest.approx([0.039], abs=2e-4)
    assert portable()["memory.hard_bound"].control == pytest.approx([0.0], abs=0.05)


@pytest.mark.parametrize("id", ["memory.vectors", "memory.footprint"])
def test_the_stated_figures_are_not_all_that_a_lattice_needs(id: str) -> None:
    found = portable()[id]
    assert claims()[id].agrees(found.regenerated)
    assert verdict(id, found) == "reproduced but means something else"
    assert "allocates 37.2 MiB, 1.27 times the" in row_of(claims()[id], found, 0)["explanation"]


def test_a_lattice_of_vectors_and_phases_alone_would_be_what_is_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_allocated", lambda make: (make(), 20_000 * (384 + 1) * 4))
    found = footprint()
    for id in ("memory.vectors", "memory.footprint"):
        assert verdict(id, found[id]) == "reproduced"


def test_what_compiling_takes_is_not_counted() -> None:
    """In a fresh process everything is loaded or compiled on its first call."""
    code = (
        "from mlsdm.audit.memory import allocation, footprint\n"
        "print(footprint()['memory.hard_bound'].control[0])\n"
        "allocated = allocation(1000)['memory.allocation']\n"
        "print(allocated.regenerated, allocated.control[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    off, left, momentary = map(float, done.stdout.split())
    assert off < 0.2  # percent
    assert abs(left) < 0.5  # bytes an event
    assert momentary == 0


def test_an_engine_that_takes_more_than_it_counts_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EngineParams, "memory_bytes", lambda self: self.lattice.capacity * 4)
    found = footprint(SMALL)
    assert found["memory.bound"].margin[0] < 0
    assert found["memory.hard_bound"].regenerated == 1  # nor is one over the bound refused
    assert verdict("memory.hard_bound", found["memory.hard_bound"]) == "not reproduced"


def test_nothing_grows_with_events() -> None:
    (found,) = allocation(1000).values()
    assert claims()["memory.allocation"].agrees(found.regenerated)
    assert found.control[0] == found.margin[0] == 0
    assert verdict("memory.allocation", found) == "reproduced"
    assert not tracemalloc.is_tracing()


def test_what_is_taken_for_a_moment_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CognitiveController.process_event

    def copying(self: CognitiveController, vector: Any, value: float) -> Outcome:
        return whole(self, vector.copy(), value)

    monkeypatch.setattr(CognitiveController, "process_event", copying)
    found = allocation(1000)["memory.allocation"]
    assert found.regenerated == 0
    assert found.control[0] == 1
    assert found.margin[0] == -1
    assert verdict("memory.allocation", found) == "reproduced but means something else"


def test_what_grows_with_events_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, kept = CognitiveController.process_event, []

    def hoarding(self: CognitiveController, vector: Any, value: float) -> Outcome:
        kept.append(bytes(100))
        return whole(self, vector, value)

    monkeypatch.setattr(CognitiveController, "process_event", hoarding)
    found = allocation(200)["memory.allocation"]
    assert 100 < found.regenerated < 300
    assert verdict("memory.allocation", found) == "not reproduced"


def test_few_callers_lose_nothing() -> None:
    found = callers(50, capacity=300)
    assert set(found) == {"concurrency.callers", "memory.lost_updates"}
    assert found["concurrency.callers"].regenerated == 50
    assert found["memory.lost_updates"].regenerated == 0
    for measured in found.values():
        assert measured.control.tolist() == measured.margin.tolist() == [0]
    assert verdict("memory.lost_updates", found["memory.lost_updates"]) == "reproduced"


def test_a_thousand_callers_lose_nothing() -> None:
    assert portable()["concurrency.callers"].regenerated == 1000
    assert portable()["memory.lost_updates"].regenerated == 0


def test_a_controller_without_its_lock_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made, process = CognitiveController.__init__, events.process
    one_at_a_time = threading.Lock()  # compiled rules that race could write beside their arrays

    def unlocked(self: CognitiveController, params: EngineParams) -> None:
        made(self, params)
        self._lock = Unlocked()  # type: ignore[assignment]

    def slowly(*arguments: Any) -> Any:
        handled = int(arguments[1]["events"][0])
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.001)  # between the reading of the event's number and the event itself
        with one_at_a_time:
            code, _, *rest = process(*arguments)
        return code, handled + 1, *rest

    monkeypatch.setattr(events, "process", slowly)
    assert callers(20, capacity=300)["memory.lost_updates"].regenerated == 0
    monkeypatch.setattr(CognitiveController, "__init__", unlocked)
    found = callers(20, capacity=300)
    assert found["memory.lost_updates"].regenerated > 0
    assert found["concurrency.callers"].regenerated == 0
    assert verdict("memory.lost_updates", found["memory.lost_updates"]) == "not reproduced"


def test_a_controller_that_drops_events_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CognitiveController.process_event

    def dropping(self: CognitiveController, vector: Any, value: float) -> Outcome:
        if value < 0.1:
            return self._stopped()
        return whole(self, vector, value)

    monkeypatch.setattr(CognitiveController, "process_event", dropping)
    found = callers(20, capacity=300)
    assert found["memory.lost_updates"].regenerated > 0
    assert found["concurrency.callers"].regenerated == 0


def test_a_controller_that_counts_and_does_not_store_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every number is there once; only the events one after another tell the difference."""
    whole = CognitiveController.process_event

    def forging(self: CognitiveController, vector: Any, value: float) -> Outcome:
        alone = threading.current_thread() is threading.main_thread()
        return whole(self, vector if alone else np.zeros_like(vector), value)

    monkeypatch.setattr(CognitiveController, "process_event", forging)
    found = callers(20, capacity=300)
    assert found["memory.lost_updates"].regenerated == 0
    for measured in found.values():
        assert measured.control.tolist() == [2]  # vectors and levels
        assert measured.margin.tolist() == [-2]
    assert verdict("memory.lost_updates", found["memory.lost_updates"]) == (
        "reproduced but means something else"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_callers_that_retrieve_nothing_are_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CognitiveController.retrieve_context
    asked = []

    def failing(self: CognitiveController, query: Any) -> Any:
        asked.append(query)
        if len(asked) == 3:
            raise RuntimeError("no answer")
        return whole(self, query)

    monkeypatch.setattr(CognitiveController, "retrieve_context", failing)
    found = callers(20, capacity=300)
    assert found["concurrency.callers"].regenerated == 19
    assert found["memory.lost_updates"].regenerated == 0


def test_growth_is_counted_in_whole_bytes() -> None:
    found = portable()["memory.allocation"]
    assert (found.regenerated, found.control[0] % 1) == (0, 0)
