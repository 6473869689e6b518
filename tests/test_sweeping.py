from __future__ import annotations

import base64
import dataclasses
import json
import sys
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from driving import (
    BROKEN,
    TINY,
    Workers,
    all_runs,
    artifacts,
    children,
    client,
    histories,
    journals,
    make_plan,
    parents,
    result_of,
    snapshot,
    statuses,
    tracked,
)
from making import make_notebook
from running import eventually

from mlsdm.errors import ParameterError, RunError
from mlsdm.execution.task import Result, Task
from mlsdm.execution.worker import save
from mlsdm.record import MIME
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.journal import Journal, Ledger
from mlsdm.sweep.recorded import PLAN, SWEEP, identity, plan_text
from mlsdm.sweep.recorder import DRIVER, Recorder
from mlsdm.sweep.sweeping import Choice, SweepOutcome, planned_jobs, run_plan, settings_of
from mlsdm.sweep.view import save_view
from mlsdm.tracking import Store, TrackedRun

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n12").decode()


def sweep(
    store: Store,
    text: str = "sweep: {n: [1, 2, 3]}\nseeds: [4]\n",
    choice: Choice | None = None,
    settings: Settings | None = None,
    name: str = "tiny",
) -> SweepOutcome:
    return run_plan(store, store.project, make_plan(store, text, name), settings, choice)


def fails(*numbers: int) -> Callable[[Task], Result]:
    def answer(task: Task) -> Result:
        return result_of(task, error=BROKEN if task.parameters["n"] in numbers else None)

    return answer


def ends(outcome: SweepOutcome) -> dict[int, str]:
    return {run.parameters["n"]: run.status for run in outcome.runs}


def settled(store: Store, count: int) -> None:
    """Hold that there is one finished run a key, and that nothing goes on or is left over."""
    finished = [run for run in children(store) if run.info.status == "FINISHED"]
    keys = [run.data.tags["mlsdm.key"] for run in finished]
    assert len(keys) == len(set(keys)) == count
    assert "RUNNING" not in statuses(all_runs(store))
    for run in finished:
        assert set(histories(store, run).values()) == {1}
        assert "mlsdm.cause" not in run.data.tags
    assert journals(store) == []


def test_a_sweep_is_one_parent_run_and_a_child_a_run(store: Store, workers: Workers) -> None:
    text = """question: What becomes of n?
sweep: {n: [1, 2]}
seeds: [4, 5]
thresholds:
  a/n: {min: 1, max: 2}
"""
    swept = sweep(store, text)
    (whole,) = parents(store)
    assert (whole.info.run_id, whole.info.status) == (swept.run_id, "FINISHED")
    assert whole.info.run_name == "tiny"
    assert whole.data.metrics["sweep/runs"] == 4
    assert courses(store, swept.run_id) == {
        "a/n": {1: 1.0, 2: 2.0},
        "interval/low/a/n": {1: 1.0, 2: 2.0},
        "interval/high/a/n": {1: 1.0, 2: 2.0},
        "interval/n/a/n": {1: 2.0, 2: 2.0},
    }
    found = children(store)
    for run in (whole, *found):
        assert run.data.tags["question"] == "What becomes of n?"
    assert whole.data.tags["verdict"] == "met"
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {swept.run_id}
    assert {run.info.run_name for run in found} == {
        f"n={n}, seed={s}" for n in (1, 2) for s in (4, 5)
    }
    assert [(run.parameters["n"], run.parameters["seed"]) for run in swept.runs] == [
        (1, 4), (1, 5), (2, 4), (2, 5),
    ]  # fmt: skip
    assert all(run.point == {"n": run.parameters["n"]} and not run.earlier for run in swept.runs)
    files = {"tiny.yaml", "jobs.json", "checks.json", "aggregates.csv", "runs.csv", "runs.json"}
    assert artifacts(store, swept.run_id) == files
    assert store.read(swept.run_id, "tiny.yaml") == make_plan(store, text).path.read_bytes()
    assert json.loads(store.read(swept.run_id, "checks.json")) == [
        row.to_dict() for row in swept.checks
    ]
    assert [(row.mean, row.n, row.ok) for row in swept.checks] == [(1, 2, True), (2, 2, True)]
    folder = Path(str(store.files), swept.run_id, "artifacts")
    table = pd.read_csv(folder / "runs.csv")
    assert list(table["params.n"]) == [1, 1, 2, 2]
    assert list(table["metrics.a/n"]) == [1, 1, 2, 2]
    assert list(table["seed"]) == [4, 5, 4, 5]
    aggregates = pd.read_csv(folder / "aggregates.csv")
    assert list(aggregates["mean"]) == [1, 2]
    assert swept.missed == []
    assert swept.seconds > 0
    assert (store.state / ".gitignore").exists()
    settled(store, 4)


