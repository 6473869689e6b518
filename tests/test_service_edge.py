"""What stands in front of the endpoints: who is let through, how often, and what is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from mlsdm.service import edge
from mlsdm.service.edge import Guard, Watch
from mlsdm.service.keys import new_key
from mlsdm.service.problems import Problem, send
from mlsdm.service.settings import Settings

KEYS = {name: new_key(name) for name in ("alice", "bob")}
ALICE, BOB = ({"X-API-Key": KEYS[name][0]} for name in KEYS)
FREE = {"rate": {"per_second": 0.0}}


async def api(scope: Any, receive: Any, send_: Any) -> None:
    """Read the body, and answer with the client's name."""
    try:
        while (await receive()).get("more_body"):
            pass
    except Problem as problem:
        await send(problem, scope, send_)
        return
    if scope["path"].startswith("/v1/"):
        scope["path_template"] = "/v1/{name}"
    body = json.dumps({"client": scope["state"]["client"]}).encode()
    headers = [(b"content-type", b"application/json")]
    await send_({"type": "http.response.start", "status": 200, "headers": headers})
    await send_({"type": "http.response.body", "body": body})


def with_keys(**given: Any) -> Settings:
    return Settings(keys=[key.model_dump() for _, key in KEYS.values()], **FREE | given)


def asked(
    settings: Settings,
    *requests: tuple[str, str, dict[str, Any]],
    peer: str = "127.0.0.1",
    host: str = "127.0.0.1:8000",
    watched: CollectorRegistry | None = None,
) -> list[httpx.Response]:
    """The answers to requests to one service."""
    app: Any = Guard(api, settings)
    if watched is not None:
        app = Watch(app, settings, watched)

    async def course() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(peer, 123))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return [
                await client.request(method, path, **options) for method, path, options in requests
            ]

    return asyncio.run(course())


def get(path: str = "/v1/state", headers: Any = None) -> tuple[str, str, dict[str, Any]]:
    return "GET", path, {"headers": headers}


def slug(answer: httpx.Response) -> tuple[int, str]:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["type"].removeprefix("/problems/")


def test_a_key_names_its_client():
    right, other = asked(with_keys(), get(headers=ALICE), get(headers=BOB))
    assert (right.json()["client"], other.json()["client"]) == ("alice", "bob")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "unauthorized")),
        ({"X-API-Key": ""}, (401, "unauthorized")),
        ({"X-API-Key": "mlsdm_wrong"}, (401, "unauthorized")),
        ({"X-API-Key": ALICE["X-API-Key"] + " "}, (401, "unauthorized")),
        ([(b"X-API-Key", b"\xff\xfe")], (401, "unauthorized")),
        ({"Authorization": f"Bearer {ALICE['X-API-Key']}"}, (401, "unauthorized")),
        ([*ALICE.items(), *ALICE.items()], (400, "bad-request")),
        ([*ALICE.items(), *BOB.items()], (400, "bad-request")),
    ],
)
def test_without_one_right_key_nobody_is_let_through(headers, expected):
    (answer,) = asked(with_keys(), get(headers=headers))
    assert slug(answer) == expected
    if expected[0] == 401:
        assert answer.headers["www-authenticate"] == "ApiKey"
    assert "mlsdm_" not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}=x" for name in ("key", "api_key", "apikey", "token", "access_token")),
        "API_Key=x",
        "X-API-Key=",
        "%6bey=x",
        "a=1&key",
        pytest.param(f"session={ALICE['X-API-Key']}", id="a value that is one"),
        pytest.param(ALICE["X-API-Key"].replace("m", "%6d", 1), id="one, percent-encoded"),
    ],
)
def test_a_key_in_the_url_is_refused_also_beside_a_right_one(query):
    answers = asked(with_keys(), get(f"/v1/state?{query}"), get(f"/v1/state?{query}", ALICE))
    for answer in answers:
        assert slug(answer) == (400, "key-in-url")
        assert ALICE["X-API-Key"] not in answer.text


