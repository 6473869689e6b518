from __future__ import annotations

import io
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import structlog
from asgi_correlation_id import correlation_id

from mlsdm.service import logs as module
from mlsdm.service.logs import configure
from mlsdm.service.settings import Logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, quiet = logging.getLogger(), logging.getLogger("uvicorn.error")
    before = root.handlers[:], root.level, quiet.level
    root.handlers = []  # force=True closes those that it takes away
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers, root.level = before[0], before[1]
        quiet.setLevel(before[2])
        structlog.reset_defaults()


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def logger() -> Any:
    return structlog.get_logger("mlsdm.service")


def test_a_line_is_json_with_its_time_level_and_event_first(lines: Lines) -> None:
    configure(Logs())
    logger().info("request", status=200, path='/a\n"b"\x1b')
    (line,) = lines()
    assert list(line) == ["time", "level", "event", "status", "path"]
    assert (line["level"], line["event"], line["path"]) == ("info", "request", '/a\n"b"\x1b')
    when = datetime.fromisoformat(line["time"])
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(seconds=30)


def test_the_id_of_the_request_is_in_each_line_of_it(lines: Lines) -> None:
    configure(Logs())
    token = correlation_id.set("f" * 32)
    try:
        logger().info("request")
        logging.getLogger("litestar").warning("said")
    finally:
        correlation_id.reset(token)
    logger().info("later")
    assert [line.get("request_id") for line in lines()] == ["f" * 32, "f" * 32, None]


@pytest.mark.parametrize(
    ("level", "kept"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_what_is_below_the_level_is_left_out(level: Any, kept: int, lines: Lines) -> None:
    configure(Logs(level=level))
    for name in ("debug", "info", "warning", "error"):
        getattr(logger(), name)("said")
        getattr(logging.getLogger("library"), name)("said")
    assert len(lines()) == 2 * kept


def test_libraries_log_in_the_same_lines(lines: Lines) -> None:
    configure(Logs())
    logging.getLogger("litestar").error("%d of %s", 3, "x")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("other").info("bad %d", "text")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("careful", stacklevel=1)
    said = [(line["level"], line["event"], line["logger"]) for line in lines()]
    assert said[:3] == [
        ("error", "3 of x", "litestar"),
        ("warning", "Invalid HTTP request received.", "uvicorn.error"),
        ("info", "bad %d", "other"),
    ]
    assert "careful" in said[3][1]


def test_the_text_of_an_exception_stays_out(lines: Lines) -> None:
    configure(Logs())
    for log, event in (
        (logger(), "failed"),
        (logging.getLogger("asyncio"), "failed\nfuture: ValueError('0.123')"),
    ):
        try:
            raise ValueError("moral_value 0.123")
        except ValueError:
            log.exception(event)
    shown = lines()
    assert [line["kind"] for line in shown] == ["ValueError", "ValueError"]
    assert shown[0]["level"] == "error"
    assert shown[0]["event"] == shown[1]["event"] == "failed"
    assert all(re.search(r"logs\.py:\d+ test_the_text", line["where"][0]) for line in shown)
    assert "0.123" not in json.dumps(shown)


def test_why_the_system_refused_is_said(lines: Lines) -> None:
    configure(Logs())
    error = FileNotFoundError(2, "No such file or directory")
    logger().error("not written", exc_info=error)
    assert lines()[0]["reason"] == "No such file or directory"


def test_of_a_traceback_given_as_text_the_last_line_is_kept(lines: Lines) -> None:
    configure(Logs())
    logging.getLogger("uvicorn.error").error("Traceback (most recent call last):\n  x\nBad: why\n")
    assert lines()[0]["event"] == "Bad: why"


def test_an_array_or_a_name_that_is_no_text_breaks_no_line(lines: Lines) -> None:
    configure(Logs())
    logger().info("odd", vector=np.full(3, 0.25), path="\udcff")
    (line,) = lines()
    assert (line["vector"], line["path"]) == ("<ndarray>", "\udcff")


def test_console_lines_are_text_that_no_value_can_break(capfd: pytest.CaptureFixture[str]) -> None:
    configure(Logs(form="console"))
    logger().info("request", path="/x\n2026 [info] forged\x1b[31m")
    logging.getLogger("library").info("said \x1b[31m")
    shown = capfd.readouterr().err
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown
    assert "[info     ] request path=" in shown


def test_a_pipe_that_nobody_reads_holds_nothing_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(module, "STDERR", writer)
    monkeypatch.setattr(module, "PATIENCE_MS", 50)
    try:
        configure(Logs())
        begun = time.monotonic()
        for _ in range(2000):
            logger().info("request", path="/" + "a" * 100)
        assert time.monotonic() - begun < 10
        full = os.read(reader, 1 << 20).splitlines()
        logger().info("later")
        left_out, later = map(json.loads, os.read(reader, 1 << 20).splitlines())
    finally:
        os.close(reader)
        os.close(writer)
    assert {json.loads(line)["event"] for line in full} == {"request"}
    assert (left_out["event"], left_out["lines"]) == ("lines left out", 2000 - len(full))
    assert later["event"] == "later"


def test_a_standard_error_that_nobody_reads_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(Logs())
    written = io.BytesIO()

    def gone(number: int, line: bytes) -> int:
        written.write(line)
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", gone)
    logger().info("request")
    assert json.loads(written.getvalue())["event"] == "request"
