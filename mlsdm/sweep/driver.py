"""One tracked run of one notebook, and the runs of a plan one after another."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from mlsdm.errors import MlsdmError, ParameterError
from mlsdm.sweep.check import Row, check
from mlsdm.sweep.meaning import check_meaning, data_file
from mlsdm.sweep.outcome import RunOutcome, Status
from mlsdm.sweep.plan import Plan
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.schema import Schema, read_schema

if TYPE_CHECKING:
    from mlsdm.tracking import Store

__all__ = ["SweepOutcome", "run_notebook", "run_plan"]


@dataclass(frozen=True)
class SweepOutcome:
    """What became of a plan: the parent run, the runs in order, and a row per threshold."""

    run_id: str
    runs: list[RunOutcome]
    checks: list[Row]

    @property
    def missed(self) -> list[str]:
        """The metrics whose threshold is not met."""
        return [row.metric for row in self.checks if not row.ok]


def _draw_seed(schema: Schema, values: dict[str, Any]) -> int | None:
    """Draw the seed that was not given, so that its run can be repeated; return the run's seed."""
    for name in ("seed", "seeds"):
        if name in values and values[name] is None:
            parameter = schema.parameters[name]
            if not parameter.seeds:
                raise ParameterError(f"{schema.notebook}.{name}: no seed can be drawn; give one")
            drawn: int = secrets.choice(parameter.seeds)
            values[name] = [drawn] if get_origin(parameter.type) is list else drawn
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
    cell_timeout: float | None = None,
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
    cell_timeout
        Seconds that one cell may take; None for no limit.
    on_cell
        Called with the number of cells done and of all cells.

    Raises
    ------
    ParameterError, DataError
        For parameters that the notebook does not take, an ``engine`` that holds no engine
        parameters, or a ``data`` that names no file; no run is made then.
    """
    from mlsdm.provenance import collect
    from mlsdm.record import records
    from mlsdm.sweep.execute import afterwards, execute

    schema = read_schema(notebook)
    full = schema.validate(values)
    check_meaning(notebook.stem, full, project)
    seed = _draw_seed(schema, full)
    differing = schema.differing(full)
    provenance = collect(notebook, project, seed, data_file(full, project))
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
        with afterwards(lambda: run.attach(output) if output.exists() else None):
            executed = execute(
                notebook, full, output, cwd=project, cell_timeout=cell_timeout, on_cell=on_cell
            )
        cause, found = str(executed.error or ""), []
        try:
            found = records(executed.notebook)
            run.log(found)
        except MlsdmError as error:
            cause = cause or str(error)
        status: Status = "FAILED" if cause else "FINISHED"
        run.finish(status, cause)
    return RunOutcome(run.id, status, found, executed.seconds, cause, notebook.stem, full)


def run_plan(
    store: Store, project: Path, plan: Plan, *, cell_timeout: float | None = None
) -> SweepOutcome:
    """Run a plan, one run after another, under one parent run that holds the plan and its checks.

    A run that fails does not stop the others; the parent run then ends as FAILED too. One cell may
    take `cell_timeout` seconds; None for no limit.
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
                cell_timeout=cell_timeout,
                on_cell=progress.cell,
            )
            progress.finish(outcome)
            outcomes.append(outcome)
        swept = SweepOutcome(parent.id, outcomes, check(plan.thresholds, outcomes))
        rows = [row.to_dict() for row in swept.checks]
        parent.attach_text(json.dumps(rows, indent=2), "checks.json")
        if rows:
            missed = f"not met: {', '.join(swept.missed)}" if swept.missed else "met"
            parent.tag({"mlsdm.checks": missed})
        failed = sum(outcome.status == "FAILED" for outcome in outcomes)
        cause = f"{failed} of {len(outcomes)} runs failed" if failed else ""
        parent.finish("FAILED" if failed else "FINISHED", cause)
    return swept
