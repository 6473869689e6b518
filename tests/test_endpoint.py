"""A language model over HTTP, against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import misbehaving
import numpy as np
import pytest
from misbehaving import ANSWER, VECTOR, Server, failing, saying

from mlsdm.errors import DataError, ParameterError
from mlsdm.governed.calling import CallError, CallParams, DeadlineExceeded, Guarded
from mlsdm.governed.endpoint import OpenAIEndpoint

KEY = "sk-Secret/0123456789"
QUICK = CallParams(first_wait=0.0, max_wait=0.0)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between the tests and loopback, and no key is anybody's own."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("OPENAI_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="module")
def _nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()  # a socket that nobody closed would warn here


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def endpoint(server: Server) -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(server.address, "m", "e", KEY, timeout=5.0) as made:
        yield made


def both_ways(endpoint: OpenAIEndpoint, what: str, *args: Any) -> list[Any]:
    """Return what a call and its awaited form came to, errors too."""

    async def awaited() -> Any:
        async with endpoint:
            return await getattr(endpoint, f"a{what}")(*args)

    outcomes: list[Any] = []
    for call in (lambda: getattr(endpoint, what)(*args), lambda: asyncio.run(awaited())):
        try:
            outcomes.append(call())
        except CallError as error:
            outcomes.append(error)
    return outcomes


def failures(endpoint: OpenAIEndpoint, what: str, *args: Any) -> list[CallError]:
    """Return the errors of a call and its awaited form; no part of them may show the key."""
    errors = both_ways(endpoint, what, *args)
    assert [type(error) for error in errors] == [CallError, CallError], errors
    for error in errors:
        shown = "".join(traceback.format_exception(error)) + repr(error)
        assert KEY not in shown
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "\n" not in str(error)
    return errors


def test_it_generates_and_embeds(server: Server, endpoint: OpenAIEndpoint) -> None:
    assert both_ways(endpoint, "generate", "Say a thing.", 17) == [ANSWER, ANSWER]
    for request in server.requests:
        assert request["path"] == "/v1/chat/completions"
        assert request["headers"]["authorization"] == f"Bearer {KEY}"
        assert request["body"] == {
            "model": "m",
            "messages": [{"role": "user", "content": "Say a thing."}],
            "max_tokens": 17,
        }


def test_embeddings_are_vectors_of_float32(server: Server, endpoint: OpenAIEndpoint) -> None:
    for vector in both_ways(endpoint, "embed", "a text"):
        assert vector.dtype == np.float32
        assert vector.tolist() == VECTOR
    for request in server.requests:
        assert request["path"] == "/v1/embeddings"
        assert request["body"] == {"model": "e", "input": "a text", "encoding_format": "float"}


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((status, True) for status in (400, 401, 403, 404, 422)),
        *((status, False) for status in (408, 409, 429, 500, 502, 503)),
    ],
)
def test_a_status_is_permanent_or_not(
    server: Server, endpoint: OpenAIEndpoint, status: int, permanent: bool
) -> None:
    server.will(*[failing(status, f"bad {KEY}\nagain")] * 2)
    for error in failures(endpoint, "generate", "x", 1):
        assert str(error) == f"chat/completions: HTTP {status}: bad *** again"
        assert error.permanent is permanent
        assert error.retry_after is None
    assert len(server.requests) == 2, "the client itself tries nothing again"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("-3", None),
        ("nan", None),
        ("1e999", None),
        ("soon", None),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
    ],
)
def test_retry_after_is_read(
    server: Server, endpoint: OpenAIEndpoint, said: str, seconds: float | None
) -> None:
    def behave(handler: misbehaving.Handler) -> None:
        handler.date_time_string = lambda *_: "Wed, 21 Oct 2015 07:28:00 GMT"  # type: ignore[method-assign]
        failing(429, Retry_After=said)(handler)

    server.will(behave, behave)
    for error in failures(endpoint, "embed", "x"):
        assert error.retry_after == seconds
        assert not error.permanent


@pytest.mark.parametrize("behaviour", [misbehaving.cut_before, misbehaving.cut_inside])
def test_a_cut_connection_is_not_permanent(
    server: Server, endpoint: OpenAIEndpoint, behaviour: misbehaving.Behaviour
) -> None:
    server.will(behaviour, behaviour)
    for error in failures(endpoint, "generate", "x", 1):
        assert str(error).startswith("chat/completions: ")
        assert not error.permanent


def test_nobody_there_is_not_permanent(server: Server) -> None:
    with Server() as gone:
        address = gone.address
    with OpenAIEndpoint(address, "m", api_key=KEY) as endpoint:
        for error in failures(endpoint, "generate", "x", 1):
            assert "chat/completions: ConnectError" in str(error)
            assert not error.permanent


def test_slow_is_no_answer_in_time(server: Server) -> None:
    server.will(misbehaving.slow, misbehaving.slow)
    with OpenAIEndpoint(server.address, "m", api_key=KEY, timeout=0.1) as endpoint:
        for error in failures(endpoint, "generate", "x", 1):
            assert str(error) == "chat/completions: no answer in 0.1 s"
            assert not error.permanent


NONSENSE = [
    misbehaving.HTML,
    misbehaving.NOT_JSON,
    misbehaving.GARBLED,
    misbehaving.DEEP,
    *misbehaving.OTHER_SHAPES,
]


@pytest.mark.parametrize(
    ("what", "args", "behaviours"),
    [
        ("generate", ("x", 1), [*NONSENSE, *misbehaving.NO_TEXTS]),
        ("embed", ("x",), [*NONSENSE, *misbehaving.NO_VECTORS]),
    ],
)
def test_nonsense_is_a_call_error(
    server: Server, what: str, args: tuple[Any, ...], behaviours: list[misbehaving.Behaviour]
) -> None:
    for behaviour in behaviours:
        server.will(behaviour, behaviour)
        with OpenAIEndpoint(server.address, "m", "e", KEY) as endpoint:
            for error in failures(endpoint, what, *args):
                assert "nonsense" in str(error)
                assert not error.permanent


def test_badly_packed_answers_and_html_errors_are_call_errors(
    server: Server, endpoint: OpenAIEndpoint
) -> None:
    page = saying(b"<html>\n<h1>Bad   gateway</h1>", "text/html", 502)
    server.will(*[misbehaving.BADLY_PACKED] * 2)
    assert not any(error.permanent for error in failures(endpoint, "generate", "x", 1))
    server.will(page)
    with (
        OpenAIEndpoint(server.address, "m", api_key=KEY) as other,
        pytest.raises(CallError, match=r"HTTP 502: <html> <h1>Bad gateway</h1>$"),
    ):
        other.generate("x", 1)


def test_a_guarded_endpoint_rides_out_what_passes(server: Server, endpoint: OpenAIEndpoint) -> None:
    guarded = Guarded("model", endpoint.generate, QUICK)
    server.will(failing(500), misbehaving.cut_inside)
    assert guarded.call("x", 1) == (ANSWER, 3)
    server.will(failing(400, "no such model"))
    with pytest.raises(CallError) as caught:
        guarded.call("x", 1)
    assert str(caught.value) == "model: chat/completions: HTTP 400: no such model"
    assert (caught.value.permanent, caught.value.attempts) == (True, 1)
    assert isinstance(caught.value.__cause__, CallError)
    assert guarded.breaker.state == "closed"


def test_retry_after_is_waited_for(server: Server, endpoint: OpenAIEndpoint) -> None:
    slept: list[float] = []
    guarded = Guarded("model", endpoint.generate, CallParams(), sleep=slept.append)
    server.will(failing(429, Retry_After="7"), failing(429))
    assert guarded.call("x", 1).attempts == 3
    assert slept == [7.0, 1.0]


def test_an_answer_that_drips_in_is_given_up_at_the_deadline(
    server: Server, endpoint: OpenAIEndpoint
) -> None:
    server.will(misbehaving.dripping, misbehaving.dripping)

    async def awaited(until: float) -> None:
        async with endpoint:
            await Guarded("m", endpoint.agenerate, QUICK).acall("x", 1, until=until)

    before = set(threading.enumerate())
    for call in (
        lambda until: Guarded("m", endpoint.generate, QUICK).call("x", 1, until=until),
        lambda until: asyncio.run(awaited(until)),
    ):
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"no answer by the deadline, attempts: 1$"):
            call(begun + 0.2)
        assert time.monotonic() - begun < 2
    server.released.set()
    for thread in set(threading.enumerate()) - before:
        if thread.daemon:  # the call that was given up ends now
            thread.join(4)
            assert not thread.is_alive()


def test_one_endpoint_serves_several_event_loops(server: Server) -> None:
    with OpenAIEndpoint(server.address, "m", "e", KEY) as endpoint:

        async def twice() -> list[str]:
            try:
                return [await endpoint.agenerate("x", 1) for _ in range(2)]
            finally:
                await endpoint._awaited[asyncio.get_running_loop()].close()

        assert asyncio.run(twice()) == asyncio.run(twice()) == [ANSWER, ANSWER]
        assert len(endpoint._awaited) == 1, "a loop that is gone is forgotten"


def test_event_loops_at_the_same_time_share_no_connection(server: Server) -> None:
    with (
        OpenAIEndpoint(server.address, "m", "e", KEY) as endpoint,
        asyncio.Runner() as one,
        asyncio.Runner() as other,
    ):
        for runner in (one, other, one, other):
            assert runner.run(endpoint.agenerate("x", 1)) == ANSWER
        ports = [request["port"] for request in server.requests]
        assert ports == ports[:2] * 2
        assert ports[0] != ports[1]
        for runner in (one, other):
            runner.run(endpoint.aclose())


def test_a_closed_endpoint_says_so(server: Server, endpoint: OpenAIEndpoint) -> None:
    endpoint.close()
    endpoint.close()
    for error in failures(endpoint, "generate", "x", 1):
        assert str(error) == "OpenAIEndpoint: is closed"
        assert error.permanent
    assert server.requests == []


def test_the_key_comes_from_the_environment_and_stays_unseen(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIEndpoint(server.address, "m") as endpoint:
        endpoint.generate("x", 1)
        assert KEY not in repr(endpoint)
    assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"base_url": "localhost:8000"}, "base_url: must be an http or https address"),
    ({"base_url": f"http://me:{KEY}@host/v1"}, "base_url: must be an http or https address"),
    ({"base_url": f"http://host/v1?key={KEY}"}, "base_url: must be an http or https address"),
    ({"base_url": "http://[1/v1"}, "base_url: must be an http or https address"),
    ({"base_url": "http://host:99999/v1"}, "base_url: must be an http or https address"),
    ({"base_url": None}, "base_url: must be an http or https address"),
    ({"model": ""}, r"model: must be the name of a model \(got ''\)"),
    ({"embedding_model": 3}, r"embedding_model: must be the name of a model \(got 3\)"),
    ({"api_key": ""}, "api_key: must be given, or be in the environment as OPENAI_API_KEY"),
    ({"api_key": None}, "api_key: must be given, or be in the environment as OPENAI_API_KEY"),
    ({"api_key": KEY + "\n"}, "api_key: must be printable ASCII without spaces"),
    ({"api_key": KEY + "é"}, "api_key: must be printable ASCII without spaces"),
    ({"timeout": 0}, r"timeout: must be a finite number above 0 \(got 0\)"),
    ({"timeout": float("nan")}, r"timeout: must be a finite number above 0 \(got nan\)"),
    ({"timeout": True}, r"timeout: must be a finite number above 0 \(got True\)"),
]


@pytest.mark.parametrize(("changed", "said"), BAD)
def test_bad_arguments_are_refused(changed: dict[str, Any], said: str) -> None:
    whole = {"base_url": "http://host/v1", "model": "m", "api_key": KEY, **changed}
    with pytest.raises(ParameterError, match=rf"^OpenAIEndpoint\.{said}") as caught:
        OpenAIEndpoint(**whole)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: e.generate(5, 1), r"prompt: must be a text \(got 5\)"),
        (lambda e: e.generate("a\ud800", 1), r"prompt: .* \(got a lone surrogate at 1\)"),
        (lambda e: e.generate("x", 0), r"max_tokens: must be a whole number of at least 1"),
        (lambda e: e.embed(None), r"text: must be a text \(got None\)"),
    ],
)
def test_bad_arguments_of_a_call_are_refused(
    server: Server, endpoint: OpenAIEndpoint, call: Callable[[OpenAIEndpoint], Any], said: str
) -> None:
    with pytest.raises(ParameterError, match=rf"^OpenAIEndpoint\.{said}"):
        call(endpoint)
    assert server.requests == []


def test_without_an_embedding_model_nothing_is_embedded(server: Server) -> None:
    with (
        OpenAIEndpoint(server.address, "m", api_key=KEY) as endpoint,
        pytest.raises(ParameterError, match=r"^OpenAIEndpoint\.embedding_model: must be named"),
    ):
        endpoint.embed("x")


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(DataError, match=r"^openai: is not installed; pip install mlsdm\[openai\]$"):
        OpenAIEndpoint("http://host/v1", "m", api_key=KEY)


def test_the_client_is_loaded_only_for_an_endpoint() -> None:
    code = (
        "import sys, mlsdm.governed.calling, mlsdm.governed.endpoint; "
        "print(sorted({'openai', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
