"""Every rule of the engine, once, as small compiled functions.

The classes, the controller and `simulate` all call these. They are compiled without fastmath, so
the order of every sum and product is the one written here, and a run has the same bytes stepwise,
simulated or on another machine. They share one file because Numba's cache looks at the caller's
file only: a rule kept elsewhere could change without its callers being compiled anew.

The rules are those of MLSDM v1.2; state lives in plain arrays (see `State`) that they change in
place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "ASLEEP", "AWAKE", "COMMITTED", "MORAL", "SLEEP",
    "LatticeRule", "MoralRule", "RhythmRule", "Rules", "State", "SynapseRule",
    "accept", "adapt", "cosines", "entangle", "event", "first_not_finite", "fits", "norm", "run",
    "step", "update",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a rule: cached on disk where there is room for it, without the GIL."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(F, njit(cache=True, **options)(function))
    except RuntimeError:  # no folder can be written, as in a read-only container
        return cast(F, njit(**options)(function))


# Codes of the outcome of an event, and of the two phases.
COMMITTED, MORAL, SLEEP = 0, 1, 2
AWAKE, ASLEEP = 0, 1

SMALLEST_NORM = 1e-9
ROOM = float(np.finfo(np.float32).max) * (1.0 - 1e-6)  # float32, less what rounding may add


class MoralRule(NamedTuple):
    """Constants of the moral filter."""

    low: float
    high: float
    smoothing: float
    target: float
    dead_band: float
    step: float


class RhythmRule(NamedTuple):
    """Constants of the rhythm; `on_event`: every event is a step, not only a committed one."""

    wake_duration: int
    sleep_duration: int
    on_event: bool


class SynapseRule(NamedTuple):
    """Constants of the synaptic levels; `keep` is 1 - decay; float32 as the levels are."""

    keep: tuple[np.float32, np.float32, np.float32]
    threshold: tuple[float, float]
    transfer: tuple[np.float32, np.float32]
    norm_gate: bool


class LatticeRule(NamedTuple):
    """Constants of the lattice as the controller uses it."""

    wake_phase: np.float32
    sleep_phase: np.float32
    replay: bool


class Rules(NamedTuple):
    """All constants of one engine."""

    moral: MoralRule
    rhythm: RhythmRule
    synapse: SynapseRule
    lattice: LatticeRule


class State(NamedTuple):
    """All that one engine holds and changes."""

    moral: NDArray[np.float64]  # threshold, acceptance average
    rhythm: NDArray[np.int64]  # phase (AWAKE or ASLEEP), counter
    levels: NDArray[np.float32]  # (3, dim)
    norms: NDArray[np.float64]  # (3,) Euclidean norms of the levels
    vectors: NDArray[np.float32]  # (capacity, dim)
    phases: NDArray[np.float32]  # (capacity,)
    row_norms: NDArray[np.float64]  # (capacity,)
    ring: NDArray[np.int64]  # next row, rows in use, rows committed in this wake


# --- arithmetic -----------------------------------------------------------------------------------


@compiled
def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the inner product, summed in float64 over eight interleaved lanes in fixed order."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = a.size - a.size % 8
    for i in range(0, whole, 8):
        s0 += np.float64(a[i]) * np.float64(b[i])
        s1 += np.float64(a[i + 1]) * np.float64(b[i + 1])
        s2 += np.float64(a[i + 2]) * np.float64(b[i + 2])
        s3 += np.float64(a[i + 3]) * np.float64(b[i + 3])
        s4 += np.float64(a[i + 4]) * np.float64(b[i + 4])
        s5 += np.float64(a[i + 5]) * np.float64(b[i + 5])
        s6 += np.float64(a[i + 6]) * np.float64(b[i + 6])
        s7 += np.float64(a[i + 7]) * np.float64(b[i + 7])
    total = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
    for i in range(whole, a.size):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@compiled
def norm(a: NDArray[np.float32]) -> float:
    """Return the Euclidean norm in float64."""
    return math.sqrt(dot(a, a))


@compiled
def first_not_finite(a: NDArray[np.float32]) -> int:
    """Return the index of the first NaN or infinity, or -1."""
    for i in range(a.size):
        if not math.isfinite(a[i]):
            return i
    return -1


# --- moral filter ---------------------------------------------------------------------------------


@compiled
def accept(value: float, threshold: float, rule: MoralRule) -> bool:
    """Accept at or above the upper bound, refuse below the lower one, else ask the threshold."""
    if value >= rule.high:
        return True
    if value < rule.low:
        return False
    return value >= threshold


@compiled
def adapt(threshold: float, rate: float, accepted: bool, rule: MoralRule) -> tuple[float, float]:
    """Return the next threshold and acceptance average.

    r <- α·a + (1 - α)·r;  where |r - target| > dead band: θ <- clip(θ + step·sign(r - target)).
    """
    rate = rule.smoothing * (1.0 if accepted else 0.0) + (1.0 - rule.smoothing) * rate
    error = rate - rule.target
    if abs(error) > rule.dead_band:
        threshold += math.copysign(rule.step, error)
        threshold = min(max(threshold, rule.low), rule.high)
    return threshold, rate


# --- rhythm ---------------------------------------------------------------------------------------


@compiled
def step(phase: int, counter: int, rule: RhythmRule) -> tuple[int, int]:
    """Return the phase and the counter after one step: at zero the phase flips."""
    counter -= 1
    if counter > 0:
        return phase, counter
    if phase == AWAKE:
        return ASLEEP, rule.sleep_duration
    return AWAKE, rule.wake_duration


# --- synaptic levels ------------------------------------------------------------------------------


@compiled
def pass_on(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    threshold: float,
    transfer: np.float32,
    norm_gate: bool,
) -> None:
    """Move the share `transfer` of `source` to `target` where the gate is open."""
    if norm_gate:
        if norm(source) > threshold:
            for i in range(source.size):
                moved = transfer * source[i]
                source[i] -= moved
                target[i] += moved
    else:
        # The released code compares float32 with float32.
        limit = np.float32(threshold)
        for i in range(source.size):
            if source[i] > limit:
                moved = transfer * source[i]
                source[i] -= moved
                target[i] += moved


@compiled
def update(
    levels: NDArray[np.float32],
    norms: NDArray[np.float64],
    vector: NDArray[np.float32],
    rule: SynapseRule,
) -> None:
    """Decay the three levels, add the vector to the first, pass on through the two gates."""
    for i in range(vector.size):
        levels[0, i] = rule.keep[0] * levels[0, i] + vector[i]
        levels[1, i] = rule.keep[1] * levels[1, i]
        levels[2, i] = rule.keep[2] * levels[2, i]
    pass_on(levels[0], levels[1], rule.threshold[0], rule.transfer[0], rule.norm_gate)
    pass_on(levels[1], levels[2], rule.threshold[1], rule.transfer[1], rule.norm_gate)
    for k in range(3):
        norms[k] = norm(levels[k])


@compiled
def fits(
    vector: NDArray[np.float32],
    levels: NDArray[np.float32],
    norms: NDArray[np.float64],
    rule: SynapseRule,
) -> bool:
    """Return whether the levels stay within float32 when they take in a finite vector.

    Whatever the gates pass on, no element can grow past the sum of its magnitudes in the vector and
    the decayed levels. The norms bound them all at once, and settle every ordinary case.
    """
    peak = 0.0
    for i in range(vector.size):
        peak = max(peak, abs(np.float64(vector[i])))
    if peak + norms[0] + norms[1] + norms[2] <= ROOM:
        return True
    for i in range(vector.size):
        total = abs(np.float64(vector[i]))
        for k in range(3):
            total += abs(np.float64(rule.keep[k]) * np.float64(levels[k, i]))
        if total > ROOM:
            return False
    return True


# --- lattice --------------------------------------------------------------------------------------


@compiled
def entangle(
    vectors: NDArray[np.float32],
    phases: NDArray[np.float32],
    row_norms: NDArray[np.float64],
    ring: NDArray[np.int64],
    vector: NDArray[np.float32],
    phase: np.float32,
) -> int:
    """Write one row at the pointer, over the oldest when full, and return its number."""
    row = int(ring[0])
    for i in range(vector.size):
        vectors[row, i] = vector[i]
    phases[row] = phase
    row_norms[row] = max(norm(vector), SMALLEST_NORM)
    ring[0] = (row + 1) % phases.size
    ring[1] = min(ring[1] + 1, phases.size)
    return row


@compiled
def replay(state: State, phase: np.float32) -> None:
    """Entangle the vectors of the ending wake once more, oldest first, with the sleep phase.

    Reading and writing in ascending order never writes a row that is still to be read: the j-th
    write lands on the source j - (capacity - count), which has been read.
    """
    capacity = state.phases.size
    count = min(state.ring[2], capacity)
    first = state.ring[0] - count
    for j in range(count):
        source = (first + j) % capacity
        entangle(
            state.vectors, state.phases, state.row_norms, state.ring, state.vectors[source], phase
        )


@compiled
def cosines(
    vectors: NDArray[np.float32],
    phases: NDArray[np.float32],
    row_norms: NDArray[np.float64],
    size: int,
    query: NDArray[np.float32],
    phase: np.float32,
    tolerance: np.float32,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows in phase, ascending, and the cosine of each with the query."""
    rows = np.empty(size, np.int64)
    resonances = np.empty(size, np.float64)
    query_norm = max(norm(query), SMALLEST_NORM)
    found = 0
    for row in range(size):
        if abs(phases[row] - phase) <= tolerance:
            rows[found] = row
            resonances[found] = dot(vectors[row], query) / (row_norms[row] * query_norm)
            found += 1
    return rows[:found], resonances[:found]


