"""Connections that cannot be held for nothing: uvicorn's protocol, with bounds."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

import httptools
import structlog
from asgi_correlation_id import correlation_id
from prometheus_client import CollectorRegistry, Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mlsdm.service.headers import security
from mlsdm.service.problems import Problem, respond
from mlsdm.service.settings import Bounds

__all__ = ["BoundedProtocol", "bounded"]

MOST_HEAD = 1 << 16  # bytes of a request's head
MOST_QUEUED = 16  # requests that are sent ahead, before the first is answered
LINGER_SECONDS = 5.0  # what is read and thrown away after an answer, so that it can be read
LINGER_BYTES = 64 << 20

_log = structlog.get_logger("mlsdm.service")


class _Line:
    """What a request's answer is written to: the transport, but for how it is closed."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


class BoundedProtocol(HttpToolsProtocol):
    """One connection, bounded in what it may hold and how long; see `bounded`.

    It rests while no request is under way, and lingers while what a client still sends after
    its answer is thrown away: closing with unread data would take the answer from the client.
    """

    bounds: ClassVar[Bounds]
    refused: ClassVar[Counter]
    idle: ClassVar[OrderedDict[BoundedProtocol, None]]
    """The connections that rest or linger, the longest first: they make room for new ones."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _loose = 0  # bytes since the last that were of a body or ended a head
    _unsent = 0  # bytes of answers that nobody had taken when that was last looked at
    _left: int | None = None  # bytes that may still be thrown away, while it lingers
    _deaf = False  # nothing is parsed any more

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in the place of the one that rests longest if there is no other."""
        super().connection_made(transport)
        self._line: Any = _Line(transport, self._close_answered)
        most = self.bounds.connections
        if len(self.connections) > most and self.idle:
            oldest, _ = self.idle.popitem(last=False)
            self.connections.discard(oldest)
            oldest.transport.abort()  # at once: TLS would wait for the other side's goodbye
        if len(self.connections) > most:
            said = "The server holds as many connections as it may."
            self._refuse(Problem(503, "too-many-connections", said, headers={"Retry-After": "1"}))
        else:
            self._rest(self.bounds.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.idle.pop(self, None)
        self._set_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection, after its answer if a request is under way."""
        if self in self.idle:
            self._hang_up()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, as far as it is wanted."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._hang_up()
                return
            if self._deaf:
                return
        was_in_head = self._in_head
        self._loose += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # it is answered in HTTP/1.1, and nothing after it
        except httptools.HttpParserError as error:
            reason = error.__context__
            if not isinstance(reason, Problem):
                reason = Problem(400, "bad-request", f"Not a request of HTTP/1.1: {error}.")
            self._stop(reason)
            return
        if self._loose > MOST_HEAD:
            self._stop(_too_large())
        elif self._in_head and not was_in_head and self.cycle is not None and self in self.idle:
            self._watch(self.bounds.header_seconds)

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Begin a request, unless its head leaves open what it asks for."""
        if self.transport.is_closing():
            raise _bad("the connection is closed")
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise _bad("Transfer-Encoding must be chunked")
        if size > MOST_HEAD:
            raise _too_large()
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _bad("the version must be 1.0 or 1.1")
        if hosts != 1 and (hosts or version == "1.1"):
            raise _bad("there must be one Host header")
        if len(self.pipeline) >= MOST_QUEUED:
            raise _bad("too many requests are sent ahead")
        super().on_headers_complete()
        self.cycle.transport = self._line
        self.headers = deque(maxlen=0)  # type: ignore[assignment]  # trailers are no headers
        self._in_head, self._loose = False, 0
        self.idle.pop(self, None)
        self._set_timer()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; one that was answered before ends its lingering."""
        self._loose = 0
        if self._left is None:
            super().on_message_complete()
        elif self.cycle.keep_alive:
            self._left = None
            self._rest(self.bounds.idle_seconds)
        else:
            self._hang_up()

    def on_response_complete(self) -> None:
        """Go on with the next request, with what is still sent of this one, or rest."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.cycle.more_body:
            if self.expect_100_continue:  # whether the body is sent at all is not known
                self.cycle.keep_alive = False
            self._linger(half_closed=not self.cycle.keep_alive)
        else:
            bounds = self.bounds
            self._rest(bounds.header_seconds if self._in_head else bounds.idle_seconds)

    def pause_writing(self) -> None:
        """Wait until more of an answer is taken, but not for ever."""
        super().pause_writing()
        if self not in self.idle:
            self._watch(self.bounds.idle_seconds)

    def resume_writing(self) -> None:
        """Go on with an answer."""
        super().resume_writing()
        if self not in self.idle and not self.transport.is_closing():
            self._set_timer()

    def _set_timer(self, seconds: float = 0.0, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if then is None else self.loop.call_later(seconds, then)

    def _rest(self, seconds: float) -> None:
        self.idle[self] = None
        self._watch(seconds)

    def _watch(self, seconds: float) -> None:
        self._unsent = sys.maxsize
        self._set_timer(seconds, self._late)

    def _late(self) -> None:
        """End what has taken too long, but an answer that is still being taken."""
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.transport.abort()
        elif unsent:
            self._unsent = unsent
            self._set_timer(self.bounds.idle_seconds, self._late)
        elif self._in_head:
            said = f"The head of a request must be there in {self.bounds.header_seconds:g} s."
            self._refuse(Problem(408, "request-timeout", said))
        else:
            self._hang_up()

    def _linger(self, half_closed: bool) -> None:
        self._left = LINGER_BYTES
        self.idle[self] = None
        self._set_timer(LINGER_SECONDS, self._hang_up)
        if half_closed and self.transport.can_write_eof():
            self.transport.write_eof()

    def _hang_up(self) -> None:
        """Close; what the other side does not take in time is given up."""
        self.idle.pop(self, None)
        self._set_timer(LINGER_SECONDS, self.transport.abort)
        self.transport.close()

    def _close_answered(self) -> None:
        if not (self.cycle.response_complete and self.cycle.more_body):
            self._hang_up()

    def _refuse(self, problem: Problem) -> None:
        """Answer what is not a request, or none that is wanted, and close."""
        request_id = uuid4().hex
        token = correlation_id.set(request_id)
        try:
            _log.info(
                "connection refused",
                status=problem.status,
                problem=problem.slug,
                client=self.client and self.client[0],
            )
            body, headers = respond(problem, "/")
        finally:
            correlation_id.reset(token)
        self.refused.labels(problem.status).inc()
        headers += [*self.server_state.default_headers, *security(self.scheme or "http")]
        headers += [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body]))
        self._deaf = True
        self._linger(half_closed=True)

    def _stop(self, problem: Problem) -> None:
        """Parse no more: what came is no request, or not the body that one has announced."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if self._left is not None:
            self._hang_up()
        elif cycle is None or cycle.response_complete:
            self._refuse(problem)
        elif self.pipeline or not cycle.more_body:
            cycle.keep_alive = False  # the requests before are answered
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._hang_up()
            else:
                self._refuse(problem)


def bounded(bounds: Bounds, registry: CollectorRegistry) -> type[BoundedProtocol]:
    """Return the protocol of one server's connections, for uvicorn's `http`.

    At most `bounds.connections` are held: a new one takes the place of the one that has been
    without a request longest, or is answered 503 when there is none. The head of a request
    must be there `bounds.header_seconds` after its first byte (408), and have at most 64 KiB
    (431). A connection is closed as long after it began if nothing comes, and
    `bounds.idle_seconds` after its last answer, or when nothing of an answer is taken for as
    long. What is no HTTP/1.1, or could be
    read in two ways, is answered 400. All these answers are problem documents with a request id,
    and counted in the registry: no application hears of them.
    """
    said = "Connections refused before there was a request."
    refused = Counter("mlsdm_connections_refused", said, ["status"], registry=registry)
    own = {"bounds": bounds, "idle": OrderedDict(), "refused": refused}
    return type("Bounded", (BoundedProtocol,), own)


def _bad(why: str) -> Problem:
    return Problem(400, "bad-request", f"Not a request of HTTP/1.1: {why}.")


def _too_large() -> Problem:
    said = f"The head of a request must have at most {MOST_HEAD} bytes."
    return Problem(431, "headers-too-large", said)
