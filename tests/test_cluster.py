from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from making import make_notebook
from mlflow import MlflowClient
from running import alive, eventually, is_kernel, make_task, printed, read

from mlsdm.cli import app
from mlsdm.errors import RunError
from mlsdm.execution import cluster as clusters
from mlsdm.execution.cluster import DaskExecutor
from mlsdm.execution.pool import Cell, Done, Event, Started
from mlsdm.execution.task import CellError, Result, from_json
from mlsdm.plan.plan import load_plan
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.sweeping import SweepOutcome, run_plan
from mlsdm.tracking import Store

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

FOREVER = "while True: pass"
GUARD = 30  # seconds, for what has a limit of its own that is far shorter
PATIENCE = 60  # seconds, on a machine that may be busy
CELL = 'n: int = -1\nfolder: str = ""\n'
# Says in a file that it runs, and does what its number says: 0 waits the first time for its end.
BODY = """
import os, pathlib
from mlsdm.record import record
path = pathlib.Path(folder, f"{n}")
again = path.exists()
with path.open("a") as file:
    file.write(f"{os.getpid()} {os.getppid()}\\n")
record("a/square", n * n)
while n == 0 and not again:
    pass
if n == 9:
    raise ValueError("nine is too much")
"""


@dataclass
class Cluster:
    """A scheduler and workers, each a process of its own, as on a real cluster."""

    folder: Path
    stack: ExitStack
    address: str = ""
    workers: list[psutil.Process] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    def start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        temporary = self.folder / "t"
        temporary.mkdir(exist_ok=True)
        log = self.stack.enter_context((self.folder / "log").open("ab"))
        file = ["--scheduler-file", str(self.folder / "scheduler.json")]
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command}", *file, "--no-dashboard", *options],
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(_end, process)
        return process

    def add(self, *options: str) -> psutil.Process:
        process = self.start("dask_worker", "--no-nanny", *(options or ("--nthreads", "1")))
        self.workers.append(psutil.Process(process.pid))
        return self.workers[-1]

    def ask(self, question: Callable[[], Any]) -> list[Any]:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(sum(worker.is_running() for worker in self.workers), PATIENCE)
            return list(client.run(question).values())

    def kernels(self) -> list[psutil.Process]:
        """Kernels of any worker, also those that it left."""
        mark = str(self.folder / "t")
        return [p for p in psutil.process_iter() if is_kernel(p) and mark in " ".join(p.cmdline())]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def cluster_of(folder: Path, *workers: tuple[str, ...]) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = Cluster(folder, stack)
        made.scheduler = made.start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        file = folder / "scheduler.json"
        for options in workers:
            made.add(*options)
        assert eventually(lambda: file.exists() and file.read_text().endswith("}"), PATIENCE)
        made.address = json.loads(file.read_text())["address"]
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_of(tmp_path_factory.mktemp("cluster"), (), ()) as made:
        made.ask(os.getpid)  # waits for both
        yield made


@pytest.fixture(scope="module")
def store(sqlite_store: Store) -> Store:
    make_notebook(sqlite_store.project / "notebooks" / "01-square.ipynb", CELL, BODY)
    return sqlite_store


@pytest.fixture(scope="module")
def project(store: Store) -> Path:
    return store.project


def planned(project: Path, name: str, numbers: list[int], folder: Path) -> Path:
    path = project / "experiments" / f"{name}.yaml"
    given = f"parameters: {{folder: '{folder}'}}\nsweep: {{n: {numbers}}}\n"
    path.write_text(f"notebook: 01-square\n{given}")
    return path


def swept(store: Store, path: Path, scheduler: str, **settings: Any) -> SweepOutcome:
    project = path.parent.parent
    given = Settings(workers=2, threads=1, scheduler=scheduler, **settings)
    return run_plan(store, project, load_plan(path, project), given)


