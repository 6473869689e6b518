"""Calls that may fail, nearly all in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import ParameterError, RunError
from mlsdm.governed.calling import (
    CallError,
    CallParams,
    CircuitOpen,
    DeadlineExceeded,
    Guarded,
)


class Virtual:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(float(seconds))
        self.now += seconds


class Scripted:
    """A function that does what a script says: raises errors, returns all else."""

    def __init__(self, *script: Any, time: Virtual | None = None, takes: float = 0.0) -> None:
        self.script = list(script)
        self.calls: list[tuple[Any, ...]] = []
        self.time = time
        self.takes = takes

    def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        if self.time:
            self.time.now += self.takes
        what = self.script.pop(0)
        if isinstance(what, BaseException):
            raise what
        return what


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    async def called(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    return called


Ways = Callable[..., Any]


def sync(guarded: Guarded, *args: Any, until: float | None = None) -> Any:
    return guarded.call(*args, until=until)


def threaded(guarded: Guarded, *args: Any, until: float | None = None) -> Any:
    return asyncio.run(guarded.acall(*args, until=until))


def coroutine(guarded: Guarded, *args: Any, until: float | None = None) -> Any:
    if not inspect.iscoroutinefunction(guarded._function):
        guarded._function = awaited(guarded._function)
    return asyncio.run(guarded.acall(*args, until=until))


@pytest.fixture(params=[sync, threaded, coroutine], ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Ways:
    """Each of the three ways in which a function is called."""
    made: Ways = request.param
    return made


def guard(
    function: Any, time: Virtual, params: dict[str, Any] | None = None, **more: Any
) -> Guarded:
    made = CallParams.from_dict(params or {})
    return Guarded("model", function, made, clock=time.clock, sleep=time.sleep, **more)


def test_a_call_that_succeeds_is_made_once(way: Ways) -> None:
    time, function = Virtual(), Scripted("answer")
    assert way(guard(function, time), "prompt", 5) == ("answer", 1)
    assert function.calls == [("prompt", 5)]
    assert time.slept == []


@pytest.mark.parametrize("until", [None, 1e6])
def test_what_fails_is_tried_again_after_growing_waits(way: Ways, until: float | None) -> None:
    time = Virtual()
    function = Scripted(*[ConnectionError("gone")] * 5, "answer")
    guarded = guard(function, time, {"attempts": 9, "max_wait": 3.0, "breaker_failures": 9})
    assert way(guarded, until=until).attempts == 6
    assert time.slept == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_the_last_attempt_there_is_a_call_error(way: Ways) -> None:
    time, last = Virtual(), ValueError("line one\n  line two")
    guarded = guard(Scripted(OSError("x"), OSError("x"), last), time)
    with pytest.raises(CallError) as caught:
        way(guarded)
    error = caught.value
    assert isinstance(error, RunError)
    assert str(error) == "model: ValueError: line one line two"
    assert (error.attempts, error.permanent, error.retry_after) == (3, False, None)
    assert error.__cause__ is last
    assert time.slept == [0.5, 1.0], "none after the last"


@pytest.mark.parametrize(
    "refusal", [CallError("HTTP 400", permanent=True), ParameterError("prompt: must be a text")]
)
def test_what_is_permanent_is_not_tried_again(way: Ways, refusal: Exception) -> None:
    time = Virtual()
    guarded = guard(Scripted(refusal), time, {"breaker_failures": 1})
    with pytest.raises(CallError, match=r"^model: ") as caught:
        way(guarded)
    assert (caught.value.attempts, caught.value.permanent) == (1, True)
    assert caught.value.__cause__ is refusal
    assert guarded.breaker.state == "closed"


def test_a_time_out_of_the_functions_own_is_not_our_deadline(way: Ways) -> None:
    function = Scripted(TimeoutError("read"), "answer")
    assert way(guard(function, Virtual()), until=1e6) == ("answer", 2)


@pytest.mark.parametrize("until", [None, 1e6])
def test_a_stop_iteration_is_a_failure_as_any_other(way: Ways, until: float | None) -> None:
    guarded = guard(Scripted(StopIteration(), StopIteration(), "answer"), Virtual())
    assert way(guarded, until=until) == ("answer", 3)
    guarded = guard(Scripted(*[StopIteration()] * 3), Virtual())
    with pytest.raises(CallError) as caught:
        way(guarded, until=until)
    assert caught.value.attempts == 3


def test_what_the_other_side_asks_for_is_waited_for(way: Ways) -> None:
    time = Virtual()
    function = Scripted(CallError("429", retry_after=7.0), CallError("429", retry_after=0.1), "a")
    assert way(guard(function, time)).attempts == 3
    assert time.slept == [7.0, 1.0]


def test_who_asks_for_more_than_is_allowed_is_not_asked_again(way: Ways) -> None:
    time = Virtual()
    with pytest.raises(CallError) as caught:
        way(guard(Scripted(CallError("429", retry_after=61.0)), time))
    assert (caught.value.attempts, caught.value.retry_after) == (1, 61.0)
    assert type(caught.value) is CallError
    assert time.slept == []


def test_no_wait_goes_beyond_the_deadline(way: Ways) -> None:
    time, gone = Virtual(), ConnectionError("gone")
    guarded = guard(Scripted(*[gone] * 3), time)
    with pytest.raises(DeadlineExceeded) as caught:
        way(guarded, until=time.now + 1.5)
    said = "model: no answer by the deadline, attempts: 2; the last: ConnectionError: gone"
    assert str(caught.value) == said
    assert (caught.value.attempts, caught.value.permanent) == (2, True)
    assert caught.value.__cause__ is gone
    assert time.slept == [0.5], "a wait of 1 s would end at the deadline"


def test_the_last_attempts_error_is_not_blamed_on_the_deadline(way: Ways) -> None:
    time = Virtual()
    guarded = guard(Scripted(OSError("gone")), time, {"attempts": 1})
    with pytest.raises(CallError) as caught:
        way(guarded, until=time.now + 0.1)
    assert type(caught.value) is CallError


def test_an_answer_after_the_deadline_is_dropped_and_counts_as_a_failure(way: Ways) -> None:
    time = Virtual()
    function = Scripted("on time", "late", time=time, takes=2.0)
    guarded = guard(function, time, {"breaker_failures": 1})
    assert way(guarded, until=time.now + 2.0) == ("on time", 1)
    with pytest.raises(DeadlineExceeded) as caught:
        way(guarded, until=time.now + 1.9)
    assert str(caught.value) == "model: no answer by the deadline, attempts: 1"
    assert guarded.breaker.state == "open"


def test_after_the_deadline_nothing_is_called(way: Ways) -> None:
    time, function = Virtual(), Scripted()
    guarded = guard(function, time, {"breaker_failures": 1})
    with pytest.raises(DeadlineExceeded) as caught:
        way(guarded, until=time.now)
    assert caught.value.attempts == 0
    assert function.calls == []
    assert guarded.breaker.state == "closed"


def test_a_check_makes_the_value_or_refuses_it(way: Ways) -> None:
    def check(value: Any) -> int:
        if not isinstance(value, str):
            raise CallError(f"nonsense: must be a text (got {value!r})")
        return len(value)

    guarded = guard(Scripted(None, "four"), Virtual(), check=check)
    assert way(guarded) == (4, 2)
    guarded = guard(Scripted(1, 2, 3), Virtual(), {"breaker_failures": 3}, check=check)
    with pytest.raises(CallError, match=r"^model: nonsense: must be a text \(got 3\)$"):
        way(guarded)
    assert guarded.breaker.state == "open"


def test_an_open_circuit_lets_nothing_through_until_a_trial_succeeds(way: Ways) -> None:
    time = Virtual()
    function = Scripted(*[OSError("gone")] * 3, "back", "answer")
    guarded = guard(function, time, {"breaker_failures": 2})
    with pytest.raises(CallError) as caught:
        way(guarded)
    assert (type(caught.value), caught.value.attempts) == (CallError, 2), "no third attempt"
    with pytest.raises(CircuitOpen) as refused:
        way(guarded)
    assert str(refused.value) == "model: not called, the circuit is open for 30 s more"
    assert (refused.value.attempts, refused.value.retry_after) == (0, 30.0)
    time.now += 30.0
    with pytest.raises(CallError):
        way(guarded)
    assert guarded.breaker.state == "open"
    time.now += 30.0
    assert way(guarded).value == "back"
    assert guarded.breaker.transitions == (
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    )


def test_a_circuit_opened_during_a_wait_ends_the_call() -> None:
    time, gone = Virtual(), OSError("gone")

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        for _ in range(2):
            with pytest.raises(OSError, match="gone"), guarded.breaker.calling():
                raise gone

    params = CallParams(breaker_failures=3)
    guarded = Guarded("model", Scripted(gone), params, clock=time.clock, sleep=sleep)
    with pytest.raises(CircuitOpen) as caught:
        guarded.call()
    assert caught.value.attempts == 1
    assert caught.value.__cause__ is gone


@pytest.mark.parametrize(
    "inner", [CircuitOpen("inner: not called", retry_after=3.0), DeadlineExceeded("inner: late")]
)
def test_a_guarded_call_inside_another_keeps_its_kind(way: Ways, inner: CallError) -> None:
    guarded = guard(Scripted(inner), Virtual(), {"breaker_failures": 1})
    with pytest.raises(type(inner)) as caught:
        way(guarded)
    assert str(caught.value) == f"model: {inner}"
    assert (caught.value.attempts, caught.value.__cause__) == (1, inner)
    assert caught.value.retry_after == inner.retry_after
    assert guarded.breaker.state == "open", "who is inside is not there"


@pytest.mark.parametrize("until", [None, 1e6])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_an_interruption_goes_through_and_counts_for_nothing(
    error: BaseException, until: float | None
) -> None:
    time = Virtual()
    function = Scripted(OSError("gone"), error, "answer")
    guarded = guard(function, time, {"attempts": 1, "breaker_failures": 1})
    with pytest.raises(CallError):
        guarded.call()
    time.now += 30.0
    with pytest.raises(type(error)):
        guarded.call(until=until)
    assert guarded.breaker.state == "half-open"
    assert guarded.call().value == "answer"


def test_a_cancelled_trial_counts_for_nothing() -> None:
    time, begun = Virtual(), asyncio.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    guarded = guard(forever, time, {"breaker_failures": 1})
    with pytest.raises(OSError, match="gone"), guarded.breaker.calling():
        raise OSError("gone")
    time.now += 30.0

    async def main() -> None:
        task = asyncio.create_task(guarded.acall())
        await begun.wait()
        with pytest.raises(CircuitOpen, match="on trial"):
            await guarded.acall()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert guarded.breaker.state == "half-open"
    with guarded.breaker.calling():
        pass
    assert guarded.breaker.state == "closed"


class AsyncCallable:
    async def __call__(self) -> str:
        return "answer"


@pytest.mark.parametrize(
    "function", [awaited(lambda: "answer"), AsyncCallable(), functools.partial(awaited(len), "abc")]
)
def test_a_coroutine_function_is_for_acall(function: Any) -> None:
    guarded = guard(function, Virtual())
    with pytest.raises(ParameterError, match=r"^model: .* no coroutine function; await acall "):
        guarded.call()
    assert asyncio.run(guarded.acall()).value in ("answer", 3)


def test_a_function_that_returns_an_awaitable_is_for_acall() -> None:
    guarded = guard(lambda: AsyncCallable()(), Virtual())
    with pytest.raises(CallError, match="returned an awaitable; await acall instead") as caught:
        guarded.call()
    assert caught.value.permanent
    assert asyncio.run(guarded.acall()).value == "answer"


def test_a_coroutine_may_be_what_sleeps() -> None:
    time = Virtual()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        time.sleep(seconds)

    function = Scripted(OSError("gone"), "answer")
    guarded = Guarded("model", function, CallParams(), clock=time.clock, sleep=sleep)
    with pytest.raises(ParameterError, match="await acall instead"):
        guarded.call()
    assert asyncio.run(guarded.acall()).value == "answer"
    assert time.slept == [0.5]


def test_a_call_in_a_thread_sees_the_callers_context(way: Ways) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert way(guard(lambda: variable.get(), Virtual()), until=1e6).value == "mine"


@pytest.mark.parametrize("until", [float("nan"), float("inf"), "soon", True])
def test_a_deadline_is_a_finite_number(way: Ways, until: Any) -> None:
    function = Scripted()
    with pytest.raises(ParameterError, match=r"^model\.until: must be None or a finite number"):
        way(guard(function, Virtual()), until=until)
    assert function.calls == []


def test_a_far_deadline_is_no_trouble(way: Ways) -> None:
    assert way(guard(Scripted("answer"), Virtual()), until=1e300).value == "answer"


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^model: must be a function \(got 'text'\)$"):
        guard("text", Virtual())


@pytest.mark.parametrize(
    "bad",
    [{"attempts": 0}, {"first_wait": -1.0}, {"breaker_failures": 0}, {"breaker_reset": -0.5}],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=rf"^CallParams\.{next(iter(bad))}: "):
        CallParams.from_dict(bad)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_what_is_asked_for_is_a_finite_time(seconds: float) -> None:
    with pytest.raises(ParameterError, match=r"^CallError\.retry_after: must be a finite number"):
        CallError("429", retry_after=seconds)


outcomes = st.sampled_from(
    ["answer", OSError("gone"), CallError("429", retry_after=3.0), CallError("4", permanent=True)]
)


@given(
    st.lists(st.tuples(outcomes, st.sampled_from([0.0, 1.0, 4.0])), min_size=40, max_size=40),
    st.lists(st.sampled_from([None, 0.0, 2.0, 9.0]), min_size=1, max_size=10),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_every_call_ends_typed_in_time_and_with_its_attempts_told(
    script: list[tuple[Any, float]], deadlines: list[float | None], attempts: int, failures: int
) -> None:
    time, made = Virtual(), []

    def function() -> Any:
        outcome, takes = script[len(made) % len(script)]
        made.append(outcome)
        time.now += takes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    params = {"attempts": attempts, "breaker_failures": failures, "breaker_reset": 5.0}
    guarded = guard(function, time, params)
    for deadline in deadlines:
        until = None if deadline is None else time.now + deadline
        before, slept = len(made), len(time.slept)
        error: CallError | None = None
        try:
            called = guarded.call(until=until)
        except CallError as raised:
            error = raised
        told = called.attempts if error is None else error.attempts
        assert told == len(made) - before <= attempts
        assert len(time.slept) - slept <= told
        if error is None:
            assert called.value == made[-1] == "answer"
            assert until is None or time.now <= until
        elif type(error) is CallError:
            assert error.__cause__ is made[-1]
        else:
            assert isinstance(error, CircuitOpen if until is None else CallError)


def test_a_call_that_hangs_is_given_up_in_real_time() -> None:
    release = threading.Event()
    dropped: list[str] = []

    def hang() -> str:
        release.wait(30)
        dropped.append("late")
        return "late"

    async def ahang() -> None:
        await asyncio.sleep(30)

    before = set(threading.enumerate())
    for function, way in ((hang, sync), (hang, threaded), (ahang, threaded)):
        guarded = Guarded("model", function, CallParams(breaker_failures=1))
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            way(guarded, until=begun + 0.05)
        assert time.monotonic() - begun < 2
        assert caught.value.attempts == 1
        assert guarded.breaker.state == "open"
    release.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert dropped == ["late", "late"]
    assert guarded.breaker.transitions == (("closed", "open"),)


def test_the_usual_sleep_is_asyncios_where_it_is_awaited() -> None:
    params = CallParams(first_wait=0.05)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def main() -> int:
        ticking = asyncio.create_task(tick())
        called = await Guarded("model", Scripted(OSError("gone"), "answer"), params).acall()
        ticking.cancel()
        return called.attempts

    assert asyncio.run(main()) == 2
    assert len(ticks) > 3, "the event loop was not held up"


def test_a_hanging_call_does_not_hold_up_the_exit() -> None:
    code = (
        "import asyncio, time; from mlsdm.governed.calling import *\n"
        "guarded = Guarded('m', lambda: time.sleep(60), CallParams())\n"
        "for go in (guarded.call, lambda until: asyncio.run(guarded.acall(until=until))):\n"
        "    try: go(until=time.monotonic() + 0.05)\n"
        "    except DeadlineExceeded as error: print(error.attempts)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("1\n1\n", "")


def test_many_threads_share_a_guarded_function() -> None:
    guarded = Guarded("model", lambda n: n * n, CallParams())
    results: dict[int, int] = {}

    def work(n: int) -> None:
        results[n] = guarded.call(n, until=time.monotonic() + 30).value

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: n * n for n in range(16)}


@pytest.mark.parametrize("way", ["call", "acall"])
def test_calls_that_were_given_up_and_still_hang_are_bounded(way: str) -> None:
    released = threading.Event()
    quick = CallParams(attempts=1, breaker_reset=0.0, most_hanging=3)
    guarded = Guarded("model", lambda: released.wait(30), quick)
    before = threading.active_count()
    said = []
    for _ in range(8):
        until = time.monotonic() + 0.02
        try:
            if way == "call":
                guarded.call(until=until)
            else:
                asyncio.run(guarded.acall(until=until))
        except CallError as error:
            said.append(str(error))
    assert threading.active_count() - before <= 3
    assert said[-1] == "model: not called, 3 calls that were given up have not come back"
    released.set()


@pytest.mark.parametrize("params", [None, 3, {"attempts": 1}])
def test_the_parameters_of_a_call_are_call_params(params: Any) -> None:
    with pytest.raises(ParameterError, match=r"^model\.params: must be CallParams"):
        Guarded("model", print, params)
