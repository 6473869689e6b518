"""What becomes of a sweep when things break, seen from the command line and in the store."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import CELLS, Project, ended, projects, until
from making import make_notebook
from running import eventually

from mlsdm.plan.plan import load_plan
from mlsdm.sweep.sweeping import run_plan
from mlsdm.tracking import Store

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, sqlite_store: Store) -> Iterator[Make]:
    yield from projects(tmp_path, sqlite_store.project / "mlflow.db")


BEFORE = """import os, signal, sys, time
from mlsdm.record import record
record("a/before", 1)
"""
FAULTS = """if fault == "raise":
    raise ValueError("it went wrong")
if fault == "exit":
    sys.exit(3)
if fault == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "memory":
    held = "x" * (600 * 2**20)
if fault == "hang":
    while True:
        pass
if fault == "print":
    for _ in range(50):
        print("x" * 999_999)
if fault == "slow":
    time.sleep(3)
"""
SLOW = 'if fault == "slow":\n    time.sleep(3)\n'
CAUSES = {
    "hang": "cell 5: CellTimeoutError: took longer than 5 s",
    "slow": ": NotebookTimeoutError: the notebook took longer than 9 s",
    "raise": "cell 5: ValueError: it went wrong",
    "exit": "cell 5: SystemExit: 3",
    "die": "cell 5: DeadKernelError: died by signal 9 (SIGKILL)",
    "memory": "cell 5: MemoryLimitError: held ",
}


def test_each_fault_fails_its_own_run_and_says_why(make: Make) -> None:
    project = make()
    names = [*CAUSES, "print", "none"]  # the slow ones first
    make_notebook(
        project.folder / "notebooks" / "faulty.ipynb",
        f"from typing import Literal\nfault: Literal{names} = 'none'",
        BEFORE,
        FAULTS,
        *[SLOW] * 3,
        'record("a/after", 2)',
    )
    plan = project.folder / "experiments" / "e.yaml"
    plan.write_text(
        f"notebook: faulty\nsweep: {{fault: {names}}}\nmemory_limit: 512 MiB\n"
        "timeouts: {cell: 5, notebook: 9}\n"
    )
    said = project.sweep(plan)
    assert said.returncode == 1, said
    runs = {run.data.params.get("fault", "none"): run for run in project.children()}
    assert runs.keys() == set(names)
    for fault, cause in CAUSES.items():
        run = runs[fault]
        assert run.info.status == "FAILED", fault
        assert cause in run.data.tags["mlsdm.cause"]
        assert run.data.metrics["a/before"] == 1
        assert "a/after" not in run.data.metrics
        assert f"fault={fault}) failed: {run.data.tags['mlsdm.cause']}" in said.stderr
    for fault in ("print", "none"):
        run = runs[fault]
        assert run.info.status == "FINISHED", run.data.tags
        assert (run.data.metrics["a/before"], run.data.metrics["a/after"]) == (1, 2)
        (file,) = [
            f for f in project.client.list_artifacts(run.info.run_id) if f.path == "faulty.ipynb"
        ]
        assert file.file_size < 3_000_000
    (parent,) = project.parents()
    assert parent.info.status == "FAILED"
    assert parent.data.tags["mlsdm.cause"] == "6 of 8 runs failed"
    project.still()


def test_a_sweep_outlives_its_workers_and_its_fork_server(make: Make) -> None:
    project = make()
    project.hold(1, 2)
    plan = project.plan([1, 2, 3])
    process = project.start(plan, "--workers", "1")
    until(lambda: project.ran(1), process)
    (worker,), kernels = project.workers, project.kernels
    worker.kill()
    until(lambda: project.ran(1) == 2, process)
    assert not any(kernel.is_running() for kernel in kernels)
    project.let_go(1)
    until(lambda: project.ran(2), process)
    (server,) = project.fork_servers
    server.kill()
    said = ended(process)
    assert said.returncode == 1
    runs = {int(run.data.params.get("n", 1)): run for run in project.children()}
    assert len(project.children()) == 3
    assert [runs[n].info.status for n in (1, 2, 3)] == ["FINISHED", "FAILED", "FINISHED"]
    assert "DeadKernelError" in runs[2].data.tags["mlsdm.cause"]
    assert runs[2].data.metrics["a/n"] == 2
    project.let_go(2)
    assert project.sweep(plan, "--retry-failed", "--kernels", "stock").returncode == 0
    assert [project.ran(n) for n in (1, 2, 3)] == [2, 2, 1]
    project.check([1, 2, 3])


def test_a_sweep_goes_on_after_its_driver_was_killed_or_interrupted(make: Make) -> None:
    project = make()
    project.hold(3, 4)
    plan = project.plan([1, 2, 3, 4])
    process = project.start(plan)
    until(lambda: [run.info.status for run in project.children()].count("FINISHED") >= 2, process)
    until(lambda: project.ran(3) and project.ran(4), process)
    project.kill(process)
    assert {run.info.status for run in project.parents()} == {"RUNNING"}
    project.let_go(3)
    process = project.start(plan)
    until(lambda: project.ran(4) == 2, process)
    until(lambda: [run.info.status for run in project.children()].count("FINISHED") == 3, process)
    os.killpg(process.pid, signal.SIGINT)
    said = ended(process, 30)
    assert (said.returncode, said.stderr.splitlines()[-1]) == (130, "mlsdm: stopped")
    project.still()
    assert {run.info.status for run in project.runs()} <= {"FINISHED", "KILLED"}
    project.let_go(4)
    assert project.sweep(plan).returncode == 0
    assert [project.ran(n) for n in (1, 2, 3, 4)] == [1, 1, 2, 3]
    project.check([1, 2, 3, 4])


class _SlowClient:
    """MLflow's client, whose long series are not taken until the next notebook runs."""

    def __init__(self, client: Any, project: Project) -> None:
        self.client, self.project, self.seen = client, project, list[bool]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def log_batch(self, run_id: str, **what: Any) -> None:
        first = next((m.value for m in what.get("metrics", ()) if m.key == "a/long"), None)
        if first is not None and first % 10_000 == 0 and first < 20_000:
            following = int(first) // 10_000 + 2
            self.seen.append(eventually(lambda: self.project.ran(following), 60))
        self.client.log_batch(run_id, **what)


def test_a_slow_store_does_not_hold_up_the_workers(make: Make) -> None:
    project = make()
    long = "record('a/long', pd.Series(range(10_000 * (n - 1), 10_000 * n)))"
    make_notebook(project.folder / "notebooks" / "tiny.ipynb", "n: int = 1", *CELLS, long)
    store = Store.open(project.folder, project.uri)
    client = _SlowClient(store._client, project)
    store._client = client
    plan = load_plan(project.plan([1, 2, 3]), project.folder)
    outcome = run_plan(store, project.folder, plan)
    assert [run.status for run in outcome.runs] == ["FINISHED"] * 3
    assert client.seen == [True, True]
    for number, run in enumerate(outcome.runs):
        history = project.client.get_metric_history(run.run_id, "a/long")
        assert [p.value for p in history] == [*range(10_000 * number, 10_000 * (number + 1))]