# --- one event, and a stream of them --------------------------------------------------------------


@compiled
def event(
    state: State, rules: Rules, vector: NDArray[np.float32], value: float, stored: bool
) -> int:
    """Handle one checked event and return its code; with `stored` False, keep nothing of it."""
    threshold, rate = state.moral
    accepted = accept(value, threshold, rules.moral)
    state.moral[0], state.moral[1] = adapt(threshold, rate, accepted, rules.moral)
    if not accepted:
        code = MORAL
    elif state.rhythm[0] == ASLEEP:
        code = SLEEP
    else:
        code = COMMITTED
        if stored:
            update(state.levels, state.norms, vector, rules.synapse)
            entangle(
                state.vectors, state.phases, state.row_norms, state.ring,
                vector, rules.lattice.wake_phase,
            )  # fmt: skip
            state.ring[2] += 1
    if rules.rhythm.on_event or code == COMMITTED:
        before = state.rhythm[0]
        state.rhythm[0], state.rhythm[1] = step(before, state.rhythm[1], rules.rhythm)
        if before == AWAKE and state.rhythm[0] == ASLEEP:
            if rules.lattice.replay:
                replay(state, rules.lattice.sleep_phase)
            state.ring[2] = 0
    return code


@compiled
def run(
    state: State,
    rules: Rules,
    vectors: NDArray[np.float32],
    values: NDArray[np.float64],
    stored: bool,
    codes: NDArray[np.int8],
    phases: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    rates: NDArray[np.float64],
    norms: NDArray[np.float64],
    sizes: NDArray[np.int64],
) -> int:
    """Handle a stream of events and write its trace; return how many were handled.

    Stops before an event whose vector would carry the levels out of float32.
    """
    for t in range(values.size):
        vector = vectors[t] if stored else vectors[0]
        if stored and not fits(vector, state.levels, state.norms, rules.synapse):
            return t
        codes[t] = event(state, rules, vector, values[t], stored)
        phases[t] = state.rhythm[0]
        thresholds[t], rates[t] = state.moral
        norms[t] = state.norms
        sizes[t] = state.ring[1]
    return values.size
