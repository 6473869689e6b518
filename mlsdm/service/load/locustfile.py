"""The load generator: what `locust` runs, with users that each keep to a schedule of their own.

An open loop: when a request is due does not depend on how long earlier answers took. A user has
one connection, and so one request at a time: one that is due before the last answer has come is
sent right after it, and its latency still counts from when it was due.

Users are greenlets: importing locust makes `time.sleep` and `threading` those of gevent.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from locust import FastHttpUser, events, task
from locust.exception import StopUser

from mlsdm.service.load.plan import Plan, schedule

PLAN = msgspec.msgpack.decode(Path(os.environ["MLSDM_LOAD_PLAN"]).read_bytes(), type=Plan)
LAST = PLAN.seconds + PLAN.grace  # seconds since all began; none is sent later
REQUESTS = schedule(PLAN)
SETTLING = 0.3  # seconds between the last connection and the beginning

everybody = threading.Event()
connected = finished = 0
begun = 0.0


class Caller(FastHttpUser):
    """One user with one connection."""

    network_timeout = connection_timeout = LAST
    concurrency = 1

    def on_start(self) -> None:
        """Connect; the last one to do so says when all begin."""
        global connected, begun
        self.number, connected = connected, connected + 1
        self.client.get("/health/live")
        if connected == PLAN.connections and not everybody.is_set():
            gc.collect()
            gc.disable()  # its pauses would count as the server's
            begun = time.monotonic() + SETTLING
            everybody.set()
        everybody.wait()

    @task
    def keep_to_the_schedule(self) -> None:
        """Send each request when it is due, or as soon as the connection is free."""
        global finished
        session = f"/v1/sessions/{PLAN.sessions[self.number % len(PLAN.sessions)]}/"
        mine = REQUESTS[self.number]
        client: Any = self.client  # typed as if only text could be sent
        chosen = np.random.default_rng([PLAN.seed, self.number]).integers(
            len(PLAN.bodies), size=mine.size
        )
        for request, body in zip(mine, map(PLAN.bodies.__getitem__, chosen), strict=True):
            now = time.monotonic() - begun
            if request["due"] > now:
                time.sleep(request["due"] - now)
            elif now > LAST:
                break
            request["sent"] = time.monotonic() - begun
            answer = client.post(
                session + body.path,
                data=body.content,
                headers={"Content-Type": body.media_type},
                name=body.path,
            )
            request["done"] = time.monotonic() - begun
            request["status"] = answer.status_code
            request["bytes"] = len(answer.content or b"")
            if answer.status_code == 429:
                request["retry_after"] = answer.headers.get("Retry-After", np.nan)
        finished += 1
        if finished == PLAN.connections:
            self.environment.runner.quit()
        raise StopUser


def keep(**_: Any) -> None:
    """Write down every request, those never sent or never answered too."""
    np.savez(PLAN.out, begun=begun, requests=np.concatenate(REQUESTS))


quitting: Any = events.quitting  # which has no types
quitting.add_listener(keep)
