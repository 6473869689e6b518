"""The rules of integrity: what a row must look like, and how one changed word is put right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import as_bits, as_float, checks, derived_check, folded, weight, xor
from mlsdm.engine.rules.compiling import allocating, compiled
from mlsdm.engine.rules.copies import agree
from mlsdm.engine.rules.lanes import norm
from mlsdm.engine.rules.layout import AWAKE, LEVELS, Constants, Rows, State
from mlsdm.engine.rules.policy import accepts
from mlsdm.engine.rules.recall import derive

__all__ = ["damaged", "level_whole", "mend", "mend_level", "quarantine", "scrub", "whole"]


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
    """Put a row right if one of its bits was flipped; return whether it is whole.

    Where both checks differ, the exclusive or says which bits of a word were flipped, and the sum
    says of which word; what is derived from the vector must then be what it was. Where one check
    differs, that itself was changed, if the check of what is derived says so. So more than one bit
    is put right where it can be told, and not guessed at where it cannot.
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
        held = row.derived
        if word < words.size:
            words[word] ^= flipped
        derive(vector, row, codes[place])
        if row.derived != held:
            row.derived = held
            if word < words.size:
                words[word] ^= flipped
            return False
        if word == words.size:
            row.phase = as_float(last ^ flipped)
        return True
    elif flipped != 0 or missing != 0:
        before = row.xor, row.sum
        row.xor, row.sum = parity, total
        if derived_check(row, codes[place]) != row.derived:
            row.xor, row.sum = before
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
def level_check(k: int, state: Any) -> np.uint32:
    """Return the check of the synaptic level `k`, from 0; with 3 that of their parity."""
    if k == 3:
        return np.uint32(state.xor1 ^ state.xor2 ^ state.xor3)
    return state.xor1 if k == 0 else (state.xor2 if k == 1 else state.xor3)  # type: ignore[no-any-return]


@compiled
def level_whole(levels: NDArray[np.float32], k: int, state: Any) -> bool:
    """Return whether the synaptic level `k`, or with 3 their parity, is what was written."""
    return xor(levels[k]) == level_check(k, state)  # type: ignore[no-any-return]


@allocating
def mend_level(levels: NDArray[np.float32], k: int, state: Any) -> bool:
    """Put right the only damaged one of the levels and their parity; return whether it is whole.

    It is the exclusive or of the others, however many of its words were changed. Its check and the
    stored norm must agree: else one of the others is damaged too, unseen.
    """
    words = levels.view(np.uint32)
    meant = np.zeros(words.shape[1], np.uint32)
    for other in range(LEVELS):
        if other != k:
            for i in range(meant.size):
                meant[i] ^= words[other, i]
    vector = meant.view(np.float32)
    if xor(vector) != level_check(k, state):
        return False
    held = state.norm1 if k == 0 else (state.norm2 if k == 1 else state.norm3)
    if k < 3 and norm(vector) != held:
        return False
    words[k] = meant
    return True


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
    rules: Constants,
    states: State,
    levels: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: Rows,
    codes: NDArray[np.int8],
    value: float,
    context: float,
) -> bool:
    """Check constants, state, levels and the next few rows; return whether they are whole.

    What every event rewrites is checked before every event: else damage would be written over as if
    it were meant. The state is even where nothing else is wished: it says where to write.
    """
    rule, state = rules[0], states[0]
    if not agree(rules) or not agree(states):
        return False
    if rule.scrub == 0:
        return True
    for k in range(LEVELS):
        if not level_whole(levels, k, state):
            return False
    falls_asleep = (
        state.phase == AWAKE
        and state.counter == 1
        and (rule.on_event or accepts(rule, state, value, context))
    )
    if rule.replay and falls_asleep and not wake_whole(state, vectors, rows, codes):
        return False
    for _ in range(min(rule.scrub, state.size)):
        place = state.scrubbed if state.scrubbed < state.size else 0
        if not whole(vectors[place], rows[place], codes[place]):
            return False
        state.scrubbed = place + 1
    return True