def test_a_query_without_a_key_is_let_through_and_bounded():
    many = "&".join(f"a{i}=1" for i in range(51))
    fine, refused = asked(
        with_keys(), get("/v1/state?levels=true&keys=2", ALICE), get(f"/v1/state?{many}", ALICE)
    )
    assert fine.status_code == 200
    assert slug(refused) == (400, "bad-request")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("127.0.0.1", 200),
        ("127.8.9.1:8000", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("localhost:evil", 403),
        ("l" * 300, 403),
        ("", 403),
    ],
)
def test_without_keys_only_names_of_this_machine_are_answered(host, status):
    (answer,) = asked(Settings(**FREE), get(headers={"Host": host}))
    assert answer.status_code == status
    if status == 403:
        assert slug(answer) == (403, "forbidden")
    (answer,) = asked(with_keys(), get(headers={"Host": host, **ALICE}))
    assert answer.status_code == 200  # with keys, a page of another site has none


def test_without_keys_all_are_one_client_by_whichever_address_they_come():
    found = [
        asked(Settings(**FREE), get(headers=ALICE), peer=peer) for peer in ("127.0.0.9", "::1")
    ]
    assert [answer.json()["client"] for (answer,) in found] == ["anyone", "anyone"]


@pytest.mark.parametrize("settings", [Settings(**FREE), with_keys()])
def test_a_key_in_the_path_is_refused_and_not_logged(settings):
    with capture_logs() as lines:
        (answer,) = asked(settings, get(f"/v1/{ALICE['X-API-Key']}", ALICE))
    assert slug(answer) == (400, "key-in-url")
    assert ALICE["X-API-Key"] not in answer.text
    assert ALICE["X-API-Key"] not in str(lines)


def test_a_packed_body_is_refused_by_its_field():
    (answer,) = asked(with_keys(), get(headers={**ALICE, "Content-Encoding": "gzip"}))
    assert slug(answer) == (415, "unsupported-media-type")
    assert answer.json()["errors"][0]["field"] == "Content-Encoding"


SLOW = {"rate": {"per_second": 0.5, "burst": 3}}


def test_each_client_has_a_bucket_and_is_told_when_to_come_again():
    requests = [get(headers=ALICE)] * 5 + [get(headers=BOB)] * 3
    answers = asked(with_keys(**SLOW), *requests)
    assert [one.status_code for one in answers] == [200] * 3 + [429] * 2 + [200] * 3
    assert slug(answers[3]) == (429, "too-many-requests")
    assert answers[3].headers["retry-after"] == "2"  # a request each two seconds
    fast = {"rate": {"per_second": 1000.0, "burst": 1}}
    answers = asked(with_keys(**fast), *[get(headers=ALICE)] * 20)
    assert {one.headers["retry-after"] for one in answers if one.status_code == 429} <= {"1"}


def test_a_bucket_fills_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("token_bucket.storage.time.monotonic", lambda: now[0])
    guard = Guard(api, with_keys(**SLOW))

    def taken() -> int:
        done = 0
        while True:
            try:
                guard._take_token("alice", "10.0.0.1")
            except Problem:
                return done
            done += 1

    assert taken() == 3
    now[0] += 2
    assert taken() == 1
    now[0] += 3600
    assert taken() == 3


def test_who_has_no_right_key_has_the_bucket_of_the_address():
    wrong = get(headers={"X-API-Key": "guess"})
    answers = asked(with_keys(**SLOW), *[wrong] * 3, get(), get(headers=ALICE))
    assert [one.status_code for one in answers] == [401, 401, 401, 429, 200]


def test_addresses_of_one_site_share_a_bucket():
    network = edge._network
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("::ffff:10.0.0.1") == network("10.0.0.1") != network("10.0.0.2")
    assert network("fe80::1%eth0") == network("fe80::2%eth0")
    assert network("unknown") == "unknown"


def test_the_buckets_are_bounded():
    guard = Guard(api, with_keys(**SLOW))
    for i in range(10_100):
        guard._take_token(None, f"peer {i}")
    assert guard._bucket.cache_info().currsize == 10_000


def test_probes_need_no_key_and_have_no_rate():
    probes = [get(f"/health/{name}") for name in ("live", "ready", "startup")]
    answers = asked(with_keys(**SLOW), *probes * 5, get("/health/metrics"), get("/health/live/"))
    assert [one.status_code for one in answers] == [200] * 15 + [401] * 2


async def told(settings: Settings, messages: list[tuple[float, Any]]) -> list[Any]:
    """What is sent to a client whose body comes in these pieces, each after some seconds."""
    sent, pieces = [], iter(messages)

    async def receive() -> Any:
        seconds, message = next(pieces)
        await asyncio.sleep(seconds)
        return message

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/state",
        "raw_path": b"/v1/state",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-length", b"20")],
        "client": ("127.0.0.1", 1),
    }
    await Watch(Guard(api, settings), settings, CollectorRegistry())(scope, receive, keep)
    return sent


