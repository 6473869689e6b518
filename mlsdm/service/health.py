"""How the service is: probes, what it takes, and metrics for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import psutil
from litestar import Controller, Response, get
from litestar.datastructures import State
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.outcome import REASONS
from mlsdm.service.problems import Problem
from mlsdm.service.sessions import Sessions

__all__ = ["Health", "HealthController", "Metrics", "Status"]


class Status(msgspec.Struct, frozen=True):
    """How the service is."""

    status: str


class Health(msgspec.Struct, frozen=True):
    """What the service takes of its machine, and what it holds."""

    status: str
    version: str
    uptime_seconds: float
    cpu_percent: float
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    sessions: int
    sessions_awake: int
    sessions_awake_bytes: int
    events_lost: int


class Metrics:
    """What Prometheus is told of the engines, beside what is told of requests."""

    def __init__(self, registry: CollectorRegistry, sessions: Sessions) -> None:
        self.registry, self._sessions = registry, sessions
        events = Counter(
            "mlsdm_events", "Events taken, by what became of them.", ["reason"], registry=registry
        )
        self.events = {reason: events.labels(reason) for reason in (*REASONS, "emergency")}
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield the state of every engine in memory."""
        yield GaugeMetricFamily("mlsdm_sessions", "Sessions.", len(self._sessions))
        awake = self._sessions.awake
        yield GaugeMetricFamily("mlsdm_sessions_awake", "Sessions in memory.", len(awake))
        size = self._sessions.awake_bytes
        yield GaugeMetricFamily("mlsdm_sessions_awake_bytes", "Memory of their engines.", size)
        lost = "Events accepted and lost when a server was killed."
        yield CounterMetricFamily("mlsdm_events_lost", lost, self._sessions.lost)
        each: dict[str, tuple[str, Callable[[CognitiveController], float]]] = {
            "threshold": ("Threshold of the moral filter.", lambda c: c.moral.threshold),
            "sleep": ("1 in the sleep phase, 0 in wake.", lambda c: c.rhythm.phase == "sleep"),
            "rows": ("Rows of the lattice in use.", lambda c: c.lattice.size),
        }
        for name, (said, read) in each.items():
            family = GaugeMetricFamily(f"mlsdm_{name}", said, labels=["session"])
            for session, one in awake:
                family.add_metric([session.id], read(one.controller))
            yield family


def _disk_free(folder: Path) -> int:
    try:
        return psutil.disk_usage(str(folder)).free
    except OSError:  # the folder is gone: nothing can be written
        return 0


class HealthController(Controller):
    """Endpoints that tell how the service is."""

    path = "/health"
    tags = ("health",)

    @get("/live", summary="Whether the process answers")
    async def live(self) -> Status:
        """Answer as soon as the process can."""
        return Status("alive")

    @get("/startup", summary="Whether the service has started")
    async def startup(self, state: State) -> Status:
        """Answer once the rules are compiled and the sessions are found."""
        if not state.started:
            raise Problem(
                503, "not-ready", "The service is starting.", headers={"Retry-After": "1"}
            )
        return Status("started")

    @get("/ready", summary="Whether the service takes requests")
    async def ready(self, state: State) -> Status:
        """Answer while requests are taken, and snapshots can be written."""
        failing = state.sessions.failing
        if not state.started or failing:
            said = "Snapshots cannot be written." if failing else "The service is starting."
            raise Problem(503, "not-ready", said, headers={"Retry-After": "1"})
        return Status("ready")

    @get("/detailed", summary="What the service takes and holds", sync_to_thread=False)
    def detailed(self, state: State) -> Health:
        """Tell of CPU (since this was last asked), memory, disk and sessions."""
        sessions: Sessions = state.sessions
        process: psutil.Process = state.process
        return Health(
            "ready" if state.started and not sessions.failing else "not ready",
            state.version,
            time.monotonic() - state.began,
            process.cpu_percent(),
            process.memory_info().rss,
            psutil.virtual_memory().available,
            _disk_free(sessions.files.folder),
            len(sessions),
            len(sessions.awake),
            sessions.awake_bytes,
            sessions.lost,
        )

    @get("/metrics", summary="Metrics for Prometheus", sync_to_thread=False)
    def metrics(self, state: State) -> Response[bytes]:
        """Tell of requests, events and engines in the text format of Prometheus."""
        registry: Any = state.metrics.registry
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
