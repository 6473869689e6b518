"""The one writer: what becomes of each job is put into the run that was begun for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mlsdm.errors import DataError, RunError
from mlsdm.execution.task import Result, from_json
from mlsdm.sweep.describe import QUESTION, run_tags
from mlsdm.sweep.journal import Journal, Ledger, only_one
from mlsdm.sweep.outcome import RunOutcome, Status

if TYPE_CHECKING:
    from mlsdm.sweep.job import Job
    from mlsdm.tracking import Found, Store, TrackedRun

__all__ = ["BASE", "DRIVER", "KEY", "Recorder", "recover"]

BASE, DRIVER, KEY = "mlsdm.base", "mlsdm.driver", "mlsdm.key"  # tags
MIB = 2**20


class Recorder:
    """Begins and ends the runs of a ledger; its methods are called from one thread at a time."""

    def __init__(
        self, store: Store, journal: Journal, ledger: Ledger, keep_records: bool = False
    ) -> None:
        self._store = store
        self._journal = journal
        self._ledger = ledger
        self._keep_records = keep_records
        self._runs: dict[str, TrackedRun] = {}

    def begin(self, key: str, started: float) -> None:
        """Begin the run of a job, unless it goes on already; `started` is in seconds since 1970.

        Raises
        ------
        RunError
            When the store refuses.
        """
        if key in self._runs:
            return
        job = self._ledger.jobs[key]
        # The child's own keys, so that a search finds it by what it is, and by who began it.
        own = {**job.tags, KEY: job.key, BASE: job.base, DRIVER: self._journal.token}
        provenance = self._ledger.provenances[job.notebook]
        own |= replace(provenance, seed=job.seed, data_sha256=job.data_sha256).tags()
        self._runs[key] = self._store.start(
            job.experiment,
            job.title,
            parameters=job.differing,
            tags=own,
            parent=self._ledger.parent,
            time=_milliseconds(started),
        )

    def keep(self, key: str) -> RunOutcome:
        """Put the result of a job into the store, end its run, and drop the result.

        Raises
        ------
        RunError
            When the store refuses; the run has failed then, and the result stays where it is.
        """
        import nbformat

        from mlsdm.record import records

        path = self._journal.results / f"{key}.json"
        result = from_json(Result, path.read_bytes())
        self.begin(key, result.started)
        job, run = self._ledger.jobs[key], self._runs.pop(key)
        cause = "" if result.error is None else str(result.error)
        found = []
        try:
            found = records(nbformat.reads(result.notebook, as_version=4))  # type: ignore[no-untyped-call]
        except DataError as error:
            cause = cause or str(error)
        stopped = result.error is not None and result.error.kind == "stopped"
        status: Status = "KILLED" if stopped else "FAILED" if cause else "FINISHED"
        ended = _milliseconds(result.started + result.seconds)
        try:
            # With the time of its end: were it put there twice, MLflow would keep it once.
            metrics = run.log(
                found,
                numbers=_numbers(result),
                tags=run_tags(job.tags.get(QUESTION, ""), found, run.id, cause),
                files=self._files(job, result),
                time=ended,
            )
            run.finish(status, cause, ended)
        except RunError as error:
            run.fail(error)
            raise
        path.unlink()
        return job.outcome(
            run.id,
            status,
            cause,
            metrics=metrics,
            seconds=result.seconds,
            records=found if self._keep_records else [],
        )

    def _files(self, job: Job, result: Result) -> dict[str, str | bytes]:
        provenance = replace(
            self._ledger.provenances[job.notebook], seed=job.seed, data_sha256=job.data_sha256
        )
        files: dict[str, str | bytes] = {
            "parameters.json": json.dumps(job.parameters, indent=2),
            "provenance.json": json.dumps(provenance.to_dict(), indent=2),
            job.notebook: result.notebook,
        }
        return {**files, "diff.patch": provenance.diff} if provenance.diff else files

    def keep_rest(self) -> None:
        """Keep the results of a driver that died, in the runs that it had begun.

        Raises
        ------
        RunError
            When the store refuses.
        """
        # Of two under one key, where a request was sent twice, the one that was kept counts.
        found = sorted(self._begun(), key=lambda run: run.status == "FINISHED")
        begun = {run.tags[KEY]: run for run in found if KEY in run.tags}
        for path in sorted(self._journal.results.iterdir()):
            run = begun.get(path.stem)
            # Half-written; or kept already, by a driver that died before it could take note of it.
            kept = run is not None and run.status == "FINISHED"
            if path.suffix != ".json" or not path.stat().st_size or kept:
                path.unlink()
                continue
            if run is not None:
                again = self._runs[path.stem] = self._store.run(run.id)
                again.reopen()
                # Which it lacks if the driver died before this second step of its beginning.
                again.log_parameters(self._ledger.jobs[path.stem].differing)
            self.keep(path.stem)

    def end_rest(self, cause: str, but: str | None = None) -> None:
        """End the runs that go on, except `but`, as KILLED: nothing more will come of them.

        Raises
        ------
        RunError
            When the store refuses.
        """
        for run in self._begun():
            if run.status == "RUNNING" and run.id != but:
                self._store.run(run.id).finish("KILLED", cause)

    def _begun(self) -> list[Found]:
        """Return the runs that carry this driver's token."""
        mine = {DRIVER: self._journal.token}
        return [run for name in self._ledger.experiments for run in self._store.find(name, mine)]


def recover(store: Store) -> None:
    """Clear up after the drivers of this store that have died: the journals are theirs.

    Raises
    ------
    RunError
        When the store refuses.
    """
    # One at a time, and the others wait: what is being kept would be made again by them.
    with only_one(store.state, f"recovery of {store.address}"):
        for journal in Journal.abandoned(store.state):
            ledger = journal.read()
            if ledger is not None and ledger.store == store.address:
                recorder = Recorder(store, journal, ledger)
                recorder.keep_rest()
                recorder.end_rest("its driver was killed")
            if ledger is None or ledger.store == store.address:
                journal.close()


def _numbers(result: Result) -> dict[str, float]:
    numbers = {"kernel/seconds": result.seconds}
    if result.usage is not None:
        numbers["kernel/peak_memory_mib"] = result.usage.peak_memory / MIB
        numbers["kernel/cpu_seconds"] = result.usage.cpu_seconds
    return numbers


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
