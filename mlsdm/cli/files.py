"""Commands that write files: results, new-experiment."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlsdm.cli.common import (
    Project,
    StoreUri,
    examples,
    project_folder,
    project_option,
    sweep_name,
    writable,
)
from mlsdm.errors import ParameterError

__all__ = ["register"]


class Format(StrEnum):
    """How a table is written."""

    csv = "csv"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(
        short_help="Write the table of a sweep.",
        epilog=examples(
            "mlsdm results experiments/moral-adaptation.yaml",
            "mlsdm results moral-adaptation --to parquet",
            "mlsdm results 0123456789abcdef0123456789abcdef --out results.csv",
        ),
    )(results)
    app.command(
        "new-experiment",
        short_help="Start an experiment of your own.",
        epilog=examples(
            "mlsdm new-experiment decay", "mlsdm new-experiment decay --folder ~/research"
        ),
    )(new_experiment)


def results(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP",
            help="Its file, or its experiment's name: the newest sweep; or the id of its run.",
        ),
    ],
    to: Annotated[Format, typer.Option(help="The format.")] = Format.csv,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write it; by default EXPERIMENT.csv or .parquet, here."
        ),
    ] = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Write the tidy table of a sweep: a row per run, with parameters, metrics, seed and status."""
    from mlsdm.sweep.check import counted
    from mlsdm.sweep.recorded import sweep_of
    from mlsdm.sweep.table import tidy, write
    from mlsdm.tracking import Store

    writable("results.out", out)
    opened = Store.open(project_folder(project), store)
    whole, runs = sweep_of(opened, sweep_name(sweep))
    path = out or Path(f"{whole.experiment}.{to}")
    write(tidy(runs), path, to.value)
    finished = sum(run.status == "FINISHED" for run in runs)
    print(f"{finished} of {counted(len(runs), 'run')} finished in the sweep {whole.id}: {path}")


def new_experiment(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the notebook and the sweep file are called.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where notebooks/ and experiments/ are, or are to be made; by default the "
            "project that this folder belongs to.",
        ),
    ] = None,
) -> None:
    """Start an experiment of your own: a notebook and a sweep file that run as they are.

    Any folder will do: with notebooks/ and experiments/ in it, it is a project.
    """
    from mlsdm.scaffold import new_experiment as make

    try:
        place = project_folder(None) if folder is None else folder.expanduser().resolve()
    except ParameterError:
        raise ParameterError(
            f"new-experiment: {Path.cwd()} belongs to no project; give --folder, such as --folder ."
        ) from None
    notebook, plan = make(name, place)
    print(f"notebook: {notebook}")
    print(f"sweep: {plan}")
    where = project_option(None if folder is None else place)
    print(f"run it: mlsdm sweep {shlex.quote(str(plan))}{where}")
