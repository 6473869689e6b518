"""Traces, sent to a small collector on this machine."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from serving import lifespan

from mlsdm.service import tracing
from mlsdm.service.settings import Traces
from mlsdm.service.tracing import traced

SEEN = "0af7651916cd43dd8448eb211c80319c"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    assert scope["query_string"] == b"levels=secret"  # the application is told all
    assert (b"x-api-key", b"secret") in scope["headers"]
    scope["path_template"] = "/v1/{name}"
    headers = [(b"x-answer", b"secret")]
    await send({"type": "http.response.start", "status": 418, "headers": headers})
    await send({"type": "http.response.body", "body": b"secret"})


async def ask(app: Any) -> list[Any]:
    """Send one request through an application's whole life; return what it sent."""
    sent = []

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": "/v1/one",
        "raw_path": b"/v1/one",
        "query_string": b"levels=secret",
        "headers": [
            (b"host", b"localhost"),
            (b"user-agent", b"secret"),
            (b"x-api-key", b"secret"),
            (b"traceparent", b"00-%s-b7ad6b7169203331-01" % SEEN.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    async with lifespan(app):
        await app(scope, None, keep)
    return sent


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """The address of a collector, and the paths and bodies that it is sent."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_a_span_of_each_request_is_sent_before_the_end_with_none_of_its_content(path):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with collector() as (url, received):
        sent = asyncio.run(ask(traced(app, Traces(endpoint=url + path))))
    assert sent[0]["status"] == 418
    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"secret" not in body
    ((spans,),) = [
        [scoped.spans for scoped in one.scope_spans]
        for one in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    (span,) = spans
    assert span.name == "POST /v1/{name}"
    assert span.trace_id.hex() == SEEN  # a part of the caller's trace
    attributes = {one.key: one.value for one in span.attributes}
    assert attributes["http.route"].string_value == "/v1/{name}"
    assert attributes["http.status_code"].int_value == 418
    assert b"service.name" in body
    assert b"mlsdm" in body


def test_without_an_endpoint_there_is_nothing_in_between():
    assert traced(app, Traces()) is app
    code = "import sys, mlsdm.service.app; print([n for n in sys.modules if 'opentelemetry' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("away", ["refusing", "silent"])
def test_a_collector_that_is_away_holds_nothing_up(away, monkeypatch):
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.3)
    monkeypatch.setattr(tracing, "SEND_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if away == "refusing":
            listener.close()
        began = time.monotonic()
        sent = asyncio.run(ask(traced(app, Traces(endpoint=f"http://127.0.0.1:{port}"))))
        took = time.monotonic() - began
    assert sent[0]["status"] == 418
    assert took < 1.5
