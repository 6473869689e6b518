"""The endpoints: what they answer, and what they refuse without having changed anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from serving import DIM, begun, rows, run, settings, stream

import mlsdm
from mlsdm.service.messages import LARGEST, MOST

JSON = {"Content-Type": "application/json"}


def engine(**params):
    return mlsdm.CognitiveController(mlsdm.EngineParams.from_dict({"dim": DIM, **params}))


def told(outcome):
    """An outcome as it stands in JSON."""
    return {**outcome._asdict(), "norms": list(outcome.norms)}


@pytest.mark.parametrize("form", ["single", "batch", "binary"])
def test_a_session_is_the_engine_that_one_would_have_here(tmp_path, form):
    vectors, values = stream(60)
    local = engine()
    expected = [told(local.process_event(*event)) for event in zip(vectors, values, strict=True)]

    async def course(client):
        path = await begun(client)
        events = [
            {"vector": vector.tolist(), "moral_value": value}
            for vector, value in zip(vectors, values.tolist(), strict=True)
        ]
        if form == "single":
            answers = [await client.post(f"{path}/events", json=event) for event in events]
        elif form == "batch":
            answers = [await client.post(f"{path}/events", json={"events": events})]
        else:
            answers = [await client.post(f"{path}/events", **rows(vectors, values))]
        assert answers[-1].json()["events"] == 60
        assert [one for answer in answers for one in answer.json()["outcomes"]] == expected

        asked = {"vector": vectors[5].tolist(), "top_k": 3, "vectors": True}
        recalled = (await client.post(f"{path}/recall", json=asked)).json()
        found = local.retrieve_context(vectors[5], 3)
        assert recalled["phase"] == local.rhythm.phase
        assert [one["row"] for one in recalled["found"]] == [one.row for one in found]
        assert recalled["found"][0]["vector"] == found[0].vector.tolist()

        state = (await client.get(f"{path}/state", params={"levels": True})).json()
        assert state["levels"] == local.synapse.levels.tolist()
        assert state["threshold"] == local.moral.threshold
        assert (state["phase"], state["steps_left"]) == (local.rhythm.phase, local.rhythm.counter)
        assert (await client.get(f"{path}/state")).json()["levels"] is None

    run(settings(tmp_path), course)


def test_a_context_reaches_the_policy(tmp_path):
    given = {"moral": {"policy": "contextual"}}
    vector = np.ones(DIM, np.float32)
    local = engine(**given)
    expected = [local.process_event(vector, 0.6, context).threshold for context in (0.1, 0.9)]

    async def course(client):
        path = await begun(client, **given)
        event = {"vector": vector.tolist(), "moral_value": 0.6}
        events = [{**event, "context": context} for context in (0.1, 0.9)]
        answer = await client.post(f"{path}/events", json={"events": events})
        assert [one["threshold"] for one in answer.json()["outcomes"]] == expected

    run(settings(tmp_path), course)


WHOLE = {"vector": [1, 0, 0, 0], "moral_value": 0.9}
BAD = {
    "no JSON": (b"{", 400, None),
    "no UTF-8": (b"\xff{}", 400, None),
    "deep": (b"[" * 100_000, 422, "body"),
    "a list": (b"[1]", 422, "body"),
    "nothing": (b"{}", 422, "body"),
    "unknown name": (json.dumps({**WHOLE, "vektor": 1}).encode(), 422, "body"),
    "short vector": (json.dumps({**WHOLE, "vector": [1, 0, 0]}).encode(), 422, "vector"),
    "text in vector": (json.dumps({**WHOLE, "vector": [1, 0, "a", 0]}).encode(), 422, "vector[2]"),
    "huge element": (json.dumps({**WHOLE, "vector": [1, 0, 0, 2e6]}).encode(), 422, "vector[3]"),
    "infinite": (b'{"vector": [1e999, 0, 0, 0], "moral_value": 0.9}', 422, "vector[0]"),
    "NaN": (b'{"vector": [NaN, 0, 0, 0], "moral_value": 0.9}', 400, None),
    "moral value": (json.dumps({**WHOLE, "moral_value": 1.5}).encode(), 422, "moral_value"),
    "no moral value": (json.dumps({"vector": [1, 0, 0, 0]}).encode(), 422, "body"),
    "context": (json.dumps({**WHOLE, "context": -1}).encode(), 422, "context"),
    "no events": (b'{"events": []}', 422, "events"),
    "one and many": (json.dumps({**WHOLE, "events": [WHOLE]}).encode(), 422, "vector"),
    "second of two": (
        json.dumps({"events": [WHOLE, {**WHOLE, "moral_value": 2}]}).encode(),
        422,
        "events[1].moral_value",
    ),
    "length of second": (
        json.dumps({"events": [WHOLE, {**WHOLE, "vector": [1]}]}).encode(),
        422,
        "events[1].vector",
    ),
}


def binary(**changes):
    vectors, values = stream(3)
    request = rows(vectors, values)
    made = np.frombuffer(request["content"], [("m", "<f8"), ("c", "<f8"), ("v", "<f4", (DIM,))])
    made = made.copy()
    for name, value in changes.items():
        made[name][1] = value
    return made.tobytes()


BAD_ROWS = {
    "empty": (b"", "body"),
    "cut short": (binary()[:-1], "body"),
    "moral value": (binary(m=np.nan), "events[1].moral_value"),
    "context": (binary(c=1.5), "events[1].context"),
    "infinite": (binary(v=np.inf), "events[1].vector"),
    "too large": (binary(v=2 * LARGEST), "events[1].vector"),
    "too many": (binary() * MOST, "events"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What is answered to every bad body, and the state before and after each."""
    cases = [(name, body, JSON) for name, (body, *_) in BAD.items()]
    cases += [
        (f"binary {name}", body, {"Content-Type": "application/vnd.mlsdm.events"})
        for name, (body, _) in BAD_ROWS.items()
    ]
    cases.append(("media type", json.dumps(WHOLE).encode(), {"Content-Type": "text/plain"}))

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", json=WHOLE)
        answers = {}
        for name, body, headers in cases:
            before = (await client.get(f"{path}/state?levels=true")).json()
            answer = await client.post(f"{path}/events", content=body, headers=headers)
            after = (await client.get(f"{path}/state?levels=true")).json()
            answers[name] = (answer, before, after)
        return answers

    return run(settings(tmp_path_factory.mktemp("sessions")), course)


