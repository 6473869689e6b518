"""The circuit breaker, in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import ParameterError
from mlsdm.governed.breaker import Breaker
from mlsdm.governed.errors import CallError, CircuitOpen, DeadlineExceeded

RESET = 30.0
ALLOWED = {
    ("closed", "open"),
    ("open", "half-open"),
    ("half-open", "closed"),
    ("half-open", "open"),
}
OUTCOMES: dict[str, BaseException | None] = {
    "success": None,
    "failure": ConnectionError("gone"),
    "deadline": DeadlineExceeded("late"),
    "passing": CallError("429"),
    "permanent": CallError("400", permanent=True),
    "argument": ParameterError("no"),
    "cancelled": asyncio.CancelledError(),
    "interrupted": KeyboardInterrupt(),
    "stopped": StopIteration(),
}
FAILURES = {"failure", "deadline", "passing", "stopped"}
NOTHING = {"argument", "cancelled", "interrupted"}


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Model:
    """The rules of a breaker once more, as plainly as can be."""

    def __init__(self, failures: int) -> None:
        self.most = failures
        self.state = "closed"
        self.row = 0
        self.opened = 0.0
        self.on_trial = False
        self.transitions: list[tuple[str, str]] = []

    def to(self, state: str, now: float) -> None:
        self.transitions.append((self.state, state))
        self.state, self.row, self.opened = state, 0, now

    def begin(self, now: float) -> int | None:
        """Return the period that a call begins in, or None where it is not let through."""
        if self.state == "open" and now - self.opened >= RESET:
            self.to("half-open", now)
        elif self.state == "open" or self.on_trial:
            return None
        self.on_trial = self.state == "half-open"
        return len(self.transitions)

    def end(self, period: int, outcome: str, now: float) -> None:
        if period != len(self.transitions):
            return
        self.on_trial = False
        if outcome in NOTHING:
            return
        if outcome in FAILURES:
            self.row += 1
            if self.state == "half-open" or self.row >= self.most:
                self.to("open", now)
        elif self.state == "half-open":
            self.to("closed", now)
        else:
            self.row = 0


def leave(call: AbstractContextManager[None], outcome: str) -> None:
    error = OUTCOMES[outcome]
    assert not call.__exit__(type(error) if error else None, error, None), "nothing is swallowed"


def do(breaker: Breaker, outcome: str) -> None:
    call = breaker.calling()
    call.__enter__()
    leave(call, outcome)


steps = st.one_of(
    st.just(("begin", None)),
    st.tuples(st.sampled_from(sorted(OUTCOMES)), st.integers(0, 9)),
    st.tuples(st.sampled_from(["failure", "passing"]), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, RESET - 1.0, RESET])),
)


@given(st.integers(1, 3), st.lists(steps, max_size=60))
def test_whatever_happens_it_follows_the_rules(
    failures: int, script: list[tuple[str, Any]]
) -> None:
    time = Time()
    breaker, model = Breaker("m", failures, RESET, time), Model(failures)
    under_way: list[tuple[AbstractContextManager[None], int]] = []
    for what, value in script:
        if what == "begin":
            call, period = breaker.calling(), model.begin(time.now)
            if period is None:
                with pytest.raises(CircuitOpen):
                    call.__enter__()
            else:
                call.__enter__()
                under_way.append((call, period))
        elif what == "wait":
            time.now += value
        elif under_way:
            call, period = under_way.pop(value % len(under_way))
            leave(call, what)
            model.end(period, what, time.now)
        assert breaker.state == model.state
        assert breaker.transitions == tuple(model.transitions)
    assert set(breaker.transitions) <= ALLOWED
    assert all(one[1] == other[0] for one, other in pairwise(breaker.transitions))


def test_it_opens_after_failures_in_a_row_and_closes_through_half_open() -> None:
    time = Time()
    breaker = Breaker("model", 2, RESET, time)
    for outcome in ("failure", "success", "failure", "permanent", "passing", "failure"):
        assert breaker.state == "closed"
        do(breaker, outcome)
    assert breaker.state == "open"
    time.now += RESET - 1.5
    with pytest.raises(
        CircuitOpen, match=r"^model: not called, .* open for 1\.5 s more$"
    ) as caught:
        do(breaker, "success")
    assert (caught.value.retry_after, caught.value.permanent) == (1.5, True)
    time.now += 1.5
    do(breaker, "success")
    assert breaker.transitions == (
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    )


def test_a_failed_trial_opens_it_for_the_whole_time_again() -> None:
    time = Time()
    breaker = Breaker("m", 1, RESET, time)
    do(breaker, "failure")
    time.now += RESET
    do(breaker, "deadline")
    time.now += RESET - 1
    with pytest.raises(CircuitOpen):
        do(breaker, "success")
    assert breaker.state == "open"


def test_one_trial_is_let_through_at_a_time() -> None:
    time = Time()
    breaker = Breaker("m", 1, RESET, time)
    do(breaker, "failure")
    time.now += RESET
    with breaker.calling():
        with pytest.raises(
            CircuitOpen, match=r"^m: not called, the circuit is on trial$"
        ) as caught:
            do(breaker, "success")
        assert caught.value.retry_after is None
        assert breaker.state == "half-open"
    assert breaker.state == "closed"


@pytest.mark.parametrize("outcome", sorted(NOTHING))
def test_an_interrupted_trial_counts_for_nothing_and_frees_its_place(outcome: str) -> None:
    time = Time()
    breaker = Breaker("m", 1, RESET, time)
    do(breaker, "failure")
    time.now += RESET
    do(breaker, outcome)
    assert breaker.state == "half-open"
    do(breaker, "success")
    assert breaker.state == "closed"


def test_a_late_success_does_not_close_it_nor_a_late_failure_open_it() -> None:
    time = Time()
    breaker = Breaker("m", 1, RESET, time)
    early = [breaker.calling() for _ in range(4)]
    for call in early:
        call.__enter__()
    leave(early[0], "failure")
    leave(early[1], "success")
    assert breaker.state == "open"
    time.now += RESET
    with breaker.calling():
        leave(early[2], "failure")
        assert breaker.state == "half-open"
    leave(early[3], "failure")
    assert breaker.state == "closed"


def test_a_trial_never_awaited_to_its_end_frees_its_place() -> None:
    time = Time()
    breaker = Breaker("m", 1, RESET, time)
    do(breaker, "failure")
    time.now += RESET

    async def forever() -> None:
        with breaker.calling():
            await asyncio.sleep(60)

    async def main() -> str:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert breaker.state == "half-open"
        with pytest.raises(CircuitOpen):
            do(breaker, "success")
        task.cancel()
        await asyncio.wait([task])
        return breaker.state

    assert asyncio.run(main()) == "half-open"
    do(breaker, "success")
    assert breaker.state == "closed"


def test_of_many_threads_one_gets_the_trial() -> None:
    time = Time()
    breaker = Breaker("m", 8, RESET, time)
    outcomes: list[str] = []

    def together(each: Callable[[threading.Barrier], None]) -> None:
        gate = threading.Barrier(8)
        threads = [threading.Thread(target=each, args=(gate,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    def fail(gate: threading.Barrier) -> None:
        gate.wait(5)
        do(breaker, "failure")

    def attempt(gate: threading.Barrier) -> None:
        gate.wait(5)
        try:
            with breaker.calling():
                gate.wait(5)  # until all have tried
                outcomes.append("trial")
        except CircuitOpen:
            gate.wait(5)
            outcomes.append("refused")

    together(fail)
    assert breaker.transitions == (("closed", "open"),)
    time.now += RESET
    together(attempt)
    assert sorted(outcomes) == ["refused"] * 7 + ["trial"]
    assert breaker.state == "closed"


def test_only_the_last_hundred_transitions_are_kept() -> None:
    breaker = Breaker("m", 1, 0.0, Time())
    for _ in range(80):
        do(breaker, "failure")
    assert len(breaker.transitions) == 100
    assert set(breaker.transitions) == {("open", "half-open"), ("half-open", "open")}


@pytest.mark.parametrize(
    ("failures", "reset", "field"),
    [(0, 1.0, "failures"), (1.5, 1.0, "failures"), (1, -1.0, "reset"), (1, float("nan"), "reset")],
)
def test_bad_numbers_are_refused(failures: Any, reset: float, field: str) -> None:
    with pytest.raises(ParameterError, match=rf"^Breaker\.{field}: must be "):
        Breaker("m", failures, reset)