def test_what_every_run_has_is_kept_with_the_whole(store: Store, workers: Workers) -> None:
    swept = sweep(store, "parameters: {n: 7}\nseeds: [1, 2]\n")
    assert tracked(store, swept.run_id).data.params == {"n": "7"}


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [
        ("thresholds: {a/n: {max: 1}}", "met"),
        ("thresholds: {a/n: {min: 2}, b: {min: 0}}", "not met"),
        ("thresholds: {a/n: {max: 1}, b: {min: 0}}", "missing"),
        ("", "no thresholds"),
    ],
)
def test_the_whole_says_whether_its_thresholds_are_met(
    store: Store, workers: Workers, thresholds: str, verdict: str
) -> None:
    swept = sweep(store, f"seeds: [1, 2]\n{thresholds}")
    assert tracked(store, swept.run_id).data.tags["verdict"] == verdict


def courses(store: Store, run_id: str) -> dict[str, dict[int, float]]:
    """The means of a sweep by their names and points; no value stands there twice."""
    found = {}
    for name in tracked(store, run_id).data.metrics:
        if not name.startswith("sweep/"):
            points = client(store).get_metric_history(run_id, name)
            found[name] = {point.step: point.value for point in points}
            assert len(found[name]) == len(points)
    return found


def test_means_are_kept_once_whenever_a_sweep_is_completed(store: Store, workers: Workers) -> None:
    def answer(task: Task) -> Result:
        n, seed = task.parameters["n"], task.parameters["seed"]
        error = BROKEN if (n, seed) == (2, 7) else None
        return result_of(task, {"a/n": n + seed, **({"b": seed} if n == 3 else {})}, error=error)

    workers.answer = answer
    text = "sweep: {n: [1, 2, 3]}\nseeds: [5, 7]\n"
    first = sweep(store, text)
    found = courses(store, first.run_id)
    # At the second point a run is missing: its mean is not what it will be.
    assert found["a/n"] == {1: 7.0, 3: 9.0}
    assert found["b"] == {3: 6.0}
    assert found["interval/n/a/n"] == {1: 2.0, 3: 2.0}
    low, high = found["interval/low/a/n"], found["interval/high/a/n"]
    assert low[1] < 7 < high[1]
    workers.answer = lambda task: result_of(task, {"a/n": 9.0})
    again = sweep(store, text, choice=Choice(retry_failed=True))
    assert again.run_id == first.run_id
    assert courses(store, again.run_id)["a/n"] == {1: 7.0, 2: 8.0, 3: 9.0}


def test_the_means_of_a_single_point_are_no_course(store: Store, workers: Workers) -> None:
    swept = sweep(store, "parameters: {n: 7}\nseeds: [1]\n")
    assert courses(store, swept.run_id) == {"a/n": {0: 7.0}}


