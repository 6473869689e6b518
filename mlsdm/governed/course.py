"""One call that may fail: its attempts, and the rules by which there is another."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

from pydantic import Field
from tenacity import RetryCallState, retry_if_exception, wait_exponential

from mlsdm.errors import ParameterError, in_a_line
from mlsdm.governed.breaker import Breaker
from mlsdm.governed.errors import CallError, CircuitOpen, DeadlineExceeded
from mlsdm.parameters import Count, Parameters, parameters

__all__ = ["CallParams", "Course", "Late"]

Seconds = Annotated[float, Field(ge=0)]


@parameters
class CallParams(Parameters):
    """How a call that fails is repeated, and when it is no longer made; our own choice.

    Parameters
    ----------
    attempts
        Attempts at one call, with the first.
    first_wait, max_wait
        Seconds before the second attempt, doubled from each to the next, and at most. Without
        jitter, so that a run can be repeated.
    max_retry_after
        Seconds that the other side may ask us to wait for; when it asks for more, the call fails.
    most_hanging
        Calls given up that may still hang, each in its thread, before another one fails at once.
    breaker_failures
        Failures in a row that open the circuit.
    breaker_reset
        Seconds that it then stays open, until one call is let through on trial.
    """

    attempts: Count = 3
    first_wait: Seconds = 0.5
    max_wait: Seconds = 8.0
    max_retry_after: Seconds = 60.0
    most_hanging: Count = 32
    breaker_failures: Count = 5
    breaker_reset: Seconds = 30.0


class Late(Exception):
    """The answer did not come by the deadline."""


class Course:
    """One call: its attempts, and the rules by which tenacity makes another or gives up."""

    def __init__(
        self,
        name: str,
        params: CallParams,
        breaker: Breaker,
        clock: Callable[[], float],
        check: Callable[[Any], Any] | None,
        until: float | None,
    ) -> None:
        number = isinstance(until, numbers.Real) and not isinstance(until, bool)
        if until is not None and not (number and math.isfinite(until)):
            raise ParameterError(f"{name}.until: must be None or a finite number (got {until!r})")
        self.attempts = 0
        self.raised: Exception | None = None
        self._name = name
        self._params = params
        self._breaker = breaker
        self._clock = clock
        self._check = check
        self._until = math.inf if until is None else until

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return self._until - self._clock()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Make one attempt, if there is time left and the breaker lets it through."""
        if self.left() <= 0:
            raise Late
        with self._breaker.calling():
            self.attempts += 1
            try:
                yield
            except Exception as error:
                if not isinstance(error, Late):
                    self.raised = error
                raise

    def checked(self, value: Any) -> Any:
        """Return the wanted form of a value that came in time, or raise."""
        if self.left() < 0:
            raise Late
        return value if self._check is None else self._check(value)

    def failure(self, error: Exception) -> CallError:
        """Return the typed error of one sentence that stands for what went wrong."""
        if isinstance(error, Late):
            return self._too_late()
        if isinstance(error, CircuitOpen) and error is not self.raised:  # our own breaker's
            error.attempts = self.attempts
            return error
        message = f"{self._name}: {in_a_line(error)}"
        if isinstance(error, DeadlineExceeded):
            return DeadlineExceeded(message, attempts=self.attempts)
        if isinstance(error, CircuitOpen):
            return CircuitOpen(message, retry_after=error.retry_after, attempts=self.attempts)
        if isinstance(error, CallError):
            return CallError(
                message,
                permanent=error.permanent,
                retry_after=error.retry_after,
                attempts=self.attempts,
            )
        # Arguments that the function refuses, it will refuse again.
        permanent = isinstance(error, ParameterError)
        return CallError(message, permanent=permanent, attempts=self.attempts)

    def rules(self) -> dict[str, Any]:
        """Return what both kinds of tenacity's controllers are made with."""
        params = self._params
        growing = wait_exponential(params.first_wait, params.max_wait)

        def asked(state: RetryCallState) -> float:
            return _error(state).retry_after or 0.0

        def is_spent(state: RetryCallState) -> bool:
            return (
                self.attempts >= params.attempts
                or self._breaker.state == "open"
                or asked(state) > params.max_retry_after
            )

        def give_up(state: RetryCallState) -> NoReturn:
            if is_spent(state):
                raise _error(state)
            raise self._too_late() from self.raised

        return {
            "retry": retry_if_exception(_may_pass),
            "wait": lambda state: max(growing(state), asked(state)),
            "stop": lambda state: is_spent(state) or state.upcoming_sleep >= self.left(),
            "retry_error_callback": give_up,
        }

    def _too_late(self) -> DeadlineExceeded:
        last = "" if self.raised is None else f"; the last: {in_a_line(self.raised)}"
        message = f"{self._name}: no answer by the deadline, attempts: {self.attempts}{last}"
        return DeadlineExceeded(message, attempts=self.attempts)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CallError) and not error.permanent


def _error(state: RetryCallState) -> CallError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, CallError)  # nothing else is tried again
    return error
