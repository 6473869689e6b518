"""Commands for sweeps: sweep, check."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsdm.cli.common import (
    CellTimeout,
    MemoryLimit,
    Project,
    StoreUri,
    Timeout,
    complain,
    examples,
    fail,
    look,
    project_folder,
    sweep_name,
    writable,
    write_text,
)
from mlsdm.errors import ParameterError

if TYPE_CHECKING:
    from mlsdm.plan.plan import Plan
    from mlsdm.sweep.outcome import RunOutcome
    from mlsdm.sweep.sweeping import SweepOutcome

__all__ = ["register"]


class Kernels(StrEnum):
    """How kernels are started."""

    warm = "warm"
    stock = "stock"


class Where(StrEnum):
    """What runs the notebooks."""

    local = "local"
    dask = "dask"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(
        short_help="Run a plan: many points and seeds, in parallel.",
        epilog=examples(
            "mlsdm sweep experiments/moral-adaptation.yaml --dry-run",
            "mlsdm sweep experiments/moral-adaptation.yaml --workers 4 --fail-fast",
            "mlsdm sweep experiments/smoke.yaml --executor dask --scheduler tcp://10.0.0.1:8786",
        ),
    )(sweep)
    app.command(
        "check",
        short_help="Run a plan; fail unless its thresholds are met.",
        help="Run what a plan still lacks, and end with 1 unless every threshold is met and "
        "nothing is worse than the baseline: the same as sweep --check.",
        epilog=examples(
            "mlsdm check experiments/smoke.yaml",
            "mlsdm check experiments/smoke.yaml --junit checks.xml --markdown summary.md",
            "mlsdm check experiments/smoke.yaml --baseline 0123456789abcdef0123456789abcdef",
        ),
    )(sweep)


def sweep(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A YAML file, or its name in experiments/.")
    ],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the runs, and what is done already; run and write nothing."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--force", help="Make only the runs that the store lacks, or every run."
        ),
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Make the runs again that failed.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End all with the first run that fails.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="End with 1 unless every threshold is met and nothing is worse than the baseline.",
        ),
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="SWEEP",
            help="Compare with an earlier sweep: the id of its run, or its file or experiment, "
            "whose newest other sweep it is then.",
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the checks as JUnit XML.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a summary for a pull request.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Notebooks at once; by default, and at most, the cores."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, help="Threads of BLAS and Numba in each kernel.")
    ] = 1,
    kernels: Annotated[
        Kernels,
        typer.Option(help="Fork kernels that have the libraries imported, or start stock ones."),
    ] = Kernels.warm if os.name == "posix" else Kernels.stock,
    cell_timeout: CellTimeout = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    executor: Annotated[Where, typer.Option(help="Run here, or on a Dask cluster.")] = Where.local,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The scheduler of that cluster, tcp://host:port."),
    ] = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run a plan: its points and seeds, as runs under one parent run.

    What the store holds already is left alone, so the same command goes on after an interruption.
    Ends with 1 when a run failed. Time-outs and the memory limit come before those in the plan.
    """
    from mlsdm.cli import show
    from mlsdm.plan.plan import load_plan
    from mlsdm.sweep.driver import Settings, cores, fork_server
    from mlsdm.sweep.outlook import outlook
    from mlsdm.sweep.sweeping import Choice, planned_jobs, run_plan, settings_of

    if (executor is Where.dask) != (scheduler is not None):
        raise ParameterError("sweep: --executor dask and --scheduler ADDRESS belong together")
    for option, path in (("--junit", junit), ("--markdown", markdown)):
        writable(f"sweep: {option}", path)
    project = _home(file, project)
    folder = project_folder(project)
    plan = load_plan(_named(file, folder), folder)
    settings = Settings(
        workers=workers or (len(plan.runs) if scheduler else cores()),
        threads=threads,
        warm=kernels is Kernels.warm,
        scheduler=scheduler,
        cell_timeout=cell_timeout,
        timeout=timeout,
        memory_limit=memory_limit,
        fail_fast=fail_fast,
    )
    settled = settings_of(plan, settings)
    if workers is not None and settled.workers < workers:
        own = f", {plan.workers} by the plan" if plan.workers else ""
        most = f"{len(plan.runs)} runs, {cores()} cores{own}, --threads {settled.threads}"
        complain(f"--workers {workers} is lowered to {settled.workers} ({most})")
    if settled.threads != threads:
        complain(f"--threads {threads} is lowered to {settled.threads}, the cores there are")
    choice = Choice(retry_failed, force=not resume)
    if dry_run:
        show.plan(plan, outlook(folder, store, plan, choice), settled)
        return
    from mlsdm.sweep.recorded import identity, sweep_of
    from mlsdm.tracking import Store

    with fork_server(settled) as ready:  # it gets ready while the store is opened
        opened = Store.open(folder, store)
        # Now: a wrong one must not cost a sweep. A name means another sweep than this one.
        before = None
        if baseline is not None:
            mine = identity(planned_jobs(plan, folder)[1])
            before = sweep_of(opened, sweep_name(baseline), but=mine)[1]
        outcome = run_plan(opened, folder, plan, ready, choice)
    wrong = _report(plan, outcome, before, junit, markdown)
    look(opened, store, project)
    checked = check or ctx.info_name == "check"
    if checked and wrong:
        complain(f"{plan.path.name}: {'; '.join(wrong)}")
    fail(outcome.runs)
    if checked and wrong:
        raise typer.Exit(1)


def _home(file: Path, project: Path | None) -> Path | None:
    """Return the project that was given; outside of any, the one that the file lies in."""
    if project is None and file.is_file():
        try:
            project_folder(None)
        except ParameterError:
            return project_folder(file.resolve().parent)
    return project


def _named(file: Path, folder: Path) -> Path:
    """Return the sweep file; a bare name means the one in the project's ``experiments/``."""
    known = folder / "experiments" / f"{file}.yaml"
    bare = len(file.parts) == 1 and not file.suffix and not file.exists()
    return known if bare and known.is_file() else file


def _report(
    plan: Plan,
    outcome: SweepOutcome,
    before: list[RunOutcome] | None,
    junit: Path | None,
    markdown: Path | None,
) -> list[str]:
    """Show what came out, write it where asked, and return what is not as it must be."""
    from mlsdm.cli import show
    from mlsdm.sweep import report
    from mlsdm.sweep.check import compare

    changes = [] if before is None else compare(plan.thresholds, outcome.runs, before)
    show.swept(outcome)
    show.checks(outcome.checks)
    if before is not None:
        show.changes(changes)
    if junit is not None:
        write_text(junit, report.junit(plan.name, outcome.runs, outcome.checks, changes))
    if markdown is not None:
        text = report.markdown(plan.name, plan.question, outcome.runs, outcome.checks, changes)
        write_text(markdown, text)
    worse = dict.fromkeys(change.metric for change in changes if not change.ok)
    found = {"not met": outcome.missed, "worse than the baseline, or gone": worse}
    return [f"{what}: {', '.join(names)}" for what, names in found.items() if names]
