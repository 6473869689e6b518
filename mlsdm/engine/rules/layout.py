"""How an engine lies in memory: constants, state and rows as records, one kind of array each.

Records go into compiled code as one argument whatever they hold, and a fleet of engines is an array
of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ASLEEP", "AWAKE", "COMMITTED", "COPIES", "LEVELS", "MEMORY", "MORAL", "PENDING", "ROW", "RULE",
    "SAFE", "SETTINGS", "SLEEP", "STATE", "TOXIC", "UNKNOWN", "Constants", "Pending", "Rows",
    "State", "new_codes", "new_constants", "new_levels", "new_pending", "new_rows", "new_state",
    "new_vectors",
]  # fmt: skip

# Codes of the outcome of an event, and of the two phases.
COMMITTED, MORAL, SLEEP = 0, 1, 2
AWAKE, ASLEEP = 0, 1
# Labels of an event.
UNKNOWN, SAFE, TOXIC = -1, 0, 1

SETTINGS, MEMORY = 12, 6
"""How many numbers a policy other than the homeostatic one may have: constants, and state."""

RULE = np.dtype(
    [
        # moral filter; then, of another policy, its numbers and the addresses of its functions
        ("min_threshold", "f8"), ("max_threshold", "f8"), ("smoothing", "f8"),
        ("target_rate", "f8"), ("dead_band", "f8"), ("step", "f8"),
        *((f"setting{i}", "f8") for i in range(SETTINGS)),
        ("accept", "i8"), ("adapt", "i8"), ("learn", "i8"),
        # rhythm; on_event: every event is a step, not only a committed one
        ("wake_duration", "i8"), ("sleep_duration", "i8"),
        # synaptic levels, keep = 1 - decay; float32 as the levels are
        ("threshold1", "f8"), ("threshold2", "f8"),
        ("keep1", "f4"), ("keep2", "f4"), ("keep3", "f4"),
        ("transfer1", "f4"), ("transfer2", "f4"),
        # lattice; scrub: rows checked on each call
        ("wake_phase", "f4"), ("sleep_phase", "f4"), ("scrub", "i8"),
        ("on_event", "?"), ("norm_gate", "?"), ("replay", "?"),
        ("by_policy", "?"),  # not the homeostatic one
    ],
    align=True,
)  # fmt: skip
"""All constants of one engine."""

STATE = np.dtype(
    [
        ("threshold", "f8"), ("rate", "f8"),  # moral filter, and what else its policy keeps
        *((f"memory{i}", "f8") for i in range(MEMORY)),
        ("phase", "i8"), ("counter", "i8"),  # rhythm
        ("norm1", "f8"), ("norm2", "f8"), ("norm3", "f8"),  # Euclidean norms of the levels
        ("next", "i8"), ("size", "i8"),  # ring: row to be written, rows in use
        ("wake", "i8"),  # rows committed in this wake
        ("events", "i8"), ("scrubbed", "i8"),  # events handled; the row to be checked next
        ("xor1", "u4"), ("xor2", "u4"), ("xor3", "u4"),  # checks of the levels
        ("spare", "u4"),  # whole words, so that copies can be compared by them
    ],
    align=True,
)  # fmt: skip
"""What changes with every event, but for the vectors."""

ROW = np.dtype(
    [
        ("norm", "f8"),  # Euclidean, at least 1e-9
        ("xor", "u4"), ("sum", "u4"),  # checks of the vector and the phase
        ("phase", "f4"),  # NaN: quarantined, in no phase
        ("gain", "f4"), ("slack", "f4"),  # of the compact form, see `recall`
        ("derived", "u4"),  # check of the norm and the compact form
    ],
    align=True,
)  # fmt: skip
"""What belongs to a row of the lattice, beside its vector and its compact form."""

PENDING = np.dtype(
    [("value", "f8"), ("context", "f8"), ("accepted", "?"), ("label", "i1")], align=True
)
"""An event whose label is still to come."""

COPIES = 3
LEVELS = 4  # three, and their parity
LINE = 16  # float32 in a cache line

Constants = NDArray[Any]
"""(3,) of RULE, held three times as a state is; or (engines,), of a fleet."""
State = NDArray[Any]
"""(3,) of STATE: the first is in use, two copies tell what a flipped bit was."""
Rows = NDArray[Any]
"""(capacity,) of ROW."""
Pending = NDArray[Any]
"""(delay + 1,) of PENDING, a ring."""


def new_constants(**fields: Any) -> Constants:
    """Return constants and their copies; what is not given is 0."""
    made = np.zeros(COPIES, RULE)
    for name, value in fields.items():
        made[name] = value
    return made


def new_state(**fields: Any) -> State:
    """Return a state and its copies; what is not given is 0."""
    made = np.zeros(COPIES, STATE)
    for name, value in fields.items():
        made[name] = value
    return made


def new_levels(dim: int) -> NDArray[np.float32]:
    """Return (4, dim) zeros: the three synaptic levels, and the exclusive or of their words."""
    return np.zeros((LEVELS, dim), np.float32)


def new_vectors(capacity: int, dim: int) -> NDArray[np.float32]:
    """Return (capacity, dim) zeros that begin with a cache line."""
    held = np.zeros(capacity * dim + LINE, np.float32)
    start = -(held.ctypes.data // held.itemsize) % LINE
    return held[start : start + capacity * dim].reshape(capacity, dim)


def new_rows(capacity: int) -> Rows:
    """Return (capacity,) rows of zeros."""
    return np.zeros(capacity, ROW)


def new_codes(capacity: int, dim: int) -> NDArray[np.int8]:
    """Return (capacity, dim) compact forms of zeros."""
    return np.zeros((capacity, dim), np.int8)


def new_pending(delay: int, runs: int | None = None) -> Pending:
    """Return (delay + 1,), of a fleet (runs, delay + 1), events of which no label is known."""
    made = np.zeros((delay + 1,) if runs is None else (runs, delay + 1), PENDING)
    made["label"] = UNKNOWN
    return made
