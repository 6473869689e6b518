from __future__ import annotations

from typing import Any

import pytest
from driving import BROKEN, Workers, make_plan, result_of

from mlsdm.errors import ParameterError
from mlsdm.sweep.job import DRAWN, Job
from mlsdm.sweep.recorded import (
    RERUN,
    SWEEP,
    identity,
    parent,
    plan_text,
    recorded,
    sweep_of,
    typical_seconds,
)
from mlsdm.sweep.recorder import BASE, KEY
from mlsdm.sweep.sweeping import Choice, planned_jobs, run_plan
from mlsdm.tracking import Store


@pytest.fixture
def jobs(store: Store) -> list[Job]:
    return planned_jobs(make_plan(store), store.project)[1]


def make(store: Store, job: Job, status: Any = "FINISHED", time: int = 1000, **tags: str) -> str:
    """Make a run by hand, as a driver would for a job; return its id."""
    own = {KEY: job.key, BASE: job.base, **tags}
    run = store.start(job.experiment, job.title, parameters={}, tags=own, time=time)
    run.log([], numbers={"kernel/seconds": float(time), "x": float(time)})
    if status != "RUNNING":
        run.finish(status, "" if status == "FINISHED" else "why")
    return run.id


def test_an_empty_store_holds_nothing(store: Store, jobs: list[Job]) -> None:
    assert recorded(store, jobs) == {}
    assert parent(store, "tiny", jobs) is None
    assert typical_seconds(store, "tiny") is None


def test_what_is_finished_or_failed_is_held(store: Store, jobs: list[Job]) -> None:
    done = make(store, jobs[0], time=4000)
    failed = make(store, jobs[1], "FAILED")
    for status in ("KILLED", "RUNNING"):
        make(store, jobs[2], status)
    held = recorded(store, jobs)
    assert {key: run.run_id for key, run in held.items()} == {
        jobs[0].key: done,
        jobs[1].key: failed,
    }
    first = held[jobs[0].key]
    assert (first.status, first.cause, first.earlier, first.seconds) == ("FINISHED", "", True, 4000)
    assert first.metrics == {"kernel/seconds": 4000, "x": 4000}
    assert (first.parameters, first.point) == (jobs[0].parameters, jobs[0].point)
    assert held[jobs[1].key].cause == "why"


def test_of_several_the_newest_finished_one_counts(store: Store, jobs: list[Job]) -> None:
    job = jobs[0]
    make(store, job, "FAILED", 1000)
    make(store, job, "FINISHED", 2000)
    newest = make(store, job, "FINISHED", 3000)
    make(store, job, "FAILED", 4000)
    make(store, job, "KILLED", 5000)
    assert recorded(store, jobs)[job.key].run_id == newest
    make(store, jobs[1], "FAILED", 1000)
    failed = make(store, jobs[1], "FAILED", 2000)
    assert recorded(store, jobs)[jobs[1].key].run_id == failed


def test_what_is_a_repetition_or_was_deleted_does_not_count(store: Store, jobs: list[Job]) -> None:
    make(store, jobs[0], **{RERUN: "another"})
    deleted = make(store, jobs[1])
    store._client.delete_run(deleted)
    assert recorded(store, jobs) == {}


def test_a_seed_is_the_one_that_its_run_has_drawn(store: Store) -> None:
    plan = make_plan(store, "sweep: {n: [1]}\n")
    (first,) = planned_jobs(plan, store.project)[1]
    make(store, first, **first.tags)
    (second,) = planned_jobs(plan, store.project)[1]
    assert first.parameters["seed"] != second.parameters["seed"]
    assert DRAWN in first.tags
    held = recorded(store, [second])[first.key]
    assert held.parameters == first.parameters


def test_a_sweep_is_known_by_its_runs_in_whatever_order(store: Store, jobs: list[Job]) -> None:
    assert identity(jobs) == identity(jobs[::-1]) != identity(jobs[:2])
    for time in (1000, 3000, 2000):
        tags = {SWEEP: identity(jobs)}
        run = store.start("tiny", str(time), parameters={}, tags=tags, time=time)
        run.finish("FINISHED")
    found = parent(store, "tiny", jobs[::-1])
    assert found is not None
    assert found.name == "3000"
    assert parent(store, "tiny", jobs[:2]) is None


