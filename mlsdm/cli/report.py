"""The command that writes the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsdm.cli.common import (
    Project,
    StoreUri,
    complain,
    examples,
    project_folder,
    write_text,
)
from mlsdm.errors import ParameterError, RunError

if TYPE_CHECKING:
    from mlsdm.report.audit import Audit

__all__ = ["register"]

SEEDS = 200  # that a verdict should rest on


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        short_help="Write the verdicts for people to read.",
        epilog=examples(
            "mlsdm report",
            "mlsdm report --gallery",
            "mlsdm report --check",
            "mlsdm report --run 0123456789abcdef0123456789abcdef --out elsewhere",
        ),
    )(report)


def report(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where to write; by default reports/ of the project. May be new."
        ),
    ] = None,
    gallery: Annotated[
        bool,
        typer.Option(
            "--gallery",
            help="Write gallery/ too: the newest finished run of every notebook as a page, and an "
            "index; then a store without an audit will do.",
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; end with 1 if what lies there is not what the store gives, apart "
            "from timings, run ids and where it ran.",
        ),
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID", help="A run that holds the audit; by default the newest finished one."
        ),
    ] = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Write the audit of all stated figures: claims.csv, claims.md, claims.html.

    It is made from the store alone, of a run of the notebook 05-claims.
    """
    from mlsdm.report.audit import read_audit
    from mlsdm.report.claims import report as made
    from mlsdm.report.gallery import gallery as pages
    from mlsdm.tracking import Store

    if check and gallery:
        raise ParameterError("report: --check is about the claims; give it without --gallery")
    folder = project_folder(project)
    place = folder / "reports" if out is None else out
    if place.exists() and not place.is_dir():
        raise ParameterError(f"report.out: must be a folder (got {place})")
    opened = Store.open(folder, store)
    files: dict[str, str] = {}
    if gallery:
        files |= {f"gallery/{name}": text for name, text in pages(opened).items()}
    try:
        audit = read_audit(opened, run)
    except RunError as error:
        if not gallery or run is not None:
            raise
        complain(error)
    else:
        if check:
            _check(audit, place)
            return
        files |= made(audit)
        if audit.n_seeds < SEEDS:
            complain(f"report: the audit is over {audit.n_seeds} seeds, fewer than {SEEDS}")
        counts = ", ".join(f"{count} {verdict}" for verdict, count in audit.counts.items())
        print(f"{len(audit.table)} claims (run {audit.run.id}, {audit.n_seeds} seeds): {counts}")
    _write(files, place)


def _check(audit: Audit, place: Path) -> None:
    from mlsdm.report.claims import stale

    if found := stale(audit, place):
        raise RunError(
            f"report: in {place}, {' and '.join(found)} {'is' if len(found) == 1 else 'are'} not "
            f"what the run {audit.run.id} gives; renew with `mlsdm report`"
        )
    print(f"{place}: current with the run {audit.run.id}")


def _write(files: Mapping[str, str], place: Path) -> None:
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        if "/" not in name or path.name == "index.html":
            print(path)
