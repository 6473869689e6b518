"""A plan carried out: what is done already is left alone, the rest is run under one parent run."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlsdm.errors import RunError
from mlsdm.plan.plan import Plan
from mlsdm.record import artifact_path, records
from mlsdm.sweep.aggregate import aggregate, aggregates_table, numbered
from mlsdm.sweep.check import Row, check
from mlsdm.sweep.describe import PRESET, QUESTION, first_figure, sweep_tags
from mlsdm.sweep.driver import Settings, cores, drive, journaled
from mlsdm.sweep.job import Job, Source, read_source, titled
from mlsdm.sweep.journal import Journal, Ledger, only_one
from mlsdm.sweep.outcome import RunOutcome, Status
from mlsdm.sweep.recorded import PLAN, RUNS, SWEEP, identity, parent, plan_text, recorded
from mlsdm.sweep.recorder import DRIVER, recover
from mlsdm.sweep.table import tidy
from mlsdm.sweep.view import save_view

if TYPE_CHECKING:
    from mlsdm.record import Record
    from mlsdm.tracking import Store, TrackedRun

__all__ = ["Choice", "SweepOutcome", "chosen", "planned_jobs", "run_plan", "settings_of"]


@dataclass(frozen=True)
class Choice:
    """Which runs of a plan are to be made: by default those that are neither done nor failed."""

    retry_failed: bool = False
    force: bool = False


@dataclass(frozen=True)
class SweepOutcome:
    """What became of a plan.

    Parameters
    ----------
    run_id
        The run of the sweep as a whole.
    runs
        All that are planned, in that order; one that was not made has no id.
    checks
        The thresholds beside what came out.
    seconds
        Wall time of this start; 0 where all was done already.
    """

    run_id: str
    runs: list[RunOutcome]
    checks: list[Row]
    seconds: float

    @property
    def missed(self) -> list[str]:
        """The metrics whose threshold is not met at every point."""
        return list(dict.fromkeys(row.metric for row in self.checks if not row.ok))


def settings_of(plan: Plan, settings: Settings) -> Settings:
    """Return the settings with what the plan itself says, and no more threads than cores."""
    threads, here = settings.threads, settings.workers
    if settings.scheduler is None:
        threads = threads and min(threads, cores())
        here = min(here, cores() // (threads or 1))
    return replace(
        settings,
        threads=threads,
        workers=min(here, plan.workers or here, len(plan.runs)),
        cell_timeout=settings.cell_timeout or plan.cell_timeout,
        timeout=settings.timeout or plan.timeout,
        memory_limit=settings.memory_limit or plan.memory_limit,
    )


def planned_jobs(plan: Plan, project: Path) -> tuple[Source, list[Job]]:
    """Return the notebook of a plan as it is now, and its runs.

    Raises
    ------
    ParameterError, DataError
        When the notebook does not take a value.
    """
    source = read_source(plan.notebook, project)
    jobs = []
    for run in plan.runs:
        varies = run.point if run.seed is None else {**run.point, "seed": run.seed}
        jobs.append(
            source.job(
                run.values,
                experiment=plan.name,
                title=titled(varies, plan.name),
                point=run.point,
                varied=varies,
                question=plan.question,
            )
        )
    return source, jobs


def chosen(jobs: list[Job], held: dict[str, RunOutcome], choice: Choice) -> list[Job]:
    """Return the runs that are to be made, given what the store holds."""
    if choice.force:
        return jobs
    skipped = {
        key for key, run in held.items() if run.status == "FINISHED" or not choice.retry_failed
    }
    return [job for job in jobs if job.key not in skipped]


def run_plan(
    store: Store,
    project: Path,
    plan: Plan,
    settings: Settings | None = None,
    choice: Choice | None = None,
) -> SweepOutcome:
    """Run what a plan still lacks, under the run of the sweep as a whole, and check what comes out.

    A run that fails does not stop the others; the sweep's own run then ends as FAILED too. Nothing
    is written when nothing is left to do.

    Raises
    ------
    RunError
        When the store refuses; what was executed by then is kept for the next start.
    KeyboardInterrupt
        For Ctrl-C, after every kernel and every run has ended.
    """
    from mlsdm.tracking import CAUSE

    begin = time.perf_counter()
    source, jobs = planned_jobs(plan, project)
    with only_one(store.state, f"{plan.name} in {store.address}"):
        recover(store)
        held = recorded(store, jobs)
        todo = chosen(jobs, held, choice or Choice())
        whole = parent(store, plan.name, jobs)
        if whole is not None and not todo:
            known = _outcome(whole.id, plan, jobs, held, 0.0)
            # Else it ended otherwise than its runs say, as where the store refused its own files.
            if (whole.status, whole.tags.get(CAUSE, "")) == _end(known.runs):
                return known
        with journaled(store) as journal:
            journal.write(Ledger(store.address, [plan.name], {}, {}))
            again = None if whole is None or (choice and choice.force) else whole.id
            with _begun(store, journal, plan, source, jobs, again) as run:
                if todo:
                    sources = {source.name: source}
                    chosen_settings = settings_of(plan, settings or Settings())
                    made = drive(store, journal, todo, sources, chosen_settings, parent=run.id)
                    held |= {outcome.key: outcome for outcome in made}
                swept = _outcome(run.id, plan, jobs, held, time.perf_counter() - begin)
                _finish(store, run, plan, jobs, swept)
    return swept


def _outcome(
    run_id: str, plan: Plan, jobs: list[Job], held: dict[str, RunOutcome], seconds: float
) -> SweepOutcome:
    runs = [held.get(job.key) or job.not_made() for job in jobs]
    return SweepOutcome(run_id, runs, check(plan.thresholds, runs), seconds)


def _begun(
    store: Store, journal: Journal, plan: Plan, source: Source, jobs: list[Job], again: str | None
) -> TrackedRun:
    """Begin the run of the sweep as a whole, or go on with it."""
    own = {DRIVER: journal.token}
    if again is not None:
        run = store.run(again)
        run.tag(own)  # first: a driver that dies here leaves nothing that goes on for ever
        run.reopen()
        return run
    run = store.start(
        plan.name,
        plan.name,
        parameters=plan.fixed,
        tags={**source.provenance.tags(), **_shared(jobs), **own},
    )
    files = {plan.path.name: plan.path.read_bytes(), PLAN: plan_text(jobs)}
    try:
        # The tag is written last: what carries it has its files, and can be gone on with.
        run.log([], files=files, tags={SWEEP: identity(jobs)})
    except BaseException as error:
        run.fail(error)
        raise
    return run


def _shared(jobs: list[Job]) -> dict[str, str]:
    """Return the question and the preset of the runs, where it is the same for all."""
    found = {}
    for name in (QUESTION, PRESET):
        facts = {job.tags.get(name) for job in jobs}
        fact = facts.pop()
        if fact and not facts:
            found[name] = fact
    return found


def _finish(
    store: Store, run: TrackedRun, plan: Plan, jobs: list[Job], swept: SweepOutcome
) -> None:
    """Keep what the runs amount to, and end the run of the sweep."""
    first = _first_records(store, swept.runs)
    found = aggregate(swept.runs)
    files: dict[str, str | bytes] = {
        "checks.json": json.dumps([row.to_dict() for row in swept.checks], indent=2),
        RUNS: json.dumps({run.key: run.run_id for run in swept.runs}, indent=1),
        "aggregates.csv": aggregates_table(found).to_csv(index=False),
        "runs.csv": tidy(swept.runs).to_csv(index=False),
    }
    if figure := first_figure(first):
        files[artifact_path("figure", figure.name)] = figure.png
    # Always at one time: what is kept again, after a driver that died here, is kept once.
    run.log_points(numbered(found, swept.runs), store.get(run.id).started)
    run.log(
        [],
        numbers={"sweep/seconds": swept.seconds, "sweep/runs": float(len(swept.runs))},
        tags=sweep_tags(plan, swept.runs, swept.checks, first, run.id),
        files=files,
    )
    metrics, datasets = [row.metric for row in swept.checks], any(r.dataset for r in first)
    save_view(store, plan.name, jobs[0].differing, metrics, datasets=datasets)
    run.finish(*_end(swept.runs))


def _first_records(store: Store, runs: list[RunOutcome]) -> list[Record]:
    """Return what the first finished run recorded; nothing if its notebook is gone."""
    import nbformat

    for run in runs:
        if run.status == "FINISHED":
            name = f"{run.notebook}.ipynb"
            try:
                text = store.read(run.run_id, name).decode()
            except RunError:
                if name in store.listed(run.run_id):
                    raise
                return []
            return records(nbformat.reads(text, as_version=4))  # type: ignore[no-untyped-call]
    return []


def _end(runs: list[RunOutcome]) -> tuple[Status, str]:
    """Return how the run of a sweep is to end, and why."""
    ended = Counter(outcome.status for outcome in runs)
    if ended["FAILED"]:
        return "FAILED", f"{ended['FAILED']} of {len(runs)} runs failed"
    if ended["KILLED"]:
        return "KILLED", f"{ended['KILLED']} of {len(runs)} runs were not made"
    return "FINISHED", ""
