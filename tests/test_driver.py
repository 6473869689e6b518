from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import (
    BROKEN,
    SECONDS,
    STARTED,
    TINY,
    Workers,
    all_runs,
    journals,
    result_of,
    statuses,
)
from making import make_notebook

from mlsdm.errors import RunError
from mlsdm.execution.pool import Event, Started
from mlsdm.execution.task import Result, Task
from mlsdm.provenance import THREAD_CAPS
from mlsdm.sweep.driver import Settings, drive, executor, journaled
from mlsdm.sweep.job import Source, read_source
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.recorder import recover
from mlsdm.tracking import Store, TrackedRun


@pytest.fixture
def source(store: Store) -> Source:
    path = make_notebook(store.project / "notebooks" / "tiny.ipynb", TINY, "pass")
    return read_source(path, store.project)


def go(store: Store, source: Source, count: int, settings: Settings | None = None) -> list[Any]:
    jobs = [source.job({"n": n + 1, "seed": 7}) for n in range(count)]
    with journaled(store) as journal:
        return drive(store, journal, jobs, {source.name: source}, settings or Settings())


def names(outcomes: list[RunOutcome]) -> list[tuple[str, str]]:
    return [(outcome.title, outcome.status) for outcome in outcomes]


class Spy:
    """Stands between a store and MLflow's client: who calls, and does anyone else meanwhile?"""

    def __init__(self, store: Store, nap: float = 0.0) -> None:
        self.client, self.nap = store._client, nap
        self.threads: set[str] = set()
        self.busy = threading.Lock()
        self.overlaps: list[str] = []
        store._client = self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.threads.add(threading.current_thread().name)
            if not self.busy.acquire(blocking=False):
                self.overlaps.append(name)
                self.busy.acquire()
            try:
                time.sleep(self.nap)
                return getattr(self.client, name)(*arguments, **options)
            finally:
                self.busy.release()

        return call


def test_every_job_becomes_a_run(store: Store, workers: Workers, source: Source) -> None:
    workers.width = 2
    outcomes = go(store, source, 3)
    assert names(outcomes) == [
        ("seed=7", "FINISHED"),
        ("n=2, seed=7", "FINISHED"),
        ("n=3, seed=7", "FINISHED"),
    ]
    runs = {run.info.run_id: run for run in all_runs(store)}
    assert set(runs) == {outcome.run_id for outcome in outcomes}
    for outcome in outcomes:
        run = runs[outcome.run_id]
        assert run.info.status == "FINISHED"
        assert run.data.metrics == outcome.metrics
        assert outcome.metrics["a/n"] == outcome.parameters["n"]
        assert outcome.records == []  # of many runs they would be much
        assert (outcome.seconds, outcome.earlier) == (SECONDS, False)
        assert run.info.end_time == int((STARTED + SECONDS) * 1000)
    assert journals(store) == []


def test_no_jobs_need_no_workers(store: Store, workers: Workers, source: Source) -> None:
    assert go(store, source, 0) == []
    assert workers.settings == []
    assert journals(store) == []


def test_one_thread_besides_the_main_one_writes_and_only_one_at_a_time(
    store: Store, workers: Workers, source: Source
) -> None:
    spy = Spy(store)
    workers.width = 2
    go(store, source, 4)
    assert len(spy.threads - {"MainThread"}) == 1
    assert spy.overlaps == []


