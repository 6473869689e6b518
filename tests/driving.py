"""A stand-in for workers, small sweeps, a look into the store: for tests of what drives runs."""

from __future__ import annotations

import functools
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from making import make_notebook
from mlflow import MlflowClient
from mlflow.entities import Run
from nbformat.v4 import new_code_cell, new_output

from mlsdm import provenance
from mlsdm.execution.pool import Done, Event, Started
from mlsdm.execution.task import CellError, Result, Task, Usage
from mlsdm.execution.worker import save
from mlsdm.plan.plan import Plan, load_plan
from mlsdm.record import MIME
from mlsdm.sweep.driver import Settings
from mlsdm.tracking import Store

TINY = "n: int = 1  # in [1, 100]\nseed: int | None = None\n"
STARTED, SECONDS = 1_700_000_000.0, 2.5
USAGE = Usage(3 * 2**20, 0.5)
BROKEN = CellError("cell", "ValueError", "it went wrong", 2)
STOPPED = CellError("stopped", "Stopped", "called off", 2)


def fresh_store(factory: pytest.TempPathFactory, project: Path) -> Store:
    """Return the own store of a project; made once, and then copied: it costs seconds."""
    template = factory.getbasetemp() / "fresh store"
    if not template.exists():
        template.mkdir()
        Store.open(template)
    for folder in ("notebooks", "experiments"):
        (project / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(template / "mlflow.db", project / "mlflow.db")
    return Store.open(project, str(project / "mlflow.db"))


def result_of(task: Task, metrics: Mapping[str, float] | None = None, **fields: Any) -> Result:
    """Return what a worker would: the notebook with `metrics` recorded, by default a/n."""
    node = nbformat.reads(task.source, as_version=4)
    recorded = {"a/n": float(task.parameters.get("n", 0))} if metrics is None else metrics
    outputs = [
        new_output("display_data", {MIME: {"kind": "metric", "name": name, "value": value}})
        for name, value in recorded.items()
    ]
    node.cells.append(new_code_cell("record", outputs=outputs, execution_count=1))
    given = {"started": STARTED, "seconds": SECONDS, "error": None, "usage": USAGE, **fields}
    return Result(task.key, nbformat.writes(node), **given)


_packages = functools.cache(provenance._packages)  # it reads a file of every one installed


class _Fake:
    """An executor whose results are made on the spot."""

    def __init__(self, workers: Workers, spool: Path) -> None:
        self.workers, self.spool = workers, spool
        self.queue: deque[Task] = deque()
        self.running: deque[Task] = deque()
        self.stopped = False

    def submit(self, task: Task) -> None:
        self.queue.append(task)

    def stop(self) -> None:
        self.queue.clear()
        self.stopped = True

    def events(self) -> Iterator[Event]:
        while self.queue or self.running:
            while self.queue and len(self.running) < self.workers.width:
                self.running.append(self.queue.popleft())
                self.workers.begun.append(self.running[-1])
                yield Started(self.running[-1].key)
            task = self.running[0]
            result = result_of(task, error=STOPPED) if self.stopped else self.workers.answer(task)
            self.running.popleft()
            save(result, self.spool / f"{task.key}.json")
            yield Done(task.key, self.spool / f"{task.key}.json")


class Workers:
    """Takes the place of what runs notebooks.

    `answer` makes a result or raises, `width` tasks go on at once, `begun` are those begun so far.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.answer: Callable[[Task], Result] = result_of
        self.width = 1
        self.begun: list[Task] = []
        self.settings: list[Settings] = []
        patch.setattr("mlsdm.sweep.driver.executor", self.start)
        patch.setattr("mlsdm.provenance._packages", _packages)

    @contextmanager
    def start(self, settings: Settings, spool: Path) -> Iterator[_Fake]:
        self.settings.append(settings)
        yield _Fake(self, spool)

    def took(self, name: str = "n") -> list[Any]:
        """Return a parameter of the tasks begun since the last call."""
        values = [task.parameters[name] for task in self.begun]
        self.begun.clear()
        return values


def make_plan(
    store: Store, text: str = "sweep: {n: [1, 2, 3]}\nseeds: [4]\n", name: str = "tiny"
) -> Plan:
    """Return a plan of the notebook tiny.ipynb, which is made if it is not there."""
    notebook = store.project / "notebooks" / "tiny.ipynb"
    if not notebook.exists():
        make_notebook(notebook, TINY, "pass")
    path = store.project / "experiments" / f"{name}.yaml"
    path.write_text(f"notebook: tiny\n{text}")
    return load_plan(path, store.project)


@functools.cache
def _client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri)


def client(store: Store) -> MlflowClient:
    """Return a client that is not the store's own, which a test may have tampered with."""
    return _client(store.uri)


def tracked(store: Store, run_id: str) -> Run:
    return client(store).get_run(run_id)


def all_runs(store: Store, experiment: str = "tiny") -> list[Run]:
    """Return every run of an experiment, the oldest first."""
    found = client(store).get_experiment_by_name(experiment)
    runs = client(store).search_runs([found.experiment_id]) if found else []
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_name))


def children(store: Store, experiment: str = "tiny") -> list[Run]:
    return [run for run in all_runs(store, experiment) if "mlsdm.key" in run.data.tags]


def parents(store: Store, experiment: str = "tiny") -> list[Run]:
    return [run for run in all_runs(store, experiment) if "mlsdm.sweep" in run.data.tags]


def statuses(runs: list[Run]) -> list[str]:
    return [run.info.status for run in runs]


def artifacts(store: Store, run_id: str) -> set[str]:
    return {file.path for file in client(store).list_artifacts(run_id)}


def histories(store: Store, run: Run) -> dict[str, int]:
    """Return how often each metric of a run was written."""
    return {
        name: len(client(store).get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def journals(store: Store) -> list[str]:
    """Return all that is left in the folder of the drivers' journals."""
    return sorted(path.name for path in (store.state / "journal").glob("*"))


def snapshot(store: Store) -> tuple[list[str], dict[str, int]]:
    """Return all that the store's file holds, and when each file of its runs was written."""
    connection = sqlite3.connect(store.uri.removeprefix("sqlite:///"))
    try:
        content = list(connection.iterdump())
    finally:
        connection.close()
    assert store.files is not None
    files = [path for path in store.files.rglob("*") if path.is_file()]
    return content, {str(path): path.stat().st_mtime_ns for path in files}
