"""What the tests of snapshots share: engines that have lived, and all that they hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from support import related_vectors

from mlsdm import CognitiveController, EngineParams, LatticeParams

SMALL = EngineParams(dim=2, lattice=LatticeParams(capacity=3))


def lived(params: EngineParams, n: int, seed: int = 0) -> CognitiveController:
    """Return an engine after n events."""
    controller = CognitiveController(params)
    go_on(controller, n, seed)
    return controller


def go_on(controller: CognitiveController, n: int, seed: int) -> list[Any]:
    vectors = related_vectors(n, controller.params.dim, seed)
    values = np.random.default_rng(seed).random(n)
    return [controller.process_event(x, float(v)) for x, v in zip(vectors, values, strict=True)]


def held(controller: CognitiveController) -> list[Any]:
    """Return all that an engine holds, but for the room that compact forms are checked in."""
    *arrays, codes = controller._memory
    return [
        *(array.tobytes() for array in (*arrays, codes[:-1])),
        controller.params,
        controller.emergency,
        controller.restored,
    ]


def in_folder(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))
