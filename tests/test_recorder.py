from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from driving import (
    SECONDS,
    STARTED,
    TINY,
    all_runs,
    artifacts,
    histories,
    journals,
    result_of,
    statuses,
    tracked,
)
from making import make_notebook

from mlsdm.errors import RunError
from mlsdm.evidence import judge
from mlsdm.execution.task import CellError, Result
from mlsdm.execution.worker import save
from mlsdm.record import MIME, Record, _bundle
from mlsdm.recordable import content
from mlsdm.streams import Stream
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.job import Job, Source, read_source
from mlsdm.sweep.journal import Journal, Ledger
from mlsdm.sweep.recorder import BASE, DRIVER, KEY, Recorder, recover
from mlsdm.tracking import Store, TrackedRun


@pytest.fixture
def source(store: Store) -> Source:
    path = make_notebook(store.project / "notebooks" / "tiny.ipynb", TINY, "pass")
    found = read_source(path, store.project)
    return dataclasses.replace(
        found, provenance=dataclasses.replace(found.provenance, diff="+ a line", dirty=True)
    )


class Desk:
    """A driver's journal and recorder, with one job, whose driver may die."""

    def __init__(self, store: Store, source: Source, **values: Any) -> None:
        self.store, self.source = store, source
        self.job: Job = source.job({"n": 3, "seed": 7, **values})
        self.journal = Journal.open(store.state)
        self.ledger = Ledger(
            store.address, ["tiny"], {self.job.key: self.job}, {source.name: source.provenance}
        )
        self.journal.write(self.ledger)
        self.recorder = Recorder(store, self.journal, self.ledger, keep_records=True)

    def result(self, metrics: dict[str, float] | None = None, **fields: Any) -> Result:
        return result_of(Settings().task(self.job, self.source), metrics, **fields)

    def spool(self, result: Result | None = None) -> Path:
        path = self.journal.results / f"{self.job.key}.json"
        save(result or self.result(), path)
        return path

    def die(self) -> None:
        self.journal._lock.release()


@pytest.fixture
def desk(store: Store, source: Source) -> Desk:
    return Desk(store, source)


class Died(BaseException):
    """The driver is no more."""


def die(*_: object, **__: object) -> None:
    raise Died


def test_a_run_holds_all_that_there_is_to_know(store: Store, desk: Desk) -> None:
    job = desk.job
    desk.recorder.begin(job.key, STARTED)
    desk.recorder.begin(job.key, STARTED + 9)  # told again where a worker died
    (run,) = all_runs(store)
    assert run.info.status == "RUNNING"
    path = desk.spool()
    outcome = desk.recorder.keep(job.key)
    assert not path.exists()
    (run,) = all_runs(store)
    assert outcome.run_id == run.info.run_id
    assert (outcome.status, outcome.cause, outcome.seconds) == ("FINISHED", "", SECONDS)
    assert (outcome.key, outcome.notebook, outcome.title) == (job.key, "tiny", job.title)
    assert [(r.name, r.value) for r in outcome.records] == [("a/n", 3.0)]
    assert run.info.run_name == "n=3, seed=7"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == int(STARTED * 1000)
    assert run.info.end_time == int((STARTED + SECONDS) * 1000)
    assert run.data.params == {"n": "3", "seed": "7"}
    assert (
        run.data.metrics
        == outcome.metrics
        == {
            "a/n": 3.0,
            "kernel/seconds": SECONDS,
            "kernel/peak_memory_mib": 3.0,
            "kernel/cpu_seconds": 0.5,
        }
    )
    tags = run.data.tags
    assert (tags[KEY], tags[BASE], tags[DRIVER]) == (job.key, job.base, desk.journal.token)
    assert tags["mlsdm.seed"] == "7"
    assert "mlflow.parentRunId" not in tags
    assert "mlsdm.cause" not in tags
    provenance = dataclasses.replace(desk.source.provenance, seed=7)
    assert provenance.tags().items() <= tags.items()
    names = {"tiny.ipynb", "parameters.json", "provenance.json", "diff.patch"}
    assert artifacts(store, run.info.run_id) == names
    assert json.loads(store.read(outcome.run_id, "parameters.json")) == job.parameters
    assert json.loads(store.read(outcome.run_id, "provenance.json")) == json.loads(
        json.dumps(provenance.to_dict())
    )
    assert store.read(outcome.run_id, "diff.patch") == b"+ a line"
    kept = nbformat.reads(store.read(outcome.run_id, "tiny.ipynb").decode(), as_version=4)
    assert kept.cells[-1].execution_count == 1


