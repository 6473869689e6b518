from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import typer
from making import make_notebook
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from mlsdm.cli import app
from mlsdm.errors import RunError
from mlsdm.evidence.stated import targets
from mlsdm.project import default_store
from mlsdm.sweep.notebooks import find_notebook
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.plan import load_plan
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.schema import read_schema
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent
CELL = """n: int = 1  # events, in [1, 100]
label: str = ""
"""
RECORDS = """from mlsdm.record import record
record("a/n", n)
record("a/latency", 1.5, stated="latency.p50")
record("a/none", float("nan"))
"""
SLEEPS = """import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, sqlite_store: Store) -> Path:
    """A project with a store of its own, copied from one that exists: a fresh one is slow."""
    project = tmp_path_factory.mktemp("project")
    make_notebook(project / "notebooks" / "01-records.ipynb", CELL, RECORDS)
    make_notebook(project / "notebooks" / "02-fails.ipynb", "", "1 / 0")
    make_notebook(project / "notebooks" / "05-sleeps.ipynb", "", SLEEPS)
    (project / "experiments").mkdir()
    (project / "experiments" / "met.yaml").write_text(
        "question: Is it 2?\nnotebook: 01-records\nsweep: {n: [2]}\n"
        "thresholds: {a/n: {min: 2, max: 2}}"
    )
    (project / "experiments" / "missed.yaml").write_text(
        "notebook: 01-records\nsweep: {n: [1]}\nthresholds: {a/n: {min: 2}, a/none: {min: 0}}"
    )
    Store.open(project, default_store(project))
    return project


@pytest.fixture(autouse=True)
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def mlsdm(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from mlsdm.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["run"], "Missing argument"),
        (["run", "01", "--nope"], "--nope"),
        (["run", "01", "--cell-timeout", "0"], "Invalid value for '--cell-timeout'"),
        (["ui", "--port", "x"], "Invalid value for '--port'"),
        (["ui", "--port", "70000"], "Invalid value for '--port'"),
        (["run", "09"], "notebook: there is no '09'; known are 01-records"),
        (["run", "01", "-p", "n=0"], "01-records.n: must be int, in [1, 100] (got 0"),
        (["run", "01", "-p", "m=1"], "01-records.m: unknown parameter"),
        (["run", "01", "-p", "n"], "'n' must be written name=value"),
        (["params", "01-recards"], "there is no '01-recards'; did you mean '01-records'?"),
        (["sweep", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
        (["run", "01", "--project", "/"], "project: neither / nor a folder above it"),
        (["run", "01", "--store", "ftp://x"], "store: must be an SQLite file"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(arguments: list[str], sentence: str) -> None:
    result = mlsdm(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("mlsdm: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_store_that_cannot_be_opened_ends_with_1_and_one_line() -> None:
    result = mlsdm("run", "01", "--store", "nowhere/x.db")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "the folder" in result.stderr


@pytest.mark.parametrize("command", [[], ["reproduce"], ["run"], ["sweep"], ["params"], ["ui"]])
def test_help_has_examples(command: list[str]) -> None:
    result = mlsdm(*command, "--help")
    assert result.exit_code == 0
    assert "\n  Examples:\n    mlsdm " in result.stdout


def examples() -> list[str]:
    group = typer.main.get_command(app)
    helps = [group, *group.commands.values()]
    lines = [line.strip() for command in helps for line in (command.epilog or "").splitlines()]
    return [line for line in lines if line.startswith("mlsdm ")]


@pytest.mark.parametrize("example", examples())
def test_every_example_names_what_exists(example: str) -> None:
    _, command, *arguments = shlex.split(example)
    if command == "sweep":
        assert load_plan(ROOT / arguments[0], ROOT).runs
    elif command in ("run", "params"):
        schema = read_schema(find_notebook(arguments[0], ROOT, ROOT))
        given = [value for option, value in itertools.pairwise(arguments) if option == "-p"]
        assert len(schema.parse(given)) == len(given)
    else:
        assert mlsdm(command, "--help").exit_code == 0


def test_help_says_where_a_notebook_works() -> None:
    assert "a relative path in a parameter" in " ".join(mlsdm("run", "--help").stdout.split())


@pytest.mark.parametrize("command", [["reproduce"], ["run", "01"], ["sweep", "missed.yaml"]])
def test_a_cell_timeout_reaches_the_kernel(
    project: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    seen: list[object] = []

    def execute(*_: object, **options: object) -> None:
        seen.append(options["cell_timeout"])
        raise RunError("as planned")

    monkeypatch.setattr("mlsdm.sweep.execute.execute", execute)
    monkeypatch.chdir(project / "experiments")
    result = mlsdm(*command, "--cell-timeout", "7")
    assert (result.exit_code, seen) == (1, [7])
    assert result.stderr.endswith("mlsdm: as planned\n")


def test_without_a_command_the_help_is_shown() -> None:
    result = mlsdm()
    assert (result.exit_code, result.stderr) == (0, "")
    assert "reproduce" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    import mlsdm as package

    assert mlsdm("--version").stdout == f"mlsdm {package.__version__}\n"


def test_params_shows_names_types_defaults_and_meaning() -> None:
    result = mlsdm("params", "01")
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("│ n ")]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["n", "int", "1", "events, in [1, 100]"]


def test_a_run_is_tracked_and_says_where_to_look() -> None:
    result = mlsdm("run", "notebooks/01-records.ipynb", "-p", "n=7")
    assert result.exit_code == 0, result.output
    assert "[1/1] 01-records: started\n" in result.stderr
    assert "\r" not in result.stderr
    lines = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "a/" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["a/n", "7", "", "", ""],
        ["a/latency", "1.5", "ms", "< 10 ms", "met"],
        ["a/none", "not finite", "", "", ""],
    ]
    assert result.stdout.endswith("look: mlsdm ui\n")


def test_reproduce_judges_everything_stated_and_ends_with_1_if_a_notebook_failed() -> None:
    result = mlsdm("reproduce")
    assert result.exit_code == 1
    assert "[2/2] 02-fails: failed (cell 3: ZeroDivisionError: division by zero)" in result.stderr
    assert "mlsdm: 02-fails failed: cell 3: ZeroDivisionError" in result.stderr
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if line[0] == "│"]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells[0][:5] == [
        targets()["latency.p50"].statement,
        "< 10 ms",
        "1.5 ms",
        "met",
        "01-records",
    ]
    assert {row[3] for row in cells[1:]} == {"not measured"}
    assert f"1 of {len(cells)} stated targets and figures hold here" in result.stdout


def test_reproduce_without_notebooks_is_refused(tmp_path: Path) -> None:
    for folder in ("notebooks", "experiments"):
        (tmp_path / folder).mkdir()
    result = mlsdm("reproduce", "--project", str(tmp_path))
    assert result.exit_code == 2
    assert "holds no numbered notebook" in result.stderr


@pytest.mark.parametrize(
    ("options", "stems"), [([], ["01", "02"]), (["--all"], ["01", "02", "05"])]
)
def test_reproduce_takes_01_to_04_or_all_in_order(
    monkeypatch: pytest.MonkeyPatch, options: list[str], stems: list[str]
) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(
        "mlsdm.reproduce.run_all", lambda _, __, notebooks, **___: taken.extend(notebooks) or []
    )
    assert mlsdm("reproduce", *options).exit_code == 0
    assert [path.stem[:2] for path in taken] == stems


def test_ui_serves_the_store_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("mlsdm.ui.serve_ui", lambda *arguments: seen.extend(arguments))
    assert mlsdm("ui", "--port", "0", "--open", "--store", "x.db").exit_code == 0
    assert seen == [project, "x.db", 0, True]


def test_a_dry_run_shows_the_runs_and_opens_no_store(tmp_path: Path) -> None:
    store = tmp_path / "new.db"
    result = mlsdm("sweep", "experiments/met.yaml", "--dry-run", "--store", str(store))
    assert result.exit_code == 0
    assert "Is it 2?" in result.stdout
    assert "threshold: mean of a/n in [2, 2]" in result.stdout
    assert not store.exists()


def test_a_sweep_that_meets_its_thresholds_ends_with_0() -> None:
    result = mlsdm("sweep", "experiments/met.yaml", "--check")
    assert result.exit_code == 0, result.output
    assert "[1/1] n=2: finished in" in result.stderr


def test_a_missed_threshold_ends_with_1_only_if_it_is_to_be_checked() -> None:
    assert mlsdm("sweep", "experiments/missed.yaml").exit_code == 0
    result = mlsdm("sweep", "experiments/missed.yaml", "--check")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "mlsdm: missed.yaml: not met: a/n, a/none"
    assert "missing" in result.stdout


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_run_and_kernel(project: Path, number: signal.Signals) -> None:
    pid = project / "pid"
    pid.unlink(missing_ok=True)
    command = started("run", "05")
    while not (pid.exists() and pid.read_text()):
        assert command.poll() is None, command.communicate()
        time.sleep(0.05)
    command.send_signal(number)
    _, stderr = command.communicate(timeout=300)
    assert command.returncode == 130
    assert stderr.splitlines() == ["[1/1] 05-sleeps: started", "mlsdm: stopped"]
    assert not psutil.pid_exists(int(pid.read_text()))
    client = MlflowClient(tracking_uri=default_store(project))
    experiment = client.get_experiment_by_name("05-sleeps")
    newest = client.search_runs([experiment.experiment_id])[0]
    assert newest.info.status == "KILLED"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json; sys.argv = ['mlsdm', '--help']\n"
        "from mlsdm.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded & {"numpy", "pandas", "mlflow", "papermill", "numba", "nbformat"} == set()


class _Terminal:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_there_is_one_bar_over_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(2) as progress:
        progress.start("first")
        progress.cell(1, 2)
        progress.finish(RunOutcome("id1", "FINISHED", [], 1.0, "", "first", {}))
        progress.start("second")
        progress.finish(RunOutcome("id2", "FAILED", [], 2.0, "why", "second", {}))
    assert "25%" in terminal.text
    assert "50%" in terminal.text
    assert "[1/2] first: finished in 1.0 s, run id1\n" in terminal.text
    assert "[2/2] second: failed (why) after 2.0 s, run id2\n" in terminal.text
    assert "started" not in terminal.text
