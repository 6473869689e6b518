"""Sessions: bounded, brought back from disk as they were, and one client's are not another's."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import time

import pytest
from serving import DIM, begun, lifespan, rows, run, served, settings, stream

import mlsdm
from mlsdm.errors import RunError
from mlsdm.service.app import build
from mlsdm.service.files import Count, Files
from mlsdm.service.keys import new_key
from mlsdm.service.messages import MOST
from mlsdm.service.sessions import Sessions


def outcomes(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["outcomes"]


def test_sessions_over_the_bound_go_to_disk_and_come_back_as_if_they_had_stayed(tmp_path):
    vectors, values = stream(40)
    local = mlsdm.CognitiveController(mlsdm.EngineParams(dim=DIM))
    expected = [
        local.process_event(*event).threshold for event in zip(vectors, values, strict=True)
    ]

    async def course(client):
        paths = [await begun(client) for _ in range(3)]
        found = {path: [] for path in paths}
        for i in range(0, 40, 10):
            for path in paths:  # the one that is asked next is always the one on disk
                part = rows(vectors[i : i + 10], values[i : i + 10])
                answer = await client.post(f"{path}/events", **part)
                found[path] += [one["threshold"] for one in outcomes(answer)]
                awake = [
                    one["awake"] for one in (await client.get("/v1/sessions")).json()["sessions"]
                ]
                assert sum(awake) == 2
        assert all(thresholds == expected for thresholds in found.values())

    run(settings(tmp_path, sessions={"awake": 2}), course)


def test_sessions_are_bounded_by_bytes_too(tmp_path):
    each = mlsdm.EngineParams(dim=DIM).memory_bytes()
    bounds = {"each_bytes": each, "awake_bytes": int(2.5 * each)}

    async def course(client):
        for _ in range(4):
            await begun(client)
        detailed = (await client.get("/health/detailed")).json()
        assert (detailed["sessions"], detailed["sessions_awake"]) == (4, 2)
        assert detailed["sessions_awake_bytes"] == 2 * each
        larger = await client.post("/v1/sessions", json={"params": {"dim": DIM + 1}})
        assert larger.status_code == 422
        assert str(each) in larger.json()["detail"]

    run(settings(tmp_path, sessions=bounds), course)


def test_there_are_no_more_sessions_than_allowed(tmp_path):
    async def course(client):
        paths = [await begun(client) for _ in range(2)]
        refused = await client.post("/v1/sessions", json={"params": {"dim": DIM}})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/too-many-sessions")
        await client.delete(paths[0])
        await begun(client)

    run(settings(tmp_path, sessions={"per_client": 2}), course)
    run(settings(tmp_path / "other", sessions={"most": 2}), course)


def test_many_requests_at_once_on_more_sessions_than_are_awake(tmp_path):
    """Every event is taken exactly once, whoever waits for whom."""
    vectors, values = stream(1)

    async def course(client):
        paths = [await begun(client) for _ in range(5)]

        async def ask(path, what):
            if what == "restore":
                return None
            if what in ("snapshot",):
                return await client.post(f"{path}/snapshot")
            return await client.post(f"{path}/events", **rows(vectors, values))

        asked = list(itertools.product(range(20), paths, ("events", "snapshot", "events")))
        answers = await asyncio.gather(*(ask(path, what) for _, path, what in asked))
        assert {answer.status_code for answer in answers} == {200}
        for path in paths:
            assert (await client.get(f"{path}/state")).json()["events"] == 40

    run(settings(tmp_path, sessions={"awake": 2}), course)


def test_a_service_that_ended_goes_on_with_all_it_had(tmp_path):
    vectors, values = stream(30)
    local = mlsdm.CognitiveController(mlsdm.EngineParams(dim=DIM))
    expected = [local.process_event(*event) for event in zip(vectors, values, strict=True)]
    key = {"Idempotency-Key": "again"}

    async def before(client):
        path = await begun(client)
        request = rows(vectors[:20], values[:20])
        request["headers"] |= key
        first = await client.post(f"{path}/events", **request)
        return path, request, first.content

    path, request, first = run(settings(tmp_path), before)

    async def after(client):
        again = await client.post(f"{path}/events", **request)
        assert again.content == first
        answer = await client.post(f"{path}/events", **rows(vectors[20:], values[20:]))
        assert [one["threshold"] for one in outcomes(answer)] == [
            o.threshold for o in expected[20:]
        ]
        assert (await client.get(path)).json()["gaps"] == []

    run(settings(tmp_path), after)


def killed(folder, n, saved):
    """What a killed service leaves: a snapshot after `saved` events, and a count of n."""
    vectors, values = stream(n)

    async def course(client):
        path = await begun(client)
        if saved:
            await client.post(f"{path}/events", **rows(vectors[:saved], values[:saved]))
        return path.rpartition("/")[2]

    id = run(settings(folder), course)
    Count(Files(folder).folder / f"{id}.count").accepted = n
    return id


def test_what_was_lost_is_told_and_told_again_after_the_next_start(tmp_path, capsys):
    id = killed(tmp_path, n=25, saved=20)

    async def course(client):
        info = (await client.get(f"/v1/sessions/{id}")).json()
        assert info["events"] == 20
        assert [(gap["first"], gap["lost"]) for gap in info["gaps"]] == [(20, 5)]
        state = (await client.get(f"/v1/sessions/{id}/state")).json()
        assert state["gaps"] == info["gaps"]
        return (await client.get("/health/metrics")).text

    assert "mlsdm_events_lost_total 5.0" in run(settings(tmp_path), course)
    assert "events lost" in "".join(capsys.readouterr())
    assert "mlsdm_events_lost_total 0.0" in run(settings(tmp_path), course)


def test_answers_to_lost_events_are_not_given_again(tmp_path):
    """Killed between the facts and the snapshot, the facts know of events that are lost."""
    vectors, values = stream(4)

    async def course(client):
        path = await begun(client)
        for i in range(4):
            request = rows(vectors[i : i + 1], values[i : i + 1])
            request["headers"]["Idempotency-Key"] = f"event-{i}"
            await client.post(f"{path}/events", **request)
            if i == 1:
                await client.post(f"{path}/snapshot")
                snapshot = (tmp_path / f"{path.rpartition('/')[2]}.snapshot").read_bytes()
        return path, snapshot

    path, snapshot = run(settings(tmp_path), course)
    (tmp_path / f"{path.rpartition('/')[2]}.snapshot").write_bytes(snapshot)

    async def after(client):
        found = {}
        for i in (1, 2):
            request = rows(vectors[i : i + 1], values[i : i + 1])
            request["headers"]["Idempotency-Key"] = f"event-{i}"
            answer = await client.post(f"{path}/events", **request)
            found[i] = ("idempotent-replayed" in answer.headers, answer.json()["events"])
        gaps = (await client.get(path)).json()["gaps"]
        return found, [(gap["first"], gap["lost"]) for gap in gaps]

    assert run(settings(tmp_path), after) == ({1: (True, 2), 2: (False, 3)}, [(2, 2)])


def test_a_damaged_snapshot_is_an_error_of_its_session_alone(tmp_path):
    id = killed(tmp_path, n=3, saved=3)
    (tmp_path / f"{id}.snapshot").write_bytes(b"none")
    (tmp_path / f"{'ab' * 16}.json").write_text("{}")  # of a session whose creation was cut short

    async def course(client):
        answer = await client.get(f"/v1/sessions/{id}/state")
        assert (answer.status_code, answer.json()["type"]) == (507, "/problems/disk")
        path = await begun(client)
        assert (await client.get(f"{path}/state")).status_code == 200

    run(settings(tmp_path), course)
    assert not (tmp_path / f"{'ab' * 16}.json").exists()


def test_a_disk_that_fails_makes_the_service_not_ready_until_it_works_again(tmp_path, monkeypatch):
    from mlsdm.errors import DataError

    def full(*_):
        raise DataError("disk full")

    async def course(client):
        path = await begun(client)
        with monkeypatch.context() as patch:
            patch.setattr(Files, "keep", full)
            assert (await client.post(f"{path}/snapshot")).status_code == 507
            refused = await client.post("/v1/sessions", json={"params": {"dim": DIM}})
            assert refused.status_code == 507
            assert (await client.get("/health/ready")).status_code == 503
        vectors, values = stream(3)
        assert (await client.post(f"{path}/events", **rows(vectors, values))).status_code == 200
        assert (await client.post(f"{path}/snapshot")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        assert len((await client.get("/v1/sessions")).json()["sessions"]) == 1

    run(settings(tmp_path), course)


def test_a_snapshot_under_way_is_no_failure_and_a_session_is_there_once_it_is_whole(
    tmp_path, monkeypatch
):
    keep = Files.keep

    def slow(*given):
        time.sleep(0.3)
        keep(*given)

    async def course(client):
        monkeypatch.setattr(Files, "keep", slow)
        beginning = asyncio.create_task(begun(client))
        await asyncio.sleep(0.1)
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/v1/sessions")).json() == {"sessions": []}
        assert (await client.get(f"{await beginning}/snapshot")).status_code == 200

    run(settings(tmp_path), course)


def test_a_session_that_cannot_go_back_stays_as_it_was(tmp_path):
    vectors, values = stream(5)

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", **rows(vectors, values))
        before = (await client.get(f"{path}/state?levels=true")).json()
        snapshot = tmp_path / f"{path.rpartition('/')[2]}.snapshot"
        snapshot.write_bytes(snapshot.read_bytes()[:-1])
        assert (await client.post(f"{path}/restore")).status_code == 507
        assert (await client.get(f"{path}/state?levels=true")).json() == before
        await client.post(f"{path}/snapshot")
        assert (await client.post(f"{path}/restore")).json() == {"events": 5, "discarded": 0}

    run(settings(tmp_path), course)


def test_answers_that_are_kept_are_bounded_in_size(tmp_path):
    vectors, values = stream(MOST)

    async def course(client):
        path = await begun(client)
        replayed = []
        for i in (0, 1, 2, 3, 4, 5, 6, 7, 7, 0):
            request = rows(vectors, values)
            request["headers"]["Idempotency-Key"] = f"batch-{i}"
            answer = await client.post(f"{path}/events", **request)
            replayed.append("idempotent-replayed" in answer.headers)
        assert replayed == [False] * 8 + [True, False]

    run(settings(tmp_path), course)


def test_a_folder_has_one_server(tmp_path):
    async def both():
        async with served(settings(tmp_path)), lifespan(build(settings(tmp_path))):
            pass

    with pytest.raises((RunError, RuntimeError), match="another server"):
        asyncio.run(both())


def test_a_session_of_another_client_is_not_there(tmp_path):
    (mine, first), (theirs, second) = new_key("mine"), new_key("theirs")

    async def course(client):
        client.headers["X-API-Key"] = mine
        path = await begun(client)
        other = {"X-API-Key": theirs}
        for method, place in (
            ("GET", path), ("DELETE", path), ("GET", f"{path}/state"), ("POST", f"{path}/events"),
            ("POST", f"{path}/recall"), ("POST", f"{path}/snapshot"), ("GET", f"{path}/snapshot"),
            ("POST", f"{path}/restore"),
        ):  # fmt: skip
            body = {"vector": [1, 0, 0, 0], "moral_value": 0.5} if "events" in place else None
            body = {"vector": [1, 0, 0, 0]} if "recall" in place else body
            answer = await client.request(method, place, headers=other, json=body)
            assert (method, place, answer.status_code) == (method, place, 404)
        assert (await client.get("/v1/sessions", headers=other)).json() == {"sessions": []}
        assert (await client.get(path)).status_code == 200

    run(settings(tmp_path, keys=[first, second]), course)


def test_snapshots_are_written_by_the_clock(tmp_path):
    vectors, values = stream(5)

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", **rows(vectors, values))
        for _ in range(200):
            if (await client.get(path)).json()["snapshot"]["events"] == 5:
                break
            await asyncio.sleep(0.01)
        facts = json.loads((tmp_path / f"{path.rpartition('/')[2]}.json").read_text())
        assert facts["events"] == 5

    run(settings(tmp_path, sessions={"snapshot_seconds": 0.05}), course)


def test_a_disk_that_takes_no_new_session_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def course(client):
        path = await begun(client)
        for name in ("begin", "remove"):
            monkeypatch.setattr(Files, name, full)
        answer = await client.post("/v1/sessions", json={"params": {"dim": DIM}})
        assert (answer.status_code, answer.json()["type"]) == (507, "/problems/disk")
        assert (await client.delete(path)).status_code == 507
        monkeypatch.undo()
        assert [one["id"] for one in (await client.get("/v1/sessions")).json()["sessions"]] == [
            path.rpartition("/")[2]
        ]
        assert (await client.delete(path)).status_code == 204

    run(settings(tmp_path), course)


def test_a_gap_is_told_at_once_when_the_kill_came_between_facts_and_snapshot(tmp_path):
    vectors, values = stream(30)

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", **rows(vectors[:20], values[:20]))
        await client.post(f"{path}/snapshot")
        name = path.rpartition("/")[2]
        before = [(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("snapshot", "count")]
        await client.post(f"{path}/events", **rows(vectors[20:], values[20:]))
        await client.post(f"{path}/snapshot")
        return name, before

    id, (snapshot, count) = run(settings(tmp_path), course)
    (tmp_path / f"{id}.snapshot").write_bytes(snapshot)
    saved_before = count[8:]
    path = tmp_path / f"{id}.count"
    path.write_bytes(path.read_bytes()[:8] + saved_before)

    async def after(client):
        info = (await client.get(f"/v1/sessions/{id}")).json()
        assert info["events"] == 20
        assert [(gap["first"], gap["lost"]) for gap in info["gaps"]] == [(20, 10)]

    run(settings(tmp_path), after)


def test_a_server_that_is_refused_the_folder_leaves_what_is_written_there(tmp_path):
    async def course(client):
        part = tmp_path / ".snapshot-0.part"
        part.write_bytes(b"half")
        with pytest.raises(RunError, match="another server"):
            Sessions(settings(tmp_path).sessions).open()
        assert part.exists()

    run(settings(tmp_path), course)

    async def later(client):
        assert not (tmp_path / ".snapshot-0.part").exists()

    run(settings(tmp_path), later)


def test_a_snapshot_is_fetched_whole_while_others_are_written(tmp_path):
    vectors, values = stream(60)

    async def course(client):
        path = await begun(client)

        async def writing():
            for i in range(60):
                await client.post(f"{path}/events", **rows(vectors[i : i + 1], values[i : i + 1]))
                await client.post(f"{path}/snapshot")

        async def fetching():
            for _ in range(60):
                answer = await client.get(f"{path}/snapshot")
                assert answer.status_code == 200
                assert len(answer.content) == int(answer.headers["content-length"])
                file = tmp_path / "fetched"
                file.write_bytes(answer.content)
                assert mlsdm.CognitiveController.load(file).events <= 60

        await asyncio.gather(writing(), fetching())
        (tmp_path / f"{path.rpartition('/')[2]}.snapshot").unlink()
        gone = await client.get(f"{path}/snapshot")
        assert (gone.status_code, gone.json()["type"]) == (507, "/problems/disk")
        assert str(tmp_path) not in gone.text

    run(settings(tmp_path), course)


def test_a_server_that_could_not_write_all_ends_with_an_error(tmp_path, monkeypatch):
    vectors, values = stream(5)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def course(client):
        path = await begun(client)
        await client.post(f"{path}/events", **rows(vectors, values))
        monkeypatch.setattr(Files, "keep", full)
        return path.rpartition("/")[2]

    with pytest.raises(ExceptionGroup) as told:
        run(settings(tmp_path), course)
    assert "accepted events are not written" in str(told.value.exceptions)
    monkeypatch.undo()

    async def after(client):
        (info,) = (await client.get("/v1/sessions")).json()["sessions"]
        assert [gap["lost"] for gap in info["gaps"]] == [5]

    run(settings(tmp_path), after)


def test_facts_that_do_not_fit_the_snapshot_are_told(tmp_path):
    async def course(client):
        return [(await begun(client)).rpartition("/")[2] for _ in range(2)]

    first, second = run(settings(tmp_path), course)
    facts = json.loads((tmp_path / f"{first}.json").read_text())
    facts["params"]["dim"] = DIM + 1
    (tmp_path / f"{first}.json").write_text(json.dumps(facts))

    async def after(client):
        assert (await client.get(f"/v1/sessions/{first}/state")).status_code == 507
        assert (await client.get(f"/v1/sessions/{second}/state")).status_code == 200

    run(settings(tmp_path), after)
