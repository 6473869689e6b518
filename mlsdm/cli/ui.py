"""The command that shows tracked runs."""

from __future__ import annotations

from typing import Annotated

import typer

from mlsdm.cli.common import Project, StoreUri, examples, project_folder

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        short_help="Look at the runs in MLflow's own interface.",
        epilog=examples("mlsdm ui", "mlsdm ui --port 5001 --open"),
    )(ui)


def ui(
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 for any free one."),
    ] = 5000,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser too.")] = False,
    project: Project = None,
    store: StoreUri = None,
) -> None:
    """Serve the tracked runs in MLflow's own interface, until Ctrl-C."""
    from mlsdm.ui import serve_ui

    serve_ui(project_folder(project), store, port, open_browser)
