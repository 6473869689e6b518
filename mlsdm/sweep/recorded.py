"""What a store holds of a sweep: the runs that are done, the parent run, the plan behind it."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from mlsdm.errors import ParameterError, RunError, nearest
from mlsdm.sweep.job import DRAWN, Job
from mlsdm.sweep.outcome import RunOutcome, Status
from mlsdm.sweep.recorder import BASE, KEY

if TYPE_CHECKING:
    from mlsdm.tracking import Found, Store

__all__ = [
    "PLAN",
    "RERUN",
    "RUNS",
    "SWEEP",
    "identity",
    "parent",
    "plan_text",
    "recorded",
    "sweep_of",
    "typical_seconds",
]

SWEEP, RERUN = "mlsdm.sweep", "mlsdm.rerun_of"  # tags
PLAN, RUNS = "jobs.json", "runs.json"  # files of a sweep: its jobs; the id of each run by its key
RECENT = 50  # runs that an estimate of the time is made from
_JOBS = TypeAdapter(list[Job])


def identity(jobs: Iterable[Job]) -> str:
    """Return what a sweep is known by: a digest of the keys of its runs."""
    return hashlib.sha256(json.dumps(sorted(job.key for job in jobs)).encode()).hexdigest()[:32]


def recorded(
    store: Store, jobs: Sequence[Job], only: Mapping[str, str] | None = None
) -> dict[str, RunOutcome]:
    """Return those of the runs that the store holds as finished or failed, by their keys.

    Of several under one key a finished one counts, and the newest of these; with `only`, the run
    whose id that gives for the key.
    """
    from mlsdm.tracking import CAUSE

    known = {job.key: job for job in jobs}
    outcomes: dict[str, RunOutcome] = {}
    for name, base in {(job.experiment, job.base): None for job in jobs}:
        for run in store.find(name, {BASE: base}):
            job = known.get(run.tags.get(KEY, ""))
            if job is None or RERUN in run.tags or run.status not in ("FINISHED", "FAILED"):
                continue
            if only is not None and only.get(job.key) != run.id:
                continue
            held = outcomes.get(job.key)
            if held is None or (held.status == "FAILED" and run.status == "FINISHED"):
                status: Status = "FINISHED" if run.status == "FINISHED" else "FAILED"
                # The seed that this run drew, which need not be the one drawn for the job just now.
                drawn = json.loads(run.tags.get(DRAWN, "{}"))
                as_run = replace(job, parameters={**job.parameters, **drawn})
                outcomes[job.key] = as_run.outcome(
                    run.id,
                    status,
                    run.tags.get(CAUSE, ""),
                    metrics=run.metrics,
                    seconds=run.metrics.get("kernel/seconds", 0.0),
                    earlier=True,
                )
    return outcomes


def parent(store: Store, experiment: str, jobs: Sequence[Job]) -> Found | None:
    """Return the newest run of a sweep as a whole, if the store holds one."""
    found = store.find(experiment, {SWEEP: identity(jobs)})
    return found[0] if found else None


def typical_seconds(store: Store, experiment: str) -> float | None:
    """Return the mean time of the latest runs of an experiment; None if there are none."""
    found = [run for run in store.find(experiment, {KEY: None}) if run.status == "FINISHED"]
    taken = [run.metrics.get("kernel/seconds") for run in found[:RECENT]]
    seconds = [value for value in taken if value is not None]
    return statistics.fmean(seconds) if seconds else None


def plan_text(jobs: Sequence[Job]) -> bytes:
    """Return the jobs of a sweep as JSON, for `sweep_of` to read."""
    return _JOBS.dump_json(list(jobs), indent=1)


def sweep_of(store: Store, which: str, but: str = "") -> tuple[Found, list[RunOutcome]]:
    """Return a sweep's own run, and the outcomes of its runs in the order of the plan.

    A run that did not finish or fail is one that was not made.

    Parameters
    ----------
    which
        The id of the sweep's run, or the name of its experiment, whose newest sweep it is then.
    but
        The identity of a sweep that is not meant by the name.

    Raises
    ------
    ParameterError
        When there is no such sweep.
    RunError
        When the store refuses.
    """
    experiments = store.experiments()
    if which in experiments:
        found = [run for run in store.find(which, {SWEEP: None}) if run.tags[SWEEP] != but]
        if not found:
            other = "other " if but else ""
            raise ParameterError(f"sweep: the experiment {which!r} holds no {other}sweep")
        whole = found[0]
    else:
        try:
            whole = store.get(which)
        except RunError:
            raise ParameterError(
                f"sweep: there is neither an experiment nor a run {which!r}"
                f"{nearest(which, experiments) if experiments else '; the store is empty'}"
            ) from None
    if SWEEP not in whole.tags:
        raise ParameterError(f"sweep: the run {which} is not the run of a sweep as a whole")
    jobs = _JOBS.validate_json(store.read(whole.id, PLAN))
    try:
        mine = json.loads(store.read(whole.id, RUNS))
    except RunError:  # it was killed, or goes on: what there is of it
        mine = None
    outcomes = recorded(store, jobs, mine)
    return whole, [outcomes.get(job.key) or job.not_made() for job in jobs]
