from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from making import make_notebook
from mlflow import MlflowClient
from mlflow.entities import Run

from mlsdm.errors import DataError, ParameterError, RunError
from mlsdm.provenance import Provenance, collect
from mlsdm.record import MIME
from mlsdm.reproduce import run_all
from mlsdm.sweep.driver import SweepOutcome, run_notebook, run_plan
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.plan import load_plan
from mlsdm.tracking import Store, TrackedRun

CELL = """n: int = 1  # in [1, 100]
mode: str = "fine"
seed: int | None = None
"""
BODY = """import os
from mlsdm.record import record
record("a/n", n)
record("a/half", 0.5, unit="share")
"""
TAIL = """if mode == "raise":
    raise ValueError("it went wrong")
if mode == "die":
    os.kill(os.getpid(), 9)
record("a/seed", seed)
"""


@pytest.fixture(scope="module")
def notebook(sqlite_store: Store) -> Path:
    path = sqlite_store.project / "notebooks" / "07-tiny.ipynb"
    return make_notebook(path, CELL, BODY, TAIL)


def tracked(store: Store, run_id: str) -> Run:
    return MlflowClient(tracking_uri=store.uri).get_run(run_id)


def runs(store: Store, experiment: str) -> list[Run]:
    client = MlflowClient(tracking_uri=store.uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def artifact(store: Store, run_id: str, name: str) -> Path:
    client = MlflowClient(tracking_uri=store.uri)
    return Path(client.download_artifacts(run_id, name))


def artifacts(store: Store, run_id: str) -> set[str]:
    return {f.path for f in MlflowClient(tracking_uri=store.uri).list_artifacts(run_id)}


@pytest.fixture(scope="module")
def finished(sqlite_store: Store, notebook: Path) -> RunOutcome:
    return run_notebook(sqlite_store, sqlite_store.project, notebook, {"n": 3})


def test_a_run_holds_what_differs_what_was_recorded_and_the_notebook(
    sqlite_store: Store, notebook: Path, finished: RunOutcome
) -> None:
    assert (finished.status, finished.cause, finished.notebook) == ("FINISHED", "", "07-tiny")
    run = tracked(sqlite_store, finished.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["a/n"] == 3
    assert set(run.data.params) == {"n", "seed"}
    assert run.info.run_name.startswith("n=3, seed=")
    assert [record.name for record in finished.records] == ["a/n", "a/half", "a/seed"]
    names = {"07-tiny.ipynb", "parameters.json", "provenance.json"}
    assert artifacts(sqlite_store, finished.run_id) == names
    saved = nbformat.read(artifact(sqlite_store, finished.run_id, notebook.name), as_version=4)
    assert saved.cells[-1].execution_count is not None


def test_a_seed_that_was_not_given_is_drawn_and_recorded(
    sqlite_store: Store, finished: RunOutcome
) -> None:
    seed = finished.parameters["seed"]
    assert 0 <= seed < 2**32
    run = tracked(sqlite_store, finished.run_id)
    assert run.data.metrics["a/seed"] == seed
    assert run.data.tags["mlsdm.seed"] == str(seed)
    kept = json.loads(artifact(sqlite_store, finished.run_id, "parameters.json").read_text())
    assert kept == finished.parameters == {"n": 3, "mode": "fine", "seed": seed}
    provenance = json.loads(artifact(sqlite_store, finished.run_id, "provenance.json").read_text())
    assert provenance["seed"] == seed


@pytest.mark.parametrize(
    ("mode", "cause"),
    [("raise", "cell 5: ValueError: it went wrong"), ("die", "cell 5: DeadKernelError")],
)
def test_a_notebook_that_fails_leaves_a_failed_run_with_all_there_is(
    sqlite_store: Store, notebook: Path, mode: str, cause: str
) -> None:
    project = sqlite_store.project
    outcome = run_notebook(sqlite_store, project, notebook, {"mode": mode, "seed": 1})
    assert outcome.status == "FAILED"
    assert cause in outcome.cause
    run = tracked(sqlite_store, outcome.run_id)
    assert run.info.status == "FAILED"
    assert cause in run.data.tags["mlsdm.cause"]
    assert run.data.metrics == {"a/n": 1, "a/half": 0.5}
    saved = nbformat.read(artifact(sqlite_store, outcome.run_id, notebook.name), as_version=4)
    assert saved.cells[4].metadata.papermill.status == "failed"


def test_an_interrupted_run_is_killed_and_keeps_its_notebook(
    sqlite_store: Store, notebook: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_notebook(
            sqlite_store,
            sqlite_store.project,
            notebook,
            {},
            experiment="interrupted",
            on_cell=interrupt,
        )
    (run,) = runs(sqlite_store, "interrupted")
    assert run.info.status == "KILLED"
    assert notebook.name in artifacts(sqlite_store, run.info.run_id)


def test_bad_parameters_are_refused_before_there_is_a_run(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Store, "start", never)
    project = sqlite_store.project
    with pytest.raises(ParameterError, match=r"07-tiny.n: must be int, in \[1, 100\] \(got 0"):
        run_notebook(sqlite_store, project, notebook, {"n": 0})
    with pytest.raises(DataError):
        run_notebook(sqlite_store, project, project / "absent.ipynb", {})


class _FakeExecution:
    """Stands in for the kernel where only what happens after it is tested."""

    def __init__(self, *outputs: dict[str, Any]) -> None:
        self.notebook = {"cells": [{"outputs": list(outputs)}]}
        self.seconds = 1.0
        self.error = None


def without_kernel(monkeypatch: pytest.MonkeyPatch, *outputs: dict[str, Any]) -> None:
    fake = _FakeExecution(*outputs)
    monkeypatch.setattr("mlsdm.sweep.execute.execute", lambda *_, **__: fake)


def test_a_record_that_cannot_be_read_fails_the_run(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kernel(monkeypatch, {"data": {MIME: {"kind": "nonsense"}}})
    outcome = run_notebook(sqlite_store, sqlite_store.project, notebook, {})
    assert (outcome.status, outcome.records) == ("FAILED", [])
    assert "cell 1" in outcome.cause
    assert tracked(sqlite_store, outcome.run_id).info.status == "FAILED"


def test_a_store_that_refuses_the_records_fails_the_run(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("store: is full")

    without_kernel(monkeypatch)
    monkeypatch.setattr(TrackedRun, "log", refuse)
    outcome = run_notebook(sqlite_store, sqlite_store.project, notebook, {})
    assert (outcome.status, outcome.cause) == ("FAILED", "store: is full")
    assert tracked(sqlite_store, outcome.run_id).info.status == "FAILED"


def test_a_store_that_refuses_a_file_fails_the_run_and_says_so(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("store: is full")

    without_kernel(monkeypatch)
    monkeypatch.setattr(TrackedRun, "attach_text", refuse)
    with pytest.raises(RunError, match="is full"):
        run_notebook(sqlite_store, sqlite_store.project, notebook, {}, experiment="full")
    (run,) = runs(sqlite_store, "full")
    assert run.info.status == "FAILED"


def test_changes_that_are_not_committed_are_kept(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dirty(*arguments: Any) -> Provenance:
        return dataclasses.replace(collect(*arguments), dirty=True, diff="+ a line")

    without_kernel(monkeypatch)
    monkeypatch.setattr("mlsdm.provenance.collect", dirty)
    outcome = run_notebook(sqlite_store, sqlite_store.project, notebook, {})
    assert artifact(sqlite_store, outcome.run_id, "diff.patch").read_text() == "+ a line"


def test_a_long_name_is_cut(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kernel(monkeypatch)
    values = {"mode": "long " * 40, "seed": 1}
    outcome = run_notebook(sqlite_store, sqlite_store.project, notebook, values)
    name = tracked(sqlite_store, outcome.run_id).info.run_name
    assert name.startswith("mode=long long")
    assert len(name) == 80


def test_seeds_in_a_list_are_drawn_too(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kernel(monkeypatch)
    path = make_notebook(tmp_path / "a.ipynb", "seeds: list[int] | None = None")
    outcome = run_notebook(sqlite_store, sqlite_store.project, path, {})
    (seed,) = outcome.parameters["seeds"]
    assert 0 <= seed < 2**32


@pytest.mark.parametrize(
    ("comment", "seed"), [("in (6, 8)", 7), ("in [0, 0]", 0), ("> 4294967294", 2**32 - 1)]
)
def test_a_seed_is_drawn_within_its_range(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comment: str, seed: int
) -> None:
    without_kernel(monkeypatch)
    path = make_notebook(tmp_path / "a.ipynb", f"seed: int | None = None  # {comment}")
    assert run_notebook(sqlite_store, sqlite_store.project, path, {}).parameters["seed"] == seed


@pytest.mark.parametrize("declared", ["int | None = None  # < 0", "float | None = None"])
def test_where_no_seed_can_be_drawn_one_must_be_given(
    sqlite_store: Store, tmp_path: Path, declared: str
) -> None:
    path = make_notebook(tmp_path / "a.ipynb", f"seed: {declared}")
    with pytest.raises(ParameterError, match=r"^a.seed: no seed can be drawn; give one$"):
        run_notebook(sqlite_store, sqlite_store.project, path, {})


def test_a_cell_may_be_given_a_time_limit(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def execute(*_: object, **options: object) -> _FakeExecution:
        seen.append(options["cell_timeout"])
        return _FakeExecution()

    monkeypatch.setattr("mlsdm.sweep.execute.execute", execute)
    project = sqlite_store.project
    run_notebook(sqlite_store, project, notebook, {}, cell_timeout=7)
    path = project / "experiments" / "timed.yaml"
    path.write_text("notebook: 07-tiny")
    run_plan(sqlite_store, project, load_plan(path, project), cell_timeout=8)
    run_all(sqlite_store, project, [notebook], cell_timeout=9)
    assert seen == [7, 8, 9]


def test_an_interrupt_stays_one_when_the_notebook_cannot_be_kept(
    sqlite_store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Path, __: object, output: Path, **___: object) -> None:
        output.touch()
        raise KeyboardInterrupt

    def refuse(*_: object) -> None:
        raise RunError("store: is full")

    monkeypatch.setattr("mlsdm.sweep.execute.execute", interrupted)
    monkeypatch.setattr(TrackedRun, "attach", refuse)
    with pytest.raises(KeyboardInterrupt) as caught:
        run_notebook(sqlite_store, sqlite_store.project, notebook, {}, experiment="stopped")
    assert caught.value.__notes__ == ["Afterwards: RunError: store: is full"]
    (run,) = runs(sqlite_store, "stopped")
    assert run.info.status == "KILLED"


PLAN = """question: What becomes of the others?
notebook: 07-tiny
parameters: {n: 2}
sweep:
  mode: [fine, raise]
seeds: [4]
thresholds:
  a/n: {min: 2, max: 2}
  a/seed: {max: 3}
"""


@pytest.fixture(scope="module")
def swept(sqlite_store: Store, notebook: Path) -> SweepOutcome:
    path = sqlite_store.project / "experiments" / "tiny.yaml"
    path.write_text(PLAN)
    plan = load_plan(path, sqlite_store.project)
    return run_plan(sqlite_store, sqlite_store.project, plan)


def test_a_plan_is_one_parent_run_and_a_child_a_run(
    sqlite_store: Store, swept: SweepOutcome
) -> None:
    children = [tracked(sqlite_store, outcome.run_id) for outcome in swept.runs]
    assert len(runs(sqlite_store, "tiny")) == 1 + len(children)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {swept.run_id}
    assert [run.info.run_name for run in children] == ["mode=fine, seed=4", "mode=raise, seed=4"]
    assert children[1].data.params == {"n": "2", "mode": "raise", "seed": "4"}


def test_a_failed_child_stops_no_other_and_fails_the_parent(
    sqlite_store: Store, swept: SweepOutcome
) -> None:
    assert [outcome.status for outcome in swept.runs] == ["FINISHED", "FAILED"]
    parent = tracked(sqlite_store, swept.run_id)
    assert parent.info.status == "FAILED"
    assert parent.data.tags["mlsdm.cause"] == "1 of 2 runs failed"
    assert parent.data.tags["mlsdm.question"] == "What becomes of the others?"
    assert artifacts(sqlite_store, swept.run_id) == {"tiny.yaml", "checks.json"}


def test_the_thresholds_are_checked_and_kept(sqlite_store: Store, swept: SweepOutcome) -> None:
    assert [(row.metric, row.mean, row.runs, row.ok) for row in swept.checks] == [
        ("a/n", None, 1, False),
        ("a/seed", None, 1, False),
    ]
    assert tracked(sqlite_store, swept.run_id).data.tags["mlsdm.checks"] == "not met: a/n, a/seed"
    kept = json.loads(artifact(sqlite_store, swept.run_id, "checks.json").read_text())
    assert kept == [row.to_dict() for row in swept.checks]


@pytest.mark.parametrize(
    ("thresholds", "tag"),
    [
        ("thresholds: {a: {max: 1}}", "met"),
        ("thresholds: {a: {min: 2}, b: {min: 0}}", "not met: a, b"),
        ("", None),
    ],
)
def test_the_parent_run_says_whether_its_thresholds_are_met(
    sqlite_store: Store,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    thresholds: str,
    tag: str | None,
) -> None:
    without_kernel(monkeypatch, {"data": {MIME: {"kind": "metric", "name": "a", "value": 1.0}}})
    path = sqlite_store.project / "experiments" / "tagged.yaml"
    path.write_text(f"notebook: 07-tiny\n{thresholds}")
    swept = run_plan(sqlite_store, sqlite_store.project, load_plan(path, sqlite_store.project))
    assert tracked(sqlite_store, swept.run_id).data.tags.get("mlsdm.checks") == tag
