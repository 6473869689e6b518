"""The service in the test's own process, and in one of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from support import uncovered

from mlsdm.service.app import build
from mlsdm.service.messages import BINARY, event_dtype
from mlsdm.service.settings import Settings

DIM = 4


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings without a rate limit; groups of `changes` are given as dicts."""
    sessions = {"folder": folder, "snapshot_seconds": 0.0, **changes.pop("sessions", {})}
    rate = changes.pop("rate", {"per_second": 0.0})
    return Settings(sessions=sessions, rate=rate, **changes)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Start an ASGI application, and end it."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    message = await from_app.get()
    if message["type"] != "lifespan.startup.complete":
        raise RuntimeError(message.get("message"))
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        message = await from_app.get()
        await task
    assert message["type"] == "lifespan.shutdown.complete", message


@asynccontextmanager
async def served(
    given: Settings, ready: bool = True, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that has started, and is ready."""
    app = build(given)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", **options) as client,
    ):
        while ready and (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.01)
        yield client


def run(given: Settings, course: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Return what a course of requests to a fresh service returns."""

    async def whole() -> Any:
        async with served(given) as client:
            return await course(client)

    return asyncio.run(whole())


async def begun(client: httpx.AsyncClient, **params: Any) -> str:
    """Begin a session; return its path."""
    answer = await client.post("/v1/sessions", json={"params": {"dim": DIM, **params}})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def stream(
    n: int, seed: int = 0, dim: int = DIM
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Vectors and moral values of n events."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dim)).astype(np.float32), rng.random(n)


def rows(vectors: NDArray[np.float32], values: NDArray[np.float64]) -> dict[str, Any]:
    """Events in the binary form, as options of a request."""
    made = np.zeros(len(values), event_dtype(vectors.shape[1]))
    made["vector"], made["moral_value"], made["context"] = vectors, values, values
    return {"content": made.tobytes(), "headers": {"Content-Type": BINARY}}


@contextmanager
def process(folder: Path, **changes: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of `mlsdm serve`, on a free port, and its process, which is killed at the end."""
    given = {"rate": {"per_second": 0}, "sessions": {"folder": str(folder / "sessions")}}
    for name, value in changes.items():
        both = isinstance(value, dict) and name in given
        given[name] = {**given[name], **value} if both else value
    config = folder / "service.yaml"
    config.write_text(json.dumps({"base": given}), encoding="utf-8")
    command = [sys.executable, "-c", "from mlsdm.cli import main; main()", "serve"]
    command += ["--config", str(config), "--profile", "prod", "--port", "0"]
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=uncovered()
        )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "serving on " in line, (folder / "log").read_text()
        url = line.partition("serving on ")[2].strip()
        for _ in range(3000):
            if httpx.get(f"{url}/health/ready").status_code == 200:
                break
            time.sleep(0.01)
        yield url, child
    finally:
        child.kill()
        child.communicate()
