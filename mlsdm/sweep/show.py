"""The tables that the command line prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mlsdm.reproduce import Verdict
    from mlsdm.sweep.check import Row
    from mlsdm.sweep.outcome import RunOutcome
    from mlsdm.sweep.plan import Plan
    from mlsdm.sweep.schema import Schema

__all__ = ["checks", "metrics", "plan", "schema", "verdicts"]

_GOOD = ("met", "reproduced", "ok")


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(*columns)
    for row in rows:
        cells = [Text(str(cell)) for cell in row]
        for cell in cells:
            if cell.plain in _GOOD:
                cell.stylize("green")
        table.add_row(*cells)
    # A log has no width of its own: nothing in it is to be wrapped or cut.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def verdicts(rows: Sequence[Verdict]) -> None:
    """Print what is stated beside what was measured, and a line that counts."""
    columns = ("what", "stated", "measured", "verdict", "notebook", "run")
    _table(
        columns,
        [(r.statement, r.stated, r.measured, r.verdict, r.notebook, r.run_id[:8]) for r in rows],
    )
    agreeing = sum(row.verdict in _GOOD for row in rows)
    print(f"{agreeing} of {len(rows)} stated targets and figures hold here")


def metrics(outcome: RunOutcome) -> None:
    """Print the metrics of one run, with the verdicts on those that are held to something."""
    rows = []
    for record in outcome.records:
        if record.kind == "metric":
            value = "not finite" if record.value is None else f"{record.value:.6g}"
            held = record.judgement
            judged = (held.stated, held.verdict) if held else ("", "")
            rows.append((record.name, value, record.unit, *judged))
    if rows:
        _table(("metric", "value", "unit", "stated", "verdict"), rows)


def plan(plan: Plan) -> None:
    """Print the runs of a plan, and what must come out of them."""
    runs = plan.runs
    if plan.question:
        print(plan.question)
    names = list(runs[0])
    _table(("run", *names), [(i, *(run[n] for n in names)) for i, run in enumerate(runs, start=1)])
    print(f"{len(runs)} runs of {plan.notebook.stem}")
    for threshold in plan.thresholds:
        print(f"threshold: mean of {threshold.metric} {threshold}")


def checks(rows: Sequence[Row]) -> None:
    """Print the thresholds beside the means."""
    if rows:
        _table(
            ("metric", "mean over runs", "runs", "threshold", "check"),
            [
                (
                    row.metric,
                    "missing" if row.mean is None else f"{row.mean:.6g}",
                    row.runs,
                    row.bound,
                    "ok" if row.ok else "not met",
                )
                for row in rows
            ],
        )


def schema(schema: Schema) -> None:
    """Print the parameters of a notebook."""
    parameters = schema.parameters.values()
    _table(
        ("parameter", "type", "default", "meaning"),
        [(p.name, p.annotation, repr(p.default), p.comment) for p in parameters],
    )
