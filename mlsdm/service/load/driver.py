"""A real server and a real load generator, each a process of its own, on loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import msgspec
import numpy as np
import pandas as pd
import psutil

from mlsdm.bench.engine import events
from mlsdm.engine.params import EngineParams
from mlsdm.errors import ParameterError, RunError, nearest
from mlsdm.service.client import Client
from mlsdm.service.load.offered import Offered
from mlsdm.service.load.plan import Body, Plan
from mlsdm.service.messages import BINARY, event_dtype

__all__ = ["Kind", "Server", "climb", "fill", "offer", "serving"]

Kind = Literal["event", "batch", "recall", "mix"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BODIES = 220  # different ones; 22 events are two turns of the rhythm
GRACE = 5.0  # seconds in which late requests are still sent and waited for
STARTING, STOPPING = 30.0, 40.0  # seconds
CONNECTING = 500  # connections made a second
EVERY = 0.2  # seconds between two looks at the processes
USAGE = ["t", "server_seconds", "server_bytes", "generator_seconds", "others_seconds"]
DIRECT = build_opener(ProxyHandler({}))  # whatever proxies the environment names
MLSDM = "from mlsdm.cli import main; main()"
SAMPLING = "mlsdm.service.load.sampling"


@dataclass
class Server:
    """A server that runs, and its sessions.

    `samples` is where it was seen working (`sampling.SAMPLE`), once it has stopped.
    """

    url: str
    process: psutil.Process
    folder: Path
    sessions: list[str] = field(default_factory=list)
    params: EngineParams = field(default_factory=EngineParams)
    samples: pd.DataFrame = field(default_factory=pd.DataFrame)


@contextmanager
def serving(settings: dict[str, Any] | None = None, sampled: bool = False) -> Iterator[Server]:
    """Run `mlsdm serve` with the profile `prod`, on a free port of 127.0.0.1, until the block ends.

    Parameters
    ----------
    settings
        What differs from the profile, nested as in a file.
    sampled
        Whether the server tells what it was doing, see `mlsdm.service.load.sampling`.

    Raises
    ------
    RunError
        When the server does not start, or does not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="mlsdm-load-") as name:
        folder = Path(name)
        asked = dict(settings or {})
        asked["sessions"] = {"folder": str(folder / "sessions")} | asked.get("sessions", {})
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLSDM_SERVICE_")}
        if sampled:
            asked["hooks"] = {"startup": [f"{SAMPLING}:start"], "shutdown": [f"{SAMPLING}:stop"]}
            environment["MLSDM_LOAD_SAMPLES"] = str(folder / "samples.csv")
        config = folder / "service.yaml"
        config.write_text(json.dumps({"base": asked}), encoding="utf-8")  # JSON is YAML too
        command = [sys.executable, "-c", MLSDM, "serve", "--config", str(config)]
        command += ["--profile", "prod", "--port", "0"]
        log = folder / "log"
        with log.open("wb") as file:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=file, cwd=folder, env=environment, text=True
            )
        try:
            server = Server(_address(child, log), psutil.Process(child.pid), folder)
            yield server
            child.terminate()
            if child.wait(STOPPING):
                raise RunError(f"serving: the server ended with {child.returncode}: {_tail(log)}")
            if sampled:
                server.samples = pd.read_csv(folder / "samples.csv")
        finally:
            child.kill()
            child.wait()
            child.stdout.close()  # type: ignore[union-attr]