def test_a_run_can_be_found_by_its_question_its_preset_and_its_verdict(store: Store) -> None:
    from nbformat.v4 import new_markdown_cell, new_notebook, reads, writes

    path = make_notebook(store.project / "notebooks" / "tiny.ipynb", f"{TINY}engine: dict = {{}}\n")
    asked = new_markdown_cell("# Tiny\n\n**Question.** What of `n`?")
    path.write_text(writes(new_notebook(cells=[asked, *reads(path.read_text()).cells[1:]])))
    desk = Desk(store, read_source(path, store.project), engine={"moral": {"step": 0.0}})
    held = dataclasses.asdict(judge("latency.p50", 1.0))
    metric = {"kind": "metric", "name": "p50", "value": 1.0, "judgement": held}
    desk.spool(_displayed(metric)(desk.result()))
    run = tracked(store, desk.recorder.keep(desk.job.key).run_id)
    tags = {name: run.data.tags[name] for name in ("question", "preset", "verdict")}
    assert tags == {"question": "What of n?", "preset": "custom", "verdict": "all come out"}
    assert run.data.tags["mlflow.note.content"].startswith("**Question.** What of n?\n\n**Verdict")
    assert run.data.params == {"n": "3", "seed": "7", "engine.moral.step": "0.0"}


def test_a_dataset_is_an_input_of_its_run(store: Store, desk: Desk) -> None:
    stream = Stream(np.array([0.1, 0.9]), toxic=np.array([True, False]), source="made")
    made = Record(name="data/stream", **content(stream))
    desk.spool(_displayed(_bundle(made)[MIME])(desk.result()))
    outcome = desk.recorder.keep(desk.job.key)
    assert outcome.records == [made]
    (given,) = tracked(store, outcome.run_id).inputs.dataset_inputs
    assert given.dataset.name == "data/stream"


def test_a_child_belongs_to_its_parent_and_data_are_known_by_their_sum(
    store: Store, source: Source
) -> None:
    (store.project / "own.csv").write_text("a")
    cell = f'{TINY}data: str = ""\n'
    path = make_notebook(store.project / "notebooks" / "tiny.ipynb", cell)
    desk = Desk(store, read_source(path, store.project), data="own.csv")
    with store.start("tiny", "whole", parameters={}, tags={}) as parent:
        desk.ledger.parent = parent.id
        desk.spool()
        outcome = desk.recorder.keep(desk.job.key)
    tags = tracked(store, outcome.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.id
    assert tags["mlsdm.data_sha256"] == desk.job.data_sha256 != ""


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("cell", "ValueError", "FAILED"),
        ("kernel", "DeadKernelError", "FAILED"),
        ("timeout", "CellTimeoutError", "FAILED"),
        ("memory", "MemoryLimitError", "FAILED"),
        ("worker", "WorkerDied", "FAILED"),
        ("stopped", "Stopped", "KILLED"),
    ],
)
def test_every_end_has_its_status_and_its_cause(
    store: Store, desk: Desk, kind: Any, name: str, status: str
) -> None:
    cell = None if kind == "worker" else 4
    error = CellError(kind, name, "two\nlines", cell)
    desk.spool(desk.result(error=error, usage=None))
    outcome = desk.recorder.keep(desk.job.key)
    cause = f"{'' if cell is None else 'cell 5: '}{name}: two lines"
    assert (outcome.status, outcome.cause) == (status, cause)
    run = tracked(store, outcome.run_id)
    assert run.info.status == status
    assert run.data.tags["mlsdm.cause"] == cause
    assert run.data.metrics == {"a/n": 3.0, "kernel/seconds": SECONDS}
    assert "tiny.ipynb" in artifacts(store, outcome.run_id)


def test_a_record_that_cannot_be_read_fails_the_run_and_names_the_cell(
    store: Store, desk: Desk
) -> None:
    result = desk.result()
    broken = result.notebook.replace('"kind": "metric"', '"kind": "nonsense"')
    desk.spool(dataclasses.replace(result, notebook=broken))
    outcome = desk.recorder.keep(desk.job.key)
    assert (outcome.status, outcome.records) == ("FAILED", [])
    assert outcome.cause.startswith("notebook: cell 4: kind: ")
    run = tracked(store, outcome.run_id)
    assert (run.info.status, run.data.tags["mlsdm.cause"]) == ("FAILED", outcome.cause)
    assert "tiny.ipynb" in artifacts(store, outcome.run_id)


