"""Calls that may fail: repeated by tenacity, inside a circuit breaker, up to a deadline."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from tenacity import AsyncRetrying, Retrying

from mlsdm.asking import is_coroutine_function
from mlsdm.errors import ParameterError
from mlsdm.governed.breaker import Breaker
from mlsdm.governed.course import CallParams, Course, Late
from mlsdm.governed.errors import CallError, CircuitOpen, DeadlineExceeded

__all__ = [
    "Breaker", "CallError", "CallParams", "Called", "CircuitOpen", "DeadlineExceeded", "Guarded",
]  # fmt: skip

Asked = Future[tuple[Any, BaseException | None]]


class Called(NamedTuple):
    """What a call brought, and how many attempts it took."""

    value: Any
    attempts: int


class Guarded:
    """A function that may fail, with its circuit breaker; safe to call from several threads.

    Parameters
    ----------
    name
        What is called, for the messages.
    function
        What is called: a function or a coroutine function. What it raises is a failure, and tried
        again, but for a permanent `CallError` and a `ParameterError`.
    params
        How often, after which waits, and when not at all.
    check
        Turns what the function returned into what is wanted, or raises, which is a failure too.
    clock
        Returns seconds, from any origin.
    sleep
        Waits for some seconds; `acall` awaits what it returns, and takes `asyncio.sleep` for
        `time.sleep`.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        params: CallParams,
        *,
        check: Callable[[Any], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        if not callable(function):
            raise ParameterError(f"{name}: must be a function (got {function!r})")
        if not isinstance(params, CallParams):
            raise ParameterError(f"{name}.params: must be CallParams (got {params!r})")
        self.name = name
        self.params = params
        self.breaker = Breaker(name, params.breaker_failures, params.breaker_reset, clock)
        self._function = function
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._given_up: list[Asked] = []
        self._lock = threading.Lock()

    @property
    def must_be_awaited(self) -> bool:
        """Whether it is for `acall` alone: the function or what sleeps is a coroutine function."""
        return any(is_coroutine_function(made) for made in (self._function, self._sleep))

    def call(self, *args: Any, until: float | None = None) -> Called:
        """Call the function, again where it fails.

        With a deadline the function runs in a thread of its own. One that is not back by then is
        given up: it goes on, but nothing waits for it, and its result is dropped.

        Parameters
        ----------
        args
            What the function is given.
        until
            The deadline, by `clock`; None for none.

        Raises
        ------
        CallError
            When there was no answer: `CircuitOpen` when no call was let through,
            `DeadlineExceeded` when the time was up.
        ParameterError
            For a coroutine function, or a deadline that is no finite number.
        """
        if self.must_be_awaited:
            raise ParameterError(
                f"{self.name}: call takes no coroutine function; await acall instead"
            )
        course = self._course(until)

        def once() -> Any:
            try:
                with course.attempt():
                    return course.checked(self._answer(args, course))
            except Exception as error:
                raise course.failure(error) from course.raised

        value = Retrying(sleep=self._sleep, **course.rules())(once)
        return Called(value, course.attempts)

    def _course(self, until: float | None) -> Course:
        return Course(self.name, self.params, self.breaker, self._clock, self._check, until)

    def _answer(self, args: tuple[Any, ...], course: Course) -> Any:
        if math.isinf(course.left()):
            value = self._function(*args)
        else:
            future = self._started(args)
            try:
                value = _wait_for(future, course.left())
            finally:
                self._give_up(future)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise CallError("returned an awaitable; await acall instead", permanent=True)
        return value

    async def acall(self, *args: Any, until: float | None = None) -> Called:
        """Call the function as `call` does, without holding up the event loop.

        A coroutine function is awaited, and cancelled at the deadline; any other runs in a thread.

        Raises
        ------
        CallError
            As for `call`.
        ParameterError
            For a deadline that is no finite number.
        """
        course = self._course(until)

        async def once() -> Any:
            try:
                with course.attempt():
                    return course.checked(await self._aanswer(args, course))
            except Exception as error:
                raise course.failure(error) from course.raised

        sleep = asyncio.sleep if self._sleep is time.sleep else self._wait
        value: Any = await AsyncRetrying(sleep=sleep, **course.rules())(once)
        return Called(value, course.attempts)

    async def _aanswer(self, args: tuple[Any, ...], course: Course) -> Any:
        left = course.left()
        try:
            async with asyncio.timeout(None if math.isinf(left) else left) as scope:
                if is_coroutine_function(self._function):
                    return await self._function(*args)
                # Not asyncio's threads: the loop's end waits for them, however long they take.
                future = self._started(args)
                try:
                    value = _of(await asyncio.wrap_future(future))
                finally:
                    self._give_up(future)
                return await value if inspect.isawaitable(value) else value
        except TimeoutError:
            if scope.expired():
                raise Late from None
            raise

    def _started(self, args: tuple[Any, ...]) -> Asked:
        """Start the function in a thread, unless too many of those given up still run."""
        with self._lock:
            self._given_up = [one for one in self._given_up if not one.done()]
            hanging = len(self._given_up)
        if hanging >= self.params.most_hanging:
            raise CallError(f"not called, {hanging} calls that were given up have not come back")
        return _in_thread(self._function, args)

    def _give_up(self, future: Asked) -> None:
        if not future.done():
            with self._lock:
                self._given_up.append(future)

    async def _wait(self, seconds: float) -> None:
        waiting = self._sleep(seconds)
        if inspect.isawaitable(waiting):
            await waiting


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> Asked:
    """Start a function in a thread that no exit waits for; return what it will have come to."""
    future: Asked = Future()
    future.set_running_or_notify_cancel()  # from now on nobody can cancel it
    context = contextvars.copy_context()

    def run() -> None:
        done: tuple[Any, BaseException | None]
        try:
            done = (context.run(function, *args), None)
        except BaseException as error:  # as a value: a future cannot hold a StopIteration
            done = (None, error)
        future.set_result(done)

    threading.Thread(target=run, daemon=True).start()
    return future


def _wait_for(future: Asked, seconds: float) -> Any:
    try:
        outcome = future.result(min(max(seconds, 0.0), threading.TIMEOUT_MAX))
    except TimeoutError:
        raise Late from None
    return _of(outcome)


def _of(outcome: tuple[Any, BaseException | None]) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value
