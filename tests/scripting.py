"""The service for its client: scripted answers, the real app, and a proxy that loses answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import misbehaving
import uvicorn
from misbehaving import Behaviour, Handler, Server

from mlsdm.engine.params import EngineParams
from mlsdm.service.app import build
from mlsdm.service.settings import Settings

ID = "0123456789abcdef" * 2
KEY = "mlsdm-a-secret-0123456789"
SMALL = EngineParams.from_dict(
    {"dim": 6, "rhythm": {"wake_duration": 7}, "lattice": {"capacity": 20, "top_k": 4}}
)
INFO = {
    "id": ID, "created": "2026-01-01T00:00:00+00:00", "preset": "specification",
    "params": SMALL.to_dict(), "dim": SMALL.dim, "memory_bytes": 1, "events": 0, "awake": True,
    "snapshot": {"events": 0, "bytes": 1, "at": "2026-01-01T00:00:00+00:00"}, "gaps": [],
}  # fmt: skip
OUTCOME = {
    "event": 0, "accepted": True, "reason": "committed", "phase": "wake", "threshold": 0.5,
    "acceptance_rate": 0.5, "norms": [1.0, 0.0, 0.0], "lattice_size": 1,
}  # fmt: skip


class Scripted(Handler):
    """One connection of a stand-in for the service."""

    disable_nagle_algorithm = True  # else each answer waits for 40 ms

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = {"method": self.command, "path": self.path, "headers": headers, "body": body}
        try:
            self.server.next_for(asked)(self)
        except OSError:  # the other side did not wait for it
            self.close_connection = True

    do_GET = do_DELETE = do_POST

    def usual(self) -> dict[str, Any]:
        if self.path.endswith("/events"):
            return {"events": 1, "outcomes": [OUTCOME]}
        return INFO


class Script(Server):
    """A stand-in for the service, that answers as it is told to."""

    handler: type[Handler] = Scripted

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = self.handler

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def paths(self) -> list[str]:
        return [f"{asked['method']} {asked['path']}" for asked in self.requests]


def problem(status: int, detail: str, *errors: tuple[str, str], **headers: str) -> Behaviour:
    """Refuse with a problem document."""
    said = {"status": status, "title": "No", "detail": detail}
    named = [{"field": field, "detail": what} for field, what in errors]
    content = json.dumps({**said, "errors": named}).encode()
    kind = "application/problem+json"
    return lambda handler: handler.answer(status, content, kind, **headers)


class HandingOn(Scripted):
    """One connection of a proxy, which asks the service before it answers, or loses the answer."""

    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        answer = self.server.upstream.request(
            self.command, self.path, content=body, headers=headers
        )
        behaviour = self.server.next_for({"method": self.command, "path": self.path})
        if behaviour is misbehaving.well:
            kind = answer.headers.get("content-type", "application/octet-stream")
            self.answer(answer.status_code, answer.content, kind)
        else:
            behaviour(self)

    do_GET = do_DELETE = do_POST


class Proxy(Script):
    """Hands on requests; what it is told to do happens when the service has answered."""

    handler = HandingOn

    def __init__(self, address: str) -> None:
        super().__init__()
        self.upstream = httpx.Client(base_url=address)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.upstream.close()


@contextmanager
def running(given: Settings) -> Iterator[str]:
    """Give the address of the real app, served by uvicorn in a thread, once it is ready."""
    server = uvicorn.Server(uvicorn.Config(build(given), log_config=None, lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            while not server.started or httpx.get(f"{address}/health/ready").status_code != 200:
                assert thread.is_alive()
                threading.Event().wait(0.01)
            yield address
        finally:
            server.should_exit = True
            thread.join()
