"""The command that measures how fast the engine is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsdm.cli.common import (
    Project,
    StoreUri,
    examples,
    look,
    project_folder,
    writable,
    write_text,
)
from mlsdm.errors import ParameterError

if TYPE_CHECKING:
    from mlsdm.bench.cases import Case, Figure
    from mlsdm.bench.measure import Size
__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        short_help="Measure how fast the engine is.",
        epilog=examples(
            "mlsdm bench",
            "mlsdm bench --quick --no-track",
            "mlsdm bench --only retrieve --only retrieve_flat",
            "mlsdm bench --json bench.json --markdown README.md",
        ),
    )(bench)


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Repeat less often: wider intervals.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One figure by its name; may be given again."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all that was measured, as JSON."),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the table as Markdown: into a new file, or between the lines "
            "<!-- bench --> and <!-- end --> of one that exists.",
        ),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Keep the figures as a run in MLflow.")
    ] = True,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Measure the engine beside named yardsticks, in turn, in about a minute.

    Each figure is a ratio measured in one run: the median over the repetitions with the interval
    that covers it with 95 % confidence. Ends with 0 whatever the ratios are.
    """
    from mlsdm.bench import table
    from mlsdm.bench.cases import chosen
    from mlsdm.bench.measure import FULL, QUICK
    from mlsdm.bench.tracked import keep
    from mlsdm.cli import show
    from mlsdm.tracking import Store

    cases, size = chosen(only or []), QUICK if quick else FULL
    for option, path in (("bench.json", json), ("bench.markdown", markdown)):
        writable(option, path)
    _around(markdown)
    opened = Store.open(_folder(project), store) if track else None

    figures, machine = list(_followed(cases, size)), table.machine()
    show.bench(figures)
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['platform']}")
    text = table.as_markdown(figures, size, machine)
    if json is not None:
        write_text(json, table.as_json(figures, size, machine))
        print(json)
    if markdown is not None:
        write_text(markdown, table.inserted(_around(markdown), text))
        print(markdown)
    if opened is not None:
        print(f"run: {keep(opened, figures, size, machine)}")
        look(opened, store, project)


def _folder(project: Path | None) -> Path:
    try:
        return project_folder(project)
    except ParameterError as error:
        raise ParameterError(f"{error}, or --no-track") from None


def _around(markdown: Path | None) -> str:
    """Return what stands around the table, or refuse a file that has no place for it."""
    from mlsdm.bench.table import BEGIN, END, inserted

    if markdown is None or not markdown.exists():
        return f"{BEGIN}\n{END}\n"
    text = markdown.read_text(encoding="utf-8")
    inserted(text, "")
    return text


def _followed(cases: list[Case], size: Size) -> Iterator[Figure]:
    """Measure, with a bar on a terminal, else a line a figure, on the standard error."""
    from tqdm.auto import tqdm

    from mlsdm.bench.cases import measured

    if not sys.stderr.isatty():
        for number, case in enumerate(cases, start=1):
            print(f"{number}/{len(cases)} {case.name}", file=sys.stderr, flush=True)
            yield from measured([case], size)
        return
    with tqdm(cases, leave=False, unit=" figures") as bar:
        for case in bar:
            bar.set_description(case.name)
            yield from measured([case], size)
