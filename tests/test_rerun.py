from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from driving import (
    TINY,
    Workers,
    all_runs,
    make_plan,
    result_of,
    snapshot,
    tracked,
)
from making import make_notebook

from mlsdm.errors import MlsdmError, ParameterError, RunError
from mlsdm.execution.task import Result, Task
from mlsdm.provenance import collect
from mlsdm.record import Record
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.recorded import RERUN
from mlsdm.sweep.rerun import Difference, differences, rerun
from mlsdm.sweep.runs import run_notebooks
from mlsdm.sweep.sweeping import run_plan
from mlsdm.tracking import Store

REAL = """import os
import numpy as np
import pandas as pd
from mlsdm.record import record
values = np.random.default_rng(seed).random(9)
record("mean", values.mean())
record("course", values)
record("table", pd.DataFrame({"x": values}))
record("nothing", float("nan"))
record("threads", int(os.environ.get("OMP_NUM_THREADS", 0)))
if n == 2:
    record("pid", os.getpid())
    record("pids", pd.DataFrame({"x": [1, os.getpid()]}))
"""


@pytest.fixture
def notebook(store: Store) -> Path:
    cell = f'{TINY}data: str = ""\n'
    return make_notebook(store.project / "notebooks" / "tiny.ipynb", cell, "pass")


def run_one(store: Store, notebook: Path, **values: Any) -> str:
    settings = values.pop("settings", None)
    (outcome,) = run_notebooks(store, store.project, [(notebook, values)], settings)
    return outcome.run_id


def test_real_runs_come_out_the_same_or_what_does_not_is_listed(store: Store) -> None:
    notebook = make_notebook(store.project / "notebooks" / "tiny.ipynb", TINY, REAL)
    settings = Settings(workers=2, threads=3)
    given = [(notebook, {"n": n}) for n in (1, 2)]
    same, other = sorted(
        run_notebooks(store, store.project, given, settings), key=lambda run: run.parameters["n"]
    )
    make_notebook(notebook, "n: int = 1", "raise ValueError('another notebook by now')")
    again = rerun(store, store.project, same.run_id)
    assert again.outcome.status == "FINISHED"
    assert (again.differing, again.notes) == ([], [])
    assert again.compared == len(same.records) == 5
    assert again.outcome.parameters == same.parameters
    assert again.outcome.metrics["threads"] == 3
    run = tracked(store, again.outcome.run_id)
    assert run.data.tags[RERUN] == same.run_id
    assert run.data.tags["mlflow.source.name"] == "notebooks/tiny.ipynb"
    assert run.info.run_name.startswith("again: seed=")
    unlike = rerun(store, store.project, other.run_id)
    assert [difference.name for difference in unlike.differing] == ["pid", "pids"]
    pid, pids = unlike.differing
    assert float(pid.then) != float(pid.now)
    assert (pids.then.split(":")[0], pids.now.split(":")[0]) == ("row 2", "row 2")


def test_a_rerun_can_be_rerun(store: Store, workers: Workers, notebook: Path) -> None:
    first = run_one(store, notebook, n=3, seed=5)
    second = rerun(store, store.project, first).outcome.run_id
    third = rerun(store, store.project, second)
    assert (third.differing, third.notes, third.outcome.status) == ([], [], "FINISHED")
    assert len({first, second, third.outcome.run_id}) == 3
    assert workers.took("n") == [3, 3, 3]


def test_the_notebook_of_the_record_is_run_without_what_execution_left(
    store: Store, workers: Workers, notebook: Path
) -> None:
    run_id = run_one(store, notebook, n=3)
    notebook.unlink()
    rerun(store, store.project, run_id)
    first, second = workers.begun
    assert second.parameters == first.parameters
    assert '"outputs": []' in second.source
    assert "display_data" not in second.source
    assert second.name == "tiny.ipynb"


def test_the_key_of_a_repetition_is_that_of_its_run_but_it_is_no_run_of_a_sweep(
    store: Store, workers: Workers
) -> None:
    plan = make_plan(store)
    swept = run_plan(store, store.project, plan)
    workers.took()
    again = rerun(store, store.project, swept.runs[1].run_id)
    assert workers.took() == [2]
    before = snapshot(store)
    after = run_plan(store, store.project, plan)
    assert workers.took() == []
    assert again.outcome.run_id not in {run.run_id for run in after.runs}
    assert snapshot(store) == before
    assert "mlflow.parentRunId" not in tracked(store, again.outcome.run_id).data.tags


def test_a_repetition_of_a_deleted_run_does_not_stand_in_for_it(
    store: Store, workers: Workers
) -> None:
    plan = make_plan(store)
    swept = run_plan(store, store.project, plan)
    rerun(store, store.project, swept.runs[1].run_id)
    store._client.delete_run(swept.runs[1].run_id)
    workers.took()
    run_plan(store, store.project, plan)
    assert workers.took() == [2]


def test_other_results_are_listed(store: Store, workers: Workers, notebook: Path) -> None:
    run_id = run_one(store, notebook, n=3, seed=1)
    workers.answer = lambda task: result_of(task, {"a/n": 3.0 + 2**-51, "new": 1.0})
    again = rerun(store, store.project, run_id)
    assert again.differing == [
        Difference("a/n", "3.0", "3.0000000000000004"),
        Difference("new", "absent", "1.0"),
    ]
    assert again.compared == 1


def test_a_repetition_that_fails_says_so(store: Store, workers: Workers, notebook: Path) -> None:
    from driving import BROKEN

    run_id = run_one(store, notebook, n=3, seed=1)
    workers.answer = lambda task: result_of(task, {}, error=BROKEN)
    again = rerun(store, store.project, run_id)
    assert again.outcome.status == "FAILED"
    assert again.differing == [Difference("a/n", "3.0", "absent")]


