"""Connections to a real server: what they may hold, how long, and what no request is."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from asgi_correlation_id import correlation_id
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from mlsdm.service.protocol import LINGER_BYTES, MOST_HEAD, MOST_QUEUED, bounded
from mlsdm.service.settings import Bounds

HEAD = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"
LAST = b"GET / HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"\r\n"
MB = 1 << 20


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer by path: /early and /late without the body, /slow after a while, /large with 32 MB."""
    path, body, more = scope["path"], b"", scope["path"] not in ("/early", "/late")
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    if path in ("/slow", "/late"):
        await asyncio.sleep(0.3)
    names = [name.decode() for name, _ in scope["headers"]]
    said = json.dumps({"path": path, "names": names, "body": len(body)}).encode()
    if path == "/large":
        said = bytes(32 * MB)
    status = 413 if path == "/early" else 200
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@contextmanager
def served(registry: CollectorRegistry | None = None, **bounds: Any) -> Iterator[int]:
    """The port of a server with these bounds."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded(Bounds(**bounds), registry or CollectorRegistry()),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


def connected(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(sent)
    return connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := connection.recv(MB):
        parts.append(part)
    return b"".join(parts)


def asked(port: int, sent: bytes) -> bytes:
    with connected(port, sent) as connection:
        return rest(connection)


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Read one answer with a JSON body, and no more."""
    with connection.makefile("rb", buffering=0) as file:
        status = int(file.readline().split()[1])
        headers = dict(line.strip().split(b": ", 1) for line in iter(file.readline, b"\r\n"))
        return status, json.loads(file.read(int(headers[b"content-length"])))


def merge_request_id(logger: Any, method: str, event: Any) -> Any:
    return {**event, "request_id": correlation_id.get()}


def refused(received: bytes) -> tuple[int, str]:
    """The status and the kind of the one problem that was received."""
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    problem = json.loads(body)
    assert int(lines[0].split()[1]) == problem["status"]
    assert b"x-request-id: " + problem["request_id"].encode() in lines
    assert b"x-content-type-options: nosniff" in lines
    return problem["status"], problem["type"].rpartition("/")[2]


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


BAD_REQUEST = (400, "bad-request")


