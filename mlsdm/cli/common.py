"""What the commands have in common: options, the way out, and where things are."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mlsdm.errors import MlsdmError, ParameterError, RunError

if TYPE_CHECKING:
    from mlsdm.sweep.outcome import RunOutcome
    from mlsdm.tracking import Store

__all__ = [
    "CellTimeout",
    "Commands",
    "MemoryLimit",
    "Project",
    "StoreUri",
    "Timeout",
    "complain",
    "examples",
    "fail",
    "look",
    "project_folder",
    "project_option",
    "sweep_name",
    "writable",
    "write_text",
]

MOST_LINES = 10  # about runs that failed: each was a line of the progress already

# ClickException, which is click's own in older versions of typer and typer's in newer ones.
_ClickError: Any = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")


def complain(message: object) -> None:
    """Print one line on the standard error."""
    print(f"mlsdm: {' '.join(str(message).split())}", file=sys.stderr)


def _stop(message: object, code: int, error: BaseException | None = None) -> NoReturn:
    """End with an exit code, after one line, to which the notes at an error belong."""
    complain(". ".join([str(message), *getattr(error, "__notes__", ())]))
    sys.exit(code)


class Commands(TyperGroup):
    """Ends with 2 for bad input, 1 for something that failed, 130 for Ctrl-C, and one line."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run a command and end the process."""
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except _ClickError as error:
            _stop(error.format_message(), 2)
        except typer.Abort:  # a Ctrl-C before any command has begun
            _stop("stopped", 130)
        sys.exit(code or 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command, its errors as one line."""
        try:
            return super().invoke(ctx)
        except RunError as error:
            _stop(error, 1, error)
        except MlsdmError as error:
            _stop(error, 2, error)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads any more, as after `| head`
                raise
            place = f"{error.filename}: " if error.filename else ""
            _stop(f"{place}{error.strerror or error}", 1, error)
        except KeyboardInterrupt as error:
            _stop("stopped", 130, error)


def examples(*commands: str) -> str:
    """Return what stands below a command's help, line by line."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {command}" for command in commands)])


def _allowed(kind: Any, text: str, number: type[int] | type[float]) -> Any:
    """Return what an option says, by the rule that a sweep file has for it."""
    from pydantic import TypeAdapter, ValidationError

    try:
        value: object = number(text)
    except ValueError:
        value = text
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None


def _seconds(text: str) -> float:
    from mlsdm.plan.content import Seconds

    return float(_allowed(Seconds, text, float))


def _bytes(text: str) -> int:
    from mlsdm.plan.content import Bytes

    return int(_allowed(Bytes, text, int))


Project = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The folder that holds notebooks/ and experiments/; by default the nearest one from "
        "here upwards.",
    ),
]
StoreUri = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="Where the runs are kept: an SQLite file, or the address of an MLflow server; by "
        "default MLFLOW_TRACKING_URI, else the project's own mlflow.db.",
    ),
]
CellTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", parser=_seconds, help="Fail a run when one cell of it takes longer."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", parser=_seconds, help="Fail a run when all of it takes longer."
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        metavar="SIZE",
        parser=_bytes,
        help="Fail a run when its kernel holds more memory: bytes, '500 MB' or '2 GiB'.",
    ),
]


def project_folder(given: Path | None) -> Path:
    """Return the project's folder."""
    from mlsdm.project import find_project

    return find_project(given)


def project_option(folder: Path | None) -> str:
    """Return the option that names a project, for a command that is to be typed next."""
    return "" if folder is None else f" --project {shlex.quote(str(folder.resolve()))}"


def look(store: Store, uri: str | None, project: Path | None) -> None:
    """Say where the runs are, and how to look at them."""
    print(f"store: {store.address}")
    named = f" --store {shlex.quote(store.address)}" if uri else ""
    print(f"look: mlsdm ui{project_option(project)}{named}")


def sweep_name(given: str) -> str:
    """Return the name of a sweep's experiment, where its file is given; else what is given."""
    path = Path(given)
    return path.stem if path.suffix in (".yaml", ".yml") else given


def writable(option: str, path: Path | None) -> None:
    """Refuse a file that cannot be where it is to be, before anything is done.

    Raises
    ------
    ParameterError
        When its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise ParameterError(f"{option}: must be a file, not a folder (got {path})")
    if not path.parent.is_dir():
        raise ParameterError(f"{option}: there is no folder {path.parent} (got {path})")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    aside = path.with_name(f"{path.name}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def fail(runs: list[RunOutcome]) -> None:
    """End with 1 if a run did not finish, after saying which, why, and which run to look at."""
    failed = [run for run in runs if run.status == "FAILED"]
    for run in failed[:MOST_LINES]:
        title = "" if run.title == run.notebook else f" ({run.title})"
        complain(f"{run.notebook}{title} failed: {run.cause} (run {run.run_id})")
    if len(failed) > MOST_LINES:
        complain(f"{len(failed) - MOST_LINES} more runs failed")
    if any(run.earlier for run in failed):
        complain("what had failed before was left alone; --retry-failed makes it again")
    if called_off := sum(run.status == "KILLED" for run in runs):
        complain(f"{called_off} of {len(runs)} runs were called off, or not made")
    if failed or called_off:
        raise typer.Exit(1)
