from __future__ import annotations

from pathlib import Path

import pytest
from making import make_notebook
from mlflow import MlflowClient

from mlsdm.errors import ParameterError
from mlsdm.plan.meaning import check_meaning, data_file
from mlsdm.plan.plan import load_plan
from mlsdm.sweep.runs import run_notebooks
from mlsdm.sweep.sweeping import run_plan
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ({"moral": {"stp": 1}}, r"^n\.engine: MoralParams\.stp: unknown .* 'step'\?"),
        ({"moral": {"step": 2}}, r"^n\.engine: MoralParams\.step: should be less than or equal"),
        ({"rhythm": 3}, r"^n\.engine: RhythmParams: must be made from a mapping"),
    ],
)
def test_an_engine_holds_engine_parameters(engine: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=sentence):
        check_meaning("n", {"engine": engine}, tmp_path)


def test_what_is_empty_or_means_something_else_is_left_alone(tmp_path: Path) -> None:
    check_meaning("n", {"engine": {}, "data": "", "moral": {"stp": 1}}, tmp_path)
    check_meaning("n", {"engine": "diesel"}, tmp_path)
    assert data_file({"data": ""}, tmp_path) is None


def test_data_is_a_file_from_the_project_on(tmp_path: Path) -> None:
    (tmp_path / "own.csv").touch()
    check_meaning("n", {"data": "own.csv"}, tmp_path)
    assert data_file({"data": "own.csv"}, tmp_path) == tmp_path / "own.csv"
    with pytest.raises(ParameterError, match=r"^n\.data: there is no file .*other\.csv"):
        check_meaning("n", {"data": "other.csv"}, tmp_path)


def test_a_run_is_refused_before_it_exists(sqlite_store: Store, tmp_path: Path) -> None:
    before = sqlite_store.experiments()
    notebook = ROOT / "notebooks" / "02-moral-adaptation.ipynb"
    with pytest.raises(ParameterError, match=r"\.engine: EngineParams\.morall: unknown"):
        run_notebooks(sqlite_store, ROOT, [(notebook, {"engine": {"morall": {}}})])
    assert sqlite_store.experiments() == before


def test_a_plan_is_refused_before_it_runs(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("notebook: 02-moral-adaptation\nsweep:\n  engine:\n    - {moral: {stp: 1}}\n")
    with pytest.raises(ParameterError, match=r"^plan\.yaml.*sweep\.engine: .*MoralParams\.stp"):
        load_plan(plan, ROOT)


def test_a_plan_of_too_many_runs_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    make_notebook(tmp_path / "notebooks" / "a.ipynb", "n: int = 1\nseed: int = 1")
    plan.write_text(f"notebook: a\nsweep:\n  n: {list(range(201))}\nseeds: 100\n")
    with pytest.raises(ParameterError, match=r"must make at most 10000 runs \(got 20100\)"):
        load_plan(plan, tmp_path)


def test_a_claim_is_known_before_anything_starts(tmp_path: Path) -> None:
    check_meaning("05", {"claim": "moral.industry"}, tmp_path)
    with pytest.raises(ParameterError, match=r"^05\.claim: nothing is stated under 'moral\.ind"):
        check_meaning("05", {"claim": "moral.industri"}, tmp_path)


OWN = """import mlsdm
@mlsdm.moral_policy("never")
class Never(mlsdm.MoralPolicy):
    above: float = 1.0

    @staticmethod
    def accept(value, context, state, rule):
        return value > rule.above

params = mlsdm.EngineParams(1).replace(engine)
result = mlsdm.simulate(params, None, [0.2, 0.5, 0.9], progress=False)
mlsdm.record("a/accepted", float(result.accepted.sum()))
"""


def test_policies_are_swept_by_name_those_of_the_notebook_too(
    sqlite_store: Store, tmp_path: Path
) -> None:
    project = sqlite_store.project
    make_notebook(project / "notebooks" / "05-own.ipynb", "engine: dict = {}", OWN)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "notebook: 05-own\nsweep:\n"
        "  engine:\n"
        "    - {moral: {policy: never}}\n"
        "    - {moral: {policy: never, above: 0.3}}\n"
        "    - {moral: {policy: fixed, threshold: 0.9}}\n"
        "    - {moral: {policy: quantile, gain: 1.0}}\n"
    )
    outcome = run_plan(sqlite_store, project, load_plan(plan, project))
    assert [run.status for run in outcome.runs] == ["FINISHED"] * 4
    client = MlflowClient(tracking_uri=sqlite_store.uri)
    made = [client.get_run(str(run.run_id)).data for run in outcome.runs]
    assert [run.metrics["a/accepted"] for run in made] == [0, 2, 1, 2]


def test_a_policy_that_nobody_registers_is_refused_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^n\.engine: MoralParams\.policy: 'neve' is not kno"):
        check_meaning("n", {"engine": {"moral": {"policy": "neve"}}}, tmp_path, {"never"})
