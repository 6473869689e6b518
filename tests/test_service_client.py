"""The client of the service against a scripted server that resets, delays, refuses and loses."""

from __future__ import annotations

import gc
import json
import logging
import socket
import sys
import time
import traceback

import misbehaving
import numpy as np
import pytest
from misbehaving import saying
from scripting import ID, INFO, KEY, OUTCOME, SMALL, Script, problem

from mlsdm import DataError, EngineParams, ParameterError, RunError
from mlsdm.engine.outcome import Outcome
from mlsdm.service import sending
from mlsdm.service.client import Client, ServiceError

VECTOR = np.arange(SMALL.dim, dtype=np.float32)
BUSY = problem(503, "The service is starting.")
LOSSES = [
    misbehaving.cut_before,
    misbehaving.cut_inside,
    problem(502, "Bad."),
    problem(504, "Bad."),
]


class Clock:
    """Takes the place of `time`: it goes by what was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def server():
    with Script() as server:
        yield server


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sending, "time", clock)
    return clock


def session_of(client):
    return client.session(ID)


def test_a_session_is_made_found_and_shown(server):
    with Client(server.address + "/", KEY) as client:
        made = client.create(SMALL)
        assert (made.id, made.dim, made.params) == (ID, SMALL.dim, SMALL)
        assert session_of(client).params == made.params
        assert "6" in repr(made)
        assert ID in repr(made)
    assert server.paths == ["POST /v1/sessions", f"GET /v1/sessions/{ID}"]
    sent = server.requests[0]
    assert json.loads(sent["body"]) == {"params": SMALL.to_dict()}
    assert sent["headers"]["content-type"] == "application/json"
    assert {asked["headers"]["x-api-key"] for asked in server.requests} == {KEY}


def test_a_preset_is_asked_for_by_its_name(server):
    with Client(server.address) as client:
        client.create(preset="published")
        client.create()
    assert [json.loads(asked["body"]) for asked in server.requests] == [{"preset": "published"}, {}]
    assert "x-api-key" not in server.requests[0]["headers"]


def test_a_path_before_the_service_is_kept(server):
    with Client(server.address + "/engines/") as client:
        client.create()
    assert server.paths == ["POST /engines/v1/sessions"]


@pytest.mark.parametrize("refusal", [problem(429, "Slowly.", Retry_After="3"), BUSY])
@pytest.mark.parametrize("what", ["create", "process_event", "state", "restore"])
def test_what_was_surely_not_taken_is_asked_for_again(server, clock, refusal, what):
    answers = {
        "create": INFO,
        "process_event": {"events": 1, "outcomes": [OUTCOME]},
        "state": STATE,
        "restore": {"events": 4, "discarded": 2},
    }
    with Client(server.address) as client:
        session = session_of(client)
        server.will(refusal, problem(408, "Too slow."), saying(answers[what]))
        call = client.create if what == "create" else getattr(session, what)
        call(*((VECTOR, 0.5) if what == "process_event" else ()))
    assert len(set(server.paths[1:])) == 1
    assert len(server.requests) == 4
    first, second = clock.slept
    asked_for = 0 if refusal is BUSY else 3
    assert asked_for + 0.05 <= first <= asked_for + 0.1
    assert 0.1 <= second <= 0.2


STATE = {
    "events": 7, "phase": "sleep", "steps_left": 2, "threshold": 0.5, "acceptance_rate": 0.25,
    "norms": [1.0, 2.0, 3.0], "lattice_size": 3, "emergency": None,
    "gaps": [{"first": 5, "lost": 2, "found": "2026-01-01T00:00:00+00:00"}], "levels": None,
}  # fmt: skip


def test_a_refused_connection_is_tried_again_until_there_is_one(clock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused = pytest.raises(ServiceError, match=r"^Client.create: no connection to .*, asked 4 t")
    with Client(f"http://127.0.0.1:{port}", attempts=4) as client, refused:
        client.create()
    assert len(clock.slept) == 3
    assert all(0 < pause <= 0.4 for pause in clock.slept)


@pytest.mark.parametrize("loss", LOSSES)
def test_events_whose_answer_was_lost_are_sent_again_under_the_same_key(server, loss):
    with Client(server.address) as client:
        session = session_of(client)
        server.will(loss, loss)
        outcome = session.process_event(VECTOR, 0.5)
        session.process_event(VECTOR, 0.5)
    assert outcome == Outcome(**{**OUTCOME, "norms": (1.0, 0.0, 0.0)})
    first, second, third, other = server.requests[1:]
    assert first == second == third
    keys = [asked["headers"]["idempotency-key"] for asked in (first, other)]
    assert keys[0] != keys[1]
    assert all(1 <= len(key) <= 64 and key.isalnum() for key in keys)
    assert first["body"] == other["body"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("what", ["create", "restore"])
def test_what_would_do_more_the_second_time_is_not_repeated_when_its_answer_was_lost(
    server, loss, what
):
    with Client(server.address) as client:
        session = session_of(client)
        server.will(loss)
        with pytest.raises(ServiceError) as raised:
            client.create() if what == "create" else session.restore()
    assert len(server.requests) == 2
    assert raised.value.attempts == 1
    if raised.value.status is None:
        assert "is not known" in str(raised.value)


def test_silence_is_borne_for_half_of_the_time_and_then_asked_again(server):
    with Client(server.address, timeout=1.0, attempts=2) as client:
        session = session_of(client)
        server.will(misbehaving.slow)
        began = time.monotonic()
        assert session.process_event(VECTOR, 0.5).accepted
        assert 0.4 < time.monotonic() - began < 1.0
        server.will(misbehaving.slow, misbehaving.slow)
        began = time.monotonic()
        with pytest.raises(ServiceError, match=r"ReadTimeout.*asked 2 times"):
            session.process_event(VECTOR, 0.5)
        assert time.monotonic() - began < 1.5


def test_an_answer_that_drips_is_given_up_in_time(server):
    with Client(server.address, timeout=0.5) as client:
        server.will(misbehaving.dripping)
        began = time.monotonic()
        with pytest.raises(ServiceError, match=r"not all there after 0\.5 s$"):
            client.sessions()
        assert time.monotonic() - began < 1.0


def test_a_pause_longer_than_the_time_left_is_not_begun(server):
    with Client(server.address, timeout=5.0) as client:
        server.will(problem(429, "Slowly.", Retry_After="60"))
        began = time.monotonic()
        with pytest.raises(ServiceError, match=r"^Client.sessions: Slowly \(status 429\)$"):
            client.sessions()
        assert time.monotonic() - began < 1.0


def test_no_more_than_the_attempts_are_made(server, clock):
    with Client(server.address, attempts=3) as client:
        server.will(*[BUSY] * 5)
        with pytest.raises(ServiceError, match="asked 3 times") as raised:
            client.create()
    assert (len(server.requests), raised.value.attempts, raised.value.status) == (3, 3, 503)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 507])
def test_a_refusal_is_not_repeated_and_its_fields_are_named(server, status):
    with Client(server.address) as client:
        session = session_of(client)
        server.will(problem(status, "It is wrong.", ("vector", "must hold 6 numbers (got 3)")))
        with pytest.raises(ServiceError) as raised:
            session.process_event(VECTOR, 0.5)
    assert isinstance(raised.value, RunError)
    said = "RemoteSession.process_event: vector: must hold 6 numbers (got 3) "
    assert str(raised.value) == f"{said}(status {status})"
    assert raised.value.status == raised.value.problem["status"] == status
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"detail": "There is none.", "errors": 5}', "There is none"),
        (b'{"title": "No", "errors": [1, null]}', "No"),
        (b'{"detail": 7}', "Not Found"),
        (b"<html>", "Not Found"),
        (b"\xff\xfe", "Not Found"),
        (b"[" * 100_000, "Not Found"),
        (b"[1]", "Not Found"),
        (b"", "Not Found"),
    ],
)
def test_a_refusal_in_another_form_is_one_sentence_too(server, content, said):
    with Client(server.address) as client:
        server.will(saying(content, status=404))
        with pytest.raises(ServiceError) as raised:
            client.sessions()
    assert str(raised.value) == f"Client.sessions: {said} (status 404)"


@pytest.mark.parametrize(
    "content", [b"", b"[" * 99_999, b"\xff", b"{}", b"5", b'{"id": 3}', b"null"]
)
def test_an_answer_that_is_nonsense_is_a_service_error(server, content):
    with Client(server.address) as client:
        server.will(saying(content))
        with pytest.raises(
            ServiceError, match=r"^Client.create: the answer is not what it must be"
        ):
            client.create()


def test_an_answer_that_is_badly_packed_is_a_service_error(server):
    with Client(server.address, attempts=1) as client:
        server.will(misbehaving.BADLY_PACKED)
        with pytest.raises(ServiceError, match="no whole answer"):
            client.create()


def test_too_few_outcomes_are_a_service_error(server):
    with Client(server.address) as client:
        session = session_of(client)
        with pytest.raises(ServiceError, match=r"2 events were sent, .* answered with 1 outcomes"):
            session.process_events([VECTOR, VECTOR], [0.5, 0.5])


def test_redirects_are_not_followed(server):
    with Client(server.address, KEY) as client, Script() as elsewhere:
        server.will(problem(307, "There.", Location=elsewhere.address + "/v1/sessions"))
        with pytest.raises(ServiceError, match=r"redirects are not followed \(status 307\)"):
            client.create()
        assert elsewhere.requests == []


def test_a_batch_that_is_too_large_is_sent_in_halves_and_the_error_has_what_was_taken(server):
    too_large = problem(413, "Too large.")
    with Client(server.address) as client:
        session = session_of(client)
        two = saying({"events": 2, "outcomes": [OUTCOME, OUTCOME]})
        server.will(too_large, two, problem(404, "There is no such session."))
        with pytest.raises(ServiceError, match="no such session") as raised:
            session.process_events([VECTOR] * 5, [0.5] * 5)
    row = 16 + 4 * SMALL.dim
    assert [len(asked["body"]) for asked in server.requests[1:]] == [5 * row, 2 * row, 2 * row]
    assert [outcome.event for outcome in raised.value.outcomes] == [0, 0]
    with Client(server.address) as client:
        server.will(misbehaving.well, too_large)
        with pytest.raises(ServiceError, match=r"status 413"):
            session_of(client).process_event(VECTOR, 0.5)


def test_a_large_batch_is_cut(server):
    row = 16 + 4 * SMALL.dim
    with Client(server.address) as client:
        session = session_of(client)
        whole = saying({"events": 9, "outcomes": [OUTCOME] * 1024})
        server.will(whole, saying({"events": 9, "outcomes": [OUTCOME] * 3}))
        vectors = np.tile(VECTOR, (1027, 1))
        assert len(session.process_events(vectors, np.full(1027, 0.5))) == 1027
        assert session.process_events([], []) == []
    assert [len(asked["body"]) for asked in server.requests[1:]] == [1024 * row, 3 * row]


ONE = (VECTOR, 0.5)
MANY = ([VECTOR, VECTOR], [0.5, 0.5])


@pytest.mark.parametrize(
    ("what", "arguments", "named"),
    [
        ("process_event", ([1.0, 2.0], 0.5), r"process_event.vector: must have shape \(6,\)"),
        ("process_event", (VECTOR * np.nan, 0.5), r"process_event.vector\[0\]: must be finite"),
        (
            "process_event",
            (VECTOR * 1e6, 0.5),
            r"process_event.vector\[2\]: must be at most 1e\+06",
        ),
        ("process_event", (["a"] * 6, 0.5), "process_event.vector: must hold real numbers"),
        ("process_event", (VECTOR, 1.5), "process_event.moral_value: must be a number in"),
        ("process_event", (VECTOR, float("nan")), "process_event.moral_value: must be"),
        ("process_event", (VECTOR, True), "process_event.moral_value: must be"),
        ("process_event", (VECTOR, 0.5, -1), "process_event.context: must be a number in"),
        (
            "process_events",
            (VECTOR, [0.5]),
            r"process_events.vectors: must have shape \(events, 6\)",
        ),
        ("process_events", (MANY[0], [0.5]), "process_events.moral_values: must hold one number"),
        ("process_events", (MANY[0], [0.5, 2]), r"process_events.moral_values\[1\]: must be"),
        ("process_events", (*MANY, [0.5]), "process_events.context: must hold one number"),
        ("process_events", (*MANY, [0.5, np.nan]), r"process_events.context\[1\]: must be"),
        ("process_events", ([VECTOR, VECTOR - 2e6], [0.5, 0.5]), r"vectors\[1, 0\]: must be at"),
        ("retrieve_context", ([np.inf] * 6,), r"retrieve_context.query\[0\]: must be finite"),
        ("retrieve_context", (VECTOR, 0), "retrieve_context.top_k: must be a whole number"),
        ("download", (5,), "download.path: must be a path"),
    ],
)
def test_arguments_are_refused_before_anything_is_sent(server, what, arguments, named):
    with Client(server.address) as client:
        session = session_of(client)
        with pytest.raises(ParameterError, match=f"^RemoteSession.*{named}"):
            getattr(session, what)(*arguments)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"url": "ftp://there"}, "url: must be an http or https address"),
        ({"url": 5}, "url: must be an http or https address"),
        ({"url": "http://"}, "url: must be"),
        ({"url": "http://user:secret@there"}, "url: must be"),
        ({"url": "http://there/?key=secret"}, "url: must be"),
        ({"url": "http://there:0"}, "url: must be"),
        ({"url": "http://[there"}, "url: must be"),
        ({"url": "http://the re\n"}, "url: must be"),
        ({"key": "sec ret"}, "key: must be printable ASCII"),
        ({"key": "secret\n"}, "key: must be printable ASCII"),
        ({"key": "sécret"}, "key: must be printable ASCII"),
        ({"key": ""}, "key: must be printable ASCII"),
        ({"timeout": 0}, "timeout: must be a finite number above 0"),
        ({"timeout": float("inf")}, "timeout: must be"),
        ({"timeout": True}, "timeout: must be"),
        ({"attempts": 0}, "attempts: must be a whole number of at least 1"),
        ({"verify": None}, "verify: must be True, False"),
    ],
)
def test_what_a_client_is_made_of_is_checked(arguments, named):
    given = {"url": "http://there", **arguments}
    with pytest.raises(ParameterError, match=rf"^Client\.{named}") as raised:
        Client(given.pop("url"), **given)
    assert "secret" not in str(raised.value)
    assert "cret" not in str(raised.value)


def test_what_is_asked_of_a_client_is_checked(server):
    with Client(server.address) as client:
        with pytest.raises(ParameterError, match=r"^Client.create.params: must be EngineParams"):
            client.create({"dim": 3})
        with pytest.raises(ParameterError, match=r"^Client.create.preset: must be 'specification'"):
            client.create(preset="other")
        with pytest.raises(ParameterError, match=r"^Client.create: takes params or a preset"):
            client.create(EngineParams(), "published")
        for id in ("../health", ID.upper(), 5, ID + "\n"):
            with pytest.raises(ParameterError, match=r"^Client.session.id: must be 32 hexa"):
                client.session(id)
    assert server.requests == []


def test_certificates_that_cannot_be_read_are_named(tmp_path):
    nothing = tmp_path / "none.pem"
    with pytest.raises(DataError, match=r"^Client.verify: .*none\.pem' cannot be read"):
        Client("https://there", verify=nothing)
    nothing.write_text("no certificate")
    with pytest.raises(DataError, match=r"^Client.verify: .*none\.pem' cannot be read"):
        Client("https://there", verify=str(nothing))


@pytest.mark.parametrize("package", ["httpx", "msgspec"])
def test_without_the_extra_it_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"^{package}: is not .*; pip install mlsdm\[service\]$"):
        Client("http://there")


def test_a_closed_client_says_so(server):
    client = Client(server.address)
    session = session_of(client)
    client.close()
    with pytest.raises(ServiceError, match=r"^RemoteSession.state: the client has been closed$"):
        session.state()


def test_a_session_that_is_gone_when_its_end_is_asked_for_again_has_ended(server):
    with Client(server.address) as client:
        session = session_of(client)
        gone = problem(404, "There is no such session.")
        server.will(misbehaving.cut_before, gone, gone)
        session.delete()
        with pytest.raises(ServiceError, match="no such session"):
            session.delete()
    assert server.paths[1:] == [f"DELETE /v1/sessions/{ID}"] * 3


def test_a_download_is_the_whole_file_or_none(server, tmp_path):
    target = tmp_path / "engine"
    content = bytes(range(256)) * 4096
    with Client(server.address) as client:
        session = session_of(client)
        server.will(misbehaving.cut_inside, saying(content, "application/octet-stream"))
        assert session.download(str(target)) == target
        assert target.read_bytes() == content
        server.will(*[misbehaving.cut_inside] * 2, problem(404, "There is no such session."))
        with pytest.raises(ServiceError, match="no such session"):
            session.download(target)
    assert target.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_the_state_is_shown_as_a_table(server):
    with Client(server.address, attempts=1) as client:
        session = session_of(client)
        server.will(saying(STATE), BUSY, saying(STATE), saying(STATE))
        shown = session._repr_html_()
        assert f"RemoteSession {ID}" in shown
        assert "<td>sleep (2 steps left)</td>" in shown
        assert "<td>events lost</td><td>2</td>" in shown
        assert "The service is starting (status 503)" in session._repr_html_()
        assert session.events == 7
        assert [(gap.first, gap.lost) for gap in session.gaps] == [(5, 2)]


def test_the_key_is_never_shown(server, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    with Client(server.address, KEY, attempts=2) as client:
        session = session_of(client)
        said += [repr(client), repr(session), session._repr_html_()]
        for behaviour in (
            problem(422, f"{KEY} is wrong.", (KEY, f"must not be {KEY}")),
            saying(f"no JSON: {KEY}".encode(), status=400),
            misbehaving.cut_before,
            misbehaving.cut_inside,
        ):
            server.will(behaviour, behaviour)
            with pytest.raises(ServiceError) as raised:
                client.create()
            said += traceback.format_exception(raised.value)
            said += [str(raised.value.problem), repr(raised.value)]
            assert raised.value.__context__ is None
            assert raised.value.__cause__ is None
            server._next.clear()
    assert any("*** is wrong" in line for line in said)
    assert KEY not in "".join(said)
    assert KEY not in caplog.text


def test_a_closed_client_leaves_no_connection_open(server):
    client = Client(server.address)
    client.create()
    assert len(server.connections) == 1
    client.close()
    gc.collect()
    until = time.monotonic() + 5
    while server.connections and time.monotonic() < until:
        time.sleep(0.01)
    assert not server.connections