EXPECTED = (
    {name: (status, field) for name, (_, status, field) in BAD.items()}
    | {f"binary {name}": (422, field) for name, (_, field) in BAD_ROWS.items()}
    | {"media type": (415, "Content-Type")}
)


@pytest.mark.parametrize("name", EXPECTED)
def test_bad_input_is_refused_by_its_field_and_changes_nothing(refusals, name):
    answer, before, after = refusals[name]
    status, field = EXPECTED[name]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    assert before == after


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"params": {"dimm": 3}}, "params.dimm"),
        ({"params": {"moral": {"step": -1}}}, "params.moral.step"),
        ({"params": {"moral": {"policy": "none"}}}, "params.moral.policy"),
        ({"params": {"rhythm": {"wake_duration": 0}}}, "params.rhythm.wake_duration"),
        ({"params": {"lattice": {"capacity": 100_000}}}, "params"),
        ({"preset": "other"}, "preset"),
        ({"params": 3}, "params"),
        ({"params": {"dim": json.loads("[" * 700 + "]" * 700)}}, "params"),
        ({"params": {"lattice": {"scrub_rows": 1_000_000}}}, "params.lattice.scrub_rows"),
    ],
)
def test_parameters_of_a_session_are_refused_by_their_place(tmp_path, asked, field):
    async def course(client):
        answer = await client.post("/v1/sessions", json=asked)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert (await client.get("/v1/sessions")).json() == {"sessions": []}

    run(settings(tmp_path), course)


def test_a_request_that_comes_again_is_answered_again_and_not_taken_again(tmp_path):
    async def course(client):
        path = await begun(client)
        key = {"Idempotency-Key": "first"}
        first = await client.post(f"{path}/events", json=WHOLE, headers=key)
        again = await client.post(f"{path}/events", json=WHOLE, headers=key)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        other = await client.post(f"{path}/events", json={**WHOLE, "moral_value": 0.1}, headers=key)
        assert other.status_code == 422
        assert other.json()["errors"][0]["field"] == "Idempotency-Key"
        bad = await client.post(f"{path}/events", json=WHOLE, headers={"Idempotency-Key": "a b"})
        assert bad.json()["errors"][0]["field"] == "Idempotency-Key"
        assert (await client.get(f"{path}/state")).json()["events"] == 1
        for i in range(3):  # two are kept: the first is forgotten
            await client.post(f"{path}/events", json=WHOLE, headers={"Idempotency-Key": f"k{i}"})
        late = await client.post(f"{path}/events", json=WHOLE, headers=key)
        assert late.json()["events"] == 5

    run(settings(tmp_path, sessions={"answers": 2}), course)


def test_snapshot_fetch_and_restore(tmp_path):
    vectors, values = stream(30)
    local = engine()
    for event in zip(vectors[:20], values, strict=False):
        local.process_event(*event)

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", **rows(vectors[:20], values[:20]))
        written = (await client.post(f"{path}/snapshot")).json()
        assert written["events"] == 20
        await client.post(f"{path}/events", **rows(vectors[20:], values[20:]))
        assert (await client.post(f"{path}/restore")).json() == {"events": 20, "discarded": 10}
        answer = await client.get(f"{path}/snapshot")
        assert len(answer.content) == written["bytes"]
        (tmp_path / "fetched").write_bytes(answer.content)
        fetched = mlsdm.CognitiveController.load(tmp_path / "fetched")
        assert fetched.synapse.levels.tolist() == local.synapse.levels.tolist()
        info = (await client.get(path)).json()
        assert (info["events"], info["gaps"], info["snapshot"]["events"]) == (20, [], 20)

    run(settings(tmp_path / "sessions"), course)