def test_why_the_notebook_stopped_comes_first(store: Store, desk: Desk) -> None:
    result = desk.result(error=CellError("kernel", "DeadKernelError", "died", 2))
    broken = result.notebook.replace('"kind": "metric"', '"kind": "nonsense"')
    desk.spool(dataclasses.replace(result, notebook=broken))
    assert desk.recorder.keep(desk.job.key).cause == "cell 3: DeadKernelError: died"


def _displayed(*data: dict[str, Any]) -> Callable[[Result], Result]:
    def put(result: Result) -> Result:
        content = json.loads(result.notebook)
        content["cells"][-1]["outputs"] = [
            {"output_type": "display_data", "metadata": {}, "data": {MIME: one}} for one in data
        ]
        return dataclasses.replace(result, notebook=json.dumps(content))

    return put


def _table(name: str, cell: object = 1) -> dict[str, Any]:
    return {"kind": "table", "name": name, "columns": ["a"], "rows": [[cell]]}


@pytest.mark.parametrize(
    "records",
    [
        [_table("a"), _table("a.csv/b")],
        [_table("a.csv/b"), _table("a")],
        [_table("a", "\ud800")],
        [{"kind": "series", "name": "s", "steps": [2**63], "values": [1.0]}],
        [{"kind": "series", "name": "s", "steps": [-(2**70), 0], "values": [1.0, 2.0]}],
        [{"kind": "metric", "name": "x", "value": 1.7e308}],
        [_table("a" * 190), _table("/".join("é" * 9 for _ in range(9)))],
    ],
)
def test_no_notebook_makes_the_store_refuse_for_ever(
    store: Store, desk: Desk, records: list[dict[str, Any]]
) -> None:
    # A refusal would stop every later start, which tries to keep the result again.
    desk.spool(_displayed(*records)(desk.result()))
    outcome = desk.recorder.keep(desk.job.key)
    assert outcome.status in ("FINISHED", "FAILED")
    assert (outcome.status == "FAILED") == bool(outcome.cause)
    assert tracked(store, outcome.run_id).info.status == outcome.status
    assert "tiny.ipynb" in artifacts(store, outcome.run_id)
    desk.journal.close()
    assert journals(store) == []


def test_a_store_that_refuses_fails_the_run_and_the_result_stays(
    store: Store, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    path = desk.spool()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._client, "log_artifacts", refuse)
        with pytest.raises(RunError, match="the disk is full"):
            desk.recorder.keep(desk.job.key)
    (run,) = all_runs(store)
    assert run.info.status == "FAILED"
    assert "the disk is full" in run.data.tags["mlsdm.cause"]
    assert path.exists()
    desk.journal.close()
    recover(store)
    (again,) = all_runs(store)
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert "mlsdm.cause" not in again.data.tags
    assert set(histories(store, again).values()) == {1}
    assert journals(store) == []


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("before the ledger", None),
        ("nothing begun", None),
        ("begun", "KILLED"),
        ("begun without parameters", "KILLED"),
        ("half-written", "KILLED"),
        ("executed, not begun", "FINISHED"),
        ("executed, begun without parameters", "FINISHED"),
        ("executed", "FINISHED"),
        ("metrics kept", "FINISHED"),
        ("kept", "FINISHED"),
        ("called off", "KILLED"),
    ],
)
def test_the_next_start_ends_what_a_dead_driver_left(
    store: Store, source: Source, moment: str, status: str | None
) -> None:
    if moment == "before the ledger":
        Journal.open(store.state)._lock.release()
    else:
        desk = Desk(store, source)
        with pytest.MonkeyPatch.context() as patch:
            _live_until(moment, desk, patch)
        desk.die()
    recover(store)
    assert statuses(all_runs(store)) == ([status] if status else [])
    assert journals(store) == []
    for run in all_runs(store):
        assert all(count == 1 for count in histories(store, run).values())
        assert ("mlsdm.cause" in run.data.tags) == (status == "KILLED")
        if status == "FINISHED":
            assert run.data.metrics["a/n"] == 3
            assert run.info.end_time == int((STARTED + SECONDS) * 1000)
            assert run.data.params == {"n": "3", "seed": "7"}
    recover(store)
    assert statuses(all_runs(store)) == ([status] if status else [])


