from __future__ import annotations

from pathlib import Path

import pytest
from driving import BROKEN, SECONDS, Workers, make_plan, result_of, snapshot
from making import make_notebook

from mlsdm.errors import ParameterError
from mlsdm.sweep.outlook import outlook
from mlsdm.sweep.sweeping import Choice, run_plan
from mlsdm.tracking import Store


def test_a_store_that_is_not_there_is_not_made(store: Store) -> None:
    plan = make_plan(store)
    Path(store.uri.removeprefix("sqlite:///")).unlink()
    before = sorted(store.project.rglob("*"))
    found = outlook(store.project, store.uri, plan, Choice())
    assert [job.parameters["n"] for job in found.todo] == [1, 2, 3]
    assert (found.jobs, found.held, found.seconds) == (found.todo, {}, None)
    assert sorted(store.project.rglob("*")) == before


def test_what_is_done_is_told_and_nothing_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(monkeypatch)
    workers.answer = lambda task: result_of(
        task, error=BROKEN if task.parameters["n"] == 2 else None
    )
    run_plan(store, store.project, make_plan(store))
    plan = make_plan(store, "sweep: {n: [1, 2, 3, 4]}\nseeds: [4]\n")
    before = snapshot(store)
    for choice, left in (
        (Choice(), [4]),
        (Choice(retry_failed=True), [2, 4]),
        (Choice(force=True), [1, 2, 3, 4]),
    ):
        found = outlook(store.project, store.uri, plan, choice)
        assert [job.parameters["n"] for job in found.todo] == left
        assert [job.parameters["n"] for job in found.jobs] == [1, 2, 3, 4]
        assert sorted(run.status for run in found.held.values()) == [
            "FAILED",
            "FINISHED",
            "FINISHED",
        ]
        assert found.seconds == SECONDS
    assert snapshot(store) == before


def test_a_value_that_is_not_taken_is_refused(store: Store) -> None:
    plan = make_plan(store)
    make_notebook(plan.notebook, "n: int = 1  # in [1, 2]\nseed: int = 1")
    with pytest.raises(ParameterError, match=r"^tiny.n: must be int, in \[1, 2\]"):
        outlook(store.project, store.uri, plan, Choice())
