"""A circuit breaker: what has failed several times is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, cast

import pybreaker

from mlsdm.checks import as_seconds, as_whole
from mlsdm.errors import ParameterError
from mlsdm.governed.errors import CallError, CircuitOpen, DeadlineExceeded

__all__ = ["Breaker", "State"]

State = Literal["closed", "open", "half-open"]


class _Failed(Exception):
    """Stands for any failure: of an exception's type, pybreaker would make rules of its own."""


class _Changes(pybreaker.CircuitBreakerListener):
    """Tells a breaker of each transition of the state machine."""

    def __init__(self, changed: Callable[[State, State], None]) -> None:
        self._changed = changed

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Pass the names of the two states on."""
        if old_state is not None:
            self._changed(cast(State, old_state.name), cast(State, new_state.name))


class Breaker:
    """Lets calls through while they succeed, and after a row of failures none for a while.

    The states and their transitions are pybreaker's. Ours are the time, by `clock`, where
    pybreaker goes by the wall clock; that one trial at a time is let through when half-open; and
    that a call counts only in the period, between two transitions, in which it began.

    Parameters
    ----------
    name
        What is called, for the messages.
    failures
        Failures in a row that open the circuit, at least 1.
    reset
        Seconds that it then stays open, at least 0, until one call is let through on trial.
    clock
        Returns seconds, from any origin.

    Raises
    ------
    ParameterError
        For a number that is not allowed.
    """

    def __init__(
        self, name: str, failures: int, reset: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        as_whole("Breaker.failures", failures, 1)
        as_seconds("Breaker.reset", reset)
        self.name = name
        self._reset = reset
        self._clock = clock
        self._lock = threading.Lock()
        self._transitions: deque[tuple[State, State]] = deque(maxlen=100)
        self._period = 0
        self._opened_at = 0.0
        self._trials: set[object] = set()  # of at most one; `discard` needs no lock
        self._machine = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=0,
            listeners=[_Changes(self._changed)],
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> State:
        """The state: an open circuit is half-open only once a call was let through on trial."""
        return cast(State, self._machine.current_state)

    @property
    def transitions(self) -> tuple[tuple[State, State], ...]:
        """The last 100 transitions, oldest first, each as (from, to)."""
        with self._lock:
            return tuple(self._transitions)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Count what is called inside as a success, a failure, or, when interrupted, neither.

        An `Exception` is a failure, unless it is a `CallError` that is permanent: an answer of the
        other side, even a refusal, shows that it is there. What is no `Exception`, such as a
        cancellation, says nothing of it, nor does a `ParameterError`, which refuses the arguments.
        May enclose an ``await``.

        Raises
        ------
        CircuitOpen
            When the circuit is open, or is half-open with a trial under way.
        """
        ticket = object()  # made first, so that no interruption can leave the trial's place taken
        try:
            period = self._enter(ticket)
            try:
                yield
            except ParameterError:
                raise
            except Exception as error:
                self._count(period, failed=not _is_answer(error))
                raise
            self._count(period, failed=False)
        finally:
            self._trials.discard(ticket)

    def _enter(self, ticket: object) -> int:
        with self._lock:
            if self.state == "open":
                left = self._opened_at + self._reset - self._clock()
                if left > 0:
                    message = f"{self.name}: not called, the circuit is open for {left:.3g} s more"
                    raise CircuitOpen(message, retry_after=left)
                self._trials.add(ticket)
                self._machine.half_open()
            elif self.state == "half-open":
                if self._trials:
                    raise CircuitOpen(f"{self.name}: not called, the circuit is on trial")
                self._trials.add(ticket)
            return self._period

    def _count(self, period: int, failed: bool) -> None:
        with self._lock:
            if period != self._period:  # a late result of a call begun before the last transition
                return
            # Entered only now: pybreaker itself would let late results and interruptions count.
            with suppress(_Failed), self._machine.calling():
                if failed:
                    raise _Failed

    def _changed(self, old: State, new: State) -> None:
        self._transitions.append((old, new))
        self._period += 1
        if new == "open":
            self._opened_at = self._clock()


def _is_answer(error: Exception) -> bool:
    """Return whether it is the other side that refuses, for good."""
    gone = isinstance(error, (CircuitOpen, DeadlineExceeded))
    return isinstance(error, CallError) and error.permanent and not gone
