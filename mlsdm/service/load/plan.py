"""What the driver and the generator agree on: the plan, and what is kept of each request."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["REQUEST", "Body", "Plan", "schedule"]

REQUEST = np.dtype(
    [
        ("user", "<i4"),
        ("due", "<f8"),  # seconds since all began, as are the next two
        ("sent", "<f8"),
        ("done", "<f8"),
        ("status", "<i4"),  # 0: no answer
        ("bytes", "<i4"),  # of the answer's body
        ("retry_after", "<f8"),
    ]
)


class Body(msgspec.Struct, frozen=True):
    """What can be sent to a session: where, and what."""

    path: str
    media_type: str
    content: bytes


class Plan(msgspec.Struct, frozen=True):
    """What is to be offered.

    Parameters
    ----------
    sessions
        Ids; users share them in turn.
    bodies
        Each request sends one of them, drawn at random.
    rate
        Requests a second of all users together.
    seconds
        How long requests are due.
    grace
        How many seconds more late ones are sent and waited for.
    out
        Where the generator writes what became of them.
    """

    sessions: list[str]
    bodies: list[Body]
    rate: float
    connections: int
    seconds: float
    grace: float
    seed: int
    out: str


def schedule(plan: Plan) -> list[NDArray[np.void]]:
    """Return the requests of each user, none sent yet.

    A user's time is cut into slots, beginning at a random phase; one request is due in each slot,
    at a random moment. So users are independent of one another, and none repeats a pattern.
    """
    rng = np.random.default_rng(plan.seed)
    slot = plan.connections / plan.rate
    users = []
    for user in range(plan.connections):
        moments = np.arange(-rng.random(), plan.seconds / slot + 1)
        due = (moments + rng.random(moments.size)) * slot
        due = due[(due >= 0) & (due < plan.seconds)]
        requests = np.zeros(due.size, REQUEST)
        requests["user"], requests["due"] = user, due
        for never in ("sent", "done", "retry_after"):
            requests[never] = np.nan
        users.append(requests)
    return users
