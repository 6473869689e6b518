"""The engine once more, as plainly as NumPy allows: what the compiled rules are held against.

Written from the prose of the rules, not from the package, and never imported by it.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class Row(NamedTuple):
    vector: Vector
    phase: np.float32
    norm: float


class Trace(NamedTuple):
    """The answer to one event, and the state after it."""

    accepted: bool
    reason: str
    phase: str
    threshold: float
    acceptance_rate: float
    norms: tuple[float, float, float]
    lattice_size: int


def inner_product(a: Vector, b: Vector) -> float:
    """Return the sum of products in float64, which are exact, in the one order that the rules have.

    Lane j of 32 sums the elements j, j + 32, ...; then the upper half of the lanes is added to the
    lower one, until one is left.
    """
    products = a.astype(np.float64) * b.astype(np.float64)
    lanes = np.array([functools.reduce(operator.add, products[j::32], 0.0) for j in range(32)])
    while len(lanes) > 1:
        lower, upper = np.split(lanes, 2)
        lanes = lower + upper
    return float(lanes[0])


def euclidean_norm(vector: Vector) -> float:
    return math.sqrt(inner_product(vector, vector))


class Filter:
    def __init__(self, p: dict[str, Any]) -> None:
        self.p = p
        self.threshold = self._clip(p["initial_threshold"])
        self.rate = p["initial_rate"]

    def _clip(self, threshold: float) -> float:
        if threshold < self.p["min_threshold"]:
            return self.p["min_threshold"]
        if threshold > self.p["max_threshold"]:
            return self.p["max_threshold"]
        return threshold

    def accept(self, value: float) -> bool:
        if value >= self.p["max_threshold"]:
            return True
        if value < self.p["min_threshold"]:
            return False
        return value >= self.threshold

    def adapt(self, accepted: bool) -> None:
        alpha = self.p["smoothing"]
        self.rate = alpha * int(accepted) + (1 - alpha) * self.rate
        error = self.rate - self.p["target_rate"]
        if abs(error) > self.p["dead_band"]:
            sign = 1 if error > 0 else -1
            self.threshold = self._clip(self.threshold + self.p["step"] * sign)


class Rhythm:
    def __init__(self, p: dict[str, Any]) -> None:
        self.p = p
        self.phase = "wake"
        self.counter = p["wake_duration"]

    def step(self) -> bool:
        """Return whether this step fell asleep."""
        self.counter -= 1
        if self.counter > 0:
            return False
        self.phase = "sleep" if self.phase == "wake" else "wake"
        self.counter = self.p[f"{self.phase}_duration"]
        return self.phase == "sleep"


class Levels:
    def __init__(self, p: dict[str, Any], dim: int) -> None:
        self.p = p
        self.l1, self.l2, self.l3 = (np.zeros(dim, np.float32) for _ in range(3))

    def _transfer(self, level: Vector, threshold: float, share: float) -> Vector:
        moved = share * level
        assert moved.dtype == np.float32
        if self.p["gate"] == "element":
            return np.where(level > threshold, moved, np.float32(0))
        return moved if euclidean_norm(level) > threshold else np.zeros_like(level)

    def update(self, vector: Vector) -> None:
        (d1, d2, d3), (t1, t2) = self.p["decay"], self.p["threshold"]
        g12, g23 = self.p["transfer"]
        self.l1 = (1 - d1) * self.l1 + vector
        self.l2 = (1 - d2) * self.l2
        self.l3 = (1 - d3) * self.l3
        moved = self._transfer(self.l1, t1, g12)
        self.l1, self.l2 = self.l1 - moved, self.l2 + moved
        moved = self._transfer(self.l2, t2, g23)
        self.l2, self.l3 = self.l2 - moved, self.l3 + moved

    def norms(self) -> tuple[float, float, float]:
        return euclidean_norm(self.l1), euclidean_norm(self.l2), euclidean_norm(self.l3)


class Lattice:
    def __init__(self, p: dict[str, Any]) -> None:
        self.p = p
        self.rows: list[Row] = []
        self.pointer = 0

    def entangle(self, vector: Vector, phase: float) -> int:
        row = Row(vector.copy(), np.float32(phase), max(euclidean_norm(vector), 1e-9))
        written = self.pointer
        if written == len(self.rows):
            self.rows.append(row)
        else:
            self.rows[written] = row
        self.pointer = (written + 1) % self.p["capacity"]
        return written

    def retrieve(
        self, query: Vector, phase: float, tolerance: float, top_k: int
    ) -> list[tuple[int, float]]:
        """Return rows and cosines, best first, ties by row."""
        length = max(euclidean_norm(query), 1e-9)
        found = []
        for number, row in enumerate(self.rows):
            if abs(row.phase - np.float32(phase)) <= np.float32(tolerance):
                found.append((number, inner_product(row.vector, query) / (row.norm * length)))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:top_k]


class Engine:
    """The four parts in the order of the controller; `params` is a plain dict."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.p = params
        self.moral = Filter(params["moral"])
        self.rhythm = Rhythm(params["rhythm"])
        self.levels = Levels(params["synapse"], params["dim"])
        self.lattice = Lattice(params["lattice"])
        self.this_wake: list[Vector] = []

    def process(self, vector: Vector, value: float) -> Trace:
        accepted = self.moral.accept(value)
        self.moral.adapt(accepted)
        if not accepted:
            reason = "moral"
        elif self.rhythm.phase == "sleep":
            reason = "sleep"
        else:
            reason = "committed"
            self.levels.update(vector)
            self.lattice.entangle(vector, self.p["rhythm"]["wake_phase"])
            self.this_wake.append(vector)
        stepped = reason == "committed" or self.p["rhythm"]["clock"] == "event"
        if stepped and self.rhythm.step():
            self._fall_asleep()
        return Trace(
            accepted,
            reason,
            self.rhythm.phase,
            self.moral.threshold,
            self.moral.rate,
            self.levels.norms(),
            len(self.lattice.rows),
        )

    def _fall_asleep(self) -> None:
        if self.p["lattice"]["consolidation"] == "replay":
            for vector in self.this_wake[-self.p["lattice"]["capacity"] :]:
                self.lattice.entangle(vector, self.p["rhythm"]["sleep_phase"])
        self.this_wake = []

    def retrieve_context(self, query: Vector, top_k: int) -> list[tuple[int, float]]:
        phase = self.p["rhythm"][f"{self.rhythm.phase}_phase"]
        return self.lattice.retrieve(query, phase, self.p["lattice"]["phase_tolerance"], top_k)