def piece(more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": b"0123456789", "more_body": more}


def test_a_body_has_its_time():
    settings = Settings(**FREE, bounds={"body_seconds": 0.15})
    slow = [(0.04, piece(True))] * 100  # each piece comes in time, but not the whole
    start, body = asyncio.run(told(settings, slow))
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"])["type"] == "/problems/request-timeout"
    start, _ = asyncio.run(told(settings, [(0.04, piece(True)), (0.04, piece(False))]))
    assert start["status"] == 200


def test_the_time_of_a_body_ends_with_it():
    """An application may wait for the client's leaving as long as it likes."""

    async def course() -> Any:
        messages = iter([piece(False), {"type": "http.disconnect"}])

        async def receive() -> Any:
            message = next(messages)
            await asyncio.sleep(0.1 if message["type"] == "http.disconnect" else 0)
            return message

        timed = Guard(api, Settings(bounds={"body_seconds": 0.05}))._in_time(receive)
        return [await timed(), await timed()]

    assert asyncio.run(course())[1] == {"type": "http.disconnect"}


def metrics(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_each_answer_tells_its_time_and_is_counted_by_its_route():
    registry = CollectorRegistry()
    answers = asked(
        with_keys(),
        get("/v1/one", ALICE),
        get("/v1/two", ALICE),
        get("/elsewhere", ALICE),
        get("/v1/one"),
        ("BREW", "/v1/one", {"headers": ALICE}),
        watched=registry,
    )
    for answer in answers:
        assert 0 <= float(answer.headers["x-response-time"].removesuffix("ms")) < 5000
    told = metrics(registry)
    labels = 'method="GET",route="/v1/{name}",status="200"'
    assert told[f"mlsdm_request_seconds_count{{{labels}}}"] == 2
    assert 0 < told[f"mlsdm_request_seconds_sum{{{labels}}}"] < 5
    unmatched = 'method="GET",route="unmatched",status="{}"'
    assert told[f"mlsdm_request_seconds_count{{{unmatched.format(200)}}}"] == 1
    assert told[f"mlsdm_request_seconds_count{{{unmatched.format(401)}}}"] == 1
    assert not any("BREW" in name for name in told)  # a client does not choose what is counted


def test_the_log_has_a_line_a_request_with_neither_query_nor_content():
    body = {"headers": {**ALICE, "X-Secret": "secret"}, "content": b"secret secret"}
    with capture_logs() as lines:
        asked(
            with_keys(),
            ("POST", "/v1/a%0Ab?levels=secret", body),
            get("/v1/" + "a" * 5000),
            watched=CollectorRegistry(),
        )
    first, second = lines
    assert first == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "route": "/v1/{name}",
        "path": "/v1/a%0Ab",
        "status": 200,
        "duration_ms": first["duration_ms"],
        "client": "alice",
        "bytes_in": 13,
        "bytes_out": len('{"client": "alice"}'),
    }
    assert 0 < first["duration_ms"] < 5000
    assert (second["status"], second["client"]) == (401, "127.0.0.1")
    assert len(second["path"]) == 200


def test_the_log_can_be_without_requests():
    with capture_logs() as lines:
        asked(Settings(**FREE, logs={"requests": False}), get(), watched=CollectorRegistry())
    assert lines == []


def test_a_client_that_leaves_is_no_failure_of_the_service():
    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 500, "headers": []})

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret")

    async def course(app: Any) -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def ignore(message: Any) -> None:
            pass

        scope = {"type": "http", "method": "GET", "raw_path": b"/", "client": None}
        await Watch(app, Settings(), CollectorRegistry())(scope, receive, ignore)

    with capture_logs() as lines:
        asyncio.run(course(leaving))
        with pytest.raises(RuntimeError):
            asyncio.run(course(failing))
    assert [line["status"] for line in lines] == [499, 500]
    assert lines[0]["client"] == "unknown"


def test_what_is_no_request_is_passed_on():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    given = ({"type": "lifespan"}, object(), object())
    asyncio.run(Watch(Guard(app, Settings()), Settings(), CollectorRegistry())(*given))
    assert seen == [given]
