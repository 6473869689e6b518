"""The tables that the command line prints."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlsdm.display import short

if TYPE_CHECKING:
    from mlsdm.bench.cases import Figure
    from mlsdm.plan.plan import Plan
    from mlsdm.plan.schema import Schema
    from mlsdm.report.audit import Audit
    from mlsdm.sweep.check import Change, Row
    from mlsdm.sweep.driver import Settings
    from mlsdm.sweep.outcome import RunOutcome
    from mlsdm.sweep.outlook import Outlook
    from mlsdm.sweep.rerun import Rerun
    from mlsdm.sweep.sweeping import SweepOutcome

__all__ = ["bench", "changes", "checks", "claims", "metrics", "plan", "rerun", "schema", "swept"]

MANY = 100  # runs of a sweep
FEW = 6  # points of a threshold that are worth a line each

_COLOURS = {
    **dict.fromkeys(("met", "reproduced", "better"), "green"),
    **dict.fromkeys(("not met", "not reproduced", "missing", "worse", "FAILED", "KILLED"), "red"),
    **dict.fromkeys(("undecided", "changed", "reproduced but means something else"), "yellow"),
}


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(*columns)
    for row in rows:
        cells = [Text(str(cell)) for cell in row]
        for cell in cells:
            cell.stylize(_COLOURS.get(cell.plain, ""))
        table.add_row(*cells)
    # A log has no width of its own: nothing in it is to be wrapped or cut.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def claims(audit: Audit) -> None:
    """Print what is stated beside what came out, the verdict on each, and a line that counts."""
    from mlsdm.report.words import interval

    columns = ("claim", "stated", "regenerated", "mean [95 % interval]", "verdict")
    _table(
        columns,
        [
            (row["id"], row["stated_text"], row["regenerated_text"], interval(row), row["verdict"])
            for row in audit.rows
        ],
    )
    print(", ".join(f"{number} {verdict}" for verdict, number in audit.counts.items()))


def bench(figures: Sequence[Figure]) -> None:
    """Print what was measured beside the yardsticks and the targets."""
    from mlsdm.bench.table import COLUMNS, cells

    _table(COLUMNS, [cells(figure) for figure in figures])


def metrics(outcome: RunOutcome) -> None:
    """Print the metrics of one run, with the verdicts on those that are held to something."""
    rows = []
    for record in outcome.records:
        if record.kind == "metric":
            value = "not finite" if record.value is None else f"{record.value:.6g}"
            low, high, n = record.interval or (None, None, 0)
            if low is not None and high is not None:
                value += f" [{low:.6g}, {high:.6g}], n = {n}"
            held = record.judgement
            judged = (held.stated, held.verdict) if held else ("", "")
            rows.append((record.name, value, record.unit, *judged))
    if rows:
        _table(("metric", "value", "unit", "stated", "verdict"), rows)


def plan(plan: Plan, ahead: Outlook, settings: Settings) -> None:
    """Print the runs of a plan, what is done of it already, and how long the rest may take."""
    from mlsdm.sweep.check import counted

    if plan.question:
        print(plan.question)
    left = {job.key for job in ahead.todo}
    rows = []
    for number, (run, job) in enumerate(zip(plan.runs, ahead.jobs, strict=True), start=1):
        varies = {**run.point, **({} if run.seed is None else {"seed": run.seed})}
        held = ahead.held.get(job.key)
        done = "to do" if held is None else {"FINISHED": "done"}.get(held.status, "failed")
        if held is not None and job.key in left:
            done += ", again"
        rows.append((number, *varies.values(), done))
    _table(("run", *varies, "state"), rows)
    fixed = "".join(f", {name}={value}" for name, value in plan.fixed.items())
    print(f"{counted(len(rows), 'run')} of {plan.notebook.stem}{fixed}; {len(left)} to do")
    for threshold in plan.thresholds:
        print(f"threshold: {threshold.metric} {threshold}")
    if len(rows) > MANY:
        print(f"MLflow's interface is slow past {MANY} runs: rather more seeds in each run")
    where = settings.scheduler or f"{settings.workers} at once"
    if not left:
        print("estimate: nothing is left to do")
    elif ahead.seconds is None:
        print(f"estimate: none, no run of this experiment is recorded yet; {where}")
    else:
        seconds = ahead.seconds * math.ceil(len(left) / settings.workers)
        print(f"estimate: {_duration(seconds)}, at {ahead.seconds:.1f} s a run; {where}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def swept(outcome: SweepOutcome) -> None:
    """Print how the runs of a sweep ended."""
    from mlsdm.sweep.check import counted

    counts = Counter(run.status.lower() if run.run_id else "not made" for run in outcome.runs)
    earlier = sum(run.earlier for run in outcome.runs)
    ended = ", ".join(f"{number} {status}" for status, number in counts.items())
    took = f" in {outcome.seconds:.1f} s" if outcome.seconds else ""
    print(f"{counted(len(outcome.runs), 'run')}: {ended}{took}; {earlier} in the store already")
    print(f"sweep: {outcome.run_id}")


def rerun(again: Rerun) -> None:
    """Print whether a run came out the same."""
    for note in again.notes:
        print(f"not as it was: {note}")
    if again.differing:
        _table(("result", "then", "now"), [(d.name, d.then, d.now) for d in again.differing])
    same = again.compared - len(again.differing)
    print(f"{same} of {again.compared} results came out the same, to the last bit")


def checks(rows: Sequence[Row]) -> None:
    """Print the thresholds beside the means; of many points, only those that are not met."""
    by_metric: dict[str, list[Row]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    shown: list[Sequence[object]] = []
    for metric, held in by_metric.items():
        met = [row for row in held if row.ok]
        if len(met) <= FEW:
            shown += [row.cells for row in held]
            continue
        means = [row.mean for row in met if row.mean is not None]
        between = f"{short(min(means))} to {short(max(means))}"
        shown += [row.cells for row in held if not row.ok]
        shown.append((metric, f"{len(met)} points", between, "", met[0].bound, "met"))
    if shown:
        _table(rows[0].columns, shown)


def changes(changes: Sequence[Change]) -> None:
    """Print what is not as in the baseline, and how much is."""
    if moved := [change for change in changes if change.verdict != "same"]:
        _table(moved[0].columns, [change.cells for change in moved])
    print(f"{len(changes) - len(moved)} the same as in the baseline, {len(moved)} not")


def schema(schema: Schema) -> None:
    """Print the parameters of a notebook."""
    if not schema.parameters:
        print(f"{schema.notebook} has no parameters")
        return
    parameters = schema.parameters.values()
    _table(
        ("parameter", "allowed", "default", "meaning"),
        [(p.name, p.allowed, repr(p.default), p.comment) for p in parameters],
    )
