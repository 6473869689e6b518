"""A real server on loopback that speaks OpenAI's protocol, and misbehaves on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ANSWER = "The cat sat on the mat."
VECTOR = [0.5, -0.25, 1.0]

Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]  # of the other side: one a connection
        request = {"path": self.path, "port": port, "headers": headers, "body": json.loads(body)}
        behaviour = self.server.next_for(request)
        try:
            behaviour(self)
        except OSError:  # the other side did not wait for it
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass

    def usual(self) -> dict[str, Any]:
        """Return a sound answer to what was asked, with what every such server adds."""
        if self.path.endswith("/embeddings"):
            return embedding(VECTOR)
        return completion({"role": "assistant", "content": ANSWER})

    def answer(
        self, status: int, content: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> None:
        """End the connection as a crash of the machine's other end would: by a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """Behaves well, but for what it was told to do at the next requests.

    Used as a context manager; at the end of it no connection and no thread is left.
    """

    daemon_threads = False  # so that closing waits for the handlers

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.connections: set[socket.socket] = set()
        self.released = threading.Event()
        self._next: deque[Behaviour] = deque()
        self._serving = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def will(self, *behaviours: Behaviour) -> None:
        """Behave so at the next requests, in this order."""
        self._next.extend(behaviours)

    def next_for(self, request: dict[str, Any]) -> Behaviour:
        self.requests.append(request)
        return self._next.popleft() if self._next else well

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is what the tests are about

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.released.set()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by then
                continue
        self.server_close()
        self._serving.join()


def completion(message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}


def embedding(vector: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return {"object": "list", "model": "e", "data": data}


def well(handler: Handler) -> None:
    handler.answer(200, json.dumps(handler.usual()).encode())


def slow(handler: Handler) -> None:
    """Answer well, but only when the server is told to let go."""
    handler.server.released.wait(30)
    well(handler)


def dripping(handler: Handler) -> None:
    """Send a byte at a time, so that no wait for the next one is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b" ")
    handler.close_connection = True


def cut_before(handler: Handler) -> None:
    handler.cut()


def cut_inside(handler: Handler) -> None:
    """Send half of a sound answer, and no more."""
    content = json.dumps(handler.usual()).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.cut()


def failing(status: int, said: str = "it failed", **headers: str) -> Behaviour:
    """Answer with an error of this status, in the protocol's form."""
    content = json.dumps({"error": {"message": said, "type": "t", "code": None}}).encode()
    return lambda handler: handler.answer(status, content, **headers)


def saying(content: bytes | Any, kind: str = "application/json", status: int = 200) -> Behaviour:
    """Answer with these bytes, or with this as JSON."""
    whole = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda handler: handler.answer(status, whole, kind)


HTML = saying(b"<html><body>Bad gateway</body></html>", "text/html")
NOT_JSON = saying(b'{"choices": [')
GARBLED = saying(b"\xff\xfe\x00 nothing")
DEEP = saying(b"[" * 100_000)
BADLY_PACKED: Behaviour = lambda handler: handler.answer(  # noqa: E731
    200, b"not gzip", Content_Encoding="gzip"
)
OTHER_SHAPES = [saying(shape) for shape in ([1, 2], {"hello": 1}, "text", None, 5, {}, [])]
NO_TEXTS = [
    saying({"choices": None}),
    saying({"choices": []}),
    saying({"choices": [None]}),
    saying({"choices": {"0": 1}}),
    saying(completion(None)),
    *(saying(completion({"content": content})) for content in (None, 5, ["a"], {"a": 1}, True)),
]
NO_VECTORS = [
    saying({"data": None}),
    saying({"data": []}),
    saying(embedding(None)),
    *(
        saying(embedding(vector))
        for vector in ([], [0.5, "a"], "0.5", [[0.5]], [True, 0.5], [0.5, None], {"0": 1.0})
    ),
    *(
        saying(b'{"data": [{"embedding": [0.5, %s]}]}' % number)
        for number in (b"NaN", b"Infinity", b"-1e400", b"1e39", b"1" + b"0" * 400)
    ),
]
