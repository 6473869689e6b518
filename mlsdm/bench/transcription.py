"""The engine once more, in plain NumPy, with the integrity of the original: a yardstick.

The original (MLSDM v1.2) keeps its promise that no stored bit changes unnoticed by a SHA-256 of all
that is stored, before and after every row it writes: the cost of a row grows with the memory.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.outcome import Reason
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import as_homeostatic
from mlsdm.engine.rhythm import Phase
from mlsdm.errors import RunError

__all__ = ["Done", "Transcription"]

Vector = NDArray[np.float32]


class Done(NamedTuple):
    """What became of one event, and the state after it, as `Outcome` has it."""

    accepted: bool
    reason: Reason
    phase: Phase
    threshold: float
    acceptance_rate: float
    norms: tuple[float, float, float]
    lattice_size: int


def length(vector: Vector) -> float:
    """Return the Euclidean norm of a float32 vector, in float64."""
    return float(np.linalg.norm(vector.astype(np.float64)))


class Transcription:
    """An engine that takes events one at a time; equal to the controller within rounding."""

    def __init__(self, params: EngineParams) -> None:
        self.params = params
        self.moral = moral = as_homeostatic("Transcription.moral", params.moral)
        capacity = params.lattice.capacity
        self.threshold = min(max(moral.initial_threshold, moral.min_threshold), moral.max_threshold)
        self.rate = moral.initial_rate
        self.phase: Phase = "wake"
        self.counter = params.rhythm.wake_duration
        self.levels = np.zeros((3, params.dim), np.float32)
        self.vectors = np.zeros((capacity, params.dim), np.float32)
        self.phases = np.zeros(capacity, np.float32)
        self.norms = np.zeros(capacity)
        self.next = self.size = 0
        self.wake: list[Vector] = []  # what was committed since the engine woke
        self.checksum = self.sha256()

    def process_event(self, vector: Vector, value: float) -> Done:
        """Take one event: (dim,) float32, and a number in [0, 1]."""
        if not (np.isfinite(vector).all() and 0.0 <= value <= 1.0):
            raise ValueError("the vector must be finite, the value in [0, 1]")
        reason = self.decide(value)
        if reason == "committed":
            self.update_levels(vector)
            self.entangle(vector, self.params.rhythm.wake_phase)
            self.wake.append(vector)
        before = self.phase
        self.tick(reason)
        if before == "wake" and self.phase == "sleep":
            self.consolidate()
        norms = (length(self.levels[0]), length(self.levels[1]), length(self.levels[2]))
        return Done(
            reason != "moral", reason, self.phase, self.threshold, self.rate, norms, self.size
        )

    def decide(self, value: float) -> Reason:
        """Accept or refuse by the threshold, then adapt it; return what becomes of the event."""
        moral = self.moral
        accepted = value >= moral.max_threshold or (
            value >= moral.min_threshold and value >= self.threshold
        )
        self.rate = moral.smoothing * float(accepted) + (1.0 - moral.smoothing) * self.rate
        error = self.rate - moral.target_rate
        if abs(error) > moral.dead_band:
            moved = self.threshold + (moral.step if error > 0.0 else -moral.step)
            self.threshold = min(max(moved, moral.min_threshold), moral.max_threshold)
        if not accepted:
            return "moral"
        return "committed" if self.phase == "wake" else "sleep"

    def tick(self, reason: Reason) -> None:
        """Step the rhythm, if this event is a step."""
        rhythm = self.params.rhythm
        if rhythm.clock == "commit" and reason != "committed":
            return
        self.counter -= 1
        if self.counter == 0:
            asleep = self.phase == "wake"
            self.phase = "sleep" if asleep else "wake"
            self.counter = rhythm.sleep_duration if asleep else rhythm.wake_duration

    def update_levels(self, vector: Vector) -> None:
        """Decay the levels, add the vector to the first, pass on what the gates let through."""
        synapse = self.params.synapse
        self.levels *= (1.0 - np.array(synapse.decay, np.float64)).astype(np.float32)[:, None]
        self.levels[0] += vector
        for k in (0, 1):
            source, threshold = self.levels[k], synapse.threshold[k]
            moved = np.float32(synapse.transfer[k]) * source
            if synapse.gate == "element":
                moved[source <= np.float32(threshold)] = 0.0
            elif length(source) <= threshold:
                continue
            self.levels[k] -= moved
            self.levels[k + 1] += moved

    def entangle(self, vector: Vector, phase: float) -> None:
        """Store one row at the pointer, between two checks of all that is stored."""
        if self.sha256() != self.checksum:
            raise RunError("Transcription.entangle: what is stored is not what was written")
        self.vectors[self.next] = vector
        self.phases[self.next] = phase
        self.norms[self.next] = max(length(vector), 1e-9)
        self.next = (self.next + 1) % len(self.vectors)
        self.size = min(self.size + 1, len(self.vectors))
        self.checksum = self.sha256()

    def consolidate(self) -> None:
        """Entangle what was committed in the wake that ends once more, with the sleep phase."""
        if self.params.lattice.consolidation == "replay":
            for vector in self.wake[-len(self.vectors) :]:
                self.entangle(vector, self.params.rhythm.sleep_phase)
        self.wake = []

    def fill(self, vectors: NDArray[np.float32], phase: float) -> None:
        """Store all rows at once, (capacity, dim), so that there is a full memory to begin with."""
        self.vectors[:] = vectors
        self.phases[:] = phase
        self.norms[:] = np.maximum(np.linalg.norm(vectors.astype(np.float64), axis=1), 1e-9)
        self.size = len(vectors)
        self.checksum = self.sha256()

    def sha256(self) -> bytes:
        """Return the digest of all that is stored."""
        digest = hashlib.sha256()
        for array in (self.vectors, self.phases, self.norms):
            digest.update(array[: self.size].data)
        digest.update(f"{self.next} {self.size}".encode())
        return digest.digest()
