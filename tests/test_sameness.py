"""One sweep, made in every way there is, comes out the same to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from making import make_notebook
from test_cluster import Cluster, cluster

from mlsdm.plan.plan import load_plan
from mlsdm.record import Record, records
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.rerun import rerun
from mlsdm.sweep.sweeping import SweepOutcome, run_plan
from mlsdm.tracking import Store

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="warm kernels are POSIX")

NAME = "08-same.ipynb"
CELLS = (
    "import matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd\n"
    "from mlsdm import EngineParams, record, simulate\n"
    "from mlsdm.analysis.interval import Interval",
    "rng = np.random.default_rng(seed)\nmatrix = rng.standard_normal((150 * n, 150 * n))\n"
    "singular = np.linalg.svd(matrix @ matrix.T, compute_uv=False)\n"
    'record("blas/largest", singular[0])\nrecord("blas/smallest", singular[-1])\n'
    'record("blas/product", (matrix @ matrix).sum())\nsingular[:3]',
    "result = simulate(EngineParams(dim=8), rng.standard_normal((400, 8)), rng.random(400))\n"
    'record("engine/norm", float(result.norms[-1].sum()))\n'
    'record("engine/threshold", pd.Series(result.threshold))\n'
    "pd.DataFrame(result.norms).describe()",
    'table = pd.DataFrame({"step": [1, 2], "norm": result.norms[-2:, 0], "who": ["a", None]})\n'
    'record("engine/last", table)\n'
    'record("mean", Interval(*np.quantile(singular, [0.5, 0.1, 0.9]), len(singular)))',
    "figure, axes = plt.subplots()\naxes.plot(result.threshold, label='θ')\naxes.legend()\n"
    'record("engine/course", figure)',
    "axes = plt.figure().gca()\naxes.imshow(matrix)\nprint(repr(singular.sum()))",
)


class _Interrupting(Progress):
    """Behaves like Ctrl-C as the second run begins."""

    def start(self, key: str, title: str) -> None:
        super().start(key, title)
        if len(self.going) + self.done == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def notebook(sqlite_store: Store) -> Path:
    path = sqlite_store.project / "notebooks" / NAME
    return make_notebook(path, "n: int = 0\nseed: int = 0", *CELLS)


def swept(store: Store, name: str, **settings: Any) -> SweepOutcome:
    path = store.project / "experiments" / f"same-{name}.yaml"
    path.write_text(f"notebook: {Path(NAME).stem}\nsweep: {{n: [1, 2]}}\nseeds: [11]")
    plan = load_plan(path, store.project)
    outcome = run_plan(store, store.project, plan, Settings(threads=1, **settings))
    assert [run.status for run in outcome.runs] == ["FINISHED"] * 2
    return outcome


def came_out(store: Store, run_id: str) -> tuple[list[Record], list[Any]]:
    """All records of a run, pictures too, and every cell with its outputs as they are."""
    notebook = nbformat.reads(store.read(run_id, NAME).decode(), as_version=4)
    cells = [
        [cell.source, cell.get("execution_count"), cell.get("outputs")] for cell in notebook.cells
    ]
    return records(notebook), json.loads(json.dumps(cells))


@pytest.fixture(scope="module")
def stock(sqlite_store: Store, notebook: Path) -> SweepOutcome:
    return swept(sqlite_store, "stock", workers=1)


@pytest.fixture(scope="module")
def expected(sqlite_store: Store, stock: SweepOutcome) -> list[tuple[list[Record], list[Any]]]:
    return [came_out(sqlite_store, run.run_id) for run in stock.runs]


def test_what_is_compared_holds_results_of_every_kind(
    expected: list[tuple[list[Record], list[Any]]],
) -> None:
    (first, cells), (second, _) = expected
    assert {record.kind for record in first} == {"metric", "series", "table", "figure"}
    assert [record.name for record in first] == [record.name for record in second]
    assert all(one != two for one, two in zip(first, second, strict=True))
    assert any(record.interval for record in first)
    assert all(record.png for record in first if record.kind == "figure")
    shown = [
        kind for _, _, outputs in cells for out in outputs or () for kind in out.get("data", ())
    ]
    assert {"image/png", "text/html", "text/plain"} <= set(shown)


def test_warm_kernels_side_by_side(
    sqlite_store: Store, expected: list[tuple[list[Record], list[Any]]]
) -> None:
    outcome = swept(sqlite_store, "warm", workers=2, warm=True)
    assert [came_out(sqlite_store, run.run_id) for run in outcome.runs] == expected


def test_a_sweep_resumed_after_an_interrupt(
    sqlite_store: Store,
    expected: list[tuple[list[Record], list[Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mlsdm.sweep.driver.Progress", _Interrupting)
        with pytest.raises(KeyboardInterrupt):
            swept(sqlite_store, "resumed", workers=1)
    outcome = swept(sqlite_store, "resumed", workers=1)
    assert [run.earlier for run in outcome.runs] == [True, False]
    assert [came_out(sqlite_store, run.run_id) for run in outcome.runs] == expected


@pytest.mark.parametrize("warm", [False, True])
def test_a_cluster(
    sqlite_store: Store,
    expected: list[tuple[list[Record], list[Any]]],
    cluster: Cluster,
    warm: bool,
) -> None:
    outcome = swept(sqlite_store, f"dask-{warm}", workers=2, scheduler=cluster.address, warm=warm)
    assert [came_out(sqlite_store, run.run_id) for run in outcome.runs] == expected


def test_a_rerun(
    sqlite_store: Store, stock: SweepOutcome, expected: list[tuple[list[Record], list[Any]]]
) -> None:
    again = rerun(sqlite_store, sqlite_store.project, stock.runs[0].run_id)
    numbers = [record for record in expected[0][0] if record.kind != "figure"]
    assert (again.compared, again.differing, again.notes) == (len(numbers), [], [])
    assert came_out(sqlite_store, again.outcome.run_id) == expected[0]
