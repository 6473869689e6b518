"""The command line: a thin wrapper that prints one line when something is wrong."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mlsdm.errors import MlsdmError, ParameterError, RunError

if TYPE_CHECKING:
    from mlsdm.sweep.outcome import RunOutcome
    from mlsdm.tracking import Store

__all__ = ["app", "main"]

# ClickException, which is click's own in older versions of typer and typer's in newer ones.
_ClickError: Any = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")


def _stop(message: object, code: int) -> NoReturn:
    print(f"mlsdm: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(code)


class _Commands(TyperGroup):
    """Ends with 2 for bad input, 1 for something that failed, 130 for Ctrl-C, and one line."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except _ClickError as error:
            _stop(error.format_message(), 2)
        sys.exit(code or 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RunError as error:
            _stop(error, 1)
        except MlsdmError as error:
            _stop(error, 2)
        except KeyboardInterrupt:
            _stop("stopped", 130)


def _examples(*commands: str) -> str:
    """Return what stands below a command's help, line by line."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {command}" for command in commands)])


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Project = Annotated[
    Path | None,
    typer.Option(help="The folder that holds notebooks/; by default found from here upwards."),
]
StoreUri = Annotated[
    str | None, typer.Option("--store", help="The MLflow store; by default the project's own.")
]
CellTimeout = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", min=1, help="Fail a run when one cell takes longer."),
]


def _project(given: Path | None) -> Path:
    from mlsdm.project import find_project

    return find_project(given)


def _look(store: Store, uri: str | None) -> None:
    print(f"store: {store.address}")
    print(f"look: mlsdm ui{f' --store {store.address}' if uri else ''}")


def _fail(runs: list[RunOutcome]) -> None:
    """End with 1 if a run failed, after saying which, why, and which run to look at."""
    failed = [run for run in runs if run.status == "FAILED"]
    for run in failed:
        print(f"mlsdm: {run.notebook} failed: {run.cause} (run {run.run_id})", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


@app.callback(
    invoke_without_command=True,
    epilog=_examples(
        "mlsdm reproduce",
        "mlsdm run 02 -p n_seeds=500",
        "mlsdm sweep experiments/moral-adaptation.yaml --check",
        "mlsdm ui",
    ),
)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Run the experiments of MLSDM, each as a tracked run, and look at them."""
    if version:
        print(f"mlsdm {sys.modules['mlsdm'].__version__}")
    elif ctx.invoked_subcommand is None:
        print(ctx.get_help())


@app.command(epilog=_examples("mlsdm reproduce", "mlsdm reproduce --all"))
def reproduce(
    everything: Annotated[
        bool, typer.Option("--all", help="Run every numbered notebook, not only 01 to 04.")
    ] = False,
    cell_timeout: CellTimeout = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run notebooks 01 to 04 as they are; compare every stated target and figure.

    Ends with 1 when a notebook failed, not when a figure differs.
    """
    from mlsdm.reproduce import run_all, verdicts
    from mlsdm.sweep import show
    from mlsdm.sweep.notebooks import numbered_notebooks

    folder = _project(project)
    notebooks = numbered_notebooks(folder)
    if not everything:
        notebooks = [n for n in notebooks if n.stem[:2] in ("01", "02", "03", "04")]
    if not notebooks:
        raise ParameterError(f"project: {folder / 'notebooks'} holds no numbered notebook")
    from mlsdm.tracking import Store

    opened = Store.open(folder, store)
    outcomes = run_all(opened, folder, notebooks, cell_timeout=cell_timeout)
    show.verdicts(verdicts(outcomes))
    _look(opened, store)
    _fail(outcomes)


@app.command(
    epilog=_examples(
        "mlsdm run 02", "mlsdm run 02-moral-adaptation -p n_events=2000 -p shares='[0.1, 0.2]'"
    )
)
def run(
    notebook: Annotated[str, typer.Argument(help="A path, or a name or number in notebooks/.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Set a parameter."),
    ] = None,
    cell_timeout: CellTimeout = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run one notebook as a tracked run.

    It works in the project's folder: a relative path in a parameter, such as data, starts there.
    """
    from mlsdm.sweep import show
    from mlsdm.sweep.driver import run_notebook
    from mlsdm.sweep.notebooks import find_notebook
    from mlsdm.sweep.progress import Progress
    from mlsdm.sweep.schema import read_schema

    folder = _project(project)
    path = find_notebook(notebook, folder, Path.cwd())
    values = read_schema(path).parse(parameter or [])
    from mlsdm.tracking import Store

    opened = Store.open(folder, store)
    with Progress(1) as progress:
        progress.start(path.stem)
        outcome = run_notebook(
            opened, folder, path, values, cell_timeout=cell_timeout, on_cell=progress.cell
        )
        progress.finish(outcome)
    show.metrics(outcome)
    _look(opened, store)
    _fail([outcome])


@app.command(
    epilog=_examples(
        "mlsdm sweep experiments/moral-adaptation.yaml --dry-run",
        "mlsdm sweep experiments/smoke.yaml --check",
    )
)
def sweep(
    file: Annotated[Path, typer.Argument(help="The plan, a YAML file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the runs.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 when a threshold is not met.")
    ] = False,
    cell_timeout: CellTimeout = None,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Run a plan: its grid of parameters and seeds, as runs under one parent run.

    Thresholds are held against the mean of a metric over all runs; one that failed misses them.
    """
    from mlsdm.sweep import show
    from mlsdm.sweep.plan import load_plan

    folder = _project(project)
    plan = load_plan(file, folder)
    show.plan(plan)
    if dry_run:
        return
    from mlsdm.sweep.driver import run_plan
    from mlsdm.tracking import Store

    opened = Store.open(folder, store)
    outcome = run_plan(opened, folder, plan, cell_timeout=cell_timeout)
    show.checks(outcome.checks)
    _look(opened, store)
    _fail(outcome.runs)
    if check and outcome.missed:
        _stop(f"{plan.path.name}: not met: {', '.join(outcome.missed)}", 1)


@app.command(epilog=_examples("mlsdm params 02"))
def params(
    notebook: Annotated[str, typer.Argument(help="A path, or a name or number in notebooks/.")],
    project: Project = None,
) -> None:
    """Show the parameters of a notebook: types, defaults, what is allowed."""
    from mlsdm.sweep import show
    from mlsdm.sweep.notebooks import find_notebook
    from mlsdm.sweep.schema import read_schema

    show.schema(read_schema(find_notebook(notebook, _project(project), Path.cwd())))


@app.command(epilog=_examples("mlsdm ui --port 5001 --open"))
def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 for any free one.")
    ] = 5000,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser too.")] = False,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Serve the tracked runs in MLflow's own interface, until Ctrl-C."""
    from mlsdm.ui import serve_ui

    serve_ui(_project(project), store, port, open_browser)


def main() -> None:
    """Run the command line."""
    # A job that is called off, or a closed terminal, must end its run as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a log, in order with the progress
    app()
