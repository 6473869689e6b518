"""A small project whose sweeps are disturbed, and what must be true of its store afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
from making import make_notebook
from mlflow import MlflowClient
from mlflow.entities import Run
from running import eventually

from mlsdm.project import default_store

COMMAND = "from mlsdm.cli import main; main()"
PATIENCE = 120.0
# It records, notes that it ran, and waits as long as there is a file hold-N.
CELLS = (
    """import time
from pathlib import Path
import pandas as pd
from mlsdm.record import record
record("a/n", n)
with open(f"ran-{n}", "a") as log:
    log.write("x")
while Path(f"hold-{n}").exists():
    time.sleep(0.01)
""",
    """record("a/series", pd.Series([n + 0.5, n + 1.5, n + 2.5]))
record("a/double", 2 * n)
record("table", pd.DataFrame({"n": [n]}))
""",
)


class Project:
    """A project in a folder of its own; what it starts is known by a mark in the environment."""

    def __init__(self, folder: Path, template: Path, store: str | None = None) -> None:
        self.folder = folder
        self.uri = store or default_store(folder)
        for name in ("notebooks", "experiments"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if store is None:
            shutil.copy(template, folder / "mlflow.db")
        make_notebook(folder / "notebooks" / "tiny.ipynb", "n: int = 1", *CELLS)
        self.temporary = Path(tempfile.mkdtemp(prefix="f-"))  # short: sockets lie in there
        self.mark = self.temporary.name
        self.started: list[subprocess.Popen[str]] = []

    def plan(self, values: Iterable[int], name: str = "e", more: str = "") -> Path:
        path = self.folder / "experiments" / f"{name}.yaml"
        path.write_text(f"notebook: tiny\nsweep: {{n: {list(values)}}}\n{more}")
        return path

    def hold(self, *values: int) -> None:
        for n in values:
            (self.folder / f"hold-{n}").touch()

    def let_go(self, *values: int) -> None:
        for n in values:
            (self.folder / f"hold-{n}").unlink()

    def ran(self, n: int) -> int:
        """Return how many times the notebook was begun for a value."""
        path = self.folder / f"ran-{n}"
        return len(path.read_text()) if path.exists() else 0

    def start(
        self, plan: Path, *options: str, command: str = COMMAND, **how: Any
    ) -> subprocess.Popen[str]:
        """Start a sweep from the command line, in a process group of its own."""
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "MLSDM_FAULTS_MARK": self.mark,
            **how.pop("env", {}),
        }
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
        process = subprocess.Popen(
            [sys.executable, "-c", command, "sweep", str(plan), "--store", self.uri, *options],
            cwd=self.folder,
            env=environment,
            text=True,
            start_new_session=True,
            **how,
        )
        self.started.append(process)
        return process

    def sweep(self, plan: Path, *options: str, **how: Any) -> subprocess.CompletedProcess[str]:
        return ended(self.start(plan, *options, **how))

    def processes(self) -> list[psutil.Process]:
        """Return what is alive of all that was started from here, whoever is its parent now."""
        return [process for process in psutil.process_iter() if self._ours(process)]

    def _ours(self, process: psutil.Process) -> bool:
        try:
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                marked = f"MLSDM_FAULTS_MARK={self.mark}".encode() in file.read()
            return marked and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.Error):
            return False

    def of(self, module: str) -> list[psutil.Process]:
        """Return the processes that run a module; a forked kernel has its server's command."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if module in process.cmdline():
                    found.append(process)
        return found

    @property
    def workers(self) -> list[psutil.Process]:
        return self.of("mlsdm.execution.worker")

    @property
    def fork_servers(self) -> list[psutil.Process]:
        family = self.of("mlsdm.warm.forkserver")
        return [one for one in family if one.ppid() not in {other.pid for other in family}]

    @property
    def kernels(self) -> list[psutil.Process]:
        family = self.of("mlsdm.warm.forkserver")
        forked = [one for one in family if one.ppid() in {other.pid for other in family}]
        return [*forked, *self.of("ipykernel_launcher")]

    def spooled(self) -> list[Path]:
        return list((self.folder / ".mlsdm" / "journal").glob("*/results/*.json"))

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def runs(self, experiment: str = "e") -> list[Run]:
        client = self.client
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id])) if found else []

    def parents(self, experiment: str = "e") -> list[Run]:
        return [r for r in self.runs(experiment) if "mlsdm.sweep" in r.data.tags]

    def children(self, experiment: str = "e") -> list[Run]:
        return [r for r in self.runs(experiment) if "mlsdm.key" in r.data.tags]

    def still(self, seconds: float = 15) -> None:
        """Nothing that was started runs any more, and nothing temporary is left."""
        assert eventually(lambda: not self.processes(), seconds), self.processes()
        left = list(self.temporary.rglob("*"))
        assert not left, left

    def kill(self, driver: subprocess.Popen[str]) -> None:
        """End the driver, and nothing else, as the system does that lacks memory."""
        driver.send_signal(signal.SIGKILL)
        ended(driver)
        assert eventually(lambda: not self.processes(), 15), self.processes()
        for left in self.temporary.iterdir():  # of its own it can remove nothing any more
            shutil.rmtree(left)

    def check(self, values: Iterable[int], experiment: str = "e", seconds: float = 15) -> None:
        """The sweep over `values` is complete: each once, right, and nothing is left over."""
        self.still(seconds)
        journal = self.folder / ".mlsdm" / "journal"
        assert list(journal.iterdir()) == []
        for run in self.runs(experiment):
            assert run.info.status in ("FINISHED", "FAILED", "KILLED"), run
            assert run.info.end_time >= run.info.start_time
            if run.info.status != "FINISHED":
                assert run.data.tags["mlsdm.cause"]
        (parent, *_) = self.parents(experiment)
        assert parent.info.status == "FINISHED", parent.data.tags
        assert "mlsdm.cause" not in parent.data.tags
        assert self.files(parent) >= {f"{experiment}.yaml", "jobs.json", "runs.csv", "checks.json"}
        finished = [r for r in self.children(experiment) if r.info.status == "FINISHED"]
        assert Counter(int(r.data.metrics["a/n"]) for r in finished) == Counter(values)
        assert len({run.data.tags["mlsdm.key"] for run in finished}) == len(finished)
        parents = {run.info.run_id for run in self.parents(experiment)}
        for run in finished:
            assert run.data.tags["mlflow.parentRunId"] in parents
            self.whole(run)

    def whole(self, run: Run) -> None:
        """A finished run holds its numbers once, and its files."""
        client, n = self.client, int(run.data.metrics["a/n"])
        assert run.data.params == {"n": str(n)}
        assert "mlsdm.cause" not in run.data.tags
        expected = {"a/n": [n], "a/double": [2 * n], "a/series": [n + 0.5, n + 1.5, n + 2.5]}
        for name, numbers in expected.items():
            history = client.get_metric_history(run.info.run_id, name)
            assert sorted(point.value for point in history) == numbers, (name, run)
        for name in run.data.metrics.keys() - expected.keys():
            assert len(client.get_metric_history(run.info.run_id, name)) == 1, (name, run)
        names = {"tiny.ipynb", "parameters.json", "provenance.json", "tables"}
        assert self.files(run) >= names
        with tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(run.info.run_id, "tiny.ipynb", folder)
            notebook = nbformat.read(path, as_version=4)
        assert notebook.cells[-1].execution_count is not None

    def files(self, run: Run) -> set[str]:
        return {file.path for file in self.client.list_artifacts(run.info.run_id)}

    def end(self) -> None:
        """End whatever a failed test has left."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        for started in self.started:
            for pipe in (started.stdout, started.stderr):
                if pipe is not None:
                    pipe.close()
            started.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


def ended(process: subprocess.Popen[str], seconds: float = PATIENCE) -> Any:
    """Wait for a sweep, and return its exit code and what it said."""
    out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(true: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something to become true, as long as the sweep goes on."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        if process is not None and process.poll() is not None:
            raise AssertionError(ended(process))
        time.sleep(0.005)


def projects(folder: Path, template: Path) -> Iterator[Callable[..., Project]]:
    """Make projects on demand, and end what they leave."""
    made: list[Project] = []

    def make(name: str = "p", **options: Any) -> Project:
        made.append(Project(folder / name, template, **options))
        return made[-1]

    try:
        yield make
    finally:
        for project in made:
            project.end()
