"""Flipped bits, wherever an engine holds something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from support import related_vectors

from mlsdm import CognitiveController, EngineParams, simulate

KINDS = ("vectors", "rows", "codes", "levels", "states", "rules")


class Flip(NamedTuple):
    """One bit: of which array, which of its bytes, which bit of it; and in which row that lies."""

    kind: str
    byte: int
    bit: int
    row: int


def lived(params: EngineParams, n: int, seed: int = 0) -> CognitiveController:
    """Return an engine after n events, most of them committed while awake."""
    vectors = related_vectors(n, params.dim, seed)
    return simulate(params, vectors, np.random.default_rng(seed).beta(4, 1, n)).engine


def raw(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of a contiguous array, to be written to."""
    return array.reshape(-1).view(np.uint8)


def flip(controller: CognitiveController, *flips: Flip) -> None:
    for kind, byte, bit, _ in flips:
        raw(getattr(controller._memory, kind))[byte] ^= np.uint8(1 << bit)


def places(controller: CognitiveController, kind: str) -> NDArray[np.int64]:
    """Return the bytes of an array that are in use."""
    array = getattr(controller._memory, kind)
    of_rows = kind in ("vectors", "rows", "codes")
    return np.arange(array[: controller.lattice.size if of_rows else None].nbytes)


def flips(controller: CognitiveController, kind: str, n: int, seed: int) -> Iterator[Flip]:
    """Return n flips, each anywhere in what one array holds."""
    rng = np.random.default_rng(seed)
    array = getattr(controller._memory, kind)
    for byte in rng.choice(places(controller, kind), n):
        yield Flip(kind, int(byte), int(rng.integers(8)), int(byte // array[0].nbytes))


def held(controller: CognitiveController) -> list[bytes]:
    """Return all arrays as bytes."""
    return [array.tobytes() for array in controller._memory]


def put_back(controller: CognitiveController, before: list[bytes]) -> None:
    for array, data in zip(controller._memory, before, strict=True):
        raw(array)[: len(data)] = np.frombuffer(data, np.uint8)
