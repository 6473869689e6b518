"""Every notebook through papermill, small, into a real store; nbval proves the stored outputs."""

import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from mlsdm.plan.plan import load_plan
from mlsdm.record import records
from mlsdm.sweep.runs import run_notebooks

ROOT = Path(__file__).parent.parent
SMALL = {
    "01-phase-behaviour": {"n_events": 100, "n_queries": 5, "n_seeds": 3},
    "02-moral-adaptation": {"shares": [0.0, 0.5, 1.0], "n_events": 100, "n_seeds": 5},
    "03-real-text": {"n_comments": 300, "n_queries": 30, "n_events": 100, "n_seeds": 3},
    "04-targets": {"capacity": 500, "n_events": 500, "n_queries": 20, "n_callers": 50},
    "05-claims": {"n_seeds": 3, "n_blocks": 2, "claim": "latency.p50"},
    "06-theory": {"shares": [0.3, 0.7], "n_runs": 3, "n_events": 500, "points": 1},
    "07-consolidation": {"dim": 24, "n_seeds": 2, "n_events": 500, "search_points": 2},
    "08-retrieval": {"n_rows": 60, "loads": [20, 60], "n_seeds": 2, "n_comments": 100},
    "09-policies": {"n_comments": 1000, "n_events": 200, "n_seeds": 3, "shares": [0.2, 0.8]},
    "10-sensitivity": {"n_base": 16, "n_events": 60, "n_pairs": 1, "n_streams": 1},
    "11-speech": {"size": 20, "n_comments": 20, "n_articles": 10, "doses": [0.0, 1.0]},
    "12-ablation": {"n_requests": 20, "n_seeds": 3, "length": 2, "mends": [0.5], "n_failing": 1},
    "13-service-load": {
        "rate": 50.0, "connections": 10, "seconds": 1.0, "warm_up": 0.5, "step_seconds": 1.0,
        "dim": 16, "capacity": 50, "sessions": 2, "rates": [20.0, 50.0], "fixed_rate": 20.0,
        "many": [1, 10], "batch": 8, "batch_rates": [20.0], "batch_connections": 2,
        "soak_rate": 20.0, "soak_seconds": 2.0,
    },
}  # fmt: skip
OWN = {
    "01-phase-behaviour": {"n_queries": 5},
    "02-moral-adaptation": {"shares": [0.2, 0.5], "n_events": 100, "n_seeds": 3},
    "03-real-text": {"n_queries": 10, "n_events": 100, "n_seeds": 3, "shares": [0.2, 0.5]},
    "08-retrieval": {"n_rows": 60, "loads": [20, 60], "n_seeds": 2, "n_cues": 20},
}


def run(store, name, values):
    (outcome,) = run_notebooks(store, ROOT, [(ROOT / "notebooks" / f"{name}.ipynb", values)])
    assert outcome.status == "FINISHED", outcome.cause
    return {record.name: record for record in outcome.records}


def test_every_notebook_has_a_small_version():
    assert set(SMALL) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("name", SMALL)
def test_no_cell_is_longer_than_one_takes_in(name):
    """Logic lives in the package."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell.source.splitlines() for cell in notebook.cells if cell.cell_type == "code"]
    assert max(map(len, code)) <= 25


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs_small_and_records_each_kind_of_result(sqlite_store, name):
    found = run(sqlite_store, name, SMALL[name])
    assert {"metric", "table", "figure"} <= {record.kind for record in found.values()}


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """Sixty events of one's own: vectors, values, labels and texts in one file."""
    rng = np.random.default_rng(0)
    toxic = np.arange(60) % 3 == 0
    frame = pd.DataFrame(rng.standard_normal((60, 4)), columns=["v0", "v1", "v2", "v3"])
    frame["text"] = [f"comment number {i}" for i in range(60)]
    frame["moral_value"] = np.where(toxic, 0.2, 0.8) + 0.1 * rng.random(60)
    frame["label"] = np.where(toxic, "toxic", "safe")
    path = tmp_path_factory.mktemp("own") / "own.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("policy", ["fixed", "risk"])
def test_the_filter_of_a_notebook_is_any_policy_by_its_name(sqlite_store, policy):
    """One that has no target, no step and no dead band, and one that learns from labels."""
    name, engine = "02-moral-adaptation", {"moral": {"policy": policy}}
    found = run(sqlite_store, name, {**SMALL[name], "engine": engine})
    homeostatic = run(sqlite_store, name, SMALL[name])
    errors = "moral/safe_refused/share_0"
    assert found[errors].value == 0 < homeostatic[errors].value
    assert found["moral/off_target/share_0"].value == 0.5
    published = "published/moral/toxic_rejection"
    assert found[published].value == homeostatic[published].value


@pytest.mark.parametrize("policy", ["quantile", "risk"])
def test_the_engines_of_a_notebook_take_any_policy_by_its_name(sqlite_store, policy):
    name, engine = "01-phase-behaviour", {"moral": {"policy": policy}}
    found = run(sqlite_store, name, {**SMALL[name], "engine": engine})
    assert 0 < found["phase/share_committed_default"].value < 1


@pytest.mark.parametrize("name", OWN)
def test_a_notebook_takes_ones_own_data(sqlite_store, own_data, name):
    found = run(sqlite_store, name, {**OWN[name], "data": str(own_data)})
    assert any(record.kind == "metric" for record in found.values())


def test_the_published_clock_never_wakes_again_whatever_the_parameters(sqlite_store):
    engine = {"rhythm": {"wake_duration": 3, "sleep_duration": 1}}
    found = run(
        sqlite_store, "01-phase-behaviour", {**SMALL["01-phase-behaviour"], "engine": engine}
    )
    assert found["phase/published_wake_ups"].value == 0


def test_a_control_never_replays_whatever_the_parameters(sqlite_store):
    engine = {"lattice": {"consolidation": "replay"}}
    found = run(
        sqlite_store, "01-phase-behaviour", {**SMALL["01-phase-behaviour"], "engine": engine}
    )
    assert found["recall/rows_sleep_default_no_replay"].value == 0
    assert found["recall/rows_sleep_default"].value > 0


@pytest.mark.parametrize(
    "plan", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_sweep_asks_for_metrics_that_its_notebook_records(plan):
    loaded = load_plan(plan, ROOT)
    stored = records(nbformat.read(loaded.notebook, as_version=4))
    metrics = {record.name for record in stored if record.kind == "metric"}
    assert {threshold.metric for threshold in loaded.thresholds} <= metrics


def test_means_over_seeds_are_recorded_with_their_intervals(sqlite_store):
    name = "02-moral-adaptation"
    found = run(sqlite_store, name, SMALL[name])["moral/toxic_passed/share_0.5"]
    low, high, n = found.interval
    assert low <= found.value <= high
    assert n == SMALL[name]["n_seeds"]


def test_what_notebooks_import_does_not_import_mlflow():
    code = (
        "import sys, mlsdm; mlsdm.record, mlsdm.simulate, mlsdm.audit.measure\n"
        "from mlsdm.analysis import metrics, plots, published, recall, statistics\n"
        "from mlsdm.streams import comments, load_stream, moral_stream\n"
        "print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