def test_the_thread_caps_of_the_settings_are_recorded(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (outcome,) = go(store, source, 1, Settings(threads=3))
    text = store.read(outcome.run_id, "provenance.json").decode()
    assert all(f'"{name}": "3"' in text for name in THREAD_CAPS)
    assert Settings().caps["OMP_NUM_THREADS"] == "5"


def test_a_task_has_what_the_settings_say(source: Source) -> None:
    settings = Settings(threads=3, warm=True, cell_timeout=7, timeout=8, memory_limit=9, workers=2)
    job = source.job({"n": 3, "seed": 1})
    task = settings.task(job, source)
    assert task == Task(
        job.key, "tiny.ipynb", source.text, {"n": 3, "seed": 1}, str(source.project),
        7, 8, 9, 3, True,
    )  # fmt: skip


def test_fail_fast_calls_off_what_runs_and_begins_no_more(
    store: Store, workers: Workers, source: Source
) -> None:
    def answer(task: Task) -> Result:
        return result_of(task, error=BROKEN if task.parameters["n"] == 2 else None)

    workers.answer, workers.width = answer, 2
    outcomes = go(store, source, 9, Settings(fail_fast=True))
    assert names(outcomes) == [
        ("seed=7", "FINISHED"),
        ("n=2, seed=7", "FAILED"),
        ("n=3, seed=7", "KILLED"),
    ]
    assert outcomes[1].cause == "cell 3: ValueError: it went wrong"
    assert outcomes[2].cause == "cell 3: Stopped: called off"
    assert len(all_runs(store)) == 3
    assert journals(store) == []


def test_without_it_the_others_go_on(store: Store, workers: Workers, source: Source) -> None:
    workers.answer = lambda task: result_of(task, error=BROKEN)
    assert {status for _, status in names(go(store, source, 3))} == {"FAILED"}
    assert len(all_runs(store)) == 3


def test_ctrl_c_ends_every_run_and_keeps_what_there_is(
    store: Store, workers: Workers, source: Source
) -> None:
    def answer(task: Task) -> Result:
        if task.parameters["n"] == 2:
            workers.answer = result_of
            raise KeyboardInterrupt
        return result_of(task)

    workers.answer, workers.width = answer, 2
    with pytest.raises(KeyboardInterrupt):
        go(store, source, 9)
    runs = {run.info.run_name: run for run in all_runs(store)}
    assert {name: run.info.status for name, run in runs.items()} == {
        "seed=7": "FINISHED",
        "n=2, seed=7": "KILLED",
        "n=3, seed=7": "KILLED",
    }
    for name in ("n=2, seed=7", "n=3, seed=7"):
        run = runs[name]
        assert run.data.tags["mlsdm.cause"] == "cell 3: Stopped: called off"
        assert b"pass" in store.read(run.info.run_id, "tiny.ipynb")
    recover(store)
    assert journals(store) == []
    assert len(all_runs(store)) == 3


class Refusal:
    """Lets MLflow refuse the files of the run that says so, as a full disk does."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch, *numbers: int) -> None:
        self.put, self.store, self.refused = store._client.log_artifacts, store, 0
        self.needles = [f'"n": {n}' for n in numbers]
        patch.setattr(store._client, "log_artifacts", self)

    def __call__(self, run_id: str, folder: str) -> None:
        parameters = Path(folder, "parameters.json")
        text = parameters.read_text() if parameters.exists() else ""
        if any(needle in text for needle in self.needles):
            self.refused += 1
            raise OSError(28, "No space left on device")
        self.put(run_id, folder)


def test_a_store_that_refuses_ends_it_and_the_result_is_kept_by_the_next_start(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Refusal(store, monkeypatch, 2)
    workers.answer = lambda task: (time.sleep(0.1), result_of(task))[1]
    with pytest.raises(RunError, match="No space left on device"):
        go(store, source, 9)
    found = {run.info.run_name: run for run in all_runs(store)}
    failed = found["n=2, seed=7"]
    assert failed.info.status == "FAILED"
    assert "No space left" in failed.data.tags["mlsdm.cause"]
    assert found["seed=7"].info.status == "FINISHED"
    assert len(found) < 9
    assert "RUNNING" not in statuses(list(found.values()))
    refusal.needles.clear()
    recover(store)
    again = {run.info.run_name: run for run in all_runs(store)}
    assert again.keys() == found.keys()
    kept = again["n=2, seed=7"]
    assert (kept.info.status, kept.info.run_id) == ("FINISHED", failed.info.run_id)
    assert "mlsdm.cause" not in kept.data.tags
    assert kept.info.end_time == int((STARTED + SECONDS) * 1000)
    assert journals(store) == []


def test_a_store_that_refuses_leaves_no_run_that_goes_on_though_it_is_slow(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    Refusal(store, monkeypatch, 1)
    spy = Spy(store, nap=0.02)
    workers.width = 6
    with pytest.raises(RunError, match="No space left on device"):
        go(store, source, 6)
    assert "RUNNING" not in statuses(all_runs(store))
    assert spy.overlaps == []


def test_a_second_refusal_stops_no_other_from_being_kept(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Refusal(store, monkeypatch, 1, 3)
    workers.width = 6
    with pytest.raises(RunError, match="No space left on device"):
        go(store, source, 6)
    assert refusal.refused == 2
    assert "RUNNING" not in statuses(all_runs(store))
    for run in all_runs(store):
        if run.info.run_name not in ("seed=7", "n=3, seed=7"):
            assert b"pass" in store.read(run.info.run_id, "tiny.ipynb")


def test_a_store_that_is_gone_leaves_a_journal_from_which_all_is_ended(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        def __getattr__(self, name: str) -> Any:
            raise OSError("gone")

    def answer(task: Task) -> Result:
        if task.parameters["n"] == 2:
            # Once the second run is begun; the call that ends the first is over by then.
            deadline = time.monotonic() + 5
            while len(all_runs(store)) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            store._client = gone
            for run in recorded_runs:
                run._client = gone
            raise KeyboardInterrupt
        return result_of(task)

    recorded_runs: list[TrackedRun] = []
    make = TrackedRun.__init__

    def note(self: TrackedRun, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        recorded_runs.append(self)

    monkeypatch.setattr(TrackedRun, "__init__", note)
    gone, there = Gone(), store._client
    workers.answer = answer
    with pytest.raises(KeyboardInterrupt) as caught:
        go(store, source, 3)
    assert any("gone" in note for note in caught.value.__notes__)
    store._client = there
    assert sorted(statuses(all_runs(store))) == ["FINISHED", "RUNNING"]
    recover(store)
    assert sorted(statuses(all_runs(store))) == ["FINISHED", "KILLED"]
    assert journals(store) == []


def test_a_second_ctrl_c_leaves_what_the_next_start_ends(
    store: Store, workers: Workers, source: Source
) -> None:
    class Impatient:
        def __enter__(self) -> Impatient:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, task: Task) -> None:
            self.key = task.key

        def stop(self) -> None: ...

        def events(self) -> Iterator[Event]:
            yield Started(self.key)
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlsdm.sweep.driver.executor", lambda *_: Impatient())
        with pytest.raises(KeyboardInterrupt):
            go(store, source, 1)
    recover(store)
    assert statuses(all_runs(store)) == ["KILLED"]
    assert journals(store) == []


class Broken:
    """An executor that begins tasks, and then can go on no more."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.stopped = False

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, task: Task) -> None:
        self.keys.append(task.key)

    def stop(self) -> None:
        self.stopped = True

    def events(self) -> Iterator[Event]:
        if not self.stopped:
            yield from map(Started, self.keys)
        raise RunError("no worker can be started")


