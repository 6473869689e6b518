"""What the real service refuses, while another client's events go on being taken."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from serving import DIM, process

from mlsdm.service.keys import new_key

KEY, OTHER = new_key("alice"), new_key("bob")
MINE, THEIRS = ({"X-API-Key": key} for key, _ in (KEY, OTHER))
CONNECTIONS = 200
MB = 1 << 20
HEAD = b"Host: a\r\nX-API-Key: " + OTHER[0].encode() + b"\r\n"
POST = b"POST /v1/sessions HTTP/1.1\r\n" + HEAD


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bounds = {"connections": CONNECTIONS, "header_seconds": 1.0, "body_seconds": 1.0}
    keys = [key.model_dump() for _, key in (KEY, OTHER)]
    folder = tmp_path_factory.mktemp("service")
    with process(folder, keys=keys, bounds=bounds, logs={"requests": False}) as (url, _):
        yield url


@contextmanager
def served_meanwhile(url: str) -> Iterator[None]:
    """Send events all the time, over one connection: each is taken, soon, and no other."""
    stop, slowest, failed = threading.Event(), [0.0], []
    event = {"vector": [1.0] * DIM, "moral_value": 0.9}

    def course() -> None:
        taken = 0
        with httpx.Client(base_url=url, headers=MINE, timeout=10) as client:
            made = client.post("/v1/sessions", json={"params": {"dim": DIM}})
            path = made.headers["location"]
            while not stop.is_set() or taken < 20:
                began = time.monotonic()
                answer = client.post(f"{path}/events", json=event)
                taken += 1
                if answer.status_code != 200 or answer.json()["events"] != taken:
                    failed.append(answer.text)
                slowest[0] = max(slowest[0], time.monotonic() - began)
                time.sleep(0.002)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(course)
        try:
            yield
        finally:
            stop.set()
        running.result()
    assert failed == []
    assert slowest[0] < 2  # on a machine that does other things too


def connected(url: str, sent: bytes = b"") -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    connection.sendall(sent)
    return connection


def refused(connection: socket.socket) -> tuple[int, str]:
    """Read to the end; return the status and the kind of the problem, which is all there is."""
    parts = []
    while part := connection.recv(MB):
        parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert int(head.split()[1]) == problem["status"]
    return problem["status"], problem["type"].removeprefix("/problems/")


def kind(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def test_no_key_wrong_key_and_a_key_in_the_url(url):
    path = f"{url}/v1/sessions"
    with served_meanwhile(url), httpx.Client() as client:
        for _ in range(50):
            assert kind(client.get(path)) == (401, "unauthorized")
            wrong = {"X-API-Key": KEY[0][:-1]}
            assert kind(client.post(path, headers=wrong, json={})) == (401, "unauthorized")
            in_url = client.get(path, params={"key": KEY[0]})
            assert kind(in_url) == (400, "key-in-url")
            assert kind(client.get(f"{path}?a={KEY[0]}", headers=MINE)) == (400, "key-in-url")
            assert KEY[0] not in in_url.text
        assert client.get(path, headers=THEIRS).json() == {"sessions": []}
    for open_to_all in ("live", "ready", "startup"):
        assert httpx.get(f"{url}/health/{open_to_all}").status_code == 200
    for closed in ("/health/metrics", "/health/detailed", "/schema/openapi.json", "/nowhere"):
        assert kind(httpx.get(url + closed)) == (401, "unauthorized")


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_10_mb(url, announced):
    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield bytes(MB)

    def ask(_: int) -> tuple[int, str]:
        content = bytes(10 * MB) if announced else pieces()
        headers = {**THEIRS, "Content-Type": "application/json"}
        return kind(httpx.post(f"{url}/v1/sessions", content=content, headers=headers, timeout=20))

    with served_meanwhile(url), ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(8))) == {(413, "content-too-large")}


def drip(connections: list[socket.socket], done: Callable[[], bool]) -> None:
    """Send a byte on each connection now and then."""
    while not done():
        for connection in connections:
            try:
                connection.sendall(b"a")
            except OSError:
                return
        time.sleep(0.1)


@pytest.mark.parametrize(
    "start",
    [
        POST + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    ],
    ids=["body", "headers"],
)
def test_slow_bodies_and_slow_headers(url, start):
    with served_meanwhile(url), ExitStack() as stack:
        slow = [stack.enter_context(connected(url, start)) for _ in range(100)]
        until = time.monotonic() + 0.7
        drip(slow, lambda: time.monotonic() > until)
        began = time.monotonic()
        assert {refused(connection) for connection in slow} == {(408, "request-timeout")}
        assert time.monotonic() - began < 5


def test_header_injection(url):
    with served_meanwhile(url):
        for lines in (
            b"X: a\nX-API-Key: b\r\n",
            b"X: a\r\r\n",
            b"X: a\0\r\n",
            b"X: a\r\n b\r\n",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 2\r\nContent-Length: 3\r\n",
            b"Host: b\r\n",
        ):
            with connected(url, POST + lines + b"\r\n{}") as connection:
                assert refused(connection) == (400, "bad-request")
        for headers in ([*THEIRS.items(), *THEIRS.items()], [*THEIRS.items(), *MINE.items()]):
            answer = httpx.get(f"{url}/v1/sessions", headers=headers)
            assert kind(answer) == (400, "bad-request")
        injected = httpx.get(f"{url}/v1/sessions/a%0d%0aX-Injected:%20yes", headers=THEIRS)
        assert kind(injected) == (404, "not-found")
        assert "x-injected" not in injected.headers
        given = {**THEIRS, "X-Request-ID": "an id: <yes>"}
        answer = httpx.get(f"{url}/v1/sessions", headers=given)
        assert answer.headers["x-request-id"] != given["X-Request-ID"]
        trailer = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-API-Key: "
        sent = b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + trailer
        with connected(url, sent + KEY[0].encode() + b"\r\n\r\n") as connection:
            assert refused(connection) == (401, "unauthorized")


@contextmanager
def room_for(files: int) -> Iterator[None]:
    """Let this process open as many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        if hard < files:
            pytest.skip(f"this system allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [2000, pytest.param(10_000, marks=pytest.mark.long)])
def test_idle_connections_without_number(url, number):
    """Three of four say nothing, or not all of a head, or are kept open after an answer."""
    whole = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    with room_for(number + 500), served_meanwhile(url), ExitStack() as stack:
        crowd = []
        for i in range(number):
            crowd.append(connected(url, (b"", b"GET", whole, whole)[i % 4]))
            stack.enter_context(crowd[-1])
        fresh = httpx.get(f"{url}/v1/sessions", headers=THEIRS)  # on a connection of its own
        assert fresh.status_code == 200
        first = crowd[0]
        assert first.recv(1) == b""  # it has been closed, to make room
        held = sum(is_open(connection) for connection in crowd[-2 * CONNECTIONS :])
        assert held <= CONNECTIONS


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while part := connection.recv(4096):
            assert part
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    return False
