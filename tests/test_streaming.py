"""Streams that come in pieces: the same result however they are cut, in the same memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import ARRAYS, assert_same
from support import related_vectors, state_bytes

from mlsdm import EngineParams, LatticeParams, ParameterError, simulate
from mlsdm.engine import simulation, trace
from mlsdm.engine.rules import events

DIM = 6
PARAMS = EngineParams(dim=DIM, lattice=LatticeParams(capacity=50))
N = 300
VECTORS = related_vectors(N, DIM, 5)
VALUES = np.random.default_rng(5).random(N)


def cut(vectors: Any, values: Any, places: list[int]) -> Iterator[tuple[Any, Any]]:
    """Yield a stream in pieces; two equal places make an empty one."""
    ends = [*sorted(places), len(values)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield None if vectors is None else vectors[start:end], values[start:end]


@given(
    st.booleans(),
    st.lists(st.integers(0, N), max_size=12),
    st.sampled_from([1, 2, 7, 100, 1000]),
    st.sampled_from([1, 5, 64, 2**17]),
)
def test_chunks_of_any_lengths_give_the_same_bytes(
    stored: bool, places: list[int], every: int, at_once: int
) -> None:
    vectors = VECTORS if stored else None
    expected = simulate(PARAMS, vectors, VALUES, every=every)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "EVENTS", at_once)
        patch.setattr(simulation, "ELEMENTS", at_once * DIM)
        chunks = cut(vectors, VALUES, places)
        assert_same(simulate(PARAMS, chunks=chunks, every=every), expected)
        assert_same(simulate(PARAMS, vectors, VALUES, every=every), expected)


@pytest.mark.parametrize("stored", [True, False])
def test_thinned_entries_are_those_of_all_and_totals_are_over_all(stored: bool) -> None:
    vectors = VECTORS if stored else None
    whole = simulate(PARAMS, vectors, VALUES)
    for every in (2, 7, 299, 300, 10**9):
        thinned = simulate(PARAMS, vectors, VALUES, every=every)
        assert len(thinned) == len(range(0, N, every))
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(thinned, name), getattr(whole, name)[::every])
        assert thinned.summary() == whole.summary()
        frame = thinned.to_frame()
        assert frame["event"].to_list() == list(range(0, N, every))
        assert frame.equals(whole.to_frame()[::every].reset_index(drop=True))
        assert f"one event of {every}" in thinned._repr_html_()
    assert "one event of" not in whole._repr_html_()


def test_one_event_at_a_time() -> None:
    expected = simulate(PARAMS, VECTORS, VALUES)
    one_by_one = ((VECTORS[i : i + 1], VALUES[i : i + 1]) for i in range(N))
    assert_same(simulate(PARAMS, chunks=one_by_one), expected)


def test_an_iterator_may_use_its_arrays_again() -> None:
    vectors, values = np.empty((60, DIM), np.float32), np.empty(60)

    def reused() -> Iterator[tuple[Any, Any]]:
        for start in range(0, N, 60):
            vectors[:], values[:] = VECTORS[start : start + 60], VALUES[start : start + 60]
            yield vectors, values

    result = simulate(PARAMS, chunks=reused())
    vectors[:], values[:] = 9, 9
    assert_same(result, simulate(PARAMS, VECTORS, VALUES))


def test_a_result_does_not_change_with_the_arrays_that_it_was_made_of() -> None:
    values = VALUES.copy()
    result = simulate(PARAMS, None, values)
    values[:] = 0
    np.testing.assert_array_equal(result.moral_values, VALUES)


def test_memory_maps_and_other_layouts_give_the_same_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", VECTORS)
    np.save(tmp_path / "values.npy", VALUES)
    vectors = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    assert not vectors.flags.writeable
    expected = simulate(PARAMS, VECTORS, VALUES)
    wide = np.zeros((N, 2))
    wide[:, 1] = VALUES
    for table, numbers in (
        (vectors, values),
        (VECTORS.astype(">f8"), VALUES.astype(">f8")),
        (np.asfortranarray(VECTORS), wide[:, 1]),
        (VECTORS.tolist(), VALUES.tolist()),
    ):
        assert_same(simulate(PARAMS, table, numbers), expected)
        assert_same(simulate(PARAMS, chunks=cut(table, numbers, [100, 101])), expected)
        assert_same(simulate(PARAMS, None, numbers), simulate(PARAMS, None, VALUES))
    parts: Any = (events.run, events.run_filter)
    assert [len(part.signatures) for part in parts] == [1, 1]  # no layout was compiled anew


def test_streams_of_no_events_in_chunks() -> None:
    nothing = simulate(PARAMS, chunks=[])
    assert_same(nothing, simulate(PARAMS, None, []))
    empty = simulate(PARAMS, chunks=[([], []), (np.zeros((0, DIM)), [])])
    assert_same(empty, simulate(PARAMS, [], []))
    assert empty.engine.events == 0
    late = simulate(PARAMS, chunks=[(None, []), (VECTORS, VALUES)])
    assert_same(late, simulate(PARAMS, VECTORS, VALUES))


def test_a_stream_goes_on_from_the_engine_in_its_result() -> None:
    result = simulate(PARAMS, chunks=cut(VECTORS[:200], VALUES[:200], [50]), every=30)
    for vector, value in zip(VECTORS[200:], VALUES[200:], strict=True):
        result.engine.process_event(vector, float(value))
    assert state_bytes(result.engine) == state_bytes(simulate(PARAMS, VECTORS, VALUES).engine)


def spoilt(array: Any, place: Any, value: float) -> Any:
    copy = np.array(array)
    copy[place] = value
    return copy


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([(VECTORS, spoilt(VALUES, 7, 1.5))], r"simulate\.moral_values\[307\]: .*\(got 1\.5\)"),
        ([(VECTORS, spoilt(VALUES, 7, np.nan))], r"simulate\.moral_values\[307\]: .*\(got nan\)"),
        ([(spoilt(VECTORS, (7, 2), np.inf), VALUES)], r"simulate\.vectors\[307, 2\]: .*got inf"),
        (
            [(spoilt(VECTORS, slice(7, None), 3.4e38), VALUES)],
            r"simulate\.vectors\[3\d\d\]: .* smaller",
        ),
        ([(VECTORS[:, 1:], VALUES)], r"simulate\.chunks\[1\]\.vectors: must have shape"),
        ([(VECTORS[1:], VALUES)], r"simulate\.chunks\[1\]\.vectors: .* 300 \(got 299\)"),
        ([(VECTORS, VALUES[:, None])], r"simulate\.chunks\[1\]\.moral_values: must have one dim"),
        ([(VECTORS, VALUES > 0)], r"simulate\.chunks\[1\]\.moral_values: .*real numbers"),
        ([VECTORS], r"simulate\.chunks\[1\]: must be a pair .* \(got ndarray\)"),
        ([(VECTORS,)], r"simulate\.chunks\[1\]: must be a pair"),
        ([(None, VALUES)], r"simulate\.chunks: must all hold vectors, or none"),
    ],
)
def test_a_bad_chunk_is_named(chunks: list[Any], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}"):
        simulate(PARAMS, chunks=[(VECTORS, VALUES), *chunks])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"simulate\.moral_values: must be given, or chunks .* \(got neither\)"),
        ({"moral_values": [0.5], "chunks": []}, r"simulate\.moral_values: .* \(got both\)"),
        ({"vectors": VECTORS, "chunks": []}, r"simulate\.vectors: must be None"),
        ({"chunks": 5}, r"simulate\.chunks: must be an iterable of tuples \(got 5\)"),
        ({"moral_values": [0.5], "every": 0}, r"simulate\.every: .* at least 1 \(got 0\)"),
        ({"moral_values": [0.5], "every": True}, r"simulate\.every: .* \(got True\)"),
        ({"chunks": [], "n_events": -1}, r"simulate\.n_events: .* at least 0 \(got -1\)"),
    ],
)
def test_arguments_that_are_not_allowed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}"):
        simulate(PARAMS, **arguments)


def test_an_error_of_the_iterator_comes_through() -> None:
    def failing() -> Iterator[tuple[Any, Any]]:
        yield VECTORS, VALUES
        raise ConnectionError("the source is gone")

    with pytest.raises(ConnectionError, match="the source is gone"):
        simulate(PARAMS, chunks=failing())


def peak(**arguments: Any) -> int:
    """Return the most memory, in bytes, that a simulation holds at a time."""
    tracemalloc.start()
    try:
        simulate(**arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["stored", "filter", "file"])
def test_memory_does_not_grow_with_the_number_of_chunks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "GROUP", 4096)
    values = np.random.default_rng(1).random(20_000)
    vectors = None if kind == "filter" else np.ones((len(values), DIM), np.float32)
    more = {"trace": tmp_path / "trace.parquet"} if kind == "file" else {}
    every = 3 if kind == "file" else 10_000

    def used(count: int) -> int:
        chunks = ((vectors, values) for _ in range(count))
        return peak(params=PARAMS, chunks=chunks, every=every, **more)

    used(2)  # what is loaded on the first call
    few, many = used(10), used(100)
    assert many < few + 100_000  # 90 chunks more are 1.8 million events, of 18 to 58 bytes each


def test_a_memory_map_is_read_piece_by_piece(tmp_path: Path) -> None:
    shape = (1_000_000, 32)
    np.lib.format.open_memmap(tmp_path / "v.npy", mode="w+", dtype=np.float32, shape=shape).flush()
    np.save(tmp_path / "m.npy", np.full(shape[0], 0.9, np.float32))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    values = np.load(tmp_path / "m.npy", mmap_mode="r")
    params = EngineParams(dim=32, lattice=LatticeParams(capacity=50))
    simulate(params, vectors[:10], values[:10])
    used = peak(params=params, vectors=vectors, moral_values=values, every=1000)
    assert used < vectors.nbytes / 3
