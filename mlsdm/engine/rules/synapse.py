"""The rules of the three synaptic levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import as_bits, as_float, peak_bits, xor
from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.copies import keep
from mlsdm.engine.rules.lanes import norm
from mlsdm.engine.rules.layout import Constants, State

__all__ = ["fits", "keep_parity", "take_in", "update"]

ROOM = float(np.finfo(np.float32).max) * (1.0 - 1e-6)  # float32, less what rounding may add


@compiled
def pass_on(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    threshold: float,
    transfer: np.float32,
    norm_gate: bool,
    source_norm: float,
) -> bool:
    """Move the share `transfer` of `source` to `target` where the gate is open, if it is at all."""
    # The released code compares float32 with float32; no element is larger than the norm.
    limit = np.float32(threshold)
    if source_norm <= (threshold if norm_gate else np.float64(limit)):
        return False
    for i in range(source.size):
        if norm_gate or source[i] > limit:
            moved = transfer * source[i]
            source[i] -= moved
            target[i] += moved
    return True


@compiled
def update(levels: NDArray[np.float32], state: Any, vector: NDArray[np.float32], rule: Any) -> None:
    """Decay the three levels, add the vector to the first, pass on through the two gates."""
    first, second, third = levels[0], levels[1], levels[2]
    keep1, keep2, keep3 = rule.keep1, rule.keep2, rule.keep3
    parity1 = np.uint32(0)
    for i in range(vector.size):
        first[i] = keep1 * first[i] + vector[i]
        parity1 = np.uint32(parity1 ^ as_bits(first[i]))
    state.xor1 = parity1
    if state.norm2 != 0.0:  # a level that is zero decays to zero
        parity2 = np.uint32(0)
        for i in range(vector.size):
            second[i] = keep2 * second[i]
            parity2 = np.uint32(parity2 ^ as_bits(second[i]))
        state.xor2 = parity2
    if state.norm3 != 0.0:
        parity3 = np.uint32(0)
        for i in range(vector.size):
            third[i] = keep3 * third[i]
            parity3 = np.uint32(parity3 ^ as_bits(third[i]))
        state.xor3 = parity3

    state.norm1 = norm(first)
    opened1 = pass_on(first, second, rule.threshold1, rule.transfer1, rule.norm_gate, state.norm1)
    if opened1:
        state.norm1, state.xor1, state.xor2 = norm(first), xor(first), xor(second)
    if opened1 or state.norm2 != 0.0:
        state.norm2 = norm(second)
    opened2 = pass_on(second, third, rule.threshold2, rule.transfer2, rule.norm_gate, state.norm2)
    if opened2:
        state.norm2, state.xor2, state.xor3 = norm(second), xor(second), xor(third)
    if opened2 or state.norm3 != 0.0:
        state.norm3 = norm(third)


@compiled
def keep_parity(levels: NDArray[np.float32]) -> None:
    """Write the exclusive or of the three levels' words: a damaged level follows from the rest."""
    words = levels.view(np.uint32)
    first, second, third, parity = words[0], words[1], words[2], words[3]
    for i in range(parity.size):
        parity[i] = first[i] ^ second[i] ^ third[i]


@compiled
def fits(
    vector: NDArray[np.float32], peak: float, levels: NDArray[np.float32], state: Any, rule: Any
) -> bool:
    """Return whether the levels stay within float32 when they take in a vector of this peak.

    Whatever the gates pass on, no element can grow past the sum of its magnitudes in the vector and
    the decayed levels. The norms bound them all at once, and settle every ordinary case.
    """
    if peak + state.norm1 + state.norm2 + state.norm3 <= ROOM:
        return True
    for i in range(vector.size):
        total = (
            abs(np.float64(vector[i]))
            + abs(np.float64(rule.keep1) * np.float64(levels[0, i]))
            + abs(np.float64(rule.keep2) * np.float64(levels[1, i]))
            + abs(np.float64(rule.keep3) * np.float64(levels[2, i]))
        )
        if total > ROOM:
            return False
    return True


@compiled
def take_in(
    levels: NDArray[np.float32], states: State, vector: NDArray[np.float32], rules: Constants
) -> bool:
    """Take in one finite vector, if the levels stay within float32; return whether they do."""
    peak = np.float64(as_float(peak_bits(vector)))
    if not fits(vector, peak, levels, states[0], rules[0]):
        return False
    update(levels, states[0], vector, rules[0])
    keep_parity(levels)
    keep(states)
    return True