def _address(child: subprocess.Popen[str], log: Path) -> str:
    """Return where a server is, once it is ready."""
    late = threading.Timer(STARTING, child.kill)
    late.start()
    try:
        for line in child.stdout or ():
            _, said, url = line.strip().partition("serving on ")
            while said and child.poll() is None:
                # A 503 is an OSError too.
                with suppress(OSError), DIRECT.open(f"{url}/health/ready", timeout=STARTING):
                    return url
                time.sleep(0.05)
    finally:
        late.cancel()
    raise RunError(f"serving: the server did not start: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-500:].strip() or "it said nothing"


def fill(server: Server, sessions: int = 8, dim: int = 384, capacity: int = 20_000) -> None:
    """Make sessions of this size, and send events until every row of each is in use."""
    params = EngineParams().replace({"dim": dim, "lattice": {"capacity": capacity}})
    vectors, values = events(22 * min(100, capacity // 16 + 1), dim)  # 16 rows of 22 events
    with Client(server.url) as client:
        made = [client.create(params) for _ in range(sessions)]
        for session in made:
            while session.state().lattice_size < capacity:
                session.process_events(vectors, values)
    server.sessions, server.params = [session.id for session in made], params


def offer(
    server: Server,
    rate: float = 1000.0,
    connections: int = 1000,
    seconds: float = 60.0,
    kind: Kind = "event",
    batch: int = 64,
    warm_up: float = 2.0,
    seed: int = 0,
) -> Offered:
    """Offer a load to a server's sessions, and return what became of every request.

    Parameters
    ----------
    rate
        Requests a second, whatever the answers.
    connections
        Each has its own schedule, and one of the sessions.
    seconds, warm_up
        How long requests are due and count; how long before that they are due and do not.
    kind
        ``"event"``: one event as JSON. ``"batch"``: binary events. ``"recall"``: the best five
        rows for a vector. ``"mix"``: of ten requests eight events, a batch and a recall.
    batch
        Events of a binary batch.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the server is not on this machine.
    RunError
        When the generator fails.
    """
    if urlsplit(server.url).hostname != "127.0.0.1":
        raise ParameterError(f"offer.server: must be on 127.0.0.1 (got {server.url!r})")
    if kind not in KINDS:
        raise ParameterError(f"offer.kind: {kind!r} is unknown{nearest(str(kind), KINDS)}")
    with tempfile.TemporaryDirectory(prefix="mlsdm-load-") as name:
        out = Path(name) / "requests.npz"
        span = warm_up + seconds
        plan = Plan(
            server.sessions, _bodies(kind, batch, server.params.dim), rate, connections, span,
            GRACE, seed, str(out),
        )  # fmt: skip
        usage = _generate(server, plan, Path(name))
        with np.load(out, allow_pickle=False) as kept:
            begun, requests = float(kept["begun"]), pd.DataFrame(kept["requests"])
    requests[["due", "sent", "done"]] -= warm_up
    usage["t"] -= begun + warm_up
    return Offered(kind, rate, connections, seconds, begun + warm_up, requests, usage)


def climb(server: Server, rates: Sequence[float], **how: Any) -> list[Offered]:
    """Offer one rate after another, up to the second that is not carried."""
    loads: list[Offered] = []
    for rate in rates:
        loads.append(offer(server, rate, **how))
        if sum(not load.carried for load in loads) == 2:
            break
    return loads


def _bodies(kind: Kind, batch: int, dim: int) -> list[Body]:
    vectors, values = events(BODIES, dim)
    said = [
        {"vector": vector, "moral_value": value}
        for vector, value in zip(vectors.tolist(), values.tolist(), strict=True)
    ]
    rows = np.empty(BODIES, event_dtype(dim))
    rows["moral_value"] = rows["context"] = values
    rows["vector"] = vectors
    made: dict[str, list[Body]] = {
        "event": [Body("events", "application/json", json.dumps(one).encode()) for one in said],
        "batch": [
            Body("events", BINARY, np.roll(rows, 22 * i)[np.arange(batch) % BODIES].tobytes())
            for i in range(BODIES // 22)
        ],
        "recall": [
            Body("recall", "application/json", json.dumps({"vector": one["vector"]}).encode())
            for one in said
        ],
    }
    made["mix"] = 8 * made["event"][:10] + made["batch"] + made["recall"][:10]
    return made[kind]


def _generate(server: Server, plan: Plan, folder: Path) -> pd.DataFrame:
    """Run locust until it has sent all; return what both processes used meanwhile."""
    path = folder / "plan"
    path.write_bytes(msgspec.msgpack.encode(plan))
    longest = plan.connections / CONNECTING + plan.seconds + plan.grace + 20
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
    command += ["--headless", "--only-summary", "--loglevel", "ERROR", "--host", server.url]
    command += ["--users", str(plan.connections), "--spawn-rate", str(CONNECTING)]
    command += ["--exit-code-on-error", "0", "--run-time", f"{longest:.0f}s"]
    log = folder / "log"
    with log.open("wb") as file:
        child = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=folder,
            env=os.environ | {"MLSDM_LOAD_PLAN": str(path)},
        )  # fmt: skip
    rows = []
    try:
        generator, limit = psutil.Process(child.pid), time.monotonic() + longest + 20
        while child.poll() is None and time.monotonic() < limit:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                used = sum(generator.cpu_times()[:2])
                rows.append((time.monotonic(), *_used(server.process), used, _busy()))
            time.sleep(EVERY)
    finally:
        child.kill()
        child.wait()
    if not Path(plan.out).exists():
        raise RunError(f"offer: locust wrote nothing: {_tail(log)}")
    usage = pd.DataFrame(rows, columns=USAGE)
    usage["others_seconds"] -= usage["server_seconds"] + usage["generator_seconds"]
    return usage


def _busy() -> float:
    """Return for how many seconds the machine's processors have worked, all together."""
    times = psutil.cpu_times()
    return sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0)  # guests are in user's time


def _used(process: psutil.Process) -> tuple[float, int]:
    with process.oneshot():
        return sum(process.cpu_times()[:2]), process.memory_info().rss
