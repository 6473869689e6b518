"""The rules of integrity: what a row must look like, and how one changed word is put right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import as_bits, as_float, checks, derived_check, folded, weight, xor
from mlsdm.engine.rules.compiling import allocating, compiled
from mlsdm.engine.rules.copies import agree
from mlsdm.engine.rules.layout import AWAKE, Rows, State
from mlsdm.engine.rules.recall import derive, row_norm

__all__ = ["damaged", "level_whole", "mend", "quarantine", "scrub", "whole"]


@compiled
def whole(vector: NDArray[np.float32], row: Any, codes: NDArray[np.int8]) -> bool:
    """Return whether a row, its norm and its compact form are what was written."""
    parity, total = checks(vector, row.phase)
    derived = derived_check(row, codes)
    return parity == row.xor and total == row.sum and derived == row.derived  # type: ignore[no-any-return]


@allocating
def damaged(
    start: int, stop: int, vectors: NDArray[np.float32], rows: Rows, codes: NDArray[np.int8]
) -> NDArray[np.int64]:
    """Return the rows from `start` up to `stop` that are not what was written."""
    found = np.empty(stop - start, np.int64)
    count = 0
    for place in range(start, stop):
        if not whole(vectors[place], rows[place], codes[place]):
            found[count] = place
            count += 1
    return found[:count]


@compiled
def changes(word: np.uint32, flipped: np.uint32, i: int) -> np.uint32:
    """Return what the flipped bits of word i have added to the sum."""
    return np.uint32((folded(word) - folded(np.uint32(word ^ flipped))) * weight(i))


@compiled
def mend(vectors: NDArray[np.float32], rows: Rows, codes: NDArray[np.int8], place: int) -> bool:
    """Put a row right if at most one of its words was changed; return whether it is whole.

    Where both checks differ, the exclusive or says which bits of a word were flipped, and the sum
    says of which word; the stored norm must agree. Where one check differs, that itself was
    changed, if the check of what is derived says so: else two words were, in the same bits.
    """
    vector, row = vectors[place], rows[place]
    parity, total = checks(vector, row.phase)
    flipped, missing = parity ^ row.xor, np.uint32(total - row.sum)
    if flipped != 0 and missing != 0:
        words = vector.view(np.uint32)
        word, fitting = -1, 0
        for i in range(words.size):
            if changes(words[i], flipped, i) == missing:
                word, fitting = i, fitting + 1
        last = as_bits(row.phase)
        if changes(last, flipped, words.size) == missing:
            word, fitting = words.size, fitting + 1
        if fitting != 1:
            return False
        if word == words.size:
            if row.norm != row_norm(vector):
                return False
            row.phase = as_float(last ^ flipped)
        else:
            words[word] ^= flipped
            if row.norm != row_norm(vector):
                words[word] ^= flipped
                return False
    elif flipped != 0 or missing != 0:
        held = row.xor, row.sum
        row.xor, row.sum = parity, total
        if derived_check(row, codes[place]) != row.derived:
            row.xor, row.sum = held
            return False
    derive(vector, row, codes[place])
    return True


@compiled
def quarantine(
    vectors: NDArray[np.float32], rows: Rows, codes: NDArray[np.int8], place: int
) -> None:
    """Empty a row: it is in no phase until it is written anew."""
    vector, row = vectors[place], rows[place]
    vector[:] = 0.0
    row.phase = np.nan
    row.xor, row.sum = checks(vector, row.phase)
    derive(vector, row, codes[place])


@compiled
def level_whole(levels: NDArray[np.float32], k: int, state: Any) -> bool:
    """Return whether the synaptic level `k`, from 0, is what the last event left."""
    expected = state.xor1 if k == 0 else (state.xor2 if k == 1 else state.xor3)
    return xor(levels[k]) == expected  # type: ignore[no-any-return]


@compiled
def wake_whole(
    state: Any, vectors: NDArray[np.float32], rows: Rows, codes: NDArray[np.int8]
) -> bool:
    """Return whether the rows of this wake are what was written: damage is not to be replayed."""
    count = min(state.wake, rows.size)
    place = state.next - count
    if place < 0:
        place += rows.size
    for _ in range(count):
        if not whole(vectors[place], rows[place], codes[place]):
            return False
        place = place + 1 if place + 1 < rows.size else 0
    return True


@compiled
def scrub(
    rule: Any,
    states: State,
    levels: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: Rows,
    codes: NDArray[np.int8],
) -> bool:
    """Check the state, the levels and the next few rows; return whether they are whole.

    What every event rewrites is checked before every event: else damage would be written over as if
    it were meant. The state is even where nothing else is wished: it says where to write.
    """
    state = states[0]
    if not agree(states):
        return False
    if rule.scrub == 0:
        return True
    for k in range(3):
        if not level_whole(levels, k, state):
            return False
    asleep_next = state.phase == AWAKE and state.counter == 1
    if rule.replay and asleep_next and not wake_whole(state, vectors, rows, codes):
        return False
    for _ in range(min(rule.scrub, state.size)):
        place = state.scrubbed if state.scrubbed < state.size else 0
        if not whole(vectors[place], rows[place], codes[place]):
            return False
        state.scrubbed = place + 1
    return True
