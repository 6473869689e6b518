"""Runs in a store as the notebook of the claims leaves them, for tests of the report."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pandas as pd
from audit_rows import audit_table
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mlsdm.provenance import SOURCE
from mlsdm.report.audit import NOTEBOOK
from mlsdm.sweep.recorder import KEY
from mlsdm.tracking import Store

PNG = "iVBORw0KGgo="
PROVENANCE = {
    "version": "9.9.9",
    "commit": "c" * 40,
    "dirty": False,
    "cpu": "A <fast> processor",
    "cores": 2,
    "platform": "Linux",
    "python": "3.11.7",
    "packages": {"numpy": "2.0.0", "secret-package": "1"},
}


def executed(title: str = "A title", *cells: Any) -> str:
    """Return a notebook as a kernel left it: question, answer, code, and a figure."""
    figure = new_output("display_data", {"image/png": PNG, "text/plain": "figure"})
    code = new_code_cell("print('code')", outputs=[figure], execution_count=1)
    about = f"# {title}\n\n**Question.** What *is* it?\n\n**Answer.** It is 3 < 4."
    notebook = new_notebook(cells=[new_markdown_cell(about), code, *cells])
    return str(nbformat.writes(notebook))


def claims(n: int = 13, **columns: Any) -> pd.DataFrame:
    """Return a table of claims, some columns as given."""
    return audit_table(n).assign(**columns)


def add_run(
    store: Store,
    table: pd.DataFrame | None = None,
    *,
    source: str = NOTEBOOK,
    experiment: str = "05-claims",
    status: str = "FINISHED",
    time: int | None = None,
    text: str | None = None,
    tags: dict[str, str] | None = None,
    **provenance: Any,
) -> str:
    """Put a run of a notebook into the store, with an audit if there is a table; return its id."""
    files: dict[str, str | bytes] = {
        source.rpartition("/")[2]: executed() if text is None else text,
        "provenance.json": json.dumps({**PROVENANCE, **provenance}),
    }
    if table is not None:
        varies = table["varies"].astype(bool)
        files["tables/claims/audit.csv"] = table[~varies].to_csv(index=False)
        files["tables/claims/audit_of_this_machine.csv"] = table[varies].to_csv(index=False)
    own = {SOURCE: source, KEY: "k", **(tags or {})}
    run = store.start(experiment, "a run", parameters={}, tags=own, time=time)
    run.log([], files=files)
    run.finish(status)  # type: ignore[arg-type]
    return run.id
