"""Fleets: each run is what `simulate` makes of it, whoever runs it."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import trace_bytes
from support import engine_params, related_vectors

from mlsdm import EngineParams, LatticeParams, ParameterError, Result, simulate, simulate_many
from mlsdm.engine import fleet, simulation
from mlsdm.engine.rules import events

DIM, N, RUNS = 4, 90, 5
PARAMS = EngineParams(dim=DIM, lattice=LatticeParams(capacity=25))
SHARED = related_vectors(N, DIM, 1)
TABLES = np.stack([related_vectors(N, DIM, seed) for seed in range(RUNS)])
VALUES = np.random.default_rng(1).random((RUNS, N))
OTHERS = [PARAMS.replace({"moral": {"target_rate": 0.1 + 0.2 * run}}) for run in range(RUNS)]


def assert_runs(result: Result, params: Any, vectors: Any, values: Any) -> None:
    """Compare a fleet with `simulate`, run by run; None, a table or values may be for all runs."""
    assert result.runs == RUNS
    assert result.controller is None
    for run in range(RUNS):
        table = vectors if vectors is None or np.ndim(vectors) == 2 else vectors[run]
        numbers = values if np.ndim(values) == 1 else values[run]
        one = params[run] if isinstance(params, list) else params
        expected = simulate(one, table, numbers)
        found = result.run(run)
        assert trace_bytes(found) == trace_bytes(expected)
        assert found.summary() == expected.summary()
        assert found.params == result.params[run] == one
        assert found.runs is None
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())


@pytest.mark.parametrize("workers", [1, 3, None])
@pytest.mark.parametrize("params", [PARAMS, OTHERS], ids=["shared", "each"])
@pytest.mark.parametrize("vectors", [None, SHARED, TABLES], ids=["none", "shared", "each"])
@pytest.mark.parametrize("values", [VALUES[0], VALUES], ids=["shared values", "values of each"])
def test_a_fleet_equals_its_runs(params: Any, vectors: Any, values: Any, workers: Any) -> None:
    if params is PARAMS and values is not VALUES and vectors is not TABLES:
        params = [PARAMS] * RUNS  # else nothing would say how many runs there are
    result = simulate_many(params, vectors, values, workers=workers)
    assert_runs(result, params, vectors, values)


@settings(max_examples=20)
@given(
    st.lists(engine_params(max_dim=1), min_size=1, max_size=6),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 40),
)
def test_any_fleet_equals_its_runs(
    params: list[EngineParams], stored: bool, workers: int, n: int
) -> None:
    values = np.random.default_rng(n).random((len(params), n))
    vectors = related_vectors(n, 1, 0) if stored else None
    result = simulate_many(params, vectors, values, workers=workers)
    assert result.runs == len(params)
    for run, one in enumerate(params):
        expected = simulate(one, vectors, values[run])
        assert trace_bytes(result.run(run)) == trace_bytes(expected)
        assert result.run(run).summary() == expected.summary()


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("workers", [1, 3])
def test_streams_by_seed(stored: bool, workers: int) -> None:
    threads = set()

    def made(seed: int) -> tuple[Any, Any]:
        threads.add(threading.current_thread())
        return (TABLES[seed] if stored else None), VALUES[seed].tolist()

    result = simulate_many(PARAMS, stream=made, seeds=range(RUNS), workers=workers)
    assert_runs(result, PARAMS, TABLES if stored else None, VALUES)
    assert threads == {threading.current_thread()}
    same = simulate_many(OTHERS, stream=made, seeds=[3], workers=workers)
    assert_runs(same, OTHERS, TABLES[3] if stored else None, VALUES[3])


def test_there_are_only_a_few_streams_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = [0], [0]
    take = simulation.Engine.take

    def counted(self: Any, *arguments: Any) -> None:
        take(self, *arguments)
        alive[0] -= 1

    def made(seed: int) -> tuple[Any, Any]:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return SHARED, VALUES[0]

    monkeypatch.setattr(simulation.Engine, "take", counted)
    simulate_many(PARAMS, stream=made, seeds=range(50), workers=1)
    assert most[0] <= 3
    assert alive[0] == 0


def test_long_runs_go_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "EVENTS", 7)
    monkeypatch.setattr(fleet, "_AT_ONCE", 7)
    assert_runs(simulate_many(PARAMS, TABLES, VALUES), PARAMS, TABLES, VALUES)
    assert_runs(simulate_many(PARAMS, None, VALUES), PARAMS, None, VALUES)


def test_any_layout_gives_the_same_and_compiles_nothing_anew() -> None:
    expected = simulate_many(PARAMS, TABLES, VALUES)
    read_only = VALUES.copy()
    read_only.flags.writeable = False
    for vectors, values in (
        (TABLES.astype(np.float64), read_only),
        (list(TABLES), VALUES.tolist()),
        (TABLES.tolist(), VALUES.astype(">f8")),
        (np.asfortranarray(TABLES), np.asfortranarray(VALUES)),
    ):
        assert trace_bytes(simulate_many(PARAMS, vectors, values)) == trace_bytes(expected)
        filtered = simulate_many(PARAMS, None, values)
        np.testing.assert_array_equal(filtered.threshold, expected.threshold)
    parts: Any = (events.run, events.run_filters)
    assert [len(part.signatures) for part in parts] == [1, 1]


def test_moral_values_are_not_copied() -> None:
    assert np.shares_memory(simulate_many(PARAMS, None, VALUES).moral_values, VALUES)
    shared = simulate_many(OTHERS, None, VALUES[0]).moral_values
    assert shared.shape == VALUES.shape
    assert np.shares_memory(shared, VALUES)


def test_one_run_and_no_events() -> None:
    one = simulate_many([PARAMS], SHARED, VALUES[0])
    assert one.runs == 1
    assert trace_bytes(one.run(0)) == trace_bytes(simulate(PARAMS, SHARED, VALUES[0]))
    for vectors in (None, np.zeros((0, DIM))):
        empty = simulate_many(OTHERS, vectors, [])
        assert (empty.runs, len(empty)) == (RUNS, 0)
        assert empty.summary()["final threshold"] == 0.5
        assert len(empty.to_frame()) == 0
        assert trace_bytes(empty.run(1)) == trace_bytes(simulate(OTHERS[1], vectors, []))


def test_the_table_of_a_fleet() -> None:
    for vectors in (None, TABLES):
        result = simulate_many(PARAMS, vectors, VALUES)
        frame = result.to_frame()
        assert list(frame.columns)[:3] == ["run", "event", "moral_value"]
        parts = [result.run(run).to_frame() for run in range(RUNS)]
        expected = pd.concat(dict(enumerate(parts)), names=["run"]).reset_index("run")
        pd.testing.assert_frame_equal(frame, expected.reset_index(drop=True))


def test_the_summary_is_the_mean_over_the_runs() -> None:
    result = simulate_many(PARAMS, TABLES, VALUES)
    each = [result.run(run).summary() for run in range(RUNS)]
    means = {name: np.mean([one[name] for one in each]) for name in each[0]}
    assert result.summary() == pytest.approx({"runs": RUNS, **means})
    assert f"runs={RUNS}, events={N}" in repr(result)
    html = result._repr_html_()
    assert f"<td>runs</td><td>{RUNS}</td>" in html
    assert "<svg" not in html
    assert "<svg" in result.run(2)._repr_html_()


@pytest.mark.parametrize("index", [RUNS, -1, 0.0, "0", True])
def test_a_run_that_there_is_not(index: Any) -> None:
    with pytest.raises(ParameterError, match=r"^Result\.run\.index: must be a whole number in \["):
        simulate_many(PARAMS, None, VALUES).run(index)


def test_what_only_one_kind_of_result_has() -> None:
    with pytest.raises(ParameterError, match=r"^Result\.run: needs a fleet"):
        simulate(PARAMS, None, VALUES[0]).run(0)
    result = simulate_many(PARAMS, TABLES, VALUES)
    for one in (result, result.run(0)):
        with pytest.raises(ParameterError, match=r"^Result\.engine: needs .*not one of a fleet"):
            _ = one.engine


def spoilt(array: Any, place: Any, value: float) -> Any:
    copy = np.array(array)
    copy[place] = value
    return copy


BAD: list[tuple[dict[str, Any], str]] = [
    ({"moral_values": spoilt(VALUES, (3, 7), 1.5)}, r"runs\[3\]\.moral_values\[7\]: .*got 1\.5\)"),
    (
        {"moral_values": spoilt(VALUES, (3, 7), np.nan), "vectors": TABLES},
        r"runs\[3\]\.moral_values\[7\]: must be a number in \[0, 1\] \(got nan\)",
    ),
    (
        {"moral_values": VALUES, "vectors": spoilt(TABLES, (3, 7, 1), np.inf)},
        r"runs\[3\]\.vectors\[7, 1\]: must be finite in float32 \(got inf\)",
    ),
    ({"moral_values": VALUES, "vectors": SHARED[1:]}, r"runs\[0\]\.vectors: must hold one row per"),
    (
        {"moral_values": VALUES, "vectors": [*TABLES[:4], SHARED[1:]]},
        r"runs\[4\]\.vectors: must hold one row per moral value, 90 \(got 89\)",
    ),
    (
        {"moral_values": VALUES, "vectors": [*TABLES[:4], SHARED[:, 1:]]},
        r"runs\[4\]\.vectors: must have shape \(events, 4\) \(got \(90, 3\)\)",
    ),
    (
        {"moral_values": VALUES, "vectors": [*TABLES[:4], None]},
        r"runs\[4\]\.vectors: must be given",
    ),
    ({"moral_values": VALUES, "vectors": TABLES[:2]}, r"vectors: must be one for all, .* 5 runs"),
    ({"moral_values": VALUES, "params": OTHERS[:3]}, r"params: .* each of 5 runs \(got 3\)"),
    ({"moral_values": VALUES, "params": []}, r"params: must be one for all, .* \(got 0\)"),
    ({"moral_values": VALUES[:0]}, r"moral_values: must be one for all, .* \(got 0\)"),
    ({"moral_values": VALUES, "params": None}, r"runs\[0\]\.params: must be EngineParams"),
    ({"moral_values": VALUES, "params": [*OTHERS[:4], 5]}, r"runs\[4\]\.params: must be .*got 5\)"),
    (
        {"moral_values": VALUES, "params": PARAMS.replace({"max_process_bytes": 10**12})},
        r"runs\[0\]\.params\.max_process_bytes: must be None",
    ),
    ({"moral_values": 0.5}, r"moral_values: must have one dimension, .*, or two, .*shape \(\)\)"),
    ({"moral_values": VALUES[None]}, r"moral_values: must have one dimension"),
    ({"moral_values": [[0.5], [0.5, 1]]}, r"moral_values: must be a regular array"),
    ({"moral_values": VALUES > 0}, r"moral_values: must hold real numbers .*bool"),
    ({"moral_values": VALUES, "vectors": [[1, 2], [3]]}, r"runs\[0\]\.vectors: must be a regular"),
    ({"moral_values": VALUES, "workers": 0}, r"workers: must be a whole number of at least 1"),
    ({}, r"moral_values: must be given, or a stream and seeds in its place"),
    ({"moral_values": VALUES, "seeds": [1]}, r"moral_values: must be given, or a stream"),
    ({"stream": lambda seed: (None, VALUES[0])}, r"moral_values: must be given, or a stream"),
    (
        {"stream": lambda seed: (None, VALUES[0]), "seeds": [1], "vectors": SHARED},
        r"vectors: must be None where a stream is given",
    ),
    ({"stream": lambda seed: (None, VALUES[0]), "seeds": []}, r"seeds: must be one .*got 0\)"),
    ({"stream": lambda seed: VALUES[0], "seeds": [1]}, r"stream: must return a pair .*ndarray\)"),
    (
        {"stream": lambda seed: (None, VALUES[0, seed:]), "seeds": [0, 0, 2]},
        r"runs\[2\]\.moral_values: must hold 90 events, as run 0 does \(got 88\)",
    ),
    (
        {"stream": lambda seed: (SHARED if seed else None, VALUES[0]), "seeds": [0, 0, 2]},
        r"runs\[2\]\.vectors: must be given for all runs, or for none",
    ),
]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_what_is_refused(arguments: dict[str, Any], message: str, workers: int) -> None:
    with pytest.raises(ParameterError, match=rf"^simulate_many\.{message}"):
        simulate_many(**{"params": PARAMS, "workers": workers, **arguments})


def test_of_several_bad_runs_the_first_is_named_whoever_gets_there_first() -> None:
    values = spoilt(VALUES, ([1, 4], [N - 1, 0]), 2.0)
    for vectors in (None, TABLES):
        for workers in (1, 2, 4):
            with pytest.raises(ParameterError, match=r"^simulate_many\.runs\[1\]\.moral_values"):
                simulate_many(PARAMS, vectors, values, workers=workers)


@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_ends_a_fleet_promptly(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    begun: list[int] = []
    take = simulation.Engine.take

    def counted(self: Any, *arguments: Any) -> None:
        begun.append(1)
        take(self, *arguments)

    def made(seed: int) -> tuple[Any, Any]:
        if seed == 3:
            signal.raise_signal(signal.SIGINT)
        return SHARED, VALUES[0]

    monkeypatch.setattr(simulation.Engine, "take", counted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        simulate_many(PARAMS, stream=made, seeds=range(1000), workers=workers)
    assert len(begun) <= 3
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a thread")
def test_ctrl_c_stops_runs_that_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end after the slice that they are at."""
    taken: list[int] = []
    take = simulation.Engine.take

    def interrupted(self: Any, first: int, *arguments: Any) -> None:
        taken.append(first)
        if len(taken) == 3:
            main = threading.main_thread().ident
            signal.pthread_kill(main, signal.SIGINT)
            threading.Event().wait(0.5)
        take(self, first, *arguments)

    monkeypatch.setattr(simulation, "EVENTS", 1)
    monkeypatch.setattr(simulation.Engine, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate_many(PARAMS, TABLES, VALUES, workers=1)
    assert len(taken) == 3