def _live_until(moment: str, desk: Desk, patch: pytest.MonkeyPatch) -> None:
    key = desk.job.key
    if moment in ("nothing begun",):
        return
    if "begun without parameters" in moment:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(TrackedRun, "log_parameters", die)
            patched.setattr(TrackedRun, "fail", lambda *_: None)
            with pytest.raises(Died):
                desk.recorder.begin(key, STARTED)
        if moment != "begun without parameters":
            desk.spool()
        return
    if moment != "executed, not begun":
        desk.recorder.begin(key, STARTED)
    if moment == "begun":
        return
    if moment == "half-written":
        (desk.journal.results / f"{key}.json.part").write_text('{"key":')
        return
    stopped = CellError("stopped", "Stopped", "called off", 2)
    desk.spool(desk.result(error=stopped if moment == "called off" else None))
    if moment == "metrics kept":
        patch.setattr(TrackedRun, "finish", die)
    if moment == "kept":
        patch.setattr(Path, "unlink", die)
    if moment in ("metrics kept", "kept"):
        with pytest.raises(Died):
            desk.recorder.keep(key)


def test_of_two_runs_of_one_key_the_finished_one_stays_the_only_one(
    store: Store, desk: Desk
) -> None:
    # The first attempt to begin it failed half-way, the second came to its end.
    tags = {KEY: desk.job.key, BASE: desk.job.base, DRIVER: desk.journal.token}
    for time, status in ((1000, "FAILED"), (3000, "FAILED")):
        run = store.start("tiny", "r", parameters={}, tags=tags, time=time)
        run.finish("FAILED", "could not be begun")
        assert status
    desk.recorder.begin(desk.job.key, 2.0)
    path = desk.spool()
    content = path.read_bytes()
    kept = desk.recorder.keep(desk.job.key)
    path.write_bytes(content)
    desk.die()
    recover(store)
    finished = [run.info.run_id for run in all_runs(store) if run.info.status == "FINISHED"]
    assert finished == [kept.run_id]
    assert journals(store) == []


def test_the_journal_of_a_live_driver_is_left_alone(store: Store, desk: Desk) -> None:
    desk.recorder.begin(desk.job.key, STARTED)
    path = desk.spool()
    recover(store)
    assert statuses(all_runs(store)) == ["RUNNING"]
    assert path.exists()
    desk.recorder.keep(desk.job.key)
    desk.journal.close()


def test_the_journal_of_another_store_is_left_alone(store: Store, source: Source) -> None:
    desk = Desk(store, source)
    desk.journal.write(dataclasses.replace(desk.ledger, store="sqlite:////another/one.db"))
    path = desk.spool()
    desk.die()
    recover(store)
    assert path.exists()
    assert all_runs(store) == []
    desk.journal.write(desk.ledger)
    recover(store)
    assert statuses(all_runs(store)) == ["FINISHED"]


def test_other_drivers_runs_are_left_alone(store: Store, source: Source) -> None:
    dead, live = Desk(store, source), Desk(store, source, n=5)
    dead.recorder.begin(dead.job.key, STARTED)
    live.recorder.begin(live.job.key, STARTED + 1)
    dead.die()
    recover(store)
    assert statuses(all_runs(store)) == ["KILLED", "RUNNING"]
    live.recorder.end_rest("called off")
    assert statuses(all_runs(store)) == ["KILLED", "KILLED"]
    assert all_runs(store)[1].data.tags["mlsdm.cause"] == "called off"
    live.journal.close()


def test_a_journal_holds_no_password(store: Store, source: Source, tmp_path: Path) -> None:
    from mlsdm.sweep.driver import drive

    served = Store(tmp_path, "http://me:secret@localhost:1", store._client)
    journal = Journal.open(served.state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlsdm.sweep.driver.executor", die)
        with pytest.raises(Died):
            drive(served, journal, [source.job({"seed": 1})], {source.name: source}, Settings())
    text = (journal.folder / "ledger.json").read_text()
    assert "localhost" in text
    assert "secret" not in text
    journal.close()