def tracked(store: Store, experiment: str) -> list[tuple[str, str]]:
    """Every run of an experiment but the sweep's own: its number and its state."""
    client = MlflowClient(tracking_uri=store.uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    return sorted((run.data.params["n"], run.info.status) for run in runs if "n" in run.data.params)


def executions(folder: Path) -> dict[int, list[list[int]]]:
    """The kernel and its parent, of every execution of every number."""
    return {
        int(path.name): [
            [int(pid) for pid in line.split()] for line in path.read_text().splitlines()
        ]
        for path in folder.iterdir()
    }


def result(event: Event) -> Result:
    assert isinstance(event, Done)
    return from_json(Result, event.path.read_bytes())


def test_workers_execute_and_the_driver_alone_writes(
    store: Store, project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    path = planned(project, "cluster", [1, 2, 3, 4, 9], tmp_path)
    outcome = swept(store, path, cluster.address)
    good = [run for run in outcome.runs if run.status == "FINISHED"]
    assert [run.metrics["a/square"] for run in good] == [1, 4, 9, 16]
    (bad,) = (run for run in outcome.runs if run not in good)
    assert (bad.status, bad.cause) == ("FAILED", "cell 4: ValueError: nine is too much")
    assert bad.metrics["a/square"] == 81
    states = [(f"{n}", "FAILED" if n == 9 else "FINISHED") for n in (1, 2, 3, 4, 9)]
    assert tracked(store, "cluster") == states
    made = executions(tmp_path)
    assert {n: len(times) for n, times in made.items()} == {1: 1, 2: 1, 3: 1, 4: 1, 9: 1}
    parents = {parent for times in made.values() for _, parent in times}
    assert parents == {worker.pid for worker in cluster.workers}
    loaded = cluster.ask(lambda: [name in sys.modules for name in ("mlsdm", "mlflow")])
    assert loaded == [[True, False]] * 2
    assert swept(store, path, cluster.address).seconds == 0


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    store: Store, project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    victims: list[list[int]] = []

    def kill() -> None:
        file = tmp_path / "0"
        if eventually(lambda: file.exists() and file.read_text().endswith("\n"), PATIENCE):
            victims.extend(executions(tmp_path)[0])
            os.kill(victims[0][1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = swept(store, planned(project, "killed", [0, 1, 2, 3], tmp_path), cluster.address)
    killer.join()
    ((kernel, worker),) = victims
    cluster.workers = [other for other in cluster.workers if other.pid != worker]
    cluster.add()
    cluster.ask(os.getpid)
    assert [run.metrics["a/square"] for run in outcome.runs] == [0, 1, 4, 9]
    assert tracked(store, "killed") == [(f"{n}", "FINISHED") for n in range(4)]
    made = executions(tmp_path)
    assert [len(made[n]) for n in range(4)] == [2, 1, 1, 1]
    assert made[0][1][1] != worker
    assert eventually(lambda: not alive(kernel), PATIENCE)


def test_a_remote_mlflow_server_takes_the_results(
    mlflow_server: str, project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    remote = Store.open(project, mlflow_server)
    outcome = swept(remote, planned(project, "remote", [1, 2, 3], tmp_path), cluster.address)
    assert [run.status for run in outcome.runs] == ["FINISHED"] * 3
    assert tracked(remote, "remote") == [("1", "FINISHED"), ("2", "FINISHED"), ("3", "FINISHED")]
    assert b'"a/square"' in remote.read(outcome.runs[0].run_id, "01-square.ipynb")


def test_a_stop_ends_kernels_keeps_what_they_did_and_forgets_the_rest(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "GRACE", PATIENCE)  # so that the workers themselves answer
    with DaskExecutor(tmp_path, cluster.address, 2) as executor:
        for key in ("a", "b", "c", "d"):
            executor.submit(make_task("print('so far')", FOREVER, key=key))
        busy, stopped, ended = 0, False, []
        for event in executor.events():
            busy += isinstance(event, Cell) and event.done == 3
            if busy == 2 and not stopped:
                stopped = True
                assert len(cluster.kernels()) == 2
                executor.stop()
                executor.stop()
            if isinstance(event, Done):
                ended.append(result(event))
        assert cluster.kernels() == []
        assert list(executor.events()) == []
    assert len(ended) == 2
    assert [found.error for found in ended] == [
        CellError("stopped", "Stopped", "called off", 3)
    ] * 2
    assert [printed(found, 2) for found in ended] == ["so far\n"] * 2
    assert {path.stem for path in tmp_path.iterdir()} == {found.key for found in ended}


def test_a_worker_that_does_not_answer_does_not_hold_up_a_stop(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "GRACE", 1)
    ended: list[Result] = []
    with ExitStack() as stack, DaskExecutor(tmp_path, cluster.address, 1) as executor:
        for key in ("a", "b"):
            executor.submit(make_task(FOREVER, key=key))
        begin = 0.0
        for event in executor.events():
            if isinstance(event, Cell) and event.done == 2:
                (kernel,) = cluster.kernels()
                worker = kernel.parent()
                assert worker is not None
                worker.suspend()
                stack.callback(worker.resume)
                begin = time.monotonic()
                executor.stop()
            if isinstance(event, Done):
                ended.append(result(event))
        assert time.monotonic() - begin < GUARD
    (found,) = ended
    assert (found.key, found.error) == ("a", CellError("stopped", "Stopped", "called off", None))
    assert len(read(found).cells) == 3
    assert eventually(lambda: not cluster.kernels(), PATIENCE)


def test_a_scheduler_that_dies_after_a_stop_leaves_nothing_without_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "GRACE", PATIENCE)
    (tmp_path / "spool").mkdir()
    with cluster_of(tmp_path, ()) as cluster:
        with DaskExecutor(tmp_path / "spool", cluster.address, 1) as executor:
            executor.submit(make_task(FOREVER))
            ended = []
            for event in executor.events():
                if isinstance(event, Cell) and event.done == 2:
                    assert cluster.scheduler is not None
                    cluster.scheduler.kill()
                    executor.stop()
                if isinstance(event, Done):
                    ended.append(result(event))
        assert [found.error and found.error.kind for found in ended] == ["stopped"]


def test_no_more_run_at_once_than_workers_were_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d"]
    with DaskExecutor(tmp_path, cluster.address, 1) as executor:
        for key in keys:
            executor.submit(make_task("import time\ntime.sleep(0.1)", key=key))
        events = [event for event in executor.events() if not isinstance(event, Cell)]
    assert [event.key for event in events] == ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert [isinstance(event, Started) for event in events] == [True, False] * 4
    ended = [result(event) for event in events if isinstance(event, Done)]
    assert [found.error for found in ended] == [None] * 4
    for first, second in pairwise(ended):
        assert first.started + first.seconds <= second.started


def test_ctrl_c_ends_the_kernels(
    store: Store, project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    path = planned(project, "interrupted", [0, 1], tmp_path)
    where = ["--executor", "dask", "--scheduler", cluster.address, "--kernels", "stock"]
    where += ["--workers", "2"]
    with subprocess.Popen(
        [sys.executable, "-c", "from mlsdm.cli import main; main()", "sweep", str(path), *where],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stderr is not None
        said = [next(driver.stderr) for _ in range(2)]  # two begin
        assert eventually((tmp_path / "0").exists, PATIENCE)
        assert eventually(lambda: ("1", "FINISHED") in tracked(store, path.stem), PATIENCE)
        driver.send_signal(signal.SIGINT)
        said += driver.communicate(timeout=PATIENCE)[1].splitlines()
    assert eventually(lambda: not cluster.kernels(), PATIENCE)
    assert driver.returncode == 130
    assert said[-1] == "mlsdm: stopped"
    assert all(line.startswith(("mlsdm: ", "[")) for line in said)
    assert tracked(store, path.stem) == [("0", "KILLED"), ("1", "FINISHED")]
    assert [run.status for run in swept(store, path, cluster.address).runs] == ["FINISHED"] * 2
    assert len(executions(tmp_path)[1]) == 1


def test_kernels_do_not_outlive_a_driver_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from running import make_task
from mlsdm.execution.cluster import DaskExecutor
from mlsdm.execution.pool import Cell
with DaskExecutor(Path(sys.argv[1]), sys.argv[2], 1) as executor:
    executor.submit(make_task("while True: pass"))
    for event in executor.events():
        if isinstance(event, Cell) and event.done == 2:
            print("busy", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), cluster.address],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"busy\n"
        assert len(cluster.kernels()) == 1
        driver.kill()
        assert eventually(lambda: not cluster.kernels(), PATIENCE)


def test_warm_kernels_need_nothing_and_leave_nothing(tmp_path: Path) -> None:
    # Two must run at once, for one alone waits until there are two.
    meet = f"""
import pathlib, tempfile, time
folder = pathlib.Path({str(tmp_path / "met")!r})
tempfile.mkstemp(dir=folder)
deadline = time.monotonic() + {PATIENCE}
while len(list(folder.iterdir())) < 2:
    assert time.monotonic() < deadline
"""
    (tmp_path / "met").mkdir()
    cell = "import os\nprint(os.getppid(), os.environ.get('OMP_NUM_THREADS'), os.getcwd())"
    with cluster_of(tmp_path, ("--nthreads", "2")) as cluster:
        (worker,) = cluster.workers
        (tmp_path / "spool").mkdir()
        with DaskExecutor(tmp_path / "spool", cluster.address, 2) as executor:
            for key in ("a", "b", "c"):
                task = make_task(meet, cell, key=key, cwd="/absent", warm=True, threads=1)
                executor.submit(task)
            ended = [result(event) for event in executor.events() if isinstance(event, Done)]
            executor.submit(make_task(FOREVER, key="d", warm=True, threads=1))
            for event in executor.events():
                if isinstance(event, Cell) and event.done == 2:
                    (server,) = worker.children()
                    (kernel,) = server.children()
                    worker.kill()
                    break
            executor.stop()
        assert eventually(lambda: not alive(server.pid) and not alive(kernel.pid), PATIENCE)
    told = [printed(found).split() for found in ended]
    assert {tuple(words[:2]) for words in told} == {(f"{server.pid}", "1")}
    assert all(words[2].startswith(str(tmp_path / "t" / "mlsdm-")) for words in told)
    assert [found.error for found in ended] == [None] * 3


def test_a_task_that_kills_its_workers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    with cluster_of(tmp_path, (), ()) as cluster:
        (tmp_path / "spool").mkdir()
        with DaskExecutor(tmp_path / "spool", cluster.address, 2) as executor:
            task = make_task("import os\nos.kill(os.getppid(), 9)\nwhile True: pass")
            executor.submit(task)
            events = list(executor.events())
        error = result(events[-1]).error
    assert sum(isinstance(event, Started) for event in events) == 2
    assert error is not None
    assert (error.kind, error.name) == ("worker", "KilledWorker")
    assert error.message.startswith("its worker died, 2 times, at last tcp://127.0.0.1:")
    assert len(read(result(events[-1])).cells) == 3


def test_a_worker_with_other_code_is_refused(store: Store, project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("import mlsdm.execution.cluster as c\nc.code_sha256 = lambda: 'other'\n")
    path = planned(project, "other", [1, 2], tmp_path)
    with cluster_of(tmp_path, ("--preload", str(other))) as cluster:
        with pytest.raises(RunError, match=r"tcp:.* has another version of mlsdm than the driver$"):
            swept(store, path, cluster.address)
        assert {state for _, state in tracked(store, "other")} <= {"KILLED"}


def test_a_scheduler_that_dies_ends_the_sweep_in_time(
    store: Store, project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    path = planned(project, "lost", [0, 1], folder)
    with cluster_of(tmp_path, ()) as cluster:
        times: list[float] = []

        def kill() -> None:
            assert cluster.scheduler is not None
            if eventually(lambda: (folder / "0").exists(), PATIENCE):
                times.append(time.monotonic())
                cluster.scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(RunError, match=r"scheduler tcp:\S*: is gone"):
            swept(store, path, cluster.address)
        killer.join()
        assert time.monotonic() - times[0] < GUARD
        assert tracked(store, "lost") == [("0", "KILLED")]
        assert eventually(lambda: not cluster.kernels(), PATIENCE)
    assert "distributed" not in capfd.readouterr().err


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "", "127.0.0.1:port"])
def test_a_scheduler_that_cannot_be_reached_is_one_sentence(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "ANSWER_SECONDS", 1)
    begin = time.monotonic()
    with pytest.raises(RunError, match=r"cannot be reached: .") as caught:
        DaskExecutor(tmp_path, address, 1).__enter__()
    assert time.monotonic() - begin < GUARD
    assert str(caught.value).startswith(f"scheduler {address}: ")
    assert "\n" not in str(caught.value)


def test_what_is_no_scheduler_is_one_sentence(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "ANSWER_SECONDS", 1)
    address = mlflow_server.replace("http", "tcp")
    begin = time.monotonic()
    with pytest.raises(RunError, match=r"cannot be reached: ."):
        DaskExecutor(tmp_path, address, 1).__enter__()
    assert time.monotonic() - begin < GUARD


def test_the_executor_and_its_scheduler_belong_together(project: Path) -> None:
    from typer.testing import CliRunner

    for options in (["--executor", "dask"], ["--scheduler", "tcp://127.0.0.1:1"]):
        done = CliRunner().invoke(app, ["sweep", "experiments/absent.yaml", *options])
        assert done.exit_code == 2
        assert done.stderr.splitlines() == [
            "mlsdm: sweep: --executor dask and --scheduler ADDRESS belong together"
        ]