def test_the_typical_time_is_that_of_the_latest_runs(
    store: Store, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    for time in (1000, 2000, 4000):
        make(store, jobs[0], time=time)
    assert typical_seconds(store, "tiny") == 7000 / 3
    monkeypatch.setattr("mlsdm.sweep.recorded.RECENT", 2)
    assert typical_seconds(store, "tiny") == 3000


def test_a_sweep_is_found_by_its_experiment_and_by_its_id(store: Store, workers: Workers) -> None:
    def answer(task: Any) -> Any:
        return result_of(task, error=BROKEN if task.parameters["n"] == 2 else None)

    workers.answer = answer
    first = run_plan(store, store.project, make_plan(store))
    second = run_plan(store, store.project, make_plan(store, "sweep: {n: [3, 9, 2]}\nseeds: [4]"))
    for which, expected in (
        ("tiny", second),
        (second.run_id, second),
        (first.run_id, first),
    ):
        whole, runs = sweep_of(store, which)
        assert whole.id == expected.run_id
        assert [(run.run_id, run.status, run.metrics) for run in runs] == [
            (run.run_id, run.status, run.metrics) for run in expected.runs
        ]
        assert [run.parameters for run in runs] == [run.parameters for run in expected.runs]
        assert [run.point for run in runs] == [run.point for run in expected.runs]


def test_seeds_that_were_drawn_are_told_as_they_were(store: Store, workers: Workers) -> None:
    plan = make_plan(store, "sweep: {n: [1, 2]}\n")

    def interrupted(task: Any) -> Any:
        if task.parameters["n"] == 2:
            raise KeyboardInterrupt
        return result_of(task)

    workers.answer = interrupted
    with pytest.raises(KeyboardInterrupt):
        run_plan(store, store.project, plan)
    workers.answer = result_of
    workers.begun.clear()
    swept = run_plan(store, store.project, plan)
    (made_now,) = workers.begun
    _, runs = sweep_of(store, swept.run_id)
    assert runs[1].parameters == made_now.parameters
    assert [run.parameters for run in runs] == [run.parameters for run in swept.runs]
    for run in runs:
        assert store.get(run.run_id).tags["mlsdm.seed"] == str(run.parameters["seed"])


def test_a_run_that_is_not_there_was_not_made(store: Store, workers: Workers) -> None:
    swept = run_plan(store, store.project, make_plan(store))
    store._client.delete_run(swept.runs[1].run_id)
    _, runs = sweep_of(store, swept.run_id)
    assert [run.run_id for run in runs] == [swept.runs[0].run_id, "", swept.runs[2].run_id]
    assert (runs[1].status, runs[1].cause) == ("KILLED", "was not made")
    again = run_plan(store, store.project, make_plan(store), choice=Choice())
    assert [run.earlier for run in again.runs] == [True, False, True]


def test_what_is_no_sweep_is_one_sentence(store: Store, jobs: list[Job]) -> None:
    with pytest.raises(
        ParameterError, match=r"^sweep: there is neither an experiment nor a run 'tiny'; the store"
    ):
        sweep_of(store, "tiny")
    run = make(store, jobs[0])
    with pytest.raises(ParameterError, match=r"^sweep: the experiment 'tiny' holds no sweep$"):
        sweep_of(store, "tiny")
    with pytest.raises(ParameterError, match=r"neither .* nor a run 'tinny'.*did you mean 'tiny'"):
        sweep_of(store, "tinny")
    for unknown in ("0" * 32, "", "a/b", "é", "'"):
        with pytest.raises(ParameterError, match=r"^sweep: there is neither") as caught:
            sweep_of(store, unknown)
        assert "\n" not in str(caught.value)
    with pytest.raises(ParameterError, match=rf"^sweep: the run {run} is not the run of a sweep"):
        sweep_of(store, run)


def test_the_plan_is_kept_as_it_was(jobs: list[Job]) -> None:
    from pydantic import TypeAdapter

    assert TypeAdapter(list[Job]).validate_json(plan_text(jobs)) == jobs


def test_a_sweep_keeps_its_own_runs_when_it_is_made_again(store: Store, workers: Workers) -> None:
    plan = make_plan(store)
    first = run_plan(store, store.project, plan)
    workers.answer = lambda task: result_of(task, {"a/n": 100.0})
    second = run_plan(store, store.project, plan, choice=Choice(force=True))
    for swept in (first, second):
        held = sweep_of(store, swept.run_id)[1]
        assert [run.run_id for run in held] == [run.run_id for run in swept.runs]
    assert [run.metrics["a/n"] for run in sweep_of(store, first.run_id)[1]] == [1.0, 2.0, 3.0]
