"""One tracked run of one notebook, and the runs of a plan one after another."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

from mlsdm.errors import MlsdmError
from mlsdm.sweep.check import Row, check
from mlsdm.sweep.plan import Plan
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.schema import Schema, read_schema

if TYPE_CHECKING:
    from mlsdm.record import Record
    from mlsdm.tracking import Store

__all__ = ["RunOutcome", "SweepOutcome", "run_notebook", "run_plan"]

Status = Literal["FINISHED", "FAILED"]


@dataclass(frozen=True)
class RunOutcome:
    """What became of one run: `cause` says why it failed, `parameters` is the full set."""

    run_id: str
    status: Status
    records: list[Record]
    seconds: float
    cause: str
    notebook: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class SweepOutcome:
    """What became of a plan: the parent run, the runs in order, and a row per threshold."""

    run_id: str
    runs: list[RunOutcome]
    checks: list[Row]


def _draw_seed(schema: Schema, values: dict[str, Any]) -> int | None:
    """Draw the seed that was not given, so that its run can be repeated; return the run's seed."""
    for name in ("seed", "seeds"):
        if name in values and values[name] is None:
            drawn = secrets.randbits(32)
            values[name] = [drawn] if get_origin(schema.parameters[name].type) is list else drawn
    seed = values.get("seed")
    return seed if isinstance(seed, int) else None


def _title(values: Mapping[str, object], otherwise: str) -> str:
    """Name a run by what differs from the notebook's defaults."""
    title = ", ".join(f"{name}={value}" for name, value in values.items())
    return (title if len(title) <= 80 else f"{title[:79]}…") or otherwise


def run_notebook(
    store: Store,
    project: Path,
    notebook: Path,
    values: Mapping[str, object],
    *,
    experiment: str | None = None,
    name: str | None = None,
    parent: str | None = None,
    on_cell: Callable[[int, int], None] | None = None,
) -> RunOutcome:
    """Run a notebook as one run of the store, which ends in every case.

    Parameters
    ----------
    values
        The parameters that are not to have the notebook's own value.
    experiment, name
        By default the notebook's name, and what differs from its defaults.
    parent
        The id of the run that this one belongs to.
    on_cell
        Called with the number of cells done and of all cells.

    Raises
    ------
    ParameterError, DataError
        For parameters that the notebook does not take; no run is made then.
    """
    from mlsdm.provenance import collect
    from mlsdm.record import records
    from mlsdm.sweep.execute import execute

    schema = read_schema(notebook)
    full = schema.validate(values)
    seed = _draw_seed(schema, full)
    differing = schema.differing(full)
    provenance = collect(notebook, project, seed)
    title = name or _title(differing, notebook.stem)
    with (
        store.start(
            experiment or notebook.stem,
            title,
            parameters=differing,
            tags=provenance.tags(),
            parent=parent,
        ) as run,
        tempfile.TemporaryDirectory(prefix="mlsdm-") as folder,
    ):
        run.attach_text(json.dumps(full, indent=2), "parameters.json")
        run.attach_text(json.dumps(provenance.to_dict(), indent=2), "provenance.json")
        if provenance.diff:
            run.attach_text(provenance.diff, "diff.patch")
        output = Path(folder) / notebook.name
        try:
            executed = execute(notebook, full, output, cwd=project, on_cell=on_cell)
        finally:
            if output.exists():
                run.attach(output)
        cause, found = str(executed.error or ""), []
        try:
            found = records(executed.notebook)
            run.log(found)
        except MlsdmError as error:
            cause = cause or str(error)
        status: Status = "FAILED" if cause else "FINISHED"
        run.finish(status, cause)
    return RunOutcome(run.id, status, found, executed.seconds, cause, notebook.stem, full)


def run_plan(store: Store, project: Path, plan: Plan) -> SweepOutcome:
    """Run a plan, one run after another, under one parent run that holds the plan and its checks.

    A run that fails does not stop the others; the parent run then ends as FAILED too.
    """
    from mlsdm.provenance import collect

    tags = {**collect(plan.notebook, project, None).tags(), "mlsdm.question": plan.question}
    outcomes = []
    with (
        store.start(plan.name, plan.name, parameters=plan.fixed, tags=tags) as parent,
        Progress(len(plan.runs)) as progress,
    ):
        parent.attach(plan.path)
        for values in plan.runs:
            title = _title({k: v for k, v in values.items() if k not in plan.fixed}, plan.name)
            progress.start(title)
            outcome = run_notebook(
                store,
                project,
                plan.notebook,
                values,
                experiment=plan.name,
                name=title,
                parent=parent.id,
                on_cell=progress.cell,
            )
            progress.finish(outcome)
            outcomes.append(outcome)
        rows = check(plan.thresholds, outcomes)
        parent.attach_text(json.dumps([row.to_dict() for row in rows], indent=2), "checks.json")
        failed = sum(outcome.status == "FAILED" for outcome in outcomes)
        cause = f"{failed} of {len(outcomes)} runs failed" if failed else ""
        parent.finish("FAILED" if failed else "FINISHED", cause)
    return SweepOutcome(parent.id, outcomes, rows)