def test_an_executor_that_breaks_leaves_no_run_that_goes_on(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlsdm.sweep.driver.executor", lambda *_: Broken())
    spy = Spy(store, nap=0.02)
    with pytest.raises(RunError, match="no worker can be started"):
        go(store, source, 6)
    assert len(all_runs(store)) == 6
    assert set(statuses(all_runs(store))) == {"KILLED"}
    assert spy.overlaps == []
    recover(store)
    assert journals(store) == []


def test_a_run_begun_twice_because_an_answer_was_lost_is_ended(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store._client.create_run

    def twice(*arguments: Any, **options: Any) -> Any:
        create(*arguments, **options)
        return create(*arguments, **options)

    monkeypatch.setattr(store._client, "create_run", twice)
    (outcome,) = go(store, source, 1)
    runs = {run.info.run_id: run for run in all_runs(store)}
    assert runs.pop(outcome.run_id).info.status == "FINISHED"
    ((other,),) = [list(runs.values())]
    assert (other.info.status, other.data.tags["mlsdm.cause"]) == ("KILLED", "was begun twice")


def test_a_run_that_cannot_be_begun_stops_it_and_the_next_start_begins_it(
    store: Store, workers: Workers, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("busy")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._client, "create_run", refuse)
        with pytest.raises(RunError, match="busy"):
            go(store, source, 99)
    assert len(workers.begun) < 99
    assert all_runs(store) == []
    recover(store)
    assert {run.info.start_time for run in all_runs(store)} == {int(STARTED * 1000)}
    assert set(statuses(all_runs(store))) == {"FINISHED"}
    assert journals(store) == []


def test_the_executor_here_is_a_pool(tmp_path: Path) -> None:
    with executor(Settings(), tmp_path) as workers:
        assert list(workers.events()) == []
        assert type(workers).__name__ == "LocalPool"


def test_progress_follows_every_run(
    store: Store, workers: Workers, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = go(store, source, 2)
    said = capsys.readouterr().err
    for number, outcome in enumerate(outcomes, start=1):
        assert f"/2] {outcome.title}: started\n" in said
        assert f"[{number}/2] {outcome.title}: finished in 2.5 s, run {outcome.run_id}\n" in said
