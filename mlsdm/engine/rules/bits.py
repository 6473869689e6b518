"""What is asked of the bits of a vector: is it finite, how large, and which checks belong to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.compiling import compiled

__all__ = [
    "FINITE", "as_bits", "as_float", "checks", "derived_check",
    "first_not_finite", "folded", "peak_bits", "weight", "xor",
]  # fmt: skip

FINITE = np.uint32(0x7F800000)  # the magnitude of a finite float32 has bits below these
_MAGNITUDE = np.uint32(0x7FFFFFFF)


@compiled
def as_bits(value: np.float32) -> np.uint32:
    """Return the bits of a float32."""
    return np.float32(value).view(np.uint32)


@compiled
def as_float(bits: np.uint32) -> np.float32:
    """Return the float32 of these bits."""
    return np.uint32(bits).view(np.float32)


@compiled
def peak_bits(vector: NDArray[np.float32]) -> np.uint32:
    """Return the bits of the largest magnitude; from `FINITE` on, not all elements are finite."""
    words = vector.view(np.uint32)
    peak = np.uint32(0)
    for i in range(words.size):
        magnitude = np.uint32(words[i] & _MAGNITUDE)
        peak = magnitude if magnitude > peak else peak
    return peak


@compiled
def first_not_finite(vector: NDArray[np.float32]) -> int:
    """Return the index of the first NaN or infinity, or -1."""
    if vector.size and peak_bits(vector) >= FINITE:
        for i in range(vector.size):
            if not np.isfinite(vector[i]):
                return i
    return -1


@compiled
def xor(vector: NDArray[np.float32]) -> np.uint32:
    """Return the exclusive or of the elements' bits: no single flipped bit leaves it as it was."""
    words = vector.view(np.uint32)
    total = np.uint32(0)
    for i in range(words.size):
        total = np.uint32(total ^ words[i])
    return total


@compiled
def derived_check(row: Any, codes: NDArray[np.int8]) -> np.uint32:
    """Return a check of what follows from a row's vector: norm, compact form, and its own checks.

    The bytes of the compact form go in as a sum with odd weights, so that none make up for others.
    """
    wide = np.float64(row.norm).view(np.uint64)
    halves = np.uint32(wide >> np.uint64(32)) ^ np.uint32(wide & np.uint64(0xFFFFFFFF))
    bytes_ = codes.view(np.uint8)
    total = np.uint32(0)
    for i in range(bytes_.size):
        total = np.uint32(total + np.uint32(np.uint32(bytes_[i]) * weight(i)))
    scales = as_bits(row.gain) ^ as_bits(row.slack)
    return np.uint32(halves ^ scales ^ total ^ row.xor ^ row.sum)


@compiled
def weight(i: int) -> np.uint32:
    """Return the weight of a row's word i in its sum: odd, so that any change of it shows."""
    return np.uint32(2 * i + 1)


@compiled
def folded(word: np.uint32) -> np.uint32:
    """Return the two halves of a word added up, as they go into the sum.

    A flipped bit changes it by 2^15 at most: times a weight that is within 32 bits, beyond which
    the flipped bits of different words could not be told apart.
    """
    return np.uint32((word >> np.uint32(16)) + (word & np.uint32(0xFFFF)))


@compiled
def checks(vector: NDArray[np.float32], phase: np.float32) -> tuple[np.uint32, np.uint32]:
    """Return the exclusive or and the weighted sum, modulo 2^32, of a row's words.

    The words are those of the vector, then the phase. From the two, the one word that was changed,
    and what it was, can be told: parity and a weighted sum, as RAID 6 keeps them (our own choice).
    """
    words = vector.view(np.uint32)
    last = as_bits(phase)
    parity, total = np.uint32(0), np.uint32(0)
    for i in range(words.size):
        parity = np.uint32(parity ^ words[i])
        total = np.uint32(total + np.uint32(folded(words[i]) * weight(i)))
    return np.uint32(parity ^ last), np.uint32(total + np.uint32(folded(last) * weight(words.size)))
