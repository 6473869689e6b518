"""What the report asks of a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import fresh_store

from mlsdm.tracking import Store


@pytest.fixture(params=["sqlite", "server"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    if request.param == "sqlite":
        return fresh_store(tmp_path_factory, tmp_path)
    return Store.open(tmp_path, request.getfixturevalue("mlflow_server"))


def make(store: Store, experiment: str, status: str = "FINISHED", **tags: str) -> str:
    run = store.start(experiment, "r", parameters={}, tags=tags)
    run.log([], files={"some/where/a.csv": "a\n", "some/b.csv": "b\n"})
    run.finish(status)  # type: ignore[arg-type]
    return run.id


def test_finished_runs_come_newest_first_from_every_experiment(store: Store) -> None:
    first = make(store, "search one", kind="a")
    make(store, "search one", status="FAILED", kind="a")
    second = make(store, "search two", kind="a")
    odd = make(store, "search two", kind="it's odd")
    make(store, "search two")
    found = list(store.finished({"kind": "a"}))
    assert [(run.id, run.experiment) for run in found] == [
        (second, "search two"),
        (first, "search one"),
    ]
    assert found[0].started >= found[1].started > 1_700_000_000_000
    assert [run.id for run in store.finished({"kind": "it's odd"})] == [odd]
    assert [run.id for run in store.finished({"kind": None}, "search two")] == [odd, second]
    assert [run.id for run in store.finished({"kind": ["it's odd"]}, "search two")] == [second]
    assert list(store.finished({"kind": "a"}, "search three")) == []


def test_more_runs_than_one_request_brings(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlsdm.tracking.store.FEW", 2)
    made = [make(store, "search many", kind="many") for _ in range(5)]
    assert [run.id for run in store.finished({"kind": "many"})] == made[::-1]


def test_an_empty_store_holds_no_finished_run(sqlite_store: Store, tmp_path: Path) -> None:
    assert list(sqlite_store.finished({"kind": "never"})) == []


def test_the_files_of_a_folder_are_listed(store: Store) -> None:
    run_id = make(store, "search files")
    assert store.listed(run_id, "some/where") == ["a.csv"]
    assert sorted(store.listed(run_id, "some")) == ["b.csv", "where"]
    assert store.listed(run_id, "nowhere") == []
    assert store.listed(run_id) == ["some"]
