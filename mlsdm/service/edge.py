"""What stands in front of the endpoints: who may ask, how often, and what is told of it."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from functools import lru_cache
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import structlog
from prometheus_client import CollectorRegistry, Histogram
from token_bucket import Limiter, MemoryStorage

from mlsdm.service.keys import KEY_BEGINS, Keyring
from mlsdm.service.problems import Problem
from mlsdm.service.problems import send as send_problem
from mlsdm.service.settings import Settings, is_loopback

__all__ = ["Guard", "Watch"]

OPEN = frozenset({"/health/live", "/health/ready", "/health/startup"})  # to anyone, at any rate
ANYONE = "anyone"  # who owns the sessions while there are no keys
BUCKET = b"requests"
KEY_NAMES = frozenset({"key", "api_key", "apikey", "x_api_key", "token", "access_token"})
MOST_PARAMETERS = 50  # of a query
MOST_PATH = 200  # characters of a path in the log
MOST_HOST = 260  # bytes of a Host header
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10)
GONE = 499  # what is logged when the client left before there was an answer

_log = structlog.get_logger("mlsdm.service.requests")


class Watch:
    """Measures each request: the header X-Response-Time, metrics, and a line in the log.

    Neither has anything of a body, of a header or of a query. A route is a template such as
    /v1/sessions/{session_id}, or "unmatched".
    """

    def __init__(self, app: Any, settings: Settings, registry: CollectorRegistry) -> None:
        self.app = app
        self._logs = settings.logs.requests
        self._seconds = Histogram(
            "mlsdm_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self._known: dict[tuple[str, str, int], Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does, and measure it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = perf_counter()
        status = bytes_in = bytes_out = 0

        async def counted_receive() -> Any:
            nonlocal status, bytes_in
            message = await receive()
            if message["type"] == "http.request":
                bytes_in += len(message.get("body", b""))
            elif not status:
                status = GONE
            return message

        async def counted_send(message: Any) -> None:
            nonlocal status, bytes_out
            if message["type"] == "http.response.start":
                if status != GONE:
                    status = message["status"]
                took = b"%.3fms" % ((perf_counter() - begun) * 1e3)
                message["headers"] = [*message.get("headers", ()), (b"x-response-time", took)]
            else:
                bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, counted_send)
        finally:
            self._tell(scope, status or 500, perf_counter() - begun, bytes_in, bytes_out)

    def _tell(self, scope: Any, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or "unmatched"
        known = self._known.get((method, route, status))
        if known is None:
            known = self._known[method, route, status] = self._seconds.labels(method, route, status)
        known.observe(seconds)
        if self._logs:
            _log.info(
                "request",
                method=method,
                route=route,
                # as it was sent: without a query, and without characters that end a line
                path=scope["raw_path"].partition(b"?")[0][:MOST_PATH].decode("latin-1"),
                status=status,
                duration_ms=round(seconds * 1e3, 3),
                client=scope.get("state", {}).get("client") or _peer(scope),
                bytes_in=bytes_in,
                bytes_out=bytes_out,
            )


class Guard:
    """Lets a request through to the endpoints, or says why not.

    It must come to a name of this machine while there are no keys; have no key in its URL;
    have one right key, if there are keys; come at a rate that its client may have, or its
    address if it has no right key; and its body must be there in time.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app = app
        self._keys = Keyring(settings.keys) if settings.keys else None
        self._body_seconds = settings.bounds.body_seconds
        self._rate = settings.rate
        # Bounded: a client that is left out has only a full bucket when it comes again.
        self._bucket = lru_cache(maxsize=10_000)(self._new_bucket)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does, or with a problem."""
        if scope["type"] == "http":
            try:
                has_body = self._check(scope)
            except Problem as problem:
                await send_problem(problem, scope, send)
                return
            if has_body:
                receive = self._in_time(receive)
        await self.app(scope, receive, send)

    def _check(self, scope: Any) -> bool:
        """Let a request through; return whether it has a body.

        Raises
        ------
        Problem
            When it is not let through.
        """
        host, keys, has_body = b"", [], False
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"x-api-key":
                keys.append(value)
            elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                has_body = True
            elif name == b"content-encoding" and value.lower() != b"identity":
                said = "must be identity: bodies are not unpacked"
                field = [("Content-Encoding", said)]
                raise Problem(415, "unsupported-media-type", f"Content-Encoding: {said}.", field)
        peer = _peer(scope)
        client: str | None = peer
        if self._keys is not None:
            client = self._keys.client(keys[0].decode("latin-1")) if len(keys) == 1 else None
        elif len(host) > MOST_HOST or not _names_this_machine(host):
            said = "The Host header must name this machine while the server has no keys."
            raise Problem(403, "forbidden", said)
        is_open = scope["path"] in OPEN
        if self._rate.per_second and not is_open:
            self._take_token(client if self._keys else None, peer)
        in_path = KEY_BEGINS in scope["path"]
        if in_path:
            scope["raw_path"], scope["path"] = b"/-", "/-"  # for the log, and the answer
        if in_path or ((query := scope["query_string"]) and self._has_key(query)):
            said = (
                "A key is sent in the header X-API-Key and never in a URL, which is logged on its "
                "way; replace a key that was sent in one."
            )
            raise Problem(400, "key-in-url", said)
        if len(keys) > 1:
            raise Problem(400, "bad-request", "X-API-Key: must be given once.")
        if client is None and not is_open:
            said = "X-API-Key: " + ("is not the key of a client." if keys else "is missing.")
            challenge = {"WWW-Authenticate": "ApiKey"}
            raise Problem(401, "unauthorized", said, headers=challenge)
        # Without keys all are one client, by whichever address they come to this machine.
        scope.setdefault("state", {})["client"] = client if self._keys else ANYONE
        return has_body

    def _new_bucket(self, of: tuple[str, str]) -> tuple[Limiter, MemoryStorage]:
        storage = MemoryStorage()
        return Limiter(self._rate.per_second, self._rate.burst, storage), storage

    def _take_token(self, name: str | None, peer: str) -> None:
        """Take one of the requests that a client, or an address, may make.

        Raises
        ------
        Problem
            When there is none left.
        """
        limiter, storage = self._bucket(("client", name) if name else ("network", _network(peer)))
        if not limiter.consume(BUCKET):
            missing = 1 - storage.get_token_count(BUCKET)
            wait = max(1, math.ceil(missing / self._rate.per_second))
            said = f"Only {self._rate.per_second:g} requests a second are taken from each client."
            raise Problem(429, "too-many-requests", said, headers={"Retry-After": str(wait)})

    def _has_key(self, query: bytes) -> bool:
        try:
            given = parse_qsl(query.decode("latin-1"), True, max_num_fields=MOST_PARAMETERS)
        except ValueError:
            said = f"A query must have at most {MOST_PARAMETERS} parameters."
            raise Problem(400, "bad-request", said) from None
        if any(name.lower().replace("-", "_") in KEY_NAMES for name, _ in given):
            return True
        keys = self._keys
        return keys is not None and any(keys.client(part) for pair in given for part in pair)

    def _in_time(self, receive: Any) -> Any:
        """Give the body a time by which it must be there."""
        deadline = asyncio.get_running_loop().time() + self._body_seconds
        more = True

        async def timed() -> Any:
            nonlocal more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                said = f"The body of a request must be there in {self._body_seconds:g} s."
                close = {"Connection": "close"}
                raise Problem(408, "request-timeout", said, headers=close) from None
            more = message.get("more_body", False)
            return message

        return timed


def _peer(scope: Any) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


@lru_cache(maxsize=10_000)
def _network(peer: str) -> str:
    """Return an address; of IPv6 the 64 bits that a site has, as it may use all after them."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    return str(address.ipv4_mapped or int(address) >> 64)


@lru_cache(maxsize=1000)
def _names_this_machine(host: bytes) -> bool:
    """Return whether a Host header names this machine: a page of another site cannot say so."""
    name, colon, port = host.decode("latin-1").rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host.decode("latin-1"), ""
    return (not port or port.isdecimal()) and is_loopback(name)
