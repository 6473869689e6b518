"""The command that serves the engine over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mlsdm.cli.common import examples
from mlsdm.errors import DataError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        short_help="Serve the engine over HTTP.",
        epilog=examples(
            "mlsdm serve",
            "mlsdm serve --port 0",
            "mlsdm serve --new-key alice",
            "mlsdm serve --config service.yaml --profile prod",
            "mlsdm serve --print-config",
        ),
    )(serve)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A YAML file with any of base, dev, staging and prod; by default the one that "
            "MLSDM_SERVICE_CONFIG names.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="dev, staging or prod; by default MLSDM_SERVICE_PROFILE, else dev.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Where to listen, instead of the settings'.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 for any free one."),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the settings in use as a file, and end."),
    ] = False,
    new_key: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Print a new key for a client and its line for the file, and end."
        ),
    ] = None,
) -> None:
    """Serve engines, a session each, over HTTP until Ctrl-C or SIGTERM.

    Any setting may also come from the environment, as MLSDM_SERVICE_RATE__PER_SECOND=50, which
    goes before the file. Ends with 0 after its sessions are written.
    """
    with _extra():
        from mlsdm.service.settings import described, load_settings

        if new_key is not None:
            _print_key(new_key)
            return
        settings = load_settings(config, profile, host=host, port=port)
        if print_config:
            print(described(settings, profile), end="")
            return
        from mlsdm.service.server import serve as run
    run(settings)


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "mlsdm":
            raise
        raise DataError(f"{error.name}: is not installed; pip install 'mlsdm[service]'") from None


def _print_key(name: str) -> None:
    from mlsdm.service.keys import new_key

    key, kept = new_key(name)
    print(key)
    print("# That is the key, shown only now, for the header X-API-Key. In the settings' file:")
    print("base:\n  keys:")
    print(f"    - {kept.model_dump_json()}")
