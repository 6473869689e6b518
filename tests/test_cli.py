from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from audit_rows import audit_table
from commands import make_project, mlsdm, table
from outcomes import outcome
from reporting import add_run

from mlsdm.cli.common import complain
from mlsdm.errors import ParameterError, RunError
from mlsdm.plan.notebooks import find_notebook
from mlsdm.plan.plan import load_plan
from mlsdm.plan.schema import read_schema
from mlsdm.record import Record
from mlsdm.report.audit import AUDIT
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.rerun import Difference, Rerun
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent
Given = list[tuple[list[tuple[Path, dict[str, Any]]], Settings]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, sqlite_store: Store) -> Path:
    return make_project(tmp_path_factory.mktemp("project"), sqlite_store)


@pytest.fixture(autouse=True)
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What the commands ask to be run; nothing is."""
    seen: Given = []

    def run_notebooks(_: Store, __: Path, notebooks: Any, settings: Settings) -> list[RunOutcome]:
        seen.append((notebooks, settings))
        return [outcome(notebook=path.stem, title=path.stem) for path, _ in notebooks]

    monkeypatch.setattr("mlsdm.sweep.runs.run_notebooks", run_notebooks)
    return seen


def raises(error: BaseException) -> Callable[..., Any]:
    def do(*_: object, **__: object) -> Any:
        raise error

    return do


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["run"], "Missing argument"),
        (["run", "01", "--nope"], "--nope"),
        (["run", "01", "--cell-timeout", "0"], "Invalid value for '--cell-timeout': must be a nu"),
        (["run", "01", "--timeout", "nan"], "above 0 and at most a year (got nan)"),
        (["run", "01", "--timeout", "soon"], "above 0 and at most a year (got 'soon')"),
        (
            ["run", "01", "--memory-limit", "2 GiBs"],
            "Invalid value for '--memory-limit': must be b",
        ),
        (["run", "01", "--memory-limit", "0"], "or text such as '500 MB' or '2 GiB' (got 0)"),
        (["ui", "--port", "x"], "Invalid value for '--port'"),
        (["ui", "--port", "70000"], "Invalid value for '--port'"),
        (["run", "09"], "notebook: there is no '09'; known are 01-records"),
        (["run", "01", "-p", "n=0"], "01-records.n: must be int, in [1, 100] (got 0"),
        (["run", "01", "-p", "m=1"], "01-records.m: unknown parameter"),
        (["run", "01", "-p", "n"], "'n' must be written name=value"),
        (["params", "01-recards"], "there is no '01-recards'; did you mean '01-records'?"),
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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "01", "--store", "nowhere/x.db"], "the folder"),
        (["rerun", "0" * 32], "0" * 32),
    ],
)
def test_trouble_with_the_store_ends_with_1_and_one_line(
    arguments: list[str], sentence: str
) -> None:
    result = mlsdm(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("mlsdm: store ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def noted(error: BaseException, note: str) -> BaseException:
    error.add_note(note)
    return error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RunError("it\nfailed"), 1, "mlsdm: it failed\n"),
        (noted(RunError("no"), "Afterwards: nor then"), 1, "mlsdm: no. Afterwards: nor then\n"),
        (ParameterError("a.b: is bad"), 2, "mlsdm: a.b: is bad\n"),
        (PermissionError(13, "Permission denied", "x.db"), 1, "mlsdm: x.db: Permission denied\n"),
        (OSError("strange"), 1, "mlsdm: strange\n"),
        (KeyboardInterrupt(), 130, "mlsdm: stopped\n"),
        (noted(KeyboardInterrupt(), "It goes on"), 130, "mlsdm: stopped. It goes on\n"),
    ],
)
def test_every_end_has_its_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    monkeypatch.setattr("mlsdm.sweep.runs.run_notebooks", raises(error))
    result = mlsdm("run", "01")
    assert (result.exit_code, result.stderr) == (code, line)


def test_a_complaint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("one\n  two\tthree")
    assert capsys.readouterr() == ("", "mlsdm: one two three\n")


def test_output_that_nobody_reads_any_more_makes_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from mlsdm.cli import main; main()", "params", "01"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


COMMANDS = ("reproduce", "run", "rerun", "params", "sweep", "check", "results", "new-experiment")


@pytest.mark.parametrize("command", ["", *COMMANDS, "bench", "ui"])
def test_help_has_examples(command: str) -> None:
    result = mlsdm(*command.split(), "--help")
    assert result.exit_code == 0
    assert "\n  Examples:\n    mlsdm " in result.stdout


def test_the_list_of_commands_cuts_no_sentence() -> None:
    output = mlsdm("--help").stdout
    lines = output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == [*COMMANDS, "report", "bench", "ui", "serve"]
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def group() -> Any:
    from mlsdm.cli import app

    return typer.main.get_command(app)


def examples() -> list[str]:
    helps = [group(), *group().commands.values()]
    lines = [line.strip() for command in helps for line in (command.epilog or "").splitlines()]
    return [line for line in lines if line.startswith("mlsdm ")]


@pytest.mark.parametrize("example", examples())
def test_every_example_names_what_exists(example: str) -> None:
    _, command, *arguments = shlex.split(example)
    assert group().commands[command].make_context(command, list(arguments))
    if command in ("sweep", "check"):
        assert load_plan(ROOT / arguments[0], ROOT).runs
    elif command in ("run", "params"):
        schema = read_schema(find_notebook(arguments[0], ROOT, ROOT))
        given = [value for option, value in itertools.pairwise(arguments) if option == "-p"]
        assert len(schema.parse(given)) == len(given)


def test_help_says_where_a_notebook_works() -> None:
    assert "a relative path in a parameter" in " ".join(mlsdm("run", "--help").stdout.split())


def test_without_a_command_the_help_is_shown() -> None:
    result = mlsdm()
    assert (result.exit_code, result.stderr) == (0, "")
    assert "reproduce" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    import mlsdm as package

    assert mlsdm("--version").stdout == f"mlsdm {package.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json; sys.argv = ['mlsdm', '--help']\n"
        "from mlsdm.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"numpy", "pandas", "mlflow", "papermill", "numba", "nbformat", "pydantic"}
    assert loaded & heavy == set()


def test_params_shows_names_what_is_allowed_defaults_and_meaning() -> None:
    result = mlsdm("params", "01")
    assert result.exit_code == 0
    assert table(result.stdout) == [
        ["n", "int, in [1, 100]", "1", "events, in [1, 100]"],
        ["label", "str", "''", ""],
    ]


def test_a_run_is_tracked_and_says_where_to_look() -> None:
    result = mlsdm("run", "notebooks/01-records.ipynb", "-p", "n=7")
    assert result.exit_code == 0, result.output
    assert "[1/1] n=7: started\n" in result.stderr
    assert "\r" not in result.stderr
    assert table(result.stdout) == [
        ["a/n", "7", "", "", ""],
        ["a/latency", "1.5", "ms", "< 10 ms", "met"],
        ["a/none", "not finite", "", "", ""],
    ]
    assert result.stdout.endswith("look: mlsdm ui\n")
    run_id = result.stderr.split()[-1]
    again = mlsdm("rerun", run_id)
    assert again.exit_code == 0, again.output
    assert "3 of 3 results came out the same, to the last bit\n" in again.stdout


def test_limits_reach_the_run(ran: Given) -> None:
    options = ("--cell-timeout", "7", "--timeout", "70.5", "--memory-limit", "2 GiB")
    assert mlsdm("run", "02", *options).exit_code == 0
    (([(path, values)], settings),) = ran
    assert (path.stem, values) == ("02-fails", {})
    assert settings == Settings(cell_timeout=7.0, timeout=70.5, memory_limit=2**31)


@pytest.mark.parametrize(
    ("size", "number"), [("1000", 1000), ("500 MB", 500_000_000), ("1.5 KiB", 1536)]
)
def test_a_memory_limit_is_written_as_in_a_sweep_file(ran: Given, size: str, number: int) -> None:
    assert mlsdm("run", "01", "--memory-limit", size).exit_code == 0
    assert ran[0][1].memory_limit == number


def test_what_to_type_next_can_be_typed_as_it_stands(
    ran: Given, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    store = project / "another one.db"
    Path(store).write_bytes((project / "mlflow.db").read_bytes())
    result = mlsdm("run", "01", "--project", project, "--store", store)
    _, _, command = result.stdout.rpartition("look: mlsdm ")
    context = group().commands["ui"].make_context("ui", shlex.split(command)[1:])
    assert Path(context.params["project"]) == project
    assert context.params["store"] == f"sqlite:///{store}"


def test_reproduce_runs_every_notebook_and_ends_with_1_if_one_failed() -> None:
    result = mlsdm("reproduce", "--cell-timeout", "60")
    assert result.exit_code == 1
    assert "[2/2] 02-fails: failed (cell 4: ZeroDivisionError: division by zero)" in result.stderr
    assert "mlsdm: 02-fails failed: cell 4: ZeroDivisionError" in result.stderr


def test_reproduce_ends_with_the_claims_of_the_notebook_that_audits_them(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    run = add_run(Store.open(project), audit_table())
    audited = outcome(run_id=run, records=[Record("table", AUDIT, columns=("id",))])
    monkeypatch.setattr("mlsdm.sweep.runs.run_notebooks", lambda *_: [outcome(), audited])
    result = mlsdm("reproduce", "--project", project)
    assert result.exit_code == 0
    assert [row[0] for row in table(result.stdout)] == list(audit_table()["id"])
    assert " not testable here\n" in result.stdout


def test_reproduce_without_notebooks_is_refused(tmp_path: Path) -> None:
    for folder in ("notebooks", "experiments"):
        (tmp_path / folder).mkdir()
    result = mlsdm("reproduce", "--project", tmp_path)
    assert result.exit_code == 2
    assert "holds no numbered notebook" in result.stderr


@pytest.mark.parametrize(
    ("options", "stems"), [([], ["01", "02"]), (["--all"], ["01", "02", "17"])]
)
def test_reproduce_takes_01_to_05_or_all_in_order(
    ran: Given, options: list[str], stems: list[str]
) -> None:
    assert mlsdm("reproduce", *options).exit_code == 0
    assert [path.stem[:2] for path, _ in ran[0][0]] == stems


@pytest.mark.parametrize(
    ("status", "differing", "code"),
    [
        ("FINISHED", [], 0),
        ("FINISHED", [Difference("x", "1.0", "2.0")], 1),
        ("FAILED", [], 1),
    ],
)
def test_rerun_ends_with_1_unless_all_came_out_the_same(
    monkeypatch: pytest.MonkeyPatch, status: Any, differing: list[Difference], code: int
) -> None:
    again = Rerun(outcome(status=status), 3, differing, ["the data are others"])
    monkeypatch.setattr("mlsdm.sweep.rerun.rerun", lambda *_: again)
    result = mlsdm("rerun", "1" * 32)
    assert result.exit_code == code
    assert "not as it was: the data are others\n" in result.stdout
    assert table(result.stdout) == [[d.name, d.then, d.now] for d in differing]


def test_ui_serves_the_store_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("mlsdm.ui.serve_ui", lambda *arguments: seen.extend(arguments))
    assert mlsdm("ui", "--port", "0", "--open", "--store", "x.db").exit_code == 0
    assert seen == [project, "x.db", 0, True]
