"""The command line as tests call it, and a small project for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from making import make_notebook
from typer.testing import CliRunner, Result

from mlsdm.cli import app
from mlsdm.tracking import Store
from mlsdm.tracking.connection import sqlite_file

PARAMETERS = """n: int = 1  # events, in [1, 100]
label: str = ""
"""
RECORDS = """from mlsdm.record import record
record("a/n", n)
record("a/latency", 1.5, stated="latency.p50")
record("a/none", float("nan"))
"""
SLEEPS = """import pathlib, time
pathlib.Path("busy").touch()
time.sleep(60)
"""


def mlsdm(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def table(output: str) -> list[list[str]]:
    """Return the cells of the rows of printed tables, without their heads."""
    rows = [line.strip("│").split("│") for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows]


def make_project(project: Path, store: Store) -> Path:
    """Make a project, its store copied from one that exists: a fresh one is slow."""
    make_notebook(project / "notebooks" / "01-records.ipynb", PARAMETERS, RECORDS)
    make_notebook(project / "notebooks" / "02-fails.ipynb", "n: int = 1", "1 / 0")
    make_notebook(project / "notebooks" / "17-sleeps.ipynb", "n: int = 1", SLEEPS)
    plans = {
        "met": "question: Is it 2?\nnotebook: 01-records\nsweep: {n: [2]}\n"
        "thresholds: {a/n: {min: 2, max: 2}}",
        "missed": "notebook: 01-records\nsweep: {n: [1]}\n"
        "thresholds: {a/n: {min: 2}, a/none: {min: 0}}",
        "fails": "notebook: 02-fails\nsweep: {n: [1]}",
        "sleeps": "notebook: 17-sleeps\nsweep: {n: [1, 2, 3]}\nworkers: 2",
    }
    (project / "experiments").mkdir()
    for name, text in plans.items():
        (project / "experiments" / f"{name}.yaml").write_text(text)
    shutil.copy(sqlite_file(store.uri), project / "mlflow.db")
    return project
