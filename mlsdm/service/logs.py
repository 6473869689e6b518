"""Logs: one line an event on the standard error, with the request's id and none of its content."""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from asgi_correlation_id import correlation_id

from mlsdm.service.values import Logs

__all__ = ["configure"]

STDERR = 2
PATIENCE_MS = 1000  # that a reader of the lines is waited for
_LEVELS = {"exception": "error", "warn": "warning", "fatal": "critical"}


def configure(logs: Logs) -> None:
    """Send what this process logs, through structlog or logging, to the standard error."""
    level = logging.getLevelNamesMapping()[logs.level.upper()]
    lines = _Lines()
    structlog.configure(
        processors=[_stamped, _without_content, _json if logs.form == "json" else _console()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Forward()], level=level, force=True)
    # Its own start and stop are told of by the server, once; so is a start that fails.
    quiet = level if level < logging.INFO else max(level, logging.WARNING)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(quiet)
    uvicorn.addFilter(_wanted)
    logging.captureWarnings(True)


def _wanted(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Application startup failed")


class _Lines:
    """Writes each line at once and without a lock, so that a signal's handler may log too.

    A pipe that is not read holds the service up once, for `PATIENCE_MS`; then lines are left out,
    and counted, until there is room again.
    """

    def __init__(self) -> None:
        self._room = select.poll()
        self._room.register(STDERR, select.POLLOUT)
        self._left_out = 0

    def msg(self, line: bytes) -> None:
        if not self._room.poll(0 if self._left_out else PATIENCE_MS):
            self._left_out += 1
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            structlog.get_logger("mlsdm.service").warning("lines left out", lines=left_out)
        with suppress(OSError):  # nobody reads any more: no reason to refuse a request
            os.write(STDERR, line)

    debug = info = warning = error = critical = exception = msg


class _Forward(logging.Handler):
    """Passes what libraries log on to structlog, as the first line of each message."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage().strip()
        except (TypeError, ValueError):  # the arguments do not fit
            said = str(record.msg)
        # The first line, as asyncio's others show what an exception held; of a traceback the last.
        line = said.splitlines()[-1 if said.startswith("Traceback") else 0] if said else ""
        event = line if line.isprintable() else repr(line)[1:-1]
        info = record.exc_info[1] if record.exc_info else None
        self._log.log(record.levelno, event, logger=record.name, exc_info=info)


def _stamped(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the time, the level and the id of the request in front."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    first = {"time": now, "level": _LEVELS.get(method, method), "event": event.pop("event")}
    if (request := correlation_id.get()) is not None:
        first["request_id"] = request
    return {**first, **event}


def _without_content(
    _: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put the kind of an exception and its place for it: its text may hold what a client sent."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        event["kind"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        event["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        if isinstance(error, OSError):
            event["reason"] = error.strerror
    return event


def _kind(value: object) -> str:
    return f"<{type(value).__name__}>"


_encode = msgspec.json.Encoder(enc_hook=_kind).encode


def _json(_: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return _encode(event) + b"\n"
    except UnicodeEncodeError:  # the name of a file that is no text
        return json.dumps(event, default=_kind).encode() + b"\n"


def _console() -> Any:
    console = structlog.dev.ConsoleRenderer(
        colors=os.isatty(STDERR), timestamp_key="time", sort_keys=False, pad_event_to=0
    )

    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
        return (console(logger, method, event) + "\n").encode(errors="backslashreplace")

    return render
