"""Sessions of the real service by its client: the very engine that one would have here."""

from __future__ import annotations

import hashlib

import misbehaving
import numpy as np
import pandas as pd
import pytest
from scripting import KEY, SMALL, Proxy, problem, running
from serving import settings, stream
from support import every_byte

from mlsdm import CognitiveController, EngineParams, ParameterError
from mlsdm.engine.policies import QuantileParams
from mlsdm.service.client import Client, ServiceError

LOSS = misbehaving.cut_before


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running(settings(tmp_path_factory.mktemp("sessions"))) as address:
        yield address


@pytest.fixture
def client(address):
    with Client(address) as client:
        yield client


def equal_recalls(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert (one.row, one.resonance, one.phase) == (other.row, other.resonance, other.phase)
        assert one.vector.dtype == other.vector.dtype
        assert one.vector.tobytes() == other.vector.tobytes()


ENGINES = [
    SMALL,
    EngineParams.published(384, lattice={"capacity": 200}),
    EngineParams(dim=17, moral=QuantileParams(target_rate=0.7)).replace(
        {"lattice": {"capacity": 30, "top_k": 7}}
    ),
]


@pytest.mark.parametrize("params", ENGINES, ids=["small", "published", "quantile"])
@pytest.mark.parametrize("way", ["one by one", "at once", "in turn"])
def test_a_session_does_what_a_controller_here_does_bit_for_bit(client, tmp_path, params, way):
    vectors, values = stream(300, 3, params.dim)
    contexts = np.random.default_rng(4).random(300)
    here = CognitiveController(params)
    there = client.create(params)
    for start in range(0, 300, 100):
        part = [a[start : start + 100] for a in (vectors, values, contexts)]
        expected = [here.process_event(*event) for event in zip(*part, strict=True)]
        if way == "at once" or (way == "in turn" and start == 100):
            assert there.process_events(*part) == expected
        else:
            assert [there.process_event(*event) for event in zip(*part, strict=True)] == expected
        equal_recalls(there.retrieve_context(vectors[5]), here.retrieve_context(vectors[5]))
        other = vectors[9] + vectors[250]
        equal_recalls(there.retrieve_context(other, 3), here.retrieve_context(other, 3))
    assert there.levels().tobytes() == here.synapse.levels.tobytes()
    state = there.state()
    assert (state.events, state.phase, state.threshold) == (
        300,
        here.rhythm.phase,
        here.moral.threshold,
    )
    assert (state.norms, state.lattice_size) == (here.synapse.norms, here.lattice.size)
    assert (there.events, there.gaps, there.params) == (300, [], params)

    assert there.snapshot().events == 300
    loaded = CognitiveController.load(there.download(tmp_path / "engine"))
    assert every_byte(loaded) == every_byte(here)
    there.delete()


def test_code_written_for_a_controller_runs_on_a_session(client):
    def course(engine):
        vectors, values = stream(40, 7, engine.params.dim)
        for vector, value in zip(vectors.tolist(), values, strict=True):
            yield engine.process_event(vector, value)
        yield [repr(one) for one in engine.retrieve_context(vectors[0], top_k=2)]
        yield engine.events

    there = client.create(SMALL)
    assert list(course(there)) == list(course(CognitiveController(SMALL)))
    there.delete()


def test_presets_are_those_of_the_engine(client):
    for preset, params in (
        ("published", EngineParams.published()),
        ("specification", EngineParams()),
    ):
        there = client.create(preset=preset)
        assert there.params == params
        there.delete()


@pytest.mark.parametrize("loss", [LOSS, misbehaving.cut_inside, problem(502, "Bad gateway.")])
def test_an_answer_lost_on_the_way_is_not_an_event_taken_twice(address, loss):
    vectors, values = stream(60, 5, SMALL.dim)
    here = CognitiveController(SMALL)
    expected = [here.process_event(*event) for event in zip(vectors, values, strict=True)]
    with Proxy(address) as proxy, Client(proxy.address) as client:
        there = client.create(SMALL)
        outcomes = []
        for i in range(30):
            if i % 7 == 0:
                proxy.will(loss)
            outcomes.append(there.process_event(vectors[i], values[i]))
        proxy.will(loss, loss)
        outcomes += there.process_events(vectors[30:], values[30:])
        assert outcomes == expected
        assert there.events == 60
        asked = [path for path in proxy.paths if path.endswith("/events")]
        assert len(asked) == 30 + 5 + 1 + 2
        proxy.will(LOSS)
        there.delete()


def test_a_session_whose_making_was_not_heard_of_is_not_made_twice(address):
    with Proxy(address) as proxy, Client(proxy.address) as client:
        before = len(client.sessions())
        proxy.will(LOSS)
        with pytest.raises(ServiceError, match="is not known"):
            client.create(SMALL)
        after = client.sessions()
        assert len(after) == before + 1
        client.session(after[-1]["id"]).delete()


def test_going_back_forgets_what_came_after_the_snapshot(client):
    vectors, values = stream(50, 6, SMALL.dim)
    there = client.create(SMALL)
    there.process_events(vectors[:20], values[:20])
    there.snapshot()
    there.process_events(vectors[20:], values[20:])
    back = there.restore()
    assert (back.events, back.discarded, there.gaps) == (20, 30, [])
    here = CognitiveController(SMALL)
    expected = [here.process_event(*event) for event in zip(vectors, values, strict=True)]
    assert there.process_events(vectors[20:], values[20:]) == expected[20:]
    there.delete()


def test_sessions_are_listed_for_a_data_frame_found_and_ended(client):
    made = [client.create(SMALL) for _ in range(2)]
    table = pd.DataFrame(client.sessions()).set_index("id")
    assert table.loc[[one.id for one in made], "dim"].tolist() == [6, 6]
    assert client.session(made[0].id).params == SMALL
    made[0].delete()
    for gone in (made[0].state, made[0].delete, lambda: client.session(made[0].id)):
        with pytest.raises(ServiceError, match=r"There is no such session \(status 404\)$"):
            gone()
    made[1].delete()
    assert not {one.id for one in made} & {one["id"] for one in client.sessions()}


def test_what_the_service_refuses_names_the_field_and_changes_nothing(client):
    with pytest.raises(ServiceError, match=r"^Client.create: params: must be an engine of at most"):
        client.create(EngineParams(dim=4096))
    there = client.create(SMALL)
    with pytest.raises(ServiceError, match=r"^RemoteSession.retrieve_context: top_k: .*status 422"):
        there.retrieve_context(np.ones(6), 10**6)
    with pytest.raises(ParameterError, match="must be at most"):
        there.process_events(np.full((3, 6), 2e6), [0.5] * 3)
    assert there.events == 0
    there.delete()


def test_batches_are_cut_until_the_service_takes_them(tmp_path):
    vectors, values = stream(100, 8, SMALL.dim)
    here = CognitiveController(SMALL)
    with (
        running(settings(tmp_path, bounds={"body_bytes": 1024})) as address,
        Client(address) as client,
    ):
        there = client.create(SMALL)
        expected = [here.process_event(*event) for event in zip(vectors, values, strict=True)]
        assert there.process_events(vectors, values) == expected


def test_the_rate_that_the_service_allows_is_kept_to(tmp_path):
    given = settings(tmp_path, rate={"per_second": 20.0, "burst": 2})
    with running(given) as address, Client(address) as client:
        there = client.create(SMALL)
        assert [there.process_event(np.ones(6), 0.5).event for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_key_is_asked_for(tmp_path):
    keys = [{"name": "me", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    with running(settings(tmp_path, keys=keys)) as address:
        with Client(address, KEY) as client:
            assert client.sessions() == []
        for key in (None, KEY + "x"):
            with Client(address, key) as client, pytest.raises(ServiceError) as raised:
                client.sessions()
            assert raised.value.status == 401
            assert KEY not in str(raised.value)


def test_the_service_tells_of_itself(client):
    there = client.create(SMALL)
    told = client.health()
    there.delete()
    assert told["sessions"] >= 1
    assert told["memory_bytes"] > 0
