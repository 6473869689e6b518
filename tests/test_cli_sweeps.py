from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import psutil
import pytest
from commands import make_project, mlsdm, table
from outcomes import outcome
from running import alive, eventually

from mlsdm.plan.plan import Plan
from mlsdm.project import default_store
from mlsdm.sweep.check import check
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.recorder import KEY
from mlsdm.sweep.sweeping import Choice, SweepOutcome, settings_of
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, sqlite_store: Store) -> Path:
    return make_project(tmp_path_factory.mktemp("a project"), sqlite_store)


@pytest.fixture(autouse=True)
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "experiments")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


class Ran:
    """Takes the place of `run_plan`: notes what it is given, and gives back `runs`."""

    def __init__(self) -> None:
        self.runs: list[RunOutcome] = []
        self.calls: list[tuple[Plan, Settings, Choice]] = []

    def __call__(
        self, store: Store, project: Path, plan: Plan, settings: Settings, choice: Choice
    ) -> SweepOutcome:
        self.calls.append((plan, settings_of(plan, settings), choice))
        return SweepOutcome("f" * 32, self.runs, check(plan.thresholds, self.runs), 1.0)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    instead = Ran()
    monkeypatch.setattr("mlsdm.sweep.sweeping.run_plan", instead)
    monkeypatch.setattr("mlsdm.sweep.driver.cores", lambda: 2)
    monkeypatch.setattr("mlsdm.sweep.driver.fork_server", contextlib.nullcontext)
    monkeypatch.setattr("mlsdm.sweep.sweeping.cores", lambda: 2)
    return instead


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what is in a folder, with sizes and times."""
    found = {p: p.stat() for p in folder.rglob("*")}
    return {str(p): (s.st_size, s.st_mtime_ns) for p, s in found.items()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sweep", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
        (["sweep", "."], "cannot be read: Is a directory"),
        (["sweep", "met.yaml", "--workers", "0"], "Invalid value for '--workers'"),
        (["sweep", "met.yaml", "--timeout", "-1"], "Invalid value for '--timeout': must be a nu"),
        (["sweep", "met.yaml", "--memory-limit", "much"], "such as '500 MB' or '2 GiB' (got 'mu"),
        (["sweep", "met.yaml", "--executor", "dask"], "--executor dask and --scheduler ADDRESS"),
        (["sweep", "met.yaml", "--scheduler", "tcp://x:1"], "belong together"),
        (["check", "met.yaml", "--baseline", "mett"], "nor a run 'mett'"),
        (["check", "met.yaml", "--baseline", "0" * 32], "there is neither an experiment nor a run"),
        (["check", "met.yaml", "--junit", "no/x.xml"], "sweep: --junit: there is no folder no "),
        (["check", "met.yaml", "--markdown", "."], "--markdown: must be a file, not a folder"),
        (["results", "nothing"], "there is neither an experiment nor a run 'nothing'"),
        (["results", "no/nothing.yaml"], "nor a run 'nothing'"),
        (["results", "met", "--out", "no/x.csv"], "results.out: there is no folder no (got no/x"),
        (["results", "met", "--to", "xlsx"], "Invalid value for '--to'"),
        (["new-experiment", "a/b"], "new-experiment.name: must be letters, digits"),
    ],
)
def test_bad_input_ends_with_2_and_one_line_before_anything_runs(
    ran: Ran, arguments: list[str], sentence: str
) -> None:
    result = mlsdm(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("mlsdm: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert ran.calls == []


@pytest.mark.parametrize("limit", ["--timeout", "--cell-timeout", "--memory-limit"])
def test_the_limits_of_an_option_come_before_those_of_the_plan(
    ran: Ran, project: Path, limit: str
) -> None:
    (project / "experiments" / "limited.yaml").write_text(
        "notebook: 01-records\ntimeouts: {cell: 5, notebook: 6}\nmemory_limit: 1 GB"
    )
    assert mlsdm("sweep", "limited.yaml", limit, "1000").exit_code == 0
    (_, settings, _) = ran.calls[0]
    given = {"cell_timeout": 5.0, "timeout": 6.0, "memory_limit": 10**9}
    given |= {limit.strip("-").replace("-", "_"): 1000}
    assert {name: getattr(settings, name) for name in given} == given


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ([], Choice()),
        (["--resume"], Choice()),
        (["--force"], Choice(force=True)),
        (["--retry-failed"], Choice(retry_failed=True)),
    ],
)
def test_by_default_only_what_is_lacking_is_made(
    ran: Ran, options: list[str], choice: Choice
) -> None:
    assert mlsdm("sweep", "met.yaml", *options).exit_code == 0
    assert ran.calls[0][2] == choice


def test_options_reach_the_driver(ran: Ran) -> None:
    options = ["--workers", "1", "--threads", "2", "--kernels", "stock", "--fail-fast"]
    assert mlsdm("sweep", "met.yaml", *options).exit_code == 0
    assert ran.calls[0][1] == Settings(workers=1, threads=2, warm=False, fail_fast=True)
    assert mlsdm("sweep", "met.yaml").exit_code == 0
    assert ran.calls[1][1] == Settings(workers=1, threads=1, warm=os.name == "posix")


def test_more_workers_than_cores_are_lowered_and_that_is_said(ran: Ran, tmp_path: Path) -> None:
    plan = ROOT / "experiments" / "smoke.yaml"
    result = mlsdm("sweep", plan, "--workers", "8", "--project", ROOT, "--store", tmp_path / "x.db")
    assert result.exit_code == 0, result.output
    line = "mlsdm: --workers 8 is lowered to 2 (2 runs, 2 cores, --threads 1)\n"
    assert result.stderr.startswith(line)  # the fresh store may be logged after it
    assert ran.calls[0][1].workers == 2
    shown = mlsdm("sweep", "sleeps.yaml", "--workers", "8", "--threads", "2", "--dry-run")
    assert "lowered to 1 (3 runs, 2 cores, 2 by the plan, --threads 2)" in shown.stderr
    assert mlsdm("sweep", "sleeps.yaml", "--workers", "2").stderr == ""


def test_a_dry_run_shows_the_runs_and_makes_no_store(tmp_path: Path, project: Path) -> None:
    before = state(project)
    store = tmp_path / "new.db"
    result = mlsdm("sweep", "met.yaml", "--dry-run", "--store", store)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Is it 2?" in result.stdout
    assert "threshold: a/n in [2, 2]\n" in result.stdout
    assert table(result.stdout) == [["1", "2", "to do"]]
    assert list(tmp_path.iterdir()) == []
    assert state(project) == before


@pytest.mark.parametrize(
    ("command", "code", "last"),
    [
        (["sweep", "missed.yaml"], 0, ""),
        (["sweep", "missed.yaml", "--check"], 1, "mlsdm: missed.yaml: not met: a/n, a/none"),
        (["check", "missed.yaml"], 1, "mlsdm: missed.yaml: not met: a/n, a/none"),
        (["check", "met.yaml"], 0, ""),
    ],
)
def test_a_missed_threshold_ends_with_1_only_if_it_is_to_be_checked(
    ran: Ran, tmp_path: Path, command: list[str], code: int, last: str
) -> None:
    met = {"a/n": 2.0} if "met.yaml" in command else {"a/n": 1.0}
    ran.runs = [outcome(met)]
    junit, markdown = tmp_path / "checks.xml", tmp_path / "summary.md"
    result = mlsdm(*command, "--junit", junit, "--markdown", markdown)
    assert result.exit_code == code, result.output
    assert result.stderr == (f"{last}\n" if last else "")
    assert (
        {"met"}
        if last == ""
        else {"not met", "missing"} >= {row[-1] for row in table(result.stdout)}
    )
    failures = int(ElementTree.parse(junit).getroot().attrib["failures"])
    assert failures == (0 if "met.yaml" in command else 2)
    verdict = "passed" if "met.yaml" in command else "failed"
    assert markdown.read_text().splitlines()[0].endswith(verdict)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checks.xml", "summary.md"]


def test_failed_runs_end_with_1_and_the_reports_are_written(ran: Ran, tmp_path: Path) -> None:
    failed = outcome(status="FAILED", run_id="abc", title="n=1", earlier=True)
    ran.runs = [failed] * 12 + [outcome(status="KILLED"), outcome()]
    junit = tmp_path / "checks.xml"
    result = mlsdm("sweep", "fails.yaml", "--junit", junit)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert (
        lines[:10] == ["mlsdm: 02-moral (n=1) failed: ValueError: no luck (cell 3) (run abc)"] * 10
    )
    assert lines[10:] == [
        "mlsdm: 2 more runs failed",
        "mlsdm: what had failed before was left alone; --retry-failed makes it again",
        "mlsdm: 1 of 14 runs were called off, or not made",
    ]
    assert ElementTree.parse(junit).getroot().attrib["failures"] == "12"
    ran.runs = [replace(failed, earlier=False)]
    assert "--retry-failed" not in mlsdm("sweep", "fails.yaml").stderr


def test_worse_than_the_baseline_ends_with_1_and_is_looked_up_before(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [outcome({"a/n": n, "a/gone": 1.0}, seed=int(n)) for n in (3.0, 4.0, 5.0)]
    asked: list[str] = []

    def sweep_of(_: Store, which: str, but: str) -> Any:
        assert ran.calls == []
        assert len(but) == 32
        asked.append(which)
        return None, old

    monkeypatch.setattr("mlsdm.sweep.recorded.sweep_of", sweep_of)
    ran.runs = [outcome({"a/n": n}, seed=int(n) + 2) for n in (1.0, 2.0, 3.0)]
    result = mlsdm("check", "missed.yaml", "--baseline", "experiments/missed.yaml")
    assert (result.exit_code, asked) == (1, ["missed"])
    assert result.stderr.endswith("; worse than the baseline, or gone: a/n\n")
    assert [row[-1] for row in table(result.stdout)][-2:] == ["only in the baseline", "worse"]
    assert "0 the same as in the baseline, 2 not\n" in result.stdout
    ran.calls.clear()
    assert mlsdm("sweep", "missed.yaml", "--baseline", "f" * 32).exit_code == 0
    assert asked[-1] == "f" * 32


def test_a_sweep_from_end_to_end(project: Path) -> None:
    stock = ("--kernels", "stock")
    assert table(mlsdm("sweep", "met.yaml", "--dry-run").stdout) == [["1", "2", "to do"]]
    result = mlsdm("check", "met.yaml", *stock)
    assert result.exit_code == 0, result.output
    assert "[1/1] n=2: finished in" in result.stderr
    assert ["a/n", "n=2", "2", "1", "in [2, 2]", "met"] in table(result.stdout)
    (sweep,) = re.findall(r"^sweep: (\w+)$", result.stdout, re.MULTILINE)

    before = state(project)
    shown = mlsdm("sweep", "met.yaml", "--dry-run")
    assert table(shown.stdout) == [["1", "2", "done"]]
    assert "estimate: nothing is left to do\n" in shown.stdout
    assert state(project) == before
    result = mlsdm("check", "met.yaml", "--baseline", "met")  # of a name, another one is meant
    assert (result.exit_code, "holds no other sweep" in result.stderr) == (2, True)
    again = mlsdm("check", "met.yaml", *stock, "--baseline", sweep)
    assert (again.exit_code, again.stderr) == (0, "")
    assert "1 in the store already" in again.stdout
    assert re.search(r"^\d+ the same as in the baseline, 0 not$", again.stdout, re.MULTILINE)

    for which, option in (("met", "csv"), ("met.yaml", "csv"), (sweep, "parquet")):
        table_file = project / f"out.{option}"
        written = mlsdm("results", which, "--to", option, "--out", table_file)
        assert (written.exit_code, written.stderr) == (0, "")
        assert written.stdout == f"1 of 1 run finished in the sweep {sweep}: {table_file}\n"
        read = pd.read_csv if option == "csv" else pd.read_parquet
        frame = read(table_file)
        assert (frame["params.n"].tolist(), frame["metrics.a/n"].tolist()) == ([2], [2.0])
    assert mlsdm("results", "met.yaml").stdout.endswith(": met.csv\n")


def test_a_failed_run_is_told_with_its_cause_and_left_alone_the_next_time() -> None:
    result = mlsdm("sweep", "fails.yaml", "--kernels", "stock")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert re.fullmatch(r"mlsdm: 02-fails \(n=1\) failed: cell 4: Zero.* \(run \w{32}\)", last)
    again = mlsdm("sweep", "fails.yaml")
    assert again.exit_code == 1
    assert again.stderr.splitlines() == [
        last,
        "mlsdm: what had failed before was left alone; --retry-failed makes it again",
    ]


def test_a_new_experiment_outside_any_project_runs_as_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ran: Ran
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = mlsdm("new-experiment", "decay")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("belongs to no project; give --folder, such as --folder .\n")
    assert list(tmp_path.iterdir()) == []
    result = mlsdm("new-experiment", "decay", "--folder", "my research")
    assert (result.exit_code, result.stderr) == (0, "")
    _, _, command = result.stdout.rpartition("run it: mlsdm ")
    assert mlsdm(*shlex.split(command), "--dry-run").exit_code == 0
    assert ran.calls == []
    assert mlsdm(*shlex.split(command)).exit_code == 0
    assert (ran.calls[0][0].name, len(ran.calls[0][0].runs)) == ("decay", 30)
    assert (tmp_path / "my research" / "mlflow.db").is_file()
    twice = mlsdm("new-experiment", "decay", "--folder", "my research")
    assert (twice.exit_code, "is there already" in twice.stderr) == (2, True)


def test_a_new_experiment_belongs_to_the_project_it_is_made_in(project: Path) -> None:
    result = mlsdm("new-experiment", "own")
    plan = project / "experiments" / "own.yaml"
    assert result.stdout.endswith(f"run it: mlsdm sweep {shlex.quote(str(plan))}\n")
    assert (project / "notebooks" / "own.ipynb").is_file()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notebooks").touch()
    result = mlsdm("new-experiment", "own", "--folder", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == f"mlsdm: {tmp_path / 'notebooks'}: File exists\n"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("number", "kernels"), [(signal.SIGINT, "stock"), (signal.SIGTERM, "warm")]
)
def test_a_signal_ends_all_processes_and_leaves_true_states(
    project: Path, number: signal.Signals, kernels: str
) -> None:
    busy = project / "busy"
    busy.unlink(missing_ok=True)
    plan = f"{kernels}.yaml"
    (project / "experiments" / plan).write_text(Path("sleeps.yaml").read_text())
    start = "from mlsdm.cli import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", start, "sweep", plan, "--kernels", kernels],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert eventually(lambda: busy.exists() or command.poll() is not None, 120)
    assert command.poll() is None, command.communicate()
    children = [p.pid for p in psutil.Process(command.pid).children(recursive=True)]
    assert len(children) >= 2  # a worker and a kernel at least
    if number == signal.SIGINT:
        os.killpg(command.pid, number)  # as a terminal does
    else:
        command.send_signal(number)
    _, stderr = command.communicate(timeout=120)
    assert (command.returncode, stderr.splitlines()[-1]) == (130, "mlsdm: stopped")
    assert "Traceback" not in stderr
    assert eventually(lambda: not any(map(alive, children)))
    store = Store.open(project, default_store(project))
    found = store.find(kernels, {})
    assert {run.status for run in found} == {"KILLED"}
    assert {KEY in run.tags for run in found} == {True, False}  # runs, and the sweep as a whole


def test_a_plan_is_found_by_its_name_and_from_outside_of_its_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    by_name = mlsdm("sweep", "met", "--dry-run")
    assert by_name.exit_code == 0, by_name.output
    monkeypatch.chdir(tmp_path)
    outside = mlsdm("sweep", project / "experiments" / "met.yaml", "--dry-run")
    assert (outside.exit_code, outside.stdout) == (0, by_name.stdout)
    absent = mlsdm("sweep", "met", "--project", project / "experiments", "--dry-run")
    assert absent.exit_code == 0, absent.output
    assert mlsdm("sweep", "mett", "--project", project, "--dry-run").exit_code == 2