def test_a_description_shows_a_copy_of_the_first_picture(store: Store, workers: Workers) -> None:
    def answer(task: Task) -> Result:
        made = result_of(task, error=BROKEN if task.parameters["n"] == 1 else None)
        content = json.loads(made.notebook)
        payload = {MIME: {"kind": "figure", "name": "a/course"}, "image/png": PNG}
        output = {"output_type": "display_data", "metadata": {}, "data": payload}
        content["cells"][-1]["outputs"].append(output)
        return dataclasses.replace(made, notebook=json.dumps(content))

    workers.answer = answer
    swept = sweep(store)
    note = tracked(store, swept.run_id).data.tags["mlflow.note.content"]
    link = f"![a/course](get-artifact?path=figures/a/course.png&run_uuid={swept.run_id})"
    assert link in note
    assert "Of 3 runs: 1 failed." in note
    assert store.read(swept.run_id, "figures/a/course.png") == base64.b64decode(PNG)


@pytest.mark.parametrize("there", [True, False])
def test_only_a_notebook_that_is_gone_costs_a_sweep_its_picture(
    store: Store, workers: Workers, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def refuse(*_: object) -> bytes:
        raise RunError("no answer")

    read = store.read
    monkeypatch.setattr(store, "read", refuse)
    if not there:
        monkeypatch.setattr(store, "listed", lambda run_id: ["parameters.json"])
        swept = sweep(store)
        note = tracked(store, swept.run_id).data.tags["mlflow.note.content"]
        assert "**What varied.** n = 1, 2, 3. 3 points" in note
        return
    with pytest.raises(RunError, match=r"^no answer$"):
        sweep(store)
    (whole,) = parents(store)
    assert whole.info.status == "FAILED"
    assert "mlflow.note.content" not in whole.data.tags
    workers.took()
    monkeypatch.setattr(store, "read", read)
    again = sweep(store)
    assert (again.run_id, workers.took()) == (whole.info.run_id, [])
    assert tracked(store, again.run_id).info.status == "FINISHED"
    assert "mlflow.note.content" in tracked(store, again.run_id).data.tags


def test_a_view_that_cannot_be_saved_fails_no_sweep(
    store: Store,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("store: it is full")

    monkeypatch.setattr(store, "save_view", refuse)
    swept = sweep(store)
    assert tracked(store, swept.run_id).info.status == "FINISHED"
    assert "the view of tiny could not be saved: store: it is full\n" in capsys.readouterr().err


def test_what_varies_has_a_column_in_the_view_of_the_runs(store: Store, workers: Workers) -> None:
    sweep(store, "sweep: {n: [1, 2]}\nseeds: [4]\nthresholds: {a/n: {max: 3}}\n")
    assert [run.data.params for run in children(store)] == [
        {"n": "1", "seed": "4"},  # though 1 is the notebook's own value
        {"n": "2", "seed": "4"},
    ]
    (experiment,) = [e for e in client(store).search_experiments() if e.name == "tiny"]
    view = json.loads(experiment.tags["mlflow.sharedViewState.mlsdm"])
    columns = ["metrics.`a/n`", "params.`n`", "params.`seed`"]
    assert view["selectedColumns"] == [*columns, "tags.`verdict`", "tags.`preset`"]
    shown = client(store).search_runs(
        [experiment.experiment_id], view["searchFilter"], order_by=[f"{view['orderByKey']} ASC"]
    )
    assert [run.info.run_name for run in shown] == ["n=1, seed=4", "n=2, seed=4"]
    assert store.with_view("mlsdm") == {"tiny"}
    assert store.with_view("another") == set()


def test_a_view_of_many_parameters_is_no_longer_than_mlflow_takes(store: Store) -> None:
    save_view(store, "wide", [f"{i:0200}" for i in range(200)], [f"m{i:0199}" for i in range(20)])
    assert store.with_view("mlsdm") == {"wide"}


def test_a_child_that_fails_stops_no_other_and_fails_the_whole(
    store: Store, workers: Workers
) -> None:
    workers.answer = fails(2)
    swept = sweep(store)
    assert ends(swept) == {1: "FINISHED", 2: "FAILED", 3: "FINISHED"}
    (whole,) = parents(store)
    assert whole.info.status == "FAILED"
    assert whole.data.tags["mlsdm.cause"] == "1 of 3 runs failed"
    assert {"checks.json", "aggregates.csv", "runs.csv"} <= artifacts(store, swept.run_id)


def test_a_complete_sweep_started_again_writes_nothing(store: Store, workers: Workers) -> None:
    workers.answer = fails(2)
    first = sweep(store)
    workers.took()
    before = snapshot(store)
    second = sweep(store)
    assert snapshot(store) == before
    assert journals(store) == []
    assert workers.begun == []
    assert second.run_id == first.run_id
    assert second.seconds == 0
    assert [(run.run_id, run.status, run.cause) for run in second.runs] == [
        (run.run_id, run.status, run.cause) for run in first.runs
    ]
    assert [run.metrics for run in second.runs] == [run.metrics for run in first.runs]
    assert [run.seconds for run in second.runs] == [run.seconds for run in first.runs]
    assert all(run.earlier for run in second.runs)


def test_another_threshold_alone_is_checked_and_nothing_is_written(
    store: Store, workers: Workers
) -> None:
    text = "sweep: {n: [1, 2, 3]}\nseeds: [4]\nthresholds: {a/n: {max: 3}}\n"
    assert sweep(store, text).missed == []
    before = snapshot(store)
    assert sweep(store, text.replace("max: 3", "max: 2")).missed == ["a/n"]
    assert snapshot(store) == before


def test_what_failed_is_made_again_only_if_asked(store: Store, workers: Workers) -> None:
    workers.answer = fails(2)
    first = sweep(store)
    assert workers.took() == [1, 2, 3]
    workers.answer = result_of
    assert ends(sweep(store)) == ends(first)
    assert workers.took() == []
    again = sweep(store, choice=Choice(retry_failed=True))
    assert workers.took() == [2]
    assert ends(again) == {1: "FINISHED", 2: "FINISHED", 3: "FINISHED"}
    assert [run.earlier for run in again.runs] == [True, False, True]
    (whole,) = parents(store)
    assert (again.run_id, whole.info.status) == (whole.info.run_id, "FINISHED")
    assert "mlsdm.cause" not in whole.data.tags
    assert len(children(store)) == 4
    assert workers.took() == []
    assert sweep(store).runs[1].run_id == again.runs[1].run_id
    settled(store, 3)


def test_force_makes_all_again_under_a_whole_of_its_own(store: Store, workers: Workers) -> None:
    first = sweep(store)
    second = sweep(store, choice=Choice(force=True))
    assert workers.took() == [1, 2, 3, 1, 2, 3]
    assert first.run_id != second.run_id
    assert statuses(all_runs(store)) == ["FINISHED"] * 8
    assert {run.run_id for run in first.runs}.isdisjoint({run.run_id for run in second.runs})
    third = sweep(store)
    assert third.run_id == second.run_id
    assert workers.took() == []


def test_the_first_failure_ends_the_others_if_asked_and_the_next_start_goes_on(
    store: Store, workers: Workers
) -> None:
    workers.answer, workers.width = fails(1), 2
    swept = sweep(store, "sweep: {n: [1, 2, 3, 4, 5]}\n", settings=Settings(fail_fast=True))
    assert ends(swept) == {1: "FAILED", **dict.fromkeys((2, 3, 4, 5), "KILLED")}
    assert {run.run_id for run in swept.runs[2:]} == {""}
    assert [run.cause for run in swept.runs[2:]] == ["was not made"] * 3
    assert statuses(children(store)) == ["FAILED", "KILLED"]
    assert statuses(parents(store)) == ["FAILED"]
    workers.took()
    workers.answer = result_of
    again = sweep(store, "sweep: {n: [1, 2, 3, 4, 5]}\n")
    assert workers.took() == [2, 3, 4, 5]
    assert again.run_id == swept.run_id
    assert ends(again) == {1: "FAILED", **dict.fromkeys((2, 3, 4, 5), "FINISHED")}
    settled(store, 4)


def test_another_notebook_makes_new_runs_under_a_new_whole(store: Store, workers: Workers) -> None:
    first = sweep(store)
    make_notebook(store.project / "notebooks" / "tiny.ipynb", TINY, "n + 1")
    second = sweep(store)
    assert workers.took() == [1, 2, 3, 1, 2, 3]
    assert first.run_id != second.run_id
    assert len(children(store)) == 6


def test_points_that_are_added_use_what_is_done(store: Store, workers: Workers) -> None:
    first = sweep(store, "sweep: {n: [1, 2]}\nseeds: [4]\n")
    second = sweep(store, "sweep: {n: [1, 2, 3]}\nseeds: [4]\n")
    assert workers.took() == [1, 2, 3]
    assert first.run_id != second.run_id
    assert [run.run_id for run in second.runs[:2]] == [run.run_id for run in first.runs]
    assert statuses(parents(store)) == ["FINISHED", "FINISHED"]
    table = store.read(second.run_id, "runs.csv").decode()
    assert table.count("FINISHED") == 3
    settled(store, 3)


def test_another_experiment_shares_nothing(store: Store, workers: Workers) -> None:
    sweep(store)
    sweep(store, name="other")
    assert workers.took() == [1, 2, 3, 1, 2, 3]


def test_a_seed_that_was_drawn_is_the_one_that_is_told_later(
    store: Store, workers: Workers
) -> None:
    first = sweep(store, "sweep: {n: [1, 2]}\n")
    drawn = [task.parameters["seed"] for task in workers.begun]
    assert [run.parameters["seed"] for run in first.runs] == drawn
    before = snapshot(store)
    second = sweep(store, "sweep: {n: [1, 2]}\n")
    assert [run.parameters["seed"] for run in second.runs] == drawn
    assert snapshot(store) == before
    found = {run.info.run_id: run for run in children(store)}
    for run in second.runs:
        assert found[run.run_id].data.tags["mlsdm.seed"] == str(run.parameters["seed"])
        assert found[run.run_id].data.params["seed"] == str(run.parameters["seed"])


@pytest.mark.parametrize("width", [1, 2])
def test_ctrl_c_ends_all_and_the_next_start_completes(
    store: Store, workers: Workers, width: int
) -> None:
    def answer(task: Task) -> Result:
        if task.parameters["n"] == 2:
            workers.answer = result_of
            raise KeyboardInterrupt
        return result_of(task)

    workers.answer, workers.width = answer, width
    with pytest.raises(KeyboardInterrupt):
        sweep(store)
    (whole,) = parents(store)
    assert whole.info.status == "KILLED"
    assert whole.data.tags["mlsdm.cause"].startswith("KeyboardInterrupt")
    assert statuses(children(store)) == ["FINISHED", *["KILLED"] * width]
    for run in children(store):
        assert "tiny.ipynb" in artifacts(store, run.info.run_id)
    workers.took()
    swept = sweep(store)
    assert workers.took() == [2, 3]
    assert ends(swept) == {1: "FINISHED", 2: "FINISHED", 3: "FINISHED"}
    (whole,) = parents(store)
    assert (whole.info.run_id, whole.info.status) == (swept.run_id, "FINISHED")
    assert "mlsdm.cause" not in whole.data.tags
    settled(store, 3)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_store_that_refuses_stops_the_sweep_and_the_result_is_not_lost(
    store: Store, workers: Workers, number: int
) -> None:
    put = store._client.log_artifacts

    def refuse(run_id: str, folder: str) -> None:
        parameters = Path(folder, "parameters.json")
        if parameters.exists() and json.loads(parameters.read_text())["n"] == number:
            raise OSError("the disk is full")
        put(run_id, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._client, "log_artifacts", refuse)
        with pytest.raises(RunError, match="the disk is full"):
            sweep(store)
    (failed,) = [run for run in children(store) if run.info.status == "FAILED"]
    assert "the disk is full" in failed.data.tags["mlsdm.cause"]
    assert "RUNNING" not in statuses(all_runs(store))
    (whole,) = parents(store)
    assert whole.info.status == "FAILED"
    assert "the disk is full" in whole.data.tags["mlsdm.cause"]
    (journal,) = Journal.abandoned(store.state)
    spooled = journal.results / f"{failed.data.tags['mlsdm.key']}.json"
    assert spooled.exists()
    del journal
    workers.took()
    swept = sweep(store)
    assert number not in workers.took()
    kept = tracked(store, failed.info.run_id)
    assert kept.info.status == "FINISHED"
    assert "mlsdm.cause" not in kept.data.tags
    assert ends(swept) == {1: "FINISHED", 2: "FINISHED", 3: "FINISHED"}
    (whole,) = parents(store)
    assert (whole.info.status, whole.info.run_id) == ("FINISHED", swept.run_id)
    assert "mlsdm.cause" not in whole.data.tags
    settled(store, 3)


@pytest.mark.parametrize("file", ["jobs.json", "runs.csv"])
def test_a_store_that_refuses_the_files_of_the_whole(
    store: Store, workers: Workers, file: str
) -> None:
    put = store._client.log_artifacts

    def refuse(run_id: str, folder: str) -> None:
        if Path(folder, file).exists():
            raise OSError("the disk is full")
        put(run_id, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._client, "log_artifacts", refuse)
        with pytest.raises(RunError, match="the disk is full"):
            sweep(store)
    assert "RUNNING" not in statuses(all_runs(store))
    done = len(children(store))
    workers.took()
    swept = sweep(store)
    assert len(workers.took()) == 3 - done
    whole = tracked(store, swept.run_id)
    assert (whole.info.status, "mlsdm.cause" in whole.data.tags) == ("FINISHED", False)
    assert {"jobs.json", "runs.csv", "checks.json"} <= artifacts(store, swept.run_id)
    settled(store, 3)


class Died(BaseException):
    """The driver is no more."""


def die(*_: object, **__: object) -> None:
    raise Died


MOMENTS = {  # and which of the three runs have yet to be executed then
    "before the ledger": [1, 2, 3],
    "after the first ledger": [1, 2, 3],
    "after the parent": [1, 2, 3],
    "after the parent's files": [1, 2, 3],
    "after the ledger": [1, 2, 3],
    "begun without parameters": [1, 2, 3],
    "begun": [1, 2, 3],
    "executed, not begun": [2, 3],
    "executed": [2, 3],
    "metrics kept": [2, 3],
    "kept": [2, 3],
    "all kept": [],
    "the parent's results kept": [],
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_whenever_a_driver_dies_the_next_one_completes_the_sweep(
    store: Store, workers: Workers, moment: str
) -> None:
    journal = Journal.open(store.state)
    with pytest.MonkeyPatch.context() as patch:
        _live_until(store, journal, moment, patch)
    journal._lock.release()
    swept = sweep(store)
    assert workers.took() == MOMENTS[moment]
    assert ends(swept) == {1: "FINISHED", 2: "FINISHED", 3: "FINISHED"}
    whole = tracked(store, swept.run_id)
    assert whole.info.status == "FINISHED"
    assert "mlsdm.cause" not in whole.data.tags
    files = {"tiny.yaml", "jobs.json", "checks.json", "aggregates.csv", "runs.csv", "runs.json"}
    assert artifacts(store, swept.run_id) == files
    assert len(parents(store)) == 1
    assert courses(store, swept.run_id) == {"a/n": {1: 1.0, 2: 2.0, 3: 3.0}}
    settled(store, 3)
    before = snapshot(store)
    assert sweep(store).run_id == swept.run_id
    assert snapshot(store) == before


def _live_until(store: Store, journal: Journal, moment: str, patch: pytest.MonkeyPatch) -> None:
    """Do what a driver does, in its order, until the moment at which it dies."""
    plan = make_plan(store)
    source, jobs = planned_jobs(plan, store.project)
    if moment == "before the ledger":
        return
    journal.write(Ledger(store.address, ["tiny"], {}, {}))
    if moment == "after the first ledger":
        return
    run = store.start("tiny", "tiny", parameters={}, tags={DRIVER: journal.token})
    if moment == "after the parent":
        return
    files = {plan.path.name: plan.path.read_bytes(), PLAN: plan_text(jobs)}
    run.log([], files=files, tags={SWEEP: identity(jobs)})
    if moment == "after the parent's files":
        return
    known = {job.key: job for job in jobs}
    ledger = Ledger(store.address, ["tiny"], known, {source.name: source.provenance}, run.id)
    journal.write(ledger)
    if moment == "after the ledger":
        return
    recorder = Recorder(store, journal, ledger)
    job = jobs[0]
    if moment == "begun without parameters":
        patch.setattr(TrackedRun, "log_parameters", die)
        patch.setattr(TrackedRun, "fail", lambda *_: None)
        with pytest.raises(Died):
            recorder.begin(job.key, 1.0)
        return
    if moment != "executed, not begun":
        recorder.begin(job.key, 1.0)
    if moment == "begun":
        return

    def execute(number: int) -> None:
        result = result_of(Settings().task(jobs[number], source))
        save(result, journal.results / f"{jobs[number].key}.json")

    execute(0)
    if moment in ("executed", "executed, not begun"):
        return
    if moment == "metrics kept":
        patch.setattr(TrackedRun, "finish", die)
    if moment == "kept":
        patch.setattr(Path, "unlink", die)
    if moment in ("metrics kept", "kept"):
        with pytest.raises(Died):
            recorder.keep(job.key)
        return
    for number in range(3):
        execute(number)
        recorder.keep(jobs[number].key)
    if moment == "the parent's results kept":
        run.log_points([("a/n", 1.0, 1), ("a/n", 2.0, 2)], store.get(run.id).started)
        run.log([], numbers={"sweep/runs": 3.0}, files={"checks.json": "[]"})


def test_a_second_driver_of_a_sweep_waits_and_then_has_nothing_to_do(
    store: Store, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", said := StringIO())
    begun, go_on = threading.Event(), threading.Event()
    found: list[SweepOutcome] = []

    def answer(task: Task) -> Result:
        begun.set()
        assert go_on.wait(20)
        return result_of(task)

    workers.answer = answer
    plan = make_plan(store)

    def start() -> None:
        own = Store.open(store.project, store.uri)
        found.append(run_plan(own, store.project, plan))

    first = threading.Thread(target=start)
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=start)
    second.start()
    waiting = eventually(lambda: "waiting for another process that runs tiny" in said.getvalue())
    go_on.set()
    first.join(20)
    second.join(20)
    assert waiting
    assert workers.took() == [1, 2, 3]
    assert [outcome.seconds > 0 for outcome in found] == [True, False]
    assert found[0].run_id == found[1].run_id
    settled(store, 3)


def test_a_plan_and_the_machine_set_limits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlsdm.sweep.sweeping.cores", lambda: 8)
    plan = make_plan(
        store,
        "seeds: 6\nworkers: 4\ntimeouts: {cell: 5, notebook: 50}\nmemory_limit: 1 GiB\n",
    )
    found = settings_of(plan, Settings(workers=9, threads=1, cell_timeout=1.0))
    assert (found.workers, found.cell_timeout, found.timeout) == (4, 1.0, 50)
    assert found.memory_limit == 2**30
    assert settings_of(plan, Settings(workers=9, threads=3)).workers == 2
    assert settings_of(plan, Settings(workers=9, threads=99)).workers == 1
    assert settings_of(plan, Settings(workers=3, scheduler="tcp://a:1")).workers == 3
    free = make_plan(store, "seeds: 6\n")
    assert settings_of(free, Settings(workers=99)).workers == 6
    assert settings_of(free, Settings(workers=99, scheduler="tcp://a:1")).workers == 6


def test_a_plan_whose_notebook_is_gone_or_does_not_take_it_writes_nothing(
    store: Store, workers: Workers
) -> None:
    plan = make_plan(store)
    before = snapshot(store)
    make_notebook(plan.notebook, "m: int = 1")
    with pytest.raises(ParameterError, match=r"^tiny.n: unknown parameter"):
        run_plan(store, store.project, plan)
    assert snapshot(store) == before
    assert journals(store) == []
