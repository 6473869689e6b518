"""What a sweep would do, before it does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlsdm.plan.plan import Plan
from mlsdm.sweep.job import Job
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.recorded import recorded, typical_seconds
from mlsdm.sweep.sweeping import Choice, chosen, planned_jobs

__all__ = ["Outlook", "outlook"]


@dataclass(frozen=True)
class Outlook:
    """The runs of a plan, what the store holds of them, and what is left to do.

    `seconds` is the mean time of this experiment's latest runs; None where there are none.
    """

    jobs: list[Job]
    held: dict[str, RunOutcome]
    todo: list[Job]
    seconds: float | None


def outlook(project: Path, uri: str | None, plan: Plan, choice: Choice) -> Outlook:
    """Look at what is done already; a store that does not exist yet is not made.

    Raises
    ------
    ParameterError, DataError
        When the notebook does not take a value.
    RunError
        When the store cannot be read.
    """
    from mlsdm.tracking import Store

    _, jobs = planned_jobs(plan, project)
    held: dict[str, RunOutcome] = {}
    seconds = None
    if Store.exists(project, uri):
        store = Store.open(project, uri)
        held = recorded(store, jobs)
        seconds = typical_seconds(store, plan.name)
    return Outlook(jobs, held, chosen(jobs, held, choice), seconds)