@pytest.mark.parametrize(
    "lines",
    [
        b"X: a\nAdmin: yes\r\n",
        b"X: a\rAdmin: yes\r\n",
        b"X: a\0b\r\n",
        b"X: a\x0bb\r\n",
        b"X : a\r\n",
        b" X: a\r\n",
        b"X: a\r\n folded\r\n",
        b"Host: b\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 30\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(port, lines):
    received = asked(port, b"POST / HTTP/1.1\r\n" + HEAD + lines + b"\r\n0\r\n\r\n" + GET)
    assert refused(received) == BAD_REQUEST


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n" + HEAD + b"\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET /\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /a\0b HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"NONSENSE / HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"CONNECT a:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_told_so(port, sent):
    assert refused(asked(port, sent)) == BAD_REQUEST


def test_what_is_refused_is_counted_and_told_with_its_id():
    registry = CollectorRegistry()
    with served(registry) as port, capture_logs([merge_request_id]) as lines:
        received = asked(port, b"GET /\r\n\r\n")
    count = registry.get_sample_value("mlsdm_connections_refused_total", {"status": "400"})
    assert count == 1
    told = [line["request_id"] for line in lines if line["event"] == "connection refused"]
    assert told == [json.loads(received.partition(b"\r\n\r\n")[2])["request_id"]]


def test_a_trailer_is_no_header(port):
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-API-Key: stolen\r\n\r\n"
    with connected(port, b"POST / HTTP/1.1\r\n" + HEAD + chunks) as connection:
        status, said = answer(connection)
    assert (status, said["body"]) == (200, 3)
    assert said["names"] == ["host", "transfer-encoding"]


def test_a_head_has_at_most_64_kib(port):
    fits = b"X: " + bytes(b"a" * (MOST_HEAD - 200)) + b"\r\n"
    with connected(port, b"GET / HTTP/1.1\r\n" + HEAD + fits + b"\r\n") as connection:
        assert answer(connection)[0] == 200
    many = b"".join(b"X%d: a\r\n" % i for i in range(MOST_HEAD // 8))
    for lines in (b"X: " + b"a" * MOST_HEAD + b"\r\n", many):
        received = asked(port, b"GET / HTTP/1.1\r\n" + HEAD + lines + b"\r\n")
        assert refused(received) == (431, "headers-too-large")


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nX: ", b"GET /"])
def test_a_head_that_does_not_end_is_not_kept(port, start):
    with connected(port, start) as connection:
        for _ in range(MOST_HEAD // 4096 + 1):
            connection.sendall(b"\r\n" * 2048 if not start else b"a" * 4096)
        assert refused(rest(connection)) == (431, "headers-too-large")


@pytest.mark.parametrize("endless", [b"3;", b"0\r\nT: "])
def test_neither_chunk_extensions_nor_trailers_are_kept_without_end(port, endless):
    begun = b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + endless
    assert refused(asked(port, begun + b"a" * MB))[0] == 431


def test_a_body_that_breaks_off_the_rules_is_refused_once(port):
    begun = b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    assert refused(asked(port, begun + b"nonsense\r\n")) == BAD_REQUEST


def test_who_was_refused_within_a_body_is_sent_nothing_more(port, caplog):
    begun = b"POST /late HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    with connected(port, begun) as connection:
        time.sleep(0.05)
        connection.sendall(b"nonsense\r\n")
        time.sleep(0.5)  # the application has answered meanwhile
        assert refused(rest(connection)) == BAD_REQUEST
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_requests_sent_ahead_are_answered_in_order_and_bounded(port):
    ahead = [b"GET /%d HTTP/1.1\r\n" % i + HEAD + b"\r\n" for i in range(100)]
    received = asked(port, b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n" + b"".join(ahead))
    paths = [line for line in received.split(b'"') if line.startswith(b"/")]
    assert paths == [b"/slow", *(b"/%d" % i for i in range(MOST_QUEUED))]


def test_what_follows_a_request_and_is_none_does_not_take_its_answer(port):
    received = asked(port, b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n" + b"nonsense\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1


def test_an_upgrade_is_answered_as_what_it_is_without_it(port):
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: YQ==\r\n\r\n"
    received = asked(port, b"GET / HTTP/1.1\r\n" + HEAD + upgrade)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in received


def test_an_answer_before_the_end_of_the_body_reaches_the_client(port):
    large = b"POST /early HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % (8 * MB)
    with connected(port, large) as connection:
        connection.sendall(bytes(8 * MB))  # without a reset, although nobody wants it
        assert answer(connection)[0] == 413
        connection.sendall(GET)  # the whole body has been thrown away: this is a request again
        assert answer(connection)[1]["path"] == "/"
        connection.sendall(large.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        connection.sendall(bytes(8 * MB))
        assert b" 413 " in rest(connection)


def test_what_is_thrown_away_is_bounded_in_bytes(port):
    large = b"POST /early HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 40)
    sent = 0
    with connected(port, large) as connection, suppress(ConnectionError):
        while sent < 4 * LINGER_BYTES:
            sent += connection.send(bytes(MB))
    assert LINGER_BYTES - MB < sent < 2 * LINGER_BYTES


def test_what_is_thrown_away_is_bounded_in_time(port, monkeypatch):
    monkeypatch.setattr("mlsdm.service.protocol.LINGER_SECONDS", 0.2)
    large = b"POST /early HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % MB
    with connected(port, large + b"a") as connection:
        assert answer(connection)[0] == 413
        connection.sendall(b"a")
        began = time.monotonic()
        assert rest(connection) == b""
        assert 0.1 < time.monotonic() - began < 2


def test_after_an_answer_to_100_continue_without_it_the_connection_ends(port):
    expecting = b"POST /early HTTP/1.1\r\nExpect: 100-continue\r\n" + HEAD
    with connected(port, expecting + b"Content-Length: 5\r\n\r\n") as connection:
        assert answer(connection)[0] == 413
        began = time.monotonic()
        assert rest(connection) == b""  # a next request would have been taken for the body
        assert time.monotonic() - began < 2


def test_slow_heads_are_told_so_and_silent_connections_closed():
    with served(header_seconds=0.3, idle_seconds=30) as port, ExitStack() as stack:
        began = time.monotonic()
        silent = stack.enter_context(connected(port))
        slow = stack.enter_context(connected(port, b"GET / HT"))
        for byte in b"TP/1.1":
            time.sleep(0.02)
            slow.sendall(bytes([byte]))  # bytes that come do not give more time
        assert refused(rest(slow)) == (408, "request-timeout")
        assert 0.25 < time.monotonic() - began < 2
        assert rest(silent) == b""

        kept = stack.enter_context(connected(port, GET))
        assert answer(kept)[0] == 200
        time.sleep(0.5)  # a connection may rest for longer than a head may take
        kept.sendall(GET + b"GET /")
        assert answer(kept)[0] == 200
        assert refused(rest(kept)) == (408, "request-timeout")

        again = stack.enter_context(connected(port, GET))
        assert answer(again)[0] == 200
        began = time.monotonic()
        for byte in b"GET / HTTP":
            again.sendall(bytes([byte]))
            time.sleep(0.02)
        assert refused(rest(again)) == (408, "request-timeout")
        assert 0.25 < time.monotonic() - began < 0.45


def test_a_connection_is_closed_when_it_is_idle_for_long():
    with served(idle_seconds=0.3) as port, connected(port, GET) as connection:
        assert answer(connection)[0] == 200
        began = time.monotonic()
        assert rest(connection) == b""
        assert 0.2 < time.monotonic() - began < 2


def test_the_longest_idle_connection_makes_room():
    with served(connections=3) as port, ExitStack() as stack:
        held = [stack.enter_context(connected(port, GET)) for _ in range(3)]
        for connection in (held[1], held[0], held[2]):
            answer(connection)
        held[0].sendall(GET)
        answer(held[0])  # now 1 has been idle longest, then 2
        fourth = stack.enter_context(connected(port, GET))
        assert answer(fourth)[0] == 200
        assert [is_open(one) for one in held] == [True, False, True]
        half = stack.enter_context(connected(port, b"GET / HTTP"))
        assert [is_open(one) for one in held] == [True, False, False]
        assert is_open(half)


def test_with_a_request_under_way_on_each_connection_a_new_one_is_refused():
    slow = b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n"
    with served(connections=2) as port, ExitStack() as stack:
        busy = [stack.enter_context(connected(port, slow)) for _ in range(2)]
        time.sleep(0.1)
        for sent in (b"", GET, GET):
            received = asked(port, sent)
            assert refused(received) == (503, "too-many-connections")
            assert b"retry-after: 1\r\n" in received
        assert [answer(one)[0] for one in busy] == [200, 200]
        assert asked(port, LAST).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_without_number_take_no_place_from_requests():
    with served(connections=20) as port, ExitStack() as stack:
        first = stack.enter_context(connected(port, GET))
        assert answer(first)[0] == 200
        crowd = []
        for i in range(300):
            crowd.append(stack.enter_context(connected(port, b"GET / HT" if i % 2 else b"")))
            if i % 10 == 0:
                assert asked(port, LAST).startswith(b"HTTP/1.1 200 ")
                first.sendall(GET)
                assert answer(first)[0] == 200  # who asks is not idle
        assert sum(map(is_open, crowd)) < 20


def test_an_answer_that_nobody_takes_is_given_up():
    with served(idle_seconds=0.3) as port:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with connection:
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET /large HTTP/1.1\r\n" + HEAD + b"\r\n")
            time.sleep(1)
            connection.settimeout(5)
            assert 0 < len(rest(connection)) < 32 * MB


def test_a_slow_reader_that_reads_gets_its_answer(monkeypatch):
    monkeypatch.setattr("mlsdm.service.protocol.LINGER_SECONDS", 0.1)
    with served(idle_seconds=0.3) as port:
        with connected(port, b"GET /large HTTP/1.1\r\n" + HEAD + b"\r\n") as connection:
            got = 0
            for _ in range(8):
                time.sleep(0.1)
                read = 0
                while read < 4 * MB:
                    read += len(connection.recv(4 * MB - read))
                got += read
            got += len(connection.recv(MB))
        assert 32 * MB < got < 33 * MB


def test_two_servers_have_bounds_of_their_own():
    first, second = (bounded(Bounds(connections=n), CollectorRegistry()) for n in (1, 2))
    assert (first.bounds.connections, second.bounds.connections) == (1, 2)
    assert first.idle is not second.idle


def test_a_server_that_ends_finishes_what_is_under_way():
    with served() as port:
        busy = connected(port, b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
        idle, half = connected(port), connected(port, b"GET /")
        time.sleep(0.1)
    with busy, idle, half:
        assert answer(busy)[0] == 200
        assert rest(idle) + rest(half) + rest(busy) == b""
