"""Traces of requests for OpenTelemetry, where there is an address for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mlsdm.service.settings import Traces

__all__ = ["traced"]

SEND_SECONDS = 2.0  # what one batch may take
FLUSH_SECONDS = 3.0  # what the end of the server waits for the last spans
SHOWN = ("type", "method", "path", "scheme", "http_version", "server", "client")
PARENT = (b"traceparent", b"tracestate")
WHOLE = "mlsdm.scope"


def traced(app: Any, traces: Traces) -> Any:
    """Return an ASGI application that sends a span of each request to `traces.endpoint`.

    A span has method, path, route, status and addresses: no query, and of the headers only the
    span that it is a part of. The last ones are sent when the application ends its lifespan.
    """
    if traces.endpoint is None:
        return app
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import get_current_span

    endpoint = traces.endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    nothing = NoOpMeterProvider()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "mlsdm"}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint, timeout=SEND_SECONDS, meter_provider=nothing)
    provider.add_span_processor(BatchSpanProcessor(exporter, meter_provider=nothing))

    async def inner(shown: Any, receive: Any, send: Any) -> None:
        scope, span = shown[WHOLE], get_current_span()

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start" and (route := scope.get("path_template")):
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            await send(message)

        await app(scope, receive, named)

    spans = OpenTelemetryMiddleware(
        inner, tracer_provider=provider, meter_provider=nothing, exclude_spans=["receive", "send"]
    )

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def last(message: Any) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await _wait(provider.shutdown, FLUSH_SECONDS)
            await send(message)

        if scope["type"] != "http":
            await app(scope, receive, last)
            return
        shown = {name: scope[name] for name in SHOWN if name in scope}
        parent = [header for header in scope["headers"] if header[0] in PARENT]
        await spans({**shown, "headers": parent, WHOLE: scope}, receive, send)

    return outer


async def _wait(call: Callable[[], None], seconds: float) -> None:
    """Call in a thread, which is left behind when it takes longer."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        call()
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()  # an executor's would be waited for
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
