"""Settings of the whole test suite."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from driving import Workers, fresh_store
from hypothesis import settings
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mlsdm.project import default_store
from mlsdm.tracking import Store
from mlsdm.ui import server

# The first call of a compiled rule compiles it, and every run must test the same examples.
settings.register_profile("mlsdm", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("mlsdm")

# A job in the background ignores Ctrl-C, and whatever it starts would inherit that.
for _name, _usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), _usual)


@pytest.fixture(autouse=True)
def _no_database_stays_open() -> Iterator[None]:
    """MLflow keeps a connection to every store for good; a test has a store, and 1024 files do."""
    yield
    if "mlflow.store.tracking.sqlalchemy_store" in sys.modules:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for engine in SqlAlchemyStore._engine_map.values():
            engine.dispose()


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The own store of a project; made once, since a fresh one costs seconds."""
    project = tmp_path_factory.mktemp("a project")
    for folder in ("notebooks", "experiments"):
        (project / folder).mkdir()
    return Store.open(project, default_store(project))


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server through which artifacts travel too."""
    folder = tmp_path_factory.mktemp("server")
    destination = (folder / "files").as_uri()
    arguments = ["--backend-store-uri", default_store(folder)]
    with server([*arguments, "--artifacts-destination", destination], folder) as running:
        yield running.address


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """A notebook that recorded one result of each kind, as a kernel left it on the disk."""
    cells = [
        "import matplotlib.pyplot as plt, numpy as np, pandas as pd\n"
        "from mlsdm.record import record",
        "record('safety/rejection', 0.1 + 0.2)\nrecord('no number', float('nan'))",
        "record('P50 latency', np.float32(0.02), unit='ms', stated='latency.p50')",
        "record('θ/threshold', pd.Series([0.5, np.inf, 0.4], index=[0, 5, 9]))",
        "record('cells', pd.DataFrame({'n': [1, 2], 'x': [1 / 3, np.nan], 'who': ['é', None]}))",
        "figure, axes = plt.subplots()\naxes.plot([1, 3, 2])\nrecord('θ/course', figure)",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    path: Path = tmp_path_factory.mktemp("recorded") / "recorded.ipynb"
    nbformat.write(notebook, path)
    return nbformat.read(path, as_version=4)


@pytest.fixture
def store(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An empty store of an empty project."""
    return fresh_store(tmp_path_factory, tmp_path)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    """What takes the place of those who run notebooks."""
    return Workers(monkeypatch)
