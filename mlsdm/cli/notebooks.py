"""Commands for single notebooks: reproduce, run, rerun, params."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlsdm.cli.common import (
    CellTimeout,
    MemoryLimit,
    Project,
    StoreUri,
    Timeout,
    examples,
    fail,
    look,
    project_folder,
)
from mlsdm.errors import ParameterError

__all__ = ["register"]

REPRODUCED = ("01", "02", "03", "04", "05")

Notebook = Annotated[
    str, typer.Argument(metavar="NOTEBOOK", help="A path, or a name or number in notebooks/.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(
        short_help="Run notebooks 01 to 05; judge all that is stated.",
        epilog=examples("mlsdm reproduce", "mlsdm reproduce --all"),
    )(reproduce)
    app.command(
        short_help="Run one notebook as a tracked run.",
        epilog=examples(
            "mlsdm run 02",
            "mlsdm run 02-moral-adaptation -p n_events=2000 -p shares='[0.1, 0.2]'",
            "mlsdm run 02 --timeout 600 --memory-limit '2 GiB'",
        ),
    )(run)
    app.command(
        short_help="Repeat a run; compare every number.",
        epilog=examples("mlsdm rerun 0123456789abcdef0123456789abcdef"),
    )(rerun)
    app.command(
        short_help="Show the parameters of a notebook.", epilog=examples("mlsdm params 02")
    )(params)


def reproduce(
    everything: Annotated[
        bool, typer.Option("--all", help="Run every numbered notebook, not only 01 to 05.")
    ] = False,
    cell_timeout: CellTimeout = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run notebooks 01 to 05 as they are; end with the verdict on everything that is stated.

    Ends with 1 when a notebook failed, not when a claim does not hold.
    """
    from mlsdm.cli import show
    from mlsdm.plan.notebooks import numbered_notebooks
    from mlsdm.report.audit import AUDIT, read_audit
    from mlsdm.sweep.driver import Settings
    from mlsdm.sweep.runs import run_notebooks

    folder = project_folder(project)
    notebooks = numbered_notebooks(folder)
    if not everything:
        notebooks = [n for n in notebooks if n.stem[:2] in REPRODUCED]
    if not notebooks:
        raise ParameterError(f"project: {folder / 'notebooks'} holds no numbered notebook")
    from mlsdm.tracking import Store

    opened = Store.open(folder, store)
    settings = Settings(cell_timeout=cell_timeout)
    outcomes = run_notebooks(opened, folder, [(n, {}) for n in notebooks], settings)
    for outcome in outcomes:
        if outcome.status == "FINISHED" and AUDIT in (record.name for record in outcome.records):
            show.claims(read_audit(opened, outcome.run_id))
    look(opened, store, project)
    fail(outcomes)


def run(
    notebook: Notebook,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--parameter",
            metavar="NAME=VALUE",
            help="Set a parameter; may be given several times. Shown by `mlsdm params`.",
        ),
    ] = None,
    cell_timeout: CellTimeout = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run one notebook as a tracked run.

    It works in the project's folder: a relative path in a parameter, such as data, starts there.
    """
    from mlsdm.cli import show
    from mlsdm.plan.notebooks import find_notebook
    from mlsdm.plan.schema import read_schema
    from mlsdm.sweep.driver import Settings
    from mlsdm.sweep.runs import run_notebooks

    folder = project_folder(project)
    path = find_notebook(notebook, folder, Path.cwd())
    values = read_schema(path).parse(parameter or [])
    from mlsdm.tracking import Store

    opened = Store.open(folder, store)
    settings = Settings(cell_timeout=cell_timeout, timeout=timeout, memory_limit=memory_limit)
    outcomes = run_notebooks(opened, folder, [(path, values)], settings)
    show.metrics(outcomes[0])
    look(opened, store, project)
    fail(outcomes)


def rerun(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="The id of a run that mlsdm has made.")
    ],
    cell_timeout: CellTimeout = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Repeat a run from its own record, and say whether every number came out the same.

    Ends with 1 when one did not, or the notebook failed.
    """
    from mlsdm.cli import show
    from mlsdm.sweep.driver import Settings
    from mlsdm.sweep.rerun import rerun as repeat
    from mlsdm.tracking import Store

    folder = project_folder(project)
    opened = Store.open(folder, store)
    limits = Settings(cell_timeout=cell_timeout, timeout=timeout, memory_limit=memory_limit)
    again = repeat(opened, folder, run_id, limits)
    show.rerun(again)
    look(opened, store, project)
    fail([again.outcome])
    if again.differing:
        raise typer.Exit(1)


def params(notebook: Notebook, project: Project = None) -> None:
    """Show the parameters of a notebook: what is allowed, the default, the meaning."""
    from mlsdm.cli import show
    from mlsdm.plan.notebooks import find_notebook
    from mlsdm.plan.schema import read_schema

    show.schema(read_schema(find_notebook(notebook, project_folder(project), Path.cwd())))
