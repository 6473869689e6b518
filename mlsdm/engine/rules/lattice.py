"""The rules of the lattice: how rows are written, and replayed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import as_bits, checks, folded, weight
from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.copies import agree, keep, vote
from mlsdm.engine.rules.layout import COMMITTED, Rows, State
from mlsdm.engine.rules.recall import finish
from mlsdm.engine.rules.streaming import put

__all__ = ["entangle", "replay", "store"]


@compiled
def next_row(state: Any, capacity: int) -> int:
    """Return the row at the pointer, and move the pointer on: the oldest row goes first."""
    row = state.next
    state.next = row + 1 if row + 1 < capacity else 0
    state.size = min(state.size + 1, capacity)
    return row  # type: ignore[no-any-return]


@compiled
def entangle(
    state: Any,
    vectors: NDArray[np.float32],
    rows: Rows,
    vector: NDArray[np.float32],
    phase: np.float32,
    far: bool,
) -> int:
    """Write one row at the pointer and return its number; it has yet to be `finish`ed."""
    place = next_row(state, rows.size)
    row = rows[place]
    row.xor, row.sum = checks(vector, phase)
    row.phase = phase
    put(vector, vectors[place], far)
    return place


@compiled
def store(
    states: State,
    vectors: NDArray[np.float32],
    rows: Rows,
    codes: NDArray[np.int8],
    vector: NDArray[np.float32],
    phase: np.float32,
) -> int:
    """Write one row at the pointer, whole, and return its number; -1 where the state is lost."""
    if not agree(states) and not vote(states):
        return -1
    place = entangle(states[0], vectors, rows, vector, phase, False)
    finish(vectors, rows, codes, place, 1)
    keep(states)
    return place


@compiled
def replay(
    state: Any,
    vectors: NDArray[np.float32],
    rows: Rows,
    phase: np.float32,
    stream: NDArray[np.float32],
    codes: NDArray[np.int8],
    events: int,
    far: bool,
) -> int:
    """Entangle the vectors of the ending wake once more, oldest first; return how many.

    Reading and writing in ascending order never writes a row that is still to be read: the j-th
    write lands on the source j - (capacity - count), which has been read. What belongs to a row is
    copied, not made anew: damage stays as visible in the copy as in the row itself.

    The vectors of the last commits are read from the first `events` of the `stream` with these
    `codes`, where they are still near; what came before those is read from its row.
    """
    capacity = rows.size
    count = min(state.wake, capacity)
    event, near = events, 0
    while event > 0 and near < count:
        event -= 1
        near += codes[event] == COMMITTED
    source = state.next - count
    if source < 0:
        source += capacity
    new = as_bits(phase)
    for j in range(count):
        place = next_row(state, capacity)
        if j < count - near:
            put(vectors[source], vectors[place], far)
        else:
            while codes[event] != COMMITTED:
                event += 1
            put(stream[event], vectors[place], far)
            event += 1
        row = rows[place]
        row.xor, row.sum, row.phase = rows[source].xor, rows[source].sum, rows[source].phase
        if not np.isnan(row.phase):  # else quarantined, and its copy too
            old = as_bits(row.phase)
            row.xor ^= old ^ new
            row.sum += (folded(new) - folded(old)) * weight(vectors.shape[1])
            row.phase = phase
        source = source + 1 if source + 1 < capacity else 0
    return int(count)
