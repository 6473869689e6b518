"""Where a server spends its time: a hook that looks at it after every 4 ms of its processor time.

The operating system's profiling timer interrupts the server wherever it is. Python answers as soon
as it is back from compiled code, in the frame that called it, so that such code counts as its
caller's. The event loop itself is compiled, and has no frame of its own: it counts as that of
whatever it calls next, which is nearly always the protocol.
"""

from __future__ import annotations

import csv
import os
import signal
import time
from types import FrameType

import pandas as pd

from mlsdm.service.load.offered import Offered

__all__ = ["PARTS", "shares", "start", "stop"]

EVERY = 0.004  # seconds of processor time; Linux seldom counts it finer

PARTS = {
    "engine": ("mlsdm.engine", "mlsdm.governed"),
    "JSON": ("msgspec", "mlsdm.service.messages", "litestar.serialization", "json"),
    "endpoints": tuple(f"mlsdm.service.{name}" for name in ("api", "session", "sessions", "files")),
    "logs": ("structlog", "logging", "mlsdm.service.logs"),
    "metrics": ("prometheus_client", "mlsdm.service.health"),
    "event loop and HTTP": (
        "mlsdm.service.protocol",
        "mlsdm.service.server",
        "uvicorn",
        "uvloop",
        "httptools",
        "asyncio",
    ),
    "middlewares": ("mlsdm.service", "asgi_correlation_id", "secure"),
    "framework": ("litestar", "anyio", "multidict"),
}
"""Parts of a server by their modules: the first part that has the innermost frame's, or that of
the frame that called it, and so on outwards."""

SAMPLE = ("t", "part", "module", "function")
_samples: list[tuple[float, str, str, str]] = []


def part_of(module: str) -> str | None:
    """Return the part that a module belongs to, if it is one of `PARTS`."""
    for part, owners in PARTS.items():
        if any(module == owner or module.startswith(f"{owner}.") for owner in owners):
            return part
    return None


def _look(_: int, frame: FrameType | None) -> None:
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if (part := part_of(module)) is not None:
            _samples.append((time.monotonic(), part, module, frame.f_code.co_name))
            return
        frame = frame.f_back
    _samples.append((time.monotonic(), "other", "", ""))


def start() -> None:
    """Begin to look: a start-up hook, in the main thread."""
    signal.signal(signal.SIGPROF, _look)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)


def stop() -> None:
    """Stop looking and write what was seen: a shut-down hook."""
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    with open(os.environ["MLSDM_LOAD_SAMPLES"], "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([SAMPLE, *_samples])
    _samples.clear()


def shares(samples: pd.DataFrame, load: Offered) -> pd.DataFrame:
    """Return what share of its processor time a server spent in each part while under a load.

    Columns ``part``, ``share`` and ``samples``, the largest first; all of `PARTS` and ``"other"``.
    """
    during = samples[samples["t"].between(load.began, load.began + load.seconds)]
    found = during["part"].value_counts().reindex([*PARTS, "other"], fill_value=0)
    table = found.sort_values(ascending=False).rename_axis("part").reset_index(name="samples")
    return table.assign(share=table["samples"] / max(1, len(during)))
