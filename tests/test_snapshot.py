from __future__ import annotations

import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import SMALL, go_on, held, in_folder, lived
from support import engine_params, related_vectors

from mlsdm import CognitiveController, EngineParams, LatticeParams, simulate

CASES = {
    "nothing yet": (EngineParams(dim=5), 0),
    "partly filled": (EngineParams(dim=7, lattice=LatticeParams(capacity=100)), 40),
    "wrapped": (EngineParams(dim=7, lattice=LatticeParams(capacity=30)), 400),
    "published": (EngineParams.published(16), 60),
    "one dimension": (EngineParams(dim=1, lattice=LatticeParams(capacity=10)), 50),
    "one row": (EngineParams(dim=3, lattice=LatticeParams(capacity=1)), 50),
    "many dimensions": (EngineParams(dim=4096, lattice=LatticeParams(capacity=20)), 50),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_loaded_is_what_was_saved(case: str, tmp_path: Path) -> None:
    controller = lived(*CASES[case])
    path = controller.save(str(tmp_path / "engine.snapshot"))
    assert path == tmp_path / "engine.snapshot"
    loaded = CognitiveController.load(str(path))
    assert held(loaded) == held(controller)
    assert loaded.verify().whole
    assert loaded.save(tmp_path / "again").read_bytes() == path.read_bytes()
    assert in_folder(tmp_path) == ["again", "engine.snapshot"]


@settings(max_examples=40)
@given(
    engine_params(),
    st.integers(0, 3),
    st.lists(st.integers(0, 40), min_size=2, max_size=4),
    st.integers(0, 99),
)
def test_going_on_equals_never_having_stopped(
    params: EngineParams, scrub: int, legs: list[int], seed: int
) -> None:
    params = params.replace({"lattice": {"scrub_rows": scrub}})
    steady, stopping = CognitiveController(params), CognitiveController(params)
    query = related_vectors(1, params.dim, 7)[0]
    with tempfile.TemporaryDirectory() as folder:
        for i, n in enumerate(legs):
            stopping = CognitiveController.load(stopping.save(Path(folder, "it")))
            assert go_on(stopping, n, seed + i) == go_on(steady, n, seed + i)
            assert held(stopping) == held(steady)
            found = [(r.row, r.resonance, r.phase) for r in stopping.retrieve_context(query)]
            assert found == [(r.row, r.resonance, r.phase) for r in steady.retrieve_context(query)]


def test_a_simulated_engine_is_saved_as_well(tmp_path: Path) -> None:
    params = EngineParams(dim=4, lattice=LatticeParams(capacity=25))
    values = np.random.default_rng(1).random(300)
    simulated = simulate(params, related_vectors(300, 4, 1), values).controller
    assert simulated is not None
    loaded = CognitiveController.load(simulated.save(tmp_path / "it"))
    assert held(loaded) == held(simulated)
    assert go_on(loaded, 30, 2) == go_on(simulated, 30, 2)


def test_an_emergency_and_its_reason_are_kept(tmp_path: Path) -> None:
    controller = lived(SMALL, 5)
    why = "by hand:\n'é' \"\\ \ud800"
    controller.stop(why)
    loaded = CognitiveController.load(controller.save(tmp_path / "it"))
    assert loaded.emergency == why
    assert loaded.process_event([1, 2], 1.0).reason == "emergency"
    loaded.recover()
    assert loaded.process_event([1, 2], 1.0).event == 5


def test_the_number_of_restored_rows_is_kept(tmp_path: Path) -> None:
    controller = lived(EngineParams(dim=4, lattice=LatticeParams(capacity=9)), 60)
    controller._memory.vectors[2].view(np.uint32)[1] ^= 1 << 20
    go_on(controller, 9, 3)
    assert controller.restored == 1
    assert CognitiveController.load(controller.save(tmp_path / "it")).restored == 1


@settings(max_examples=150)
@given(st.data())
def test_damage_stays_what_it_was(data: st.DataObject) -> None:
    controller = lived(EngineParams(dim=3, lattice=LatticeParams(capacity=8)), 40)
    memory = controller._memory
    for _ in range(data.draw(st.integers(1, 3))):
        array = data.draw(st.sampled_from([memory.states, memory.levels, memory.vectors, "rows"]))
        if isinstance(array, str):
            array = memory.rows
        words = array.reshape(-1).view(np.uint32)
        words[data.draw(st.integers(0, words.size - 1))] ^= 1 << data.draw(st.integers(0, 31))
    with tempfile.TemporaryDirectory() as folder:
        loaded = CognitiveController.load(controller.save(Path(folder, "it")))
    found = controller.verify()
    assert loaded.verify() == found
    assert loaded.repair() == controller.repair()
    assert held(loaded) == held(controller)


def test_damaged_compact_forms_are_made_anew(tmp_path: Path) -> None:
    controller = lived(EngineParams(dim=3, lattice=LatticeParams(capacity=8)), 40)
    whole = held(controller)
    controller._memory.codes[4, 1] ^= 8
    assert controller.verify().rows == (4,)
    loaded = CognitiveController.load(controller.save(tmp_path / "it"))
    assert loaded.verify().whole
    assert held(loaded) == whole


def test_a_damaged_size_loses_no_rows(tmp_path: Path) -> None:
    controller = lived(EngineParams(dim=3, lattice=LatticeParams(capacity=8)), 40)
    whole = held(controller)
    controller._memory.states["size"][0] = 0
    loaded = CognitiveController.load(controller.save(tmp_path / "it"))
    assert loaded.verify().state
    assert loaded.repair().state
    assert held(loaded) == whole


def test_neither_saving_nor_loading_needs_room_for_a_second_engine(tmp_path: Path) -> None:
    params = EngineParams(dim=384, lattice=LatticeParams(capacity=8000))
    controller = lived(params, 16_000)
    assert controller.lattice.size == 8000
    tracemalloc.start()
    path = controller.save(tmp_path / "it")
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    loaded = CognitiveController.load(path)
    loading = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert held(loaded) == held(controller)
    assert saving < 3e6
    assert loading < params.memory_bytes() + 3e6


def test_a_snapshot_taken_among_events_is_of_one_moment(tmp_path: Path) -> None:
    params = EngineParams(dim=64, lattice=LatticeParams(capacity=300))
    controller = CognitiveController(params)
    vectors = related_vectors(50, 64, 0)
    handled: list[tuple[int, int, float]] = []
    enough = threading.Event()

    def take(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not enough.is_set():
            which, value = int(rng.integers(50)), float(rng.random())
            handled.append((controller.process_event(vectors[which], value).event, which, value))

    threads = [threading.Thread(target=take, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    saved = []
    for i in range(15):
        while controller.events < 50 * i and any(thread.is_alive() for thread in threads):
            time.sleep(0)
        saved.append(controller.save(tmp_path / str(i)))
    enough.set()
    for thread in threads:
        thread.join()
    again = CognitiveController(params)
    sequence = iter(sorted(handled))
    for i, path in enumerate(saved):
        loaded = CognitiveController.load(path)
        assert loaded.events >= 50 * i
        while again.events < loaded.events:
            _, which, value = next(sequence)
            again.process_event(vectors[which], value)
        assert held(loaded) == held(again)


def test_of_two_who_save_at_once_one_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "it"
    params = EngineParams(dim=64, lattice=LatticeParams(capacity=500))
    engines = [lived(params, 900, seed) for seed in range(2)]
    engines[0].save(path)
    threads = [
        threading.Thread(target=lambda engine=engine: [engine.save(path) for _ in range(20)])
        for engine in engines
    ]
    for thread in threads:
        thread.start()
    possible = [held(engine) for engine in engines]
    while any(thread.is_alive() for thread in threads):
        assert held(CognitiveController.load(path)) in possible
    assert held(CognitiveController.load(path)) in possible
    assert in_folder(tmp_path) == ["it"]
