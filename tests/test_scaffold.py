from __future__ import annotations

import json
from pathlib import Path

import pytest
from driving import fresh_store, tracked

from mlsdm.errors import ParameterError
from mlsdm.plan.content import sweep_schema
from mlsdm.plan.plan import load_plan
from mlsdm.plan.schema import read_schema
from mlsdm.scaffold import new_experiment
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.runs import run_notebooks


def test_both_files_run_at_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    notebook, path = new_experiment("my-own_1", tmp_path)
    assert notebook == tmp_path / "notebooks" / "my-own_1.ipynb"
    assert path == tmp_path / "experiments" / "my-own_1.yaml"
    plan = load_plan(path, tmp_path)
    assert plan.notebook == notebook
    assert len(plan.runs) == 30
    store = fresh_store(tmp_path_factory, tmp_path)
    values = {**plan.runs[0].values, "n_events": 60}
    (outcome,) = run_notebooks(store, tmp_path, [(notebook, values)], Settings())
    assert (outcome.status, outcome.cause) == ("FINISHED", "")
    assert {threshold.metric for threshold in plan.thresholds} <= outcome.metrics.keys()
    kinds = {record.name: record.kind for record in outcome.records}
    assert kinds["threshold/course"] == "figure"
    assert tracked(store, outcome.run_id).info.status == "FINISHED"
    assert "my own 1" in notebook.read_text()


def test_every_parameter_says_what_it_is_and_may_be(tmp_path: Path) -> None:
    notebook, _ = new_experiment("a", tmp_path)
    parameters = read_schema(notebook).parameters.values()
    assert all(parameter.comment and parameter.range for parameter in parameters)


def test_the_schema_for_editors_lies_beside_it_and_stays_if_it_is_there(tmp_path: Path) -> None:
    _, plan = new_experiment("a", tmp_path)
    schema = tmp_path / "experiments" / "sweep.schema.json"
    assert json.loads(schema.read_text()) == sweep_schema()
    assert schema.name in plan.read_text().splitlines()[0]
    schema.write_text("mine")
    new_experiment("b", tmp_path)
    assert schema.read_text() == "mine"
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".ipynb", ".yaml", ".json"}


@pytest.mark.parametrize("name", ["0", "2024", "true", "null", "1e3", "0x1F", "A" * 81, "on"])
def test_every_name_that_is_allowed_makes_a_plan_of_its_own_notebook(
    tmp_path: Path, name: str
) -> None:
    new_experiment("2024-other", tmp_path)
    notebook, path = new_experiment(name, tmp_path)
    assert load_plan(path, tmp_path).notebook == notebook


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".a", "-a", "a b", "a.yaml", "é", "a\n", "A" * 82, "a:b"]
)
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParameterError, match=r"^new-experiment.name: must be letters"):
        new_experiment(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["notebooks/a.ipynb", "experiments/a.yaml"])
def test_a_file_that_is_there_is_not_touched_and_nothing_else_made(
    tmp_path: Path, there: str
) -> None:
    path = tmp_path / there
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(ParameterError, match=rf"^new-experiment: .*{path.name} is there already$"):
        new_experiment("a", tmp_path)
    assert path.read_text() == "mine"
    assert [p for p in tmp_path.rglob("*") if p not in (path, path.parent)] == []
