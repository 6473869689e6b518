from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from driving import TINY, Workers, all_runs, client, fresh_store, journals, snapshot, tracked
from making import make_notebook
from running import kernels

from mlsdm.errors import DataError, ParameterError, RunError
from mlsdm.provenance import THREAD_CAPS
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.runs import run_notebooks
from mlsdm.tracking import Store

CELL = """n: int = 1  # in [1, 100]
mode: str = "fine"
seed: int | None = None
"""
BODY = f"""import os, sys, time
from mlsdm.record import record
begun = time.time()
record("a/n", n)
record("a/half", 0.5, unit="share")
record("mlflow", "mlflow" in sys.modules)
record("threads", sum(int(os.environ.get(name, -99)) for name in {THREAD_CAPS}))
"""
TAIL = """if mode == "raise":
    raise ValueError("it went wrong")
if mode == "die":
    os.kill(os.getpid(), 9)
record("a/seed", seed)
record("begun", begun)
record("over", time.time())
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fresh_store(tmp_path_factory, tmp_path_factory.mktemp("a project"))


@pytest.fixture(scope="module")
def notebook(store: Store) -> Path:
    return make_notebook(store.project / "notebooks" / "07-tiny.ipynb", CELL, BODY, TAIL)


@pytest.fixture(scope="module")
def outcomes(store: Store, notebook: Path) -> list[RunOutcome]:
    """Three runs in real kernels, two at a time: one that is fine, and two that are not."""
    values: list[dict[str, Any]] = [
        {"n": 3},
        {"mode": "raise", "seed": 1},
        {"mode": "die", "seed": 1},
    ]
    given = [(notebook, value) for value in values]
    found = run_notebooks(store, store.project, given, Settings(workers=2, threads=2))
    order = ["fine", "raise", "die"]
    return sorted(found, key=lambda outcome: order.index(outcome.parameters["mode"]))


def test_a_run_holds_what_was_recorded_and_the_notebook(
    store: Store, outcomes: list[RunOutcome]
) -> None:
    fine = outcomes[0]
    assert (fine.status, fine.cause, fine.notebook) == ("FINISHED", "", "07-tiny")
    run = tracked(store, fine.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["a/n"] == 3
    assert run.data.metrics["a/half"] == 0.5
    assert set(run.data.params) == {"n", "seed"}
    assert run.info.run_name.startswith("n=3, seed=")
    names = [record.name for record in fine.records]
    assert names == ["a/n", "a/half", "mlflow", "threads", "a/seed", "begun", "over"]
    text = store.read(fine.run_id, "07-tiny.ipynb").decode()
    saved = nbformat.reads(text, as_version=4)
    assert saved.cells[-1].execution_count is not None


def test_the_seed_that_was_drawn_is_the_one_the_notebook_had(
    store: Store, outcomes: list[RunOutcome]
) -> None:
    seed = outcomes[0].parameters["seed"]
    assert 0 <= seed < 2**32
    run = tracked(store, outcomes[0].run_id)
    assert run.data.metrics["a/seed"] == seed
    assert run.data.tags["mlsdm.seed"] == run.data.params["seed"] == str(seed)
    kept = json.loads(store.read(outcomes[0].run_id, "parameters.json"))
    assert kept == outcomes[0].parameters == {"n": 3, "mode": "fine", "seed": seed}
    assert json.loads(store.read(outcomes[0].run_id, "provenance.json"))["seed"] == seed


def test_times_and_use_are_those_of_the_kernel(store: Store, outcomes: list[RunOutcome]) -> None:
    run = tracked(store, outcomes[0].run_id)
    metrics = run.data.metrics
    assert run.info.start_time / 1000 <= metrics["begun"] <= metrics["over"]
    assert metrics["over"] <= run.info.end_time / 1000 + 0.1
    took = metrics["over"] - metrics["begun"]
    assert took <= metrics["kernel/seconds"] == outcomes[0].seconds
    assert (run.info.end_time - run.info.start_time) / 1000 >= metrics["kernel/seconds"] - 0.1
    assert 20 < metrics["kernel/peak_memory_mib"] < 2000
    assert 0 < metrics["kernel/cpu_seconds"] < 60


def test_no_kernel_imports_mlflow_and_all_keep_to_the_threads(outcomes: list[RunOutcome]) -> None:
    assert outcomes[0].metrics["mlflow"] == 0
    assert outcomes[0].metrics["threads"] == 2 * len(THREAD_CAPS)
    assert kernels() == []
    assert not [p for p in psutil.Process().children() if "mlsdm.execution.worker" in p.cmdline()]


@pytest.mark.parametrize(
    ("number", "cause"),
    [(1, "cell 5: ValueError: it went wrong"), (2, "cell 5: DeadKernelError")],
)
def test_a_notebook_that_fails_leaves_a_failed_run_with_all_there_is(
    store: Store, outcomes: list[RunOutcome], number: int, cause: str
) -> None:
    outcome = outcomes[number]
    assert outcome.status == "FAILED"
    assert outcome.cause.startswith(cause)
    run = tracked(store, outcome.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlsdm.cause"] == outcome.cause
    assert run.data.metrics["a/half"] == 0.5
    assert "a/seed" not in run.data.metrics
    text = store.read(outcome.run_id, "07-tiny.ipynb").decode()
    assert nbformat.reads(text, as_version=4).cells[4].metadata.papermill.status == "failed"


def test_bad_parameters_are_refused_before_anything_is_written(
    store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(monkeypatch)
    before = snapshot(store)
    with pytest.raises(ParameterError, match=r"07-tiny.n: must be int, in \[1, 100\] \(got 0"):
        run_notebooks(store, store.project, [(notebook, {}), (notebook, {"n": 0})])
    with pytest.raises(DataError, match=r"absent.ipynb"):
        run_notebooks(store, store.project, [(notebook, {}), (store.project / "absent.ipynb", {})])
    assert snapshot(store) == before
    assert workers.begun == []
    assert journals(store) == []


def test_each_notebook_has_an_experiment_of_its_name(
    store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(monkeypatch)
    other = make_notebook(store.project / "notebooks" / "08-other.ipynb", TINY)
    found = run_notebooks(store, store.project, [(notebook, {"seed": 9}), (other, {"seed": 9})])
    assert [outcome.notebook for outcome in found] == ["07-tiny", "08-other"]
    assert [task.name for task in workers.begun] == ["07-tiny.ipynb", "08-other.ipynb"]
    assert len(all_runs(store, "08-other")) == 1
    assert {outcome.metrics["a/n"] for outcome in found} == {1}


def test_the_same_run_may_be_made_again(
    store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workers(monkeypatch)
    ids = [
        run_notebooks(store, store.project, [(notebook, {"seed": 11})])[0].run_id for _ in range(2)
    ]
    assert len(set(ids)) == 2


def test_two_notebooks_of_one_name_are_refused(
    store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(monkeypatch)
    other = make_notebook(store.project / "elsewhere" / notebook.name, TINY)
    with pytest.raises(ParameterError, match=r"07-tiny.ipynb"):
        run_notebooks(store, store.project, [(notebook, {}), (other, {})])
    assert workers.begun == []


def test_the_same_run_twice_at_once_is_refused(
    store: Store, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(monkeypatch)
    with pytest.raises(ParameterError, match=r"07-tiny.ipynb"):
        run_notebooks(store, store.project, [(notebook, {"n": 2}), (notebook, {"n": 2})])
    assert workers.begun == []


def columns(store: Store, experiment: str) -> list[str]:
    found = client(store).get_experiment_by_name(experiment)
    assert found is not None
    view = json.loads(found.tags["mlflow.sharedViewState.mlsdm"])
    return [name for name in view["selectedColumns"] if name.startswith("params.")]


def test_a_later_run_takes_no_column_from_the_view(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workers(monkeypatch)
    path = make_notebook(store.project / "notebooks" / "09-viewed.ipynb", "n: int = 1\nk: int = 1")
    run_notebooks(store, store.project, [(path, {"n": 2})])
    assert columns(store, "09-viewed") == ["params.`n`"]
    run_notebooks(store, store.project, [(path, {})])
    assert columns(store, "09-viewed") == ["params.`n`"]
    run_notebooks(store, store.project, [(path, {"n": 3, "k": 2})])
    assert sorted(columns(store, "09-viewed")) == ["params.`k`", "params.`n`"]


@pytest.mark.parametrize("method", ["view", "save_view"])
def test_a_view_that_cannot_be_saved_fails_no_run(
    store: Store,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("store: it is full")

    Workers(monkeypatch)
    monkeypatch.setattr(store, method, refuse)
    (outcome,) = run_notebooks(store, store.project, [(notebook, {"seed": 12})])
    assert tracked(store, outcome.run_id).info.status == outcome.status == "FINISHED"
    said = "the view of 07-tiny could not be saved: store: it is full\n"
    assert capsys.readouterr().err.endswith(said)
    assert journals(store) == []
