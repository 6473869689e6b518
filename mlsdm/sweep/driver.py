"""Jobs given to an executor, and what comes back put into the store by the one writer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlsdm.errors import MlsdmError
from mlsdm.execution.pool import Cell, Done, Executor, LocalPool, Started
from mlsdm.execution.task import Task
from mlsdm.provenance import THREAD_CAPS
from mlsdm.sweep.job import Job, Source
from mlsdm.sweep.journal import Journal, Ledger
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.recorder import Recorder
from mlsdm.warm.client import ADDRESS

if TYPE_CHECKING:
    from mlsdm.tracking import Store

__all__ = ["Settings", "cores", "drive", "executor", "fork_server", "journaled"]


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """How runs are made; none of it changes a number that they record.

    Parameters
    ----------
    workers
        Notebooks at once; they and their threads never take more than the cores there are.
    threads
        Of BLAS and Numba in each kernel; None leaves the environment as it is.
    warm, fork_server
        Whether kernels are forked from a server that has the libraries imported, and its address.
    scheduler
        The address of a Dask scheduler whose workers run the notebooks.
    cell_timeout, timeout
        Seconds that one cell, and a whole notebook, may take; None for no limit.
    memory_limit
        Bytes that a kernel may hold; None for no limit.
    fail_fast
        Whether the first run that fails ends the others.
    """

    workers: int = 1
    threads: int | None = None
    warm: bool = False
    fork_server: str | None = None
    scheduler: str | None = None
    cell_timeout: float | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    fail_fast: bool = False

    def task(self, job: Job, source: Source) -> Task:
        """Return what a worker is given for a job."""
        return Task(
            job.key,
            source.name,
            source.text,
            job.parameters,
            str(source.project),
            self.cell_timeout,
            self.timeout,
            self.memory_limit,
            self.threads,
            self.warm,
        )

    @property
    def caps(self) -> dict[str, str | None]:
        """The caps on threads that a kernel finds in its environment."""
        own = None if self.threads is None else str(self.threads)
        return {name: own or os.environ.get(name) for name in THREAD_CAPS}


@contextmanager
def fork_server(settings: Settings) -> Iterator[Settings]:
    """Start the server that all warm kernels here are forked from; without it each worker has one.

    It takes seconds to be ready, which the caller can use: nothing waits for it but kernels.
    """
    if not settings.warm or settings.scheduler is not None:
        yield settings
        return
    from mlsdm.warm.client import ForkServer

    caps = {name: cap for name, cap in settings.caps.items() if cap is not None}
    with ForkServer({**os.environ, **caps}) as server:
        yield replace(settings, fork_server=server.address)


@contextmanager
def executor(settings: Settings, spool: Path) -> Iterator[Executor]:
    """Start what runs the notebooks: workers here, or those of a cluster.

    Raises
    ------
    RunError
        When the cluster does not answer.
    """
    with ExitStack() as stack:
        if settings.scheduler is not None:
            from mlsdm.execution.cluster import DaskExecutor

            yield stack.enter_context(DaskExecutor(spool, settings.scheduler, settings.workers))
            return
        server = settings.fork_server
        environment = {} if server is None else {ADDRESS: server}
        yield stack.enter_context(LocalPool(spool, settings.workers, environment))


@contextmanager
def journaled(store: Store) -> Iterator[Journal]:
    """Open a journal for the runs that are begun within; after an error it stays.

    For some of its runs may go on still, in a store that did not answer.
    """
    journal = Journal.open(store.state)
    try:
        yield journal
    except BaseException:
        journal.leave()
        raise
    journal.close()


def drive(
    store: Store,
    journal: Journal,
    jobs: Sequence[Job],
    sources: Mapping[str, Source],
    settings: Settings,
    *,
    parent: str | None = None,
    keep_records: bool = False,
) -> list[RunOutcome]:
    """Run the jobs, each as a run of the store; return what became of those that were begun.

    Every run that was begun has ended when this returns or raises: only the death of this process
    leaves one, and the journal, with which the next driver ends it.

    Parameters
    ----------
    sources
        The notebooks of the jobs, by name.
    parent
        The id of the run that the runs belong to.
    keep_records
        Whether the outcomes hold what was recorded; of many runs that is much.

    Raises
    ------
    RunError
        When the store refuses, or no worker can be started.
    KeyboardInterrupt
        For Ctrl-C, after every kernel has ended.
    """
    from mlsdm.tracking import impatient

    if not jobs:
        return []
    capped = {
        name: replace(source.provenance, thread_caps=settings.caps)
        for name, source in sources.items()
    }
    ledger = Ledger(
        store.address,
        sorted({job.experiment for job in jobs}),
        {job.key: job for job in jobs},
        capped,
        parent,
    )
    journal.write(ledger)
    recorder = Recorder(store, journal, ledger, keep_records)
    with (
        Progress(len(jobs)) as shown,
        executor(settings, journal.results) as workers,
        ThreadPoolExecutor(1, "mlsdm-writer") as writer,
    ):
        run = _Drive(recorder, workers, writer, shown, settings.fail_fast)
        for job in jobs:
            workers.submit(settings.task(job, sources[job.notebook]))
        try:
            run.follow(ledger)
        except BaseException as error:
            # What runs is called off; what it did so far is kept, if the store still takes it.
            run.error = error
            workers.stop()
            with impatient():
                with noted(error):
                    run.follow(ledger)
                with noted(error):
                    # After all that is to be written still, and in the same thread.
                    writer.submit(recorder.end_rest, "called off", parent).result()
            raise
        # A request that the server had carried out, though its answer was lost, is sent twice.
        recorder.end_rest("was begun twice", but=parent)
    return run.outcomes


@contextmanager
def noted(error: BaseException) -> Iterator[None]:
    """Note a second failure at the first one, which is the one to be raised."""
    try:
        yield
    except (MlsdmError, OSError) as second:  # such as of a terminal that is closed
        error.add_note(f"Afterwards: {second}")


@dataclass
class _Drive:
    """The course of the events of one executor."""

    recorder: Recorder
    workers: Executor
    writer: ThreadPoolExecutor
    shown: Progress
    fail_fast: bool
    outcomes: list[RunOutcome] = field(default_factory=list)
    writing: list[Future[RunOutcome] | Future[None]] = field(default_factory=list)
    error: BaseException | None = None  # that all is called off for; further ones are noted at it

    def follow(self, ledger: Ledger) -> None:
        """Handle events until there are no more, and wait until all of it is in the store."""
        for event in self.workers.events():
            job = ledger.jobs[event.key]
            if isinstance(event, Started):
                self.shown.start(event.key, job.title)
                begun = self.writer.submit(self.recorder.begin, event.key, time.time())
                self.writing.append(begun)
            elif isinstance(event, Cell):
                self.shown.cell(event.key, event.done, event.total)
            elif isinstance(event, Done):
                kept = self.writer.submit(self.recorder.keep, event.key)
                kept.add_done_callback(self._tell)
                self.writing.append(kept)
            self._collect(wait=self.fail_fast and isinstance(event, Done))
        self._collect(wait=True)

    def _tell(self, kept: Future[RunOutcome]) -> None:
        """Show the end of a run at once, from the writer's thread: no event need follow it."""
        if not kept.cancelled() and kept.exception() is None:
            self.shown.finish(kept.result())

    def _collect(self, wait: bool) -> None:
        """Take note of what is in the store by now; raise what the store said."""
        while self.writing and (wait or self.writing[0].done()):
            self.writing[0].exception()  # waits; if it is interrupted, the next call waits again
            try:
                outcome = self.writing.pop(0).result()
            except MlsdmError as error:
                if self.error is None:
                    raise
                self.error.add_note(f"Afterwards: {error}")
                continue
            if outcome is None:
                continue
            self.outcomes.append(outcome)
            if outcome.status == "FAILED" and self.fail_fast:
                self.workers.stop()
