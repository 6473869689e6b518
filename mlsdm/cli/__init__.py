"""The command line: a thin wrapper that prints one line when something is wrong."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer

from mlsdm.cli import bench, files, notebooks, report, serve, sweeps, ui
from mlsdm.cli.common import Commands, examples

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    invoke_without_command=True,
    epilog=examples(
        "mlsdm reproduce",
        "mlsdm run 02 -p n_seeds=500",
        "mlsdm sweep experiments/moral-adaptation.yaml --dry-run",
        "mlsdm check experiments/smoke.yaml --junit checks.xml",
        "mlsdm report",
        "mlsdm ui",
        "mlsdm serve",
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


for _commands in (notebooks, sweeps, files, report, bench, ui, serve):
    _commands.register(app)


def main() -> None:
    """Run the command line."""
    # A job that is called off, or a closed terminal, must end its run as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a log, in order with the progress; and a sign that a terminal lacks ends no command.
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    app()
