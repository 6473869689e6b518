"""The server as a process: its socket, its limits, its signals and its end."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from mlsdm.errors import MlsdmError, ParameterError, RunError, in_a_line
from mlsdm.service.app import build
from mlsdm.service.logs import configure
from mlsdm.service.protocol import bounded
from mlsdm.service.settings import Settings

__all__ = ["serve"]

AGAIN_SECONDS = 1.0  # after which Ctrl-C means another one: a wrapper may pass one on twice
OTHER_FILES = 128  # that the process has open besides connections and sessions
BACKLOG = 4096  # connections that wait to be accepted
REQUESTS = 0.4  # of the time to drain, for requests under way; the app has half for snapshots
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = structlog.get_logger("mlsdm.service")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and write the snapshots.

    The address is printed as one line once connections are taken. A Ctrl-C after the first ends
    the process at once; what was accepted after the last snapshots is then told of as a gap.

    Raises
    ------
    ParameterError
        When the files of tls cannot be used.
    RunError
        When the address cannot be had, or the service does not start.
    """
    configure(settings.logs)
    with ExitStack() as opened:
        listeners = [opened.enter_context(one) for one in _listeners(settings)]
        settings = _with_room(settings)
        registry = CollectorRegistry()
        application = _Application(build(settings, registry))
        config = _config(settings, application, registry)
        server = _Server(config, settings)
        opened.callback(server.end)
        try:
            server.run(listeners)
        except SystemExit:  # as uvicorn ends when the lifespan does not begin
            if isinstance(application.failure, MlsdmError):
                raise application.failure from None
            cause = in_a_line(application.failure) if application.failure else "no cause was given"
            raise RunError(f"serve: did not start: {cause}") from None
    if application.failure is not None:
        raise RunError(f"serve: did not end well: {in_a_line(application.failure)}")


class _Application:
    """The service, and what failed when it began or ended."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.failure: Exception | None = None

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Pass a request on as it is."""
        if scope["type"] != "lifespan":
            passed: Awaitable[None] = self._app(scope, receive, send)
            return passed
        return self._lifespan(scope, receive, send)

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_without_traceback(message: Any) -> None:
            await send({**message, "message": ""} if "message" in message else message)

        try:
            await self._app(scope, receive, send_without_traceback)
        except Exception as error:
            first = error
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            self.failure = first
            if not isinstance(first, MlsdmError):
                _log.error("failed at the start or the end", exc_info=first)
            raise


class _Server(uvicorn.Server):
    """Ends within the time to drain, and with 0 although it was a signal that ended it."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings
        self._signalled_at: float | None = None
        self._late: threading.Timer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say where."""
        if self.config.is_ssl:  # uvicorn would let a handshake take a minute
            loop: Any = asyncio.get_running_loop()
            seconds = self._settings.bounds.header_seconds
            loop.create_server = partial(loop.create_server, ssl_handshake_timeout=seconds)
        await super().startup(sockets)
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        scheme = "https" if self.config.is_ssl else "http"
        with suppress(OSError):  # nobody reads it
            print(
                f"serving on {scheme}://{f'[{host}]' if ':' in host else host}:{port}", flush=True
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way."""
        _log.info("draining", connections=len(self.server_state.connections))
        await super().shutdown(sockets)
        _log.info("stopped")

    def end(self) -> None:
        """Call off the end for being late."""
        if self._late is not None:
            self._late.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, and do not raise them again afterwards, as uvicorn does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # What is ignored stays so, as SIGHUP is under nohup.
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, within the time for it; at a later Ctrl-C, end at once."""
        if self._signalled_at is None:
            self._signalled_at = time.monotonic()
            self.should_exit = True
            self._late = threading.Timer(self._settings.drain_seconds, _end_late)
            self._late.daemon = True
            self._late.start()
        elif sig == signal.SIGINT and time.monotonic() > self._signalled_at + AGAIN_SECONDS:
            _log.error("stopped by a second Ctrl-C")
            os._exit(128 + sig)


def _end_late() -> None:
    _log.error("not drained in time")
    os._exit(1)


def _config(
    settings: Settings, application: _Application, registry: CollectorRegistry
) -> uvicorn.Config:
    proxies = settings.trusted_proxies
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=bounded(settings.bounds, registry),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        backlog=BACKLOG,
        timeout_keep_alive=settings.bounds.idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=REQUESTS * settings.drain_seconds,  # type: ignore[arg-type]
        ssl_certfile=settings.tls.certificate,
        ssl_keyfile=settings.tls.private_key,
    )
    try:
        config.load()
    except OSError as error:  # one of ssl's too
        raise ParameterError(f"Settings.tls: cannot be used: {error.strerror or error}") from None
    return config


def _listeners(settings: Settings) -> list[socket.socket]:
    """Return sockets that listen at every address of the host, all on one port."""
    host, port = settings.host, settings.port
    listeners: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, address in sorted((one[0], one[4]) for one in found):
            try:
                listeners.append(socket.create_server(address, family=family, backlog=BACKLOG))
            except OSError as error:  # a name may have an address that this machine has not
                if not listeners or error.errno == errno.EADDRINUSE:
                    raise
    except OSError as error:
        for listener in listeners:
            listener.close()
        said = f"cannot be listened on: {error.strerror or error}"
        raise RunError(f"serve: {host} port {port} {said}; give another, or port 0") from None
    return listeners


def _with_room(settings: Settings) -> Settings:
    """Let the process open as many files as it may need, or bound the connections by what it may.

    Raises
    ------
    RunError
        When it may not even open what it needs besides connections.
    """
    others = OTHER_FILES + settings.sessions.awake
    wanted = settings.bounds.connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(OSError, ValueError):  # some systems have a limit besides these
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            soft = limit
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    if soft <= others:
        raise RunError(f"serve: may open {soft} files, but needs more than {others} (ulimit -n)")
    _log.warning("fewer connections", bound=soft - others, asked=settings.bounds.connections)
    bounds = settings.bounds.model_copy(update={"connections": soft - others})
    return settings.model_copy(update={"bounds": bounds})