def test_sessions_are_listed_told_of_and_ended(tmp_path):
    async def course(client):
        path = await begun(client, lattice={"capacity": 7})
        published = await client.post("/v1/sessions", json={"preset": "published"})
        (one, two) = (await client.get("/v1/sessions")).json()["sessions"]
        assert f"/v1/sessions/{one['id']}" == path
        assert one["params"]["lattice"]["capacity"] == 7
        assert mlsdm.EngineParams.from_dict(two["params"]) == mlsdm.EngineParams.published()
        assert published.json() == two
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert (await client.post(f"{path}/events", json=WHOLE)).status_code == 404
        assert (await client.get("/v1/sessions")).json() == {"sessions": [two]}
        assert not list(tmp_path.glob(f"{one['id']}.*"))

    run(settings(tmp_path), course)


def test_health_tells_of_engines_and_events(tmp_path):
    async def course(client):
        path = await begun(client)
        vectors, values = stream(50)
        outcomes = (await client.post(f"{path}/events", **rows(vectors, values))).json()["outcomes"]
        metrics = (await client.get("/health/metrics")).text
        reasons = [outcome["reason"] for outcome in outcomes]
        for reason in ("committed", "moral", "sleep"):
            n = reasons.count(reason)
            assert f'mlsdm_events_total{{reason="{reason}"}} {float(n)}' in metrics
        id = path.rpartition("/")[2]
        assert f'mlsdm_rows{{session="{id}"}} {outcomes[-1]["lattice_size"]}.0' in metrics
        assert f'mlsdm_threshold{{session="{id}"}} {outcomes[-1]["threshold"]}' in metrics
        detailed = (await client.get("/health/detailed")).json()
        assert (detailed["status"], detailed["sessions"], detailed["sessions_awake"]) == (
            "ready",
            1,
            1,
        )
        assert detailed["memory_bytes"] > detailed["sessions_awake_bytes"] > 0

    run(settings(tmp_path), course)


def test_what_is_not_there_is_a_problem_too(tmp_path):
    async def course(client):
        for method, path, status in (
            ("GET", "/nope", 404),
            ("PUT", "/v1/sessions", 405),
            ("GET", f"/v1/sessions/{'0' * 32}", 404),
            ("GET", "/v1/sessions/../../etc/passwd", 404),
            ("POST", f"/v1/sessions/{'0' * 32}/events", 404),
        ):
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert answer.json()["status"] == status
            assert {"x-request-id", "x-response-time", "x-content-type-options"} <= set(
                answer.headers
            )

    run(settings(tmp_path), course)


def test_the_schema_has_an_example_of_every_body_and_they_are_taken(tmp_path):
    async def course(client):
        schema = (await client.get("/schema/openapi.json")).json()
        path = await begun(client, dim=3)
        for place, target in (
            ("/v1/sessions", "/v1/sessions"),
            ("/v1/sessions/{session_id}/events", f"{path}/events"),
            ("/v1/sessions/{session_id}/recall", f"{path}/recall"),
        ):
            body = schema["paths"][place]["post"]["requestBody"]["content"]["application/json"]
            assert body["examples"]
            for example in body["examples"].values():
                answer = await client.post(target, json=example["value"])
                assert answer.status_code in (200, 201), answer.text

    run(settings(tmp_path), course)


def test_an_error_of_our_own_is_answered_without_its_text(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("secret content")

    async def course(client):
        path = await begun(client)
        monkeypatch.setattr("mlsdm.service.api.given_events", broken)
        answer = await client.post(f"{path}/events", json=WHOLE)
        assert answer.status_code == 500
        assert answer.json()["type"] == "/problems/internal"
        assert "secret" not in answer.text

    run(settings(tmp_path), course)


def test_no_answer_is_so_large_that_others_wait_for_it(tmp_path):
    async def course(client):
        path = await begun(client, dim=2000, lattice={"capacity": 200})
        query = {"vector": [1.0] * 2000, "top_k": 200}
        assert (await client.post(f"{path}/recall", json=query)).status_code == 200
        answer = await client.post(f"{path}/recall", json={**query, "vectors": True})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "top_k")

    run(settings(tmp_path), course)


def test_what_was_sent_is_not_sent_back_in_full(tmp_path):
    async def course(client):
        answer = await client.post("/v1/sessions", json={"params": {"a" * 100_000: 1}})
        assert answer.status_code == 422
        assert len(answer.content) < 2000

    run(settings(tmp_path), course)