def test_other_data_are_noted(store: Store, workers: Workers, notebook: Path) -> None:
    data = store.project / "own.csv"
    data.write_text("a")
    run_id = run_one(store, notebook, data="own.csv")
    assert rerun(store, store.project, run_id).notes == []
    data.write_text("b")
    assert rerun(store, store.project, run_id).notes == [f"the data are others: {data}"]
    data.unlink()
    with pytest.raises(ParameterError, match=r"^tiny.data: there is no file"):
        rerun(store, store.project, run_id)


def test_other_code_packages_and_processors_are_noted(
    store: Store, workers: Workers, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_one(store, notebook)

    def elsewhere(*arguments: Any) -> Any:
        found = collect(*arguments)
        packages = {**found.packages, "numpy": "99.1", "extra": "1"}
        del packages["pandas"]
        return dataclasses.replace(
            found, code_sha256="other", version="9", cpu="a quantum computer", packages=packages
        )

    monkeypatch.setattr("mlsdm.sweep.job.collect", elsewhere)
    code, packages, cpu = rerun(store, store.project, run_id).notes
    assert code.startswith("the package's code is another: ")
    assert code.endswith(") then, 9 (other) now")
    assert packages.startswith("other packages: ")
    assert "extra absent -> 1" in packages
    assert "-> 99.1" in packages
    assert "-> absent" in packages
    assert cpu.endswith("-> a quantum computer")


@pytest.mark.parametrize("threads", [None, 3])
def test_the_thread_caps_are_those_of_the_record(
    store: Store,
    workers: Workers,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int | None,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run_id = run_one(store, notebook, settings=Settings(threads=threads))
    again = rerun(store, store.project, run_id)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    assert [task.threads for task in workers.begun] == [threads, threads]
    assert again.notes == []
    assert again.compared == 1
    then, now = (
        json.loads(store.read(id, "provenance.json"))["thread_caps"]
        for id in (run_id, again.outcome.run_id)
    )
    assert then == now


def test_caps_that_cannot_be_had_again_are_noted(
    store: Store, workers: Workers, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run_id = run_one(store, notebook)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (note,) = rerun(store, store.project, run_id).notes
    assert note.startswith("other thread caps: OMP_NUM_THREADS")


def test_what_cannot_be_repeated_is_refused(store: Store, workers: Workers) -> None:
    swept = run_plan(store, store.project, make_plan(store))
    by_hand = store._client.create_run("0")
    script = store._client.create_run("0", tags={"mlflow.source.name": "train.py"})
    other = store._client.create_run("0", tags={"mlflow.source.name": "their.ipynb"})
    before = snapshot(store)
    for run_id, sentence in (
        (swept.run_id, rf"^rerun: {swept.run_id} is a sweep as a whole; give one of its runs$"),
        (by_hand.info.run_id, r"^rerun: the run .* was not made by mlsdm$"),
        (script.info.run_id, r"^rerun: the run .* was not made by mlsdm$"),
        (other.info.run_id, r"^rerun: the run .* was not made by mlsdm$"),
        ("0" * 32, r"^store .*not found"),
    ):
        with pytest.raises(RunError, match=sentence) as caught:
            rerun(store, store.project, run_id)
        assert "\n" not in str(caught.value)
    assert snapshot(store) == before


def test_a_record_whose_files_are_gone_is_one_sentence(
    store: Store, workers: Workers, notebook: Path
) -> None:
    run_id = run_one(store, notebook)
    Path(str(store.files), run_id, "artifacts", "parameters.json").unlink()
    with pytest.raises(MlsdmError, match=r"parameters.json"):
        rerun(store, store.project, run_id)
    assert len(all_runs(store)) == 1


def test_a_run_that_was_called_off_can_be_repeated(
    store: Store, workers: Workers, notebook: Path
) -> None:
    from driving import STOPPED

    def stopped(task: Task) -> Result:
        return result_of(task, {}, error=STOPPED)

    workers.answer = stopped
    run_id = run_one(store, notebook)
    workers.answer = result_of
    again = rerun(store, store.project, run_id)
    assert again.outcome.status == "FINISHED"
    assert again.differing == [Difference("a/n", "absent", "1.0")]


def test_what_is_not_the_same_to_the_last_bit_differs() -> None:
    def series(name: str, *values: float | None) -> Record:
        return Record("series", name, steps=tuple(range(len(values))), values=values)

    def table(*rows: tuple[int, ...]) -> Record:
        return Record("table", "x", columns=("a",), rows=rows)

    metric = Record("metric", "x", value=0.1)
    png = b"\x89PNG"
    before = [metric, series("s", 1, 2), table((1,), (2,)), Record("figure", "f", png=png)]
    after = [metric, series("s", 1, 2), table((1,), (2,)), Record("figure", "f", png=png + b"1")]
    assert differences(before, after) == []
    assert differences([], []) == []
    assert differences(before[:1], [Record("metric", "x", value=0.1 + 2**-56)]) == [
        Difference("x", "0.1", "0.10000000000000002")
    ]
    assert [d.name for d in differences(before, [])] == ["x", "s", "x"]
    (longer,) = differences([series("s", 1, 2)], [series("s", 1, 2, 3)])
    assert longer.then != longer.now
    (row,) = differences([table((1,), (2,))], [table((1,), (3,))])
    assert (row.then, row.now) == ("row 2: (2,)", "row 2: (3,)")
    (unit,) = differences([metric], [dataclasses.replace(metric, unit="ms")])
    assert unit.then != unit.now
