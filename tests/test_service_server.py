from __future__ import annotations

import json
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from prometheus_client import CollectorRegistry
from running import eventually
from structlog.testing import capture_logs
from support import uncovered

from mlsdm.errors import ParameterError, RunError
from mlsdm.service import server as module
from mlsdm.service.settings import PREFIX, Settings

HOOKS = """
import asyncio, time
def fails():
    raise RuntimeError("no license")
def blocks():
    print("blocking", flush=True)
    time.sleep(60)
async def says():
    print("ended", flush=True)
"""


class Running:
    """A server as a process, and its address."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        (folder / "hooks_of_tests.py").write_text(HOOKS)
        kept = {k: v for k, v in uncovered().items() if not k.startswith(PREFIX)}
        own = {"PROFILE": "prod", "SESSIONS__FOLDER": str(folder / "sessions"), **settings}
        own = {f"{PREFIX}{name}": value for name, value in own.items()}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from mlsdm.cli import main; main()",
                "serve",
                "--port",
                "0",
                *arguments,
            ],
            env={**kept, **own, "PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def address(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), self.process.communicate()
        return line.removeprefix("serving on ").strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str, list[dict[str, Any]]]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, [json.loads(line) for line in err.splitlines()]


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Running] = []

    def begin(*arguments: str, **settings: str) -> Running:
        running.append(Running(tmp_path, *arguments, **settings))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_0_after_the_hooks(
    start: Start, number: signal.Signals
) -> None:
    server = start(HOOKS__SHUTDOWN='["hooks_of_tests:says"]')
    address = server.address()
    answer = httpx.get(f"{address}/health/live")
    assert answer.status_code == 200
    assert "server" not in answer.headers
    server.stop(number)
    code, out, lines = server.ended()
    assert (code, out) == (0, "ended\n")
    assert [line["event"] for line in lines if "draining" in line["event"]] == ["draining"]
    assert any(line.get("request_id") == answer.headers["x-request-id"] for line in lines)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health/live")


def test_a_request_under_way_is_finished_first(start: Start) -> None:
    server = start(RATE__PER_SECOND="0")
    address = server.address()
    assert eventually(lambda: httpx.get(f"{address}/health/ready").status_code == 200)
    host, port = address.removeprefix("http://").split(":")
    body = b'{"params": {"dim": 4}}'
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.3)
        server.stop()
        time.sleep(0.4)
        connection.sendall(body[5:])
        connection.settimeout(10)
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert server.ended()[0] == 0


def test_a_second_ctrl_c_ends_at_once_but_not_one_that_came_twice(start: Start) -> None:
    server = start(HOOKS__SHUTDOWN='["hooks_of_tests:blocks"]')
    server.address()
    server.stop(signal.SIGINT)
    server.stop(signal.SIGINT)
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "blocking\n"
    server.stop(signal.SIGTERM)
    time.sleep(1.2)
    assert server.process.poll() is None
    server.stop(signal.SIGINT)
    code, _, lines = server.ended()
    assert code == 128 + signal.SIGINT
    assert lines[-1]["event"] == "stopped by a second Ctrl-C"


def test_a_start_that_hangs_ends_in_time_too(start: Start) -> None:
    server = start(HOOKS__STARTUP='["hooks_of_tests:blocks"]', DRAIN_SECONDS="1")
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "blocking\n"
    server.stop()
    code, _, lines = server.ended()
    assert code == 1
    assert lines[-1]["event"] == "not drained in time"


def test_what_does_not_end_in_time_is_ended(start: Start) -> None:
    server = start(HOOKS__SHUTDOWN='["hooks_of_tests:blocks"]', DRAIN_SECONDS="1")
    server.address()
    begun = time.monotonic()
    server.stop()
    code, _, lines = server.ended()
    assert code == 1
    assert lines[-1]["event"] == "not drained in time"
    assert 0.5 < time.monotonic() - begun < 5


def test_a_start_that_fails_says_where_and_why(start: Start) -> None:
    server = start(HOOKS__STARTUP='["hooks_of_tests:fails"]', LOGS__LEVEL="error")
    out, err = server.process.communicate(timeout=20)
    assert (server.process.returncode, out) == (1, "")
    told, last = err.splitlines()
    assert json.loads(told)["where"][-1].endswith("hooks_of_tests.py:4 fails")
    assert last == "mlsdm: serve: did not start: RuntimeError: no license"


def test_the_folder_of_another_server_is_one_line(start: Start) -> None:
    start(BOUNDS__CONNECTIONS="100").address()
    out, err = (second := start(BOUNDS__CONNECTIONS="100").process).communicate(timeout=20)
    assert (second.returncode, out) == (1, "")
    assert err.startswith("mlsdm: Settings.sessions.folder: ")
    assert err.endswith(" is another server's\n")
    assert err.count("\n") == 1


def test_a_taken_port_is_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = start("--port", port)
        _, err = server.process.communicate(timeout=20)
    assert server.process.returncode == 1
    assert err.count("\n") == 1
    assert f"127.0.0.1 port {port} cannot be listened on: Address already in use" in err


def test_a_name_is_listened_at_on_each_of_its_addresses_and_one_port() -> None:
    listeners = module._listeners(Settings(host="localhost", port=0))
    try:
        places = [listener.getsockname() for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
    assert ("127.0.0.1", places[0][1]) in [place[:2] for place in places]
    assert len({place[1] for place in places}) == 1


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_here_is_refused(host: str) -> None:
    keys = [{"name": "a", "sha256": "a" * 64}]
    with pytest.raises(RunError, match=f"^serve: {host} port 0 cannot be listened on: "):
        module._listeners(Settings(host=host, port=0, keys=keys))


def test_files_of_tls_that_are_none_are_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "no.pem")
    settings = Settings(tls={"certificate": file, "private_key": file})
    with pytest.raises(ParameterError, match=r"^Settings\.tls: cannot be used: No such file"):
        module._config(settings, module._Application(None), CollectorRegistry())
    Path(file).write_text("x")
    with pytest.raises(ParameterError, match=r"^Settings\.tls: cannot be used: "):
        module._config(settings, module._Application(None), CollectorRegistry())


def test_over_tls_answers_ask_to_stay_so_and_a_handshake_has_its_time(
    start: Start, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, private_key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    private_key.write_bytes(issued.private_key_pem.bytes())
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    address = start(
        TLS__CERTIFICATE=str(certificate),
        TLS__PRIVATE_KEY=str(private_key),
        BOUNDS__HEADER_SECONDS="0.5",
    ).address()
    assert address.startswith("https://127.0.0.1:")
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as silent:
        answer = httpx.get(f"{address}/health/live", verify=trusting)
        silent.settimeout(10)
        assert silent.recv(1) == b""
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[Any]]:
    def having(soft: int, hard: int) -> list[Any]:
        made: list[Any] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, pair: made.append(pair))
        return made

    return having


def test_the_limit_of_open_files_is_raised_as_far_as_needed(limits: Any) -> None:
    settings = Settings(bounds={"connections": 1000})
    needed = 1000 + settings.sessions.awake + module.OTHER_FILES
    for soft, hard in ((256, 10**6), (256, resource.RLIM_INFINITY)):
        made = limits(soft, hard)
        assert module._with_room(settings) is settings
        assert made == [(needed, hard)]
    for soft in (needed, resource.RLIM_INFINITY):
        made = limits(soft, resource.RLIM_INFINITY)
        assert module._with_room(settings) is settings
        assert made == []


def test_fewer_connections_are_held_where_no_more_files_may_be_open(limits: Any) -> None:
    settings = Settings(bounds={"connections": 1000})
    made = limits(256, 512)
    with capture_logs() as lines:
        held = module._with_room(settings).bounds.connections
    assert made == [(512, 512)]
    assert held == 512 - settings.sessions.awake - module.OTHER_FILES
    assert [(line["event"], line["bound"]) for line in lines] == [("fewer connections", held)]
    limits(64, 64)
    with pytest.raises(RunError, match=r"^serve: may open 64 files, but needs more than 192"):
        module._with_room(settings)
