"""Bodies that nobody should send: no failure, and no state changed but by events taken."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict

import numpy as np
import pytest
from fuzzing import Fuzzer
from serving import lifespan, settings
from support import every_byte

from mlsdm import CognitiveController, EngineParams
from mlsdm.service import app as service
from mlsdm.service.messages import BINARY, event_dtype

DIM, KEPT = 3, 16
PARAMS = EngineParams.from_dict(
    {
        "dim": DIM,
        "rhythm": {"wake_duration": 5},
        "lattice": {"capacity": 8},
        "moral": {"policy": "contextual", "weight": 0.5},
    }
)


async def ask(app, method, path, body=b"", **headers):
    """Hand a request to the app, its body in two pieces; return status, headers and body."""
    pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
    answer = {"body": b""}
    named = {"host": "localhost", "content-length": str(len(body)), **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in named.items()],
    }  # fmt: skip

    async def receive():
        if not pieces:
            await asyncio.Event().wait()
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        if message["type"] == "http.response.start":
            answer["status"] = message["status"]
            answer["headers"] = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer["body"] += message.get("body", b"")

    await app(scope, receive, send)
    return answer["status"], answer["headers"], answer["body"]


def taken(sent):
    """The events of a body that was accepted, as another reader of JSON or of rows sees them."""
    if sent.media_type == BINARY:
        rows = np.frombuffer(sent.body, event_dtype(DIM))
        return [(row["vector"], float(row["moral_value"]), float(row["context"])) for row in rows]

    def refuse(name):
        raise ValueError(name)

    asked = json.loads(sent.body.decode(), parse_constant=refuse, parse_int=float)
    events = asked.get("events", [asked])
    return [
        (np.array(event["vector"], np.float64), event["moral_value"], event.get("context"))
        for event in events
    ]


def is_a_problem(status, headers, body):
    document = json.loads(body)
    assert 400 <= status < 500, document
    assert headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["detail"]
    assert document["type"].startswith("/problems/")
    assert status != 422 or all(one["field"] and one["detail"] for one in document["errors"])


class Course:
    """A service that is sent bodies, and the engine that it must have after each."""

    def __init__(self, app, sessions, seed):
        self.app, self.sessions = app, sessions
        self.fuzzer = Fuzzer(seed, DIM)
        self.here = CognitiveController(PARAMS)
        self.answers = OrderedDict()
        self.statuses = Counter()

    async def begin(self):
        while (await ask(self.app, "GET", "/health/ready"))[0] != 200:
            await asyncio.sleep(0.01)
        body = json.dumps({"params": PARAMS.to_dict()}).encode()
        kind = "application/json"
        _, headers, _ = await ask(self.app, "POST", "/v1/sessions", body, content_type=kind)
        self.path = headers["location"]
        ((_, awake),) = self.sessions.awake
        self.there = awake.controller

    async def step(self):
        sent = self.fuzzer.one()
        path = "/v1/sessions" if sent.what == "sessions" else f"{self.path}/{sent.what}"
        headers = {"content_type": sent.media_type} if sent.media_type else {}
        key = (
            f"key-{self.fuzzer.rng.integers(2 * KEPT)}" if self.fuzzer.rng.random() < 0.2 else None
        )
        if key is not None:
            headers["idempotency_key"] = key
        before = every_byte(self.there)
        status, given, body = await ask(self.app, "POST", path, sent.body, **headers)
        self.statuses[sent.what, sent.media_type == BINARY, status] += 1
        if status not in (200, 201):
            is_a_problem(status, given, body)
            assert every_byte(self.there) == before
        elif sent.what == "sessions":
            assert status == 201
            assert (await ask(self.app, "DELETE", given["location"]))[0] == 204
            assert every_byte(self.there) == before
        elif sent.what == "recall":
            assert every_byte(self.there) == before
            self.is_recalled(sent, json.loads(body))
        elif key in self.answers:
            assert (self.answers[key], given["idempotent-replayed"]) == ((sent.body, body), "true")
            assert every_byte(self.there) == before
        else:
            self.is_taken(sent, json.loads(body))
            if key is not None:
                self.answers[key] = (sent.body, body)
                while len(self.answers) > KEPT:
                    self.answers.popitem(last=False)

    def is_taken(self, sent, answer):
        expected = [self.here.process_event(*event) for event in taken(sent)]
        assert answer["outcomes"] == [{**o._asdict(), "norms": list(o.norms)} for o in expected]
        assert answer["events"] == self.here.events
        assert every_byte(self.there) == every_byte(self.here)

    def is_recalled(self, sent, answer):
        asked = json.loads(sent.body.decode(), parse_int=float)
        found = self.here.retrieve_context(np.array(asked["vector"]), int(asked.get("top_k", 5)))
        expected = [(one.row, one.resonance, one.phase) for one in found]
        assert [(one["row"], one["resonance"], one["phase"]) for one in answer["found"]] == expected


def fuzz(tmp_path, monkeypatch, seed, n):
    """Send n bodies, and return how often each status was answered."""
    made = []

    class Remembered(service.Sessions):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(service, "Sessions", Remembered)
    bounds = {"answers": KEPT, "each_bytes": 2**20}
    given = settings(tmp_path, sessions=bounds, logs={"level": "error", "requests": False})

    async def course():
        app = service.build(given)
        async with lifespan(app):
            course = Course(app, made[0], seed)
            await course.begin()
            for i in range(n):
                try:
                    await course.step()
                except BaseException as error:
                    error.add_note(f"seed {seed}, body {i}")
                    raise
            return course.statuses

    return asyncio.run(course())


def is_worth_it(statuses):
    """Whether all kinds of bodies were accepted, and all were refused, often enough."""
    total = sum(statuses.values())
    for what, binary in (("events", False), ("events", True), ("recall", False)):
        ours = {status: n for (*key, status), n in statuses.items() if tuple(key) == (what, binary)}
        assert ours[200] > total / 100
        assert ours[422] > total / 100
    assert statuses["events", False, 400] > total / 100
    assert statuses["sessions", False, 201]


def test_no_body_changes_an_engine_but_by_the_events_that_it_holds(tmp_path, monkeypatch):
    is_worth_it(fuzz(tmp_path, monkeypatch, 1, 2000))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_100_000_bodies_change_no_engine_but_by_the_events_that_they_hold(
    tmp_path, monkeypatch, seed
):
    is_worth_it(fuzz(tmp_path, monkeypatch, seed, 10_000))
