"""The service as one ASGI application: the endpoints, and what stands in front of them."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import psutil
import structlog
from asgi_correlation_id import CorrelationIdMiddleware
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from prometheus_client import CollectorRegistry

from mlsdm.errors import RunError
from mlsdm.service.api import SessionController
from mlsdm.service.documents import document
from mlsdm.service.edge import Guard, Watch
from mlsdm.service.headers import is_request_id, secured
from mlsdm.service.health import HealthController, Metrics
from mlsdm.service.problems import Problem, respond
from mlsdm.service.sessions import Sessions
from mlsdm.service.settings import Settings
from mlsdm.service.tracing import traced

__all__ = ["build"]

_REFUSALS = {404: "There is nothing at this path", 405: "This path does not take this method"}

_log = structlog.get_logger("mlsdm.service")


def build(settings: Settings, registry: CollectorRegistry | None = None) -> Any:
    """Return the whole service as an ASGI application; its metrics are in the registry.

    It takes its folder of sessions when it starts, and writes all that changed when it ends.
    """
    registry = registry or CollectorRegistry()
    app: Any = Guard(_api(settings, registry), settings)
    app = Watch(app, settings, registry)
    app = CorrelationIdMiddleware(secured(app), validator=is_request_id)
    return traced(app, settings.traces)


def _api(settings: Settings, registry: CollectorRegistry) -> Litestar:
    """Return the endpoints, with what they share."""
    sessions = Sessions(settings.sessions)
    state = State(
        {
            "sessions": sessions,
            "metrics": Metrics(registry, sessions),
            "process": psutil.Process(),
            "version": sys.modules["mlsdm"].__version__,
            "began": time.monotonic(),
            "started": False,
        }
    )

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        sessions.open()
        starting = asyncio.create_task(_start(state))
        saving = asyncio.create_task(_save_often(sessions, settings.sessions.snapshot_seconds))
        try:
            await _call(settings.hooks.startup)
            yield
        finally:
            for task in (starting, saving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            try:
                await _end(sessions, settings.drain_seconds / 2)
            finally:
                await _call(settings.hooks.shutdown)

    key = SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header")
    app = Litestar(
        [SessionController, HealthController],
        state=state,
        lifespan=[lifespan],
        exception_handlers={
            Problem: _refused,
            HTTPException: lambda request, error: _refused(
                request, _as_problem(error, settings.bounds.body_bytes)
            ),
            Exception: _failed,
        },
        openapi_config=OpenAPIConfig(
            title="mlsdm",
            version=state.version,
            description="The MLSDM engine behind HTTP: each session is an engine of its own.",
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
            components=Components(security_schemes={"key": key}),
            security=[{"key": []}] if settings.keys else None,
            use_handler_docstrings=True,
        ),
        request_max_body_size=settings.bounds.body_bytes,
        logging_config=None,
    )
    document(app.openapi_schema)
    return app


async def _start(state: Any) -> None:
    try:
        await state.sessions.start()
    except Exception:
        _log.exception("start failed")
        return
    state.started = True
    _log.info("started", sessions=len(state.sessions))


async def _save_often(sessions: Sessions, seconds: float) -> None:
    while seconds:
        await asyncio.sleep(seconds)
        await sessions.save_all()


async def _end(sessions: Sessions, seconds: float) -> None:
    """Write what has changed, as far as there is time.

    Raises
    ------
    RunError
        When not all is written; what is not is told of as a gap at the next start.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sessions.save_all()
    unsaved = [one.id for one, _ in sessions.awake if one.events != one.saved]
    sessions.close()
    if unsaved:
        raise RunError(f"sessions: accepted events are not written of {', '.join(unsaved)}")


async def _call(hooks: Sequence[Callable[[], Any]]) -> None:
    for hook in hooks:
        done = hook()
        if inspect.isawaitable(done):
            await done


def _refused(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    body, headers = respond(problem, request.scope["path"])
    said = {name.decode(): value.decode("latin-1") for name, value in headers}
    media_type = said.pop("content-type")
    return Response(body, status_code=problem.status, headers=said, media_type=media_type)


def _as_problem(error: HTTPException, body_bytes: int) -> Problem:
    """Return what the framework refuses as a problem."""
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [(_field(one), str(one["message"])) for one in error.extra]
        return Problem(422, "unprocessable", "; ".join(": ".join(one) for one in errors), errors)
    status = error.status_code
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        said = f"must have at most {body_bytes} bytes"
        return Problem(status, "content-too-large", f"body: {said}.", [("body", said)])
    slug = HTTPStatus(status).phrase.lower().replace(" ", "-")
    said = _REFUSALS.get(status, HTTPStatus(status).phrase)  # not the framework's: it tells paths
    return Problem(status, slug, f"{said}.", headers=error.headers)


def _field(error: Any) -> str:
    name = str(error.get("key", "body"))
    return name.replace("_", "-").title() if error.get("source") == "header" else name


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer after an error of our own; its text stays out of the log, as it may hold content."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_qualname}:{last.tb_lineno}" if last else ""
    _log.error("failed", kind=type(error).__name__, where=where)
    return _refused(request, Problem(500, "internal", "The service failed on this request."))
