"""The command, and what it leaves: a table, JSON, Markdown, a run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from commands import mlsdm, table
from mlflow import MlflowClient
from test_bench_figures import TINY

from mlsdm.bench import measure
from mlsdm.bench.cases import CASES
from mlsdm.bench.table import BEGIN, COLUMNS, END, inserted
from mlsdm.errors import ParameterError
from mlsdm.sweep.view import VIEW
from mlsdm.tracking import Store

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NAMES = [case.name for case in CASES]
ONE = ("--quick", "--only", "retrieve")


@pytest.fixture(autouse=True)
def _tiny(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "QUICK", TINY)
    monkeypatch.chdir(store.project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_all_figures_are_shown_and_kept_as_a_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    result = mlsdm("bench", "--quick")
    assert result.exit_code == 0, result.stderr
    rows = {row[0]: row for row in table(result.stdout)}
    assert list(rows) == NAMES
    assert rows["retrieve_flat"][3] == "faiss: is not installed; pip install mlsdm[bench]"
    assert re.fullmatch(r"[\d.]+ \[[\d., ]+\] times as fast", rows["retrieve"][3])
    assert result.stderr.splitlines()[0] == f"1/{len(NAMES)} simulate"

    (run,) = store.find("bench", {})
    assert f"run: {run.id}" in result.stdout
    assert run.status == "FINISHED"
    measured_ones = {name for name in NAMES if name not in ("retrieve_flat", "retrieve_hnsw")}
    for group in ("ratio/", "here/", "yardstick/"):
        found = {name.removeprefix(group) for name in run.metrics if name.startswith(group)}
        assert found == measured_ones
    low, mid, high = (
        run.metrics[f"{k}ratio/verify"] for k in ("interval/low/", "", "interval/high/")
    )
    assert 0 < low <= mid <= high
    assert run.metrics["interval/n/ratio/verify"] == 5 * TINY.repetitions
    assert "interval/low/ratio/memory" not in run.metrics  # counted, not sampled
    parameters = MlflowClient(store.uri).get_run(run.id).data.params
    assert {"cpu", "cores", "threads", "python", "numpy", "numba", "faiss-cpu"} <= set(parameters)
    assert parameters["rows"] == str(TINY.rows)
    assert run.tags["mlflow.source.name"] == "mlsdm bench"
    kept = store.read(run.id, "tables/bench.csv").decode()
    assert kept.splitlines()[0] == ",".join(COLUMNS)
    assert json.loads(store.read(run.id, "bench.json"))["size"]["rows"] == TINY.rows
    assert store.read(run.id, "bench.md").startswith(b"| name |")


def test_runs_add_up_to_a_history(store: Store) -> None:
    for _ in range(2):
        assert mlsdm("bench", *ONE).exit_code == 0
    first, second = store.find("bench", {})
    assert first.id != second.id
    assert first.metrics.keys() == second.metrics.keys()
    view = store.view("bench", VIEW)
    assert [f"metrics.`ratio/{name}`" for name in NAMES] == view["selectedColumns"][1:]


def test_json_holds_every_repetition(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    result = mlsdm("bench", *ONE, "--only", "memory", "--no-track", "--json", path)
    assert result.exit_code == 0, result.stderr
    held = json.loads(path.read_text())
    retrieve, memory = held["figures"]
    assert held["machine"]["cpu"]
    assert retrieve["target"] == "≥ 3"
    assert len(retrieve["ours"]) == len(retrieve["theirs"]) == retrieve["n"] == TINY.repetitions
    assert retrieve["low"] <= retrieve["ratio"] <= retrieve["high"]
    assert (memory["low"], memory["n"], memory["means"]) == (None, 1, "times as large")


def test_nothing_is_kept_where_nothing_is_to_be(store: Store) -> None:
    result = mlsdm("bench", *ONE, "--no-track")
    assert result.exit_code == 0, result.stderr
    assert "run:" not in result.stdout
    assert store.find("bench", {}) == []


def test_without_tracking_it_runs_anywhere(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("no project"))
    result = mlsdm("bench", *ONE)
    assert result.exit_code == 2
    assert result.stderr.endswith("give --project, or --no-track\n")
    assert mlsdm("bench", *ONE, "--no-track").exit_code == 0


def test_the_table_is_put_where_it_belongs_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nan old table\n{END}\nafter\n")
    assert mlsdm("bench", *ONE, "--no-track", "--markdown", path).exit_code == 0
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| name |")
    assert text.endswith(f".\n{END}\nafter\n")
    assert "an old table" not in text
    assert "| retrieve | top 5, exact: " in text

    new = tmp_path / "new.md"
    for _ in range(2):  # what it wrote itself it can write again
        assert mlsdm("bench", *ONE, "--no-track", "--markdown", new).exit_code == 0
        assert new.read_text().count("| retrieve |") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "retreive"], "bench.only: there is no 'retreive'; did you mean 'retrieve'?"),
        (["--json", "nowhere/x.json"], "bench.json: there is no folder nowhere"),
        (["--markdown", "."], "bench.markdown: must be a file, not a folder"),
        (["--markdown", "other.md"], "bench.markdown: must be a new file, or one with the lines"),
        (["--store", "ftp://x"], "store: must be an SQLite file"),
    ],
)
def test_bad_input_ends_with_2_before_anything_is_measured(
    arguments: list[str], sentence: str, store: Store
) -> None:
    (store.project / "other.md").write_text("no marks\n")
    result = mlsdm("bench", "--quick", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("mlsdm: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert (store.project / "other.md").read_text() == "no marks\n"


def test_a_text_without_marks_is_refused() -> None:
    with pytest.raises(ParameterError, match="must be a new file"):
        inserted(f"{END}\n{BEGIN}\n", "table")


def test_the_readme_has_a_row_for_each_figure_and_names_the_machine() -> None:
    (block,) = re.findall(f"{BEGIN}\n(.*?){END}", README, re.DOTALL)
    lines = block.splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:13]]
    for row, case in zip(rows, CASES, strict=True):
        assert row[0] == case.name
        assert row[1].startswith(f"{case.figure}: ")
        assert row[2].startswith(f"{case.yardstick}: ")
        assert row[3].endswith(case.means)
        assert row[5] in (("met", "not met", "undecided") if case.target else ("",))
    assert "Measured on " in block
