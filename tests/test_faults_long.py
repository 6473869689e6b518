"""The same, for minutes: at every moment, with servers, and with a random choice of moments."""

from __future__ import annotations

import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults import Project, ended, projects, until

from mlsdm.project import default_store
from mlsdm.tracking import Store
from mlsdm.ui import Server, server

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
]
Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, sqlite_store: Store) -> Iterator[Make]:
    yield from projects(tmp_path, sqlite_store.project / "mlflow.db")


# A sweep in a forked child, whose workers need no time and whose writing is disturbed at one call.
MOMENTS = """
import os, signal, sys, time
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from contextlib import contextmanager
from pathlib import Path
import mlflow, nbformat, pandas
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlsdm.execution.pool import Done, Started
from mlsdm.execution.task import Result
from mlsdm.execution.worker import save
from mlsdm.plan.plan import load_plan
from mlsdm.sweep import driver
from mlsdm.sweep.sweeping import run_plan
from mlsdm.tracking import Store
import mlsdm.tracking.store, mlsdm.sweep.aggregate, mlsdm.sweep.table

WRITING = {"create_run", "log_batch", "log_artifacts", "set_terminated", "update_run", "delete_tag"}

class Client:
    def __init__(self, client, mode, moment):
        self.client, self.mode, self.moment, self.calls = client, mode, moment, 0

    def __getattr__(self, name):
        call = getattr(self.client, name)
        if name not in WRITING:
            return call
        def disturbed(*arguments, **options):
            self.calls += 1
            now = self.calls == self.moment
            if now and self.mode == "kill before":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.mode == "refuse once" and now:
                raise OSError(28, "No space left on device")
            if self.mode == "refuse on" and self.calls >= self.moment:
                raise OSError(28, "No space left on device")
            if self.mode == "interrupt twice" and self.calls in (self.moment, self.moment + 1):
                os.kill(os.getpid(), signal.SIGINT)
            answer = call(*arguments, **options)
            if now and self.mode == "kill after":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        return disturbed

class Workers:
    def __init__(self, spool, folder):
        self.spool, self.folder, self.tasks = spool, folder, []

    def submit(self, task):
        self.tasks.append(task)

    def stop(self):
        self.tasks.clear()

    def events(self):
        while self.tasks:
            task = self.tasks.pop(0)
            yield Started(task.key)
            n = task.parameters["n"]
            text = (self.folder.parent / f"executed-{n}.ipynb").read_text()
            path = self.spool / f"{task.key}.json"
            save(Result(task.key, text, time.time(), 0.0, None, None), path)
            with open(self.folder / f"ran-{n}", "a") as log:
                log.write("x")
            yield Done(task.key, path)

def sweep(folder, mode, moment):
    @contextmanager
    def executor(settings, spool):
        yield Workers(spool, folder)
    driver.executor = executor
    store = Store.open(folder, None)
    store._client = client = Client(store._client, mode, moment)
    plan = load_plan(folder / "experiments" / "e.yaml", folder)
    code = 0
    try:
        run_plan(store, folder, plan)
    except KeyboardInterrupt:
        code = 2
    except driver.MlsdmError:
        code = 1
    return code if client.calls >= moment or code else 3

for line in sys.stdin:
    folder, mode, moment = line.rstrip().split("|")
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        code = 99
        try:
            code = sweep(Path(folder), mode, int(moment))
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
EXPECTED = {
    "kill before": {-9},
    "kill after": {-9},
    "refuse once": {0, 1},
    "refuse on": {1},
    "interrupt twice": {0, 2},
}


class Moments:
    """Sweeps in forked children of one process that has imported everything."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MOMENTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sweep(self, project: Project, mode: str, moment: int) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(project.folder, mode, moment, sep="|", file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def moments() -> Iterator[Moments]:
    made = Moments()
    with made.process:
        yield made


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, sqlite_store: Store) -> Iterator[Path]:
    """The folder with the notebooks of an undisturbed sweep."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for make in projects(folder, sqlite_store.project / "mlflow.db"):
        project = make()
        assert project.sweep(project.plan([1, 2])).returncode == 0
        project.check([1, 2])
        for run in project.children():
            n = int(run.data.metrics["a/n"])
            with tempfile.TemporaryDirectory() as aside:
                found = project.client.download_artifacts(run.info.run_id, "tiny.ipynb", aside)
                (folder / f"executed-{n}.ipynb").write_bytes(Path(found).read_bytes())
        yield folder


@pytest.mark.parametrize("mode", EXPECTED)
def test_wherever_the_writing_is_cut_short_the_next_start_completes_it(
    tmp_path: Path, make: Make, executed: Path, moments: Moments, mode: str
) -> None:
    for path in executed.glob("executed-*.ipynb"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    choice, codes = random.Random(mode), set()
    for moment in range(1, 100):
        project = make(str(moment))
        project.plan([1, 2])
        code = moments.sweep(project, mode, moment)
        if code == 3:  # it had ended by then
            break
        codes.add(code)
        assert code in EXPECTED[mode], moment
        ran = [n for n in (1, 2) if project.ran(n)]
        again = moments.sweep(project, mode, choice.randint(1, 15))
        assert again in {*EXPECTED[mode], 3}, moment
        assert moments.sweep(project, "", 0) == 0, moment
        project.check([1, 2])
        # What was executed is not executed again.
        assert all(project.ran(n) == 1 for n in ran), (moment, ran)
    assert moment > 12
    assert codes & {-9, 1, 2}


def test_a_driver_killed_at_random_moments_loses_nothing(make: Make) -> None:
    values, choice = range(1, 9), random.Random(1)
    project = make()
    plan = project.plan(values)
    begin = time.monotonic()
    assert project.sweep(plan).returncode == 0
    length = time.monotonic() - begin
    project.check(values)
    undisturbed = results(project)
    killed, disturbed = 0, make("disturbed")
    plan = disturbed.plan(values)
    for number in range(10):
        process = disturbed.start(plan)
        try:
            ended(process, choice.uniform(0.3 + number / 20, 1) * length)
        except subprocess.TimeoutExpired:
            disturbed.kill(process)
            killed += 1
        else:  # it was complete: once more from nothing
            disturbed.check(values)
            assert results(disturbed) == undisturbed
            disturbed = make(f"disturbed-{number}")
            plan = disturbed.plan(values)
    assert disturbed.sweep(plan).returncode == 0
    disturbed.check(values)
    assert results(disturbed) == undisturbed
    assert killed >= 3


def results(project: Project) -> dict[str, dict[str, float]]:
    """Return the metrics by the parameters, without what the machine has a part in."""
    return {
        run.data.params.get("n", "1"): {
            name: value for name, value in run.data.metrics.items() if name.startswith("a/")
        }
        for run in project.children()
        if run.info.status == "FINISHED"
    }


def appeared(project: Project) -> dict[str, Callable[[], object]]:
    def statuses() -> list[str]:
        return [run.info.status for run in project.children()]

    return {
        "the parent run": project.parents,
        "the first run": project.children,
        "a result": project.spooled,
        "the last run's end": lambda: statuses() == ["FINISHED"] * 3,
        "the table of the runs": lambda: list(project.folder.rglob("runs.csv")),
    }


APPEARED = ["the parent run", "the first run", "a result"]
LATE = ["the last run's end", "the table of the runs"]


@pytest.mark.parametrize(
    ("what", "how"),
    # Killed later than that it is above, at every call.
    [(what, signal.SIGKILL) for what in APPEARED]
    + [(what, signal.SIGINT) for what in ["a result", *LATE]],
)
def test_a_driver_ended_as_soon_as_something_appears(
    make: Make, what: str, how: signal.Signals
) -> None:
    project = make()
    plan = project.plan([1, 2, 3])
    process = project.start(plan)
    seen = appeared(project)[what]
    while not seen() and process.poll() is None:
        time.sleep(0.001)
    if how is signal.SIGKILL:
        project.kill(process)
    else:
        process.send_signal(how)
        said = ended(process, 60)
        # At the very end it may come too late, or find Python at its own end.
        assert said.returncode in ({130} if what in APPEARED else {130, 0, -how}), said
        project.still()
        assert {run.info.status for run in project.runs()} <= {"FINISHED", "KILLED"}
    assert project.sweep(plan).returncode == 0
    project.check([1, 2, 3])


@pytest.mark.parametrize("pause", [0.0, 0.3])
@pytest.mark.parametrize("moment", ["workers", "kernels"])
def test_ctrl_c_twice_ends_at_once_and_the_next_start_goes_on(
    make: Make, moment: str, pause: float
) -> None:
    project = make()
    plan = project.plan([1, 2, 3])
    project.hold(1, 2)
    process = project.start(plan)
    if moment == "workers":
        until(lambda: project.workers, process)
    else:
        until(lambda: project.ran(1) and project.ran(2), process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(pause)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    said = ended(process, 20)
    assert said.returncode in (130, -signal.SIGINT), said
    project.still()
    project.let_go(1, 2)
    assert project.sweep(plan).returncode == 0
    project.check([1, 2, 3])


def test_a_closed_terminal_ends_a_sweep_as_ctrl_c_does(make: Make) -> None:
    project = make()
    plan = project.plan([1, 2])
    project.hold(1)
    ours, theirs = pty.openpty()
    process = project.start(plan, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    until(lambda: project.ran(1), process)
    os.close(ours)
    os.killpg(process.pid, signal.SIGHUP)  # as the terminal's own session gets it
    process.wait(30)
    project.still()
    assert {run.info.status for run in project.runs()} <= {"FINISHED", "KILLED"}
    project.let_go(1)
    assert project.sweep(plan).returncode == 0
    project.check([1, 2])


def test_sweeps_started_at_once_on_no_store_do_not_meet(make: Make) -> None:
    project = make()
    (project.folder / "mlflow.db").unlink()
    one, other = project.plan([1, 2]), project.plan([3, 4], "f")
    said = [ended(process) for process in [project.start(plan) for plan in (one, one, other)]]
    assert [each.returncode for each in said] == [0, 0, 0]
    assert sum("waiting for another process that runs e in " in each.stderr for each in said) == 1
    assert [project.ran(n) for n in (1, 2, 3, 4)] == [1] * 4
    assert [len(project.parents(name)) for name in ("e", "f")] == [1, 1]
    project.check([1, 2])
    project.check([3, 4], "f")


def test_results_of_a_dead_driver_are_kept_once_by_two_that_start_at_once(
    make: Make, executed: Path, moments: Moments, tmp_path: Path
) -> None:
    for path in executed.glob("executed-*.ipynb"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    project = make()
    plan = project.plan([1, 2])
    assert moments.sweep(project, "refuse on", 4) == 1
    assert len(project.spooled()) == 2
    said = [ended(p) for p in [project.start(plan), project.start(project.plan([3], "f"))]]
    assert [each.returncode for each in said] == [0, 0], said
    assert [project.ran(n) for n in (1, 2, 3)] == [1, 1, 1]
    project.check([1, 2])
    project.check([3], "f")


def serving(folder: Path, port: int = 0) -> Any:
    destination = ["--artifacts-destination", (folder / "files").as_uri()]
    return server(["--backend-store-uri", default_store(folder), *destination], folder, port)


def kill_server(running: Server) -> None:
    os.killpg(running._process.pid, signal.SIGKILL)
    running._process.wait()


@pytest.fixture
def served(tmp_path: Path, sqlite_store: Store) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    fresh = (sqlite_store.project / "mlflow.db").read_bytes()
    (folder / "mlflow.db").write_bytes(fresh)
    return folder


def test_a_server_may_be_away_for_a_while(make: Make, served: Path) -> None:
    with serving(served) as first:
        port = int(first.address.rpartition(":")[2])
        project = make(store=first.address)
        plan = project.plan(range(1, 7))
        project.hold(3, 4)
        process = project.start(plan)
        until(lambda: project.ran(3) and project.ran(4), process)
        kill_server(first)
    project.let_go(3, 4)
    time.sleep(20)
    assert process.poll() is None
    with serving(served, port):
        said = ended(process)
        assert (said.returncode, said.stderr.count("mlsdm: ")) == (0, 0), said
        assert [project.ran(n) for n in range(1, 7)] == [1] * 6
        project.check(range(1, 7))


def test_a_server_that_is_gone_ends_the_sweep_and_no_result_is_lost(
    make: Make, served: Path
) -> None:
    with serving(served) as first:
        port = int(first.address.rpartition(":")[2])
        project = make(store=first.address)
        plan = project.plan(range(1, 5))
        project.hold(2, 3)
        process = project.start(plan)
        until(lambda: project.ran(2) and project.ran(3), process)
        kill_server(first)
    begin = time.monotonic()
    project.let_go(2, 3)
    said = ended(process, 300)
    print(f"a server that is gone: {time.monotonic() - begin:.0f} s")
    assert said.returncode == 1
    *_, last = said.stderr.splitlines()
    assert last.startswith(f"mlsdm: store {project.uri}: ")
    assert "Traceback" not in said.stderr
    assert time.monotonic() - begin < 150
    project.still()
    assert project.spooled()
    with serving(served, port):
        assert project.sweep(plan).returncode == 0
        assert [project.ran(n) for n in (1, 2, 3)] == [1, 1, 1]
        project.check(range(1, 5))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder for a project's files, on a file system of its own."""
    folder = tmp_path / "p" / "mlartifacts"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_ends_the_sweep_and_no_result_is_lost(small_disk: Path, make: Make) -> None:
    project = make()
    project.hold(2)
    plan = project.plan([1, 2])
    process = project.start(plan, "--workers", "1", "--kernels", "stock")
    until(lambda: project.ran(2), process)
    until(lambda: "FINISHED" in {run.info.status for run in project.children()}, process)
    fill(small_disk / "filler")
    project.let_go(2)
    said = ended(process)
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith(f"mlsdm: store {project.uri}: [Errno 28] No ")
    assert "Traceback" not in said.stderr
    project.still()
    statuses = {int(r.data.params.get("n", 1)): r.info.status for r in project.children()}
    assert statuses == {1: "FINISHED", 2: "FAILED"}
    (parent,) = project.parents()
    assert parent.info.status == "FAILED"
    assert project.spooled()
    (small_disk / "filler").unlink()
    assert project.sweep(plan).returncode == 0
    assert (project.ran(1), project.ran(2)) == (1, 1)
    project.check([1, 2])
