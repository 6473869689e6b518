"""The way to a store: its address, a fresh file, a server that answers, errors as one sentence."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from mlsdm.errors import MlsdmError, ParameterError, RunError
from mlsdm.project import artifact_root, default_store

__all__ = [
    "connect",
    "impatient",
    "is_server",
    "one_sentence",
    "public",
    "sqlite_file",
    "store_uri",
]

SQLITE = "sqlite:///"
ANSWER_SECONDS = 15
LOCK_SECONDS = 15.0
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
ENVIRONMENT = {
    # A server may be away for a minute; MLflow's own 7 and 2 wait for four, at each request.
    RETRIES: "6",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def store_uri(project: Path, uri: str | None = None) -> str:
    """Return the absolute URI of a store: `uri`, else MLFLOW_TRACKING_URI, else the project's own.

    Relative paths begin at the project.

    Raises
    ------
    ParameterError
        When it is the address neither of an SQLite file nor of an HTTP server.
    """
    given = uri or os.environ.get("MLFLOW_TRACKING_URI") or default_store(project)
    if is_server(given):
        return given.rstrip("/")
    path = given.removeprefix(SQLITE)
    plain = "://" not in path and not path.startswith(("file:", ":"))
    # MLflow decodes % in an address or not, depending on SQLAlchemy's version.
    if plain and Path(path).suffix and not set("%?") & set(path):
        return f"{SQLITE}{(project / path).resolve().as_posix()}"
    raise ParameterError(
        "store: must be an SQLite file with a suffix and without '%' or '?', as a path or as "
        f"{SQLITE}path, or the http address of an MLflow server (got {public(given)!r})"
    )


def is_server(uri: str) -> bool:
    """Whether the address is one of an HTTP server."""
    return uri.startswith(("http://", "https://"))


def public(text: str) -> str:
    """Return the text without user names and passwords in its addresses."""
    # Up to the last @ of the word: passwords with an @ or a / in them are met in practice.
    return re.sub(r"(?<=://)\S*@", "", text)


@contextmanager
def one_sentence(uri: str) -> Iterator[None]:
    """Turn whatever MLflow raises inside into a RunError of one line.

    Raises
    ------
    RunError
        For every error that is not one of ours already.
    """
    try:
        yield
    except MlsdmError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(public(f"store {uri}: {said[0]}")) from error


def connect(uri: str) -> Any:
    """Return MLflow's client of a store; a fresh SQLite file is made first.

    Raises
    ------
    RunError
        When the file is no SQLite database, or the server does not answer.
    """
    # Before the import, which reads them; what the user has set stays.
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with one_sentence(uri):
        if is_server(uri):
            _ask(uri)
        else:
            _make(sqlite_file(uri))
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _ask(uri: str) -> None:
    # MLflow's own first call would be tried again for minutes.
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            max_retries=0,
            timeout=ANSWER_SECONDS,
            raise_on_status=False,
        )
    except MlflowException as error:
        raise RunError(
            f"store {public(uri)}: no server answers there (waited up to {ANSWER_SECONDS} s)"
        ) from error
    if answer.status_code != 200:
        raise RunError(
            f"store {public(uri)}: the server answers {answer.status_code} {answer.reason}, "
            "not as an MLflow server that lets us in"
        )


_hurry: list[str | None] = []  # RETRIES as it was, once for each block that goes on
_hurrying = Lock()


@contextmanager
def impatient() -> Iterator[None]:
    """Ask a server only once inside: it has been waited for before, or nobody waits any more."""
    with _hurrying:
        _hurry.append(_hurry[0] if _hurry else os.environ.get(RETRIES))
        os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        with _hurrying:
            before = _hurry.pop()
            if not _hurry and before is None:
                del os.environ[RETRIES]
            elif not _hurry and before is not None:
                os.environ[RETRIES] = before


def sqlite_file(uri: str) -> Path:
    """Return the file behind the URI of an SQLite store."""
    return Path(uri.removeprefix(SQLITE))


def _make(path: Path) -> None:
    """Make a fresh store aside and link it into place, so that nobody sees a half-made one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if path.is_dir():
        raise RunError(f"store {path}: is a folder, not an SQLite file")
    if path.exists():
        with path.open("rb") as file:
            if file.read(16) not in (b"", b"SQLite format 3\0"):
                raise RunError(f"store {path}: is not an SQLite database")
        return
    if not path.parent.is_dir():
        raise RunError(f"store {path}: the folder {path.parent} does not exist")
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as aside:
        made = Path(aside, "fresh.db")
        address = f"{SQLITE}{made.as_posix()}"
        files = artifact_root(path.parent).as_uri()
        SqlAlchemyStore(address, files).engine.dispose()  # type: ignore[no-untyped-call]
        try:
            os.link(made, path)
        except FileExistsError:
            pass  # another process was first: its file is as good
        except OSError:  # no hard links on this file system
            _place(made, path)


def _place(made: Path, path: Path) -> None:
    """Move a file into place unless there is one already; a lock file keeps others out."""
    lock = path.with_name(f"{path.name}.lock")
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            lock.touch(exist_ok=False)
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise RunError(
                    f"store {path}: another process is making it; if there is none, delete {lock}"
                ) from None
            time.sleep(0.05)
    try:
        if not path.exists():
            made.replace(path)
    finally:
        lock.unlink()
