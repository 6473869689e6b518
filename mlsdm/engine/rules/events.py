"""One event through all rules, and streams of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import FINITE, as_float, peak_bits
from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.copies import keep
from mlsdm.engine.rules.guard import scrub
from mlsdm.engine.rules.lattice import entangle, replay
from mlsdm.engine.rules.layout import (
    ASLEEP,
    AWAKE,
    COMMITTED,
    MORAL,
    SLEEP,
    Constants,
    Pending,
    Rows,
    State,
)  # fmt: skip
from mlsdm.engine.rules.moral import accept, adapt
from mlsdm.engine.rules.policy import judge, teach
from mlsdm.engine.rules.recall import finish
from mlsdm.engine.rules.rhythm import step
from mlsdm.engine.rules.streaming import fence, is_far
from mlsdm.engine.rules.synapse import fits, keep_parity, update

__all__ = [
    "ASLEEP_EVENTS",
    "BAD_VALUE",
    "DAMAGED",
    "NOT_FINITE",
    "TOO_LARGE",
    "process",
    "run",
    "run_filter",
    "run_filters",
]

ASLEEP_EVENTS = 3  # place in the counts, after those of the codes

# Why an event was not handled; below the codes of outcomes.
NOT_FINITE, TOO_LARGE, BAD_VALUE, DAMAGED = -1, -2, -3, -4


@compiled
def outcome(accepted: bool, phase: int) -> int:
    """Return what becomes of an event that the filter has decided about."""
    passed = SLEEP if phase == ASLEEP else COMMITTED
    return passed if accepted else MORAL


@compiled
def decide(
    threshold: float, rate: float, phase: int, value: float, rule: Any
) -> tuple[int, float, float]:
    """Return what becomes of an event, and the homeostatic filter's state: all in registers."""
    accepted = accept(value, threshold, rule)
    threshold, rate = adapt(threshold, rate, accepted, rule)
    return outcome(accepted, phase), threshold, rate


@compiled
def tick(phase: int, counter: int, code: int, rule: Any) -> tuple[int, int]:
    """Return the phase and the counter after an event that ended with this code."""
    if rule.on_event or code == COMMITTED:
        return step(phase, counter, rule)
    return phase, counter


@compiled
def event(
    rule: Any,
    state: Any,
    levels: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: Rows,
    vector: NDArray[np.float32],
    value: float,
    context: float,
    stream: NDArray[np.float32],
    codes: NDArray[np.int8],
    events: int,
    far: bool,
) -> tuple[int, int]:
    """Handle one checked event; return its code and how many rows it wrote, yet to be finished.

    It is the last of the first `events` of the stream, whose codes are written; or of none, with 0.
    """
    code = outcome(judge(rule, state, value, context), state.phase)
    if events > 0:
        codes[events - 1] = code
    written = 0
    if code == COMMITTED:
        update(levels, state, vector, rule)
        entangle(state, vectors, rows, vector, rule.wake_phase, far)
        state.wake += 1
        written = 1
    before = state.phase
    state.phase, state.counter = tick(before, state.counter, code, rule)
    if before == AWAKE and state.phase == ASLEEP:
        if rule.replay:
            written += replay(state, vectors, rows, rule.sleep_phase, stream, codes, events, far)
        state.wake = 0
    state.events += 1
    return code, min(written, rows.size)


@compiled
def problem(
    rule: Any, state: Any, levels: NDArray[np.float32], vector: NDArray[np.float32], value: float
) -> int:
    """Return why an event cannot be handled, or 0."""
    if not 0.0 <= value <= 1.0:
        return BAD_VALUE
    peak = peak_bits(vector)
    if peak >= FINITE:
        return NOT_FINITE
    if not fits(vector, np.float64(as_float(peak)), levels, state, rule):
        return TOO_LARGE
    return 0


@compiled
def process(
    rules: Constants,
    states: State,
    levels: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: Rows,
    codes: NDArray[np.int8],
    vector: NDArray[np.float32],
    value: float,
    context: float,
) -> tuple[int, int, int, float, float, float, float, float, int]:
    """Check an event and some rows, then handle it; return its code and the state after it.

    A code below 0 says why nothing was done.
    """
    rule, state = rules[0], states[0]
    code = problem(rule, state, levels, vector, value)
    if code == 0 and not scrub(rules, states, levels, vectors, rows, codes, value, context):
        code = DAMAGED
    if code == 0:
        first = state.next
        code, written = event(
            rule, state, levels, vectors, rows, vector, value, context, vectors, codes[0], 0, False
        )
        finish(vectors, rows, codes, first, written)
        if code == COMMITTED:
            keep_parity(levels)
        keep(states)
    return (
        code, state.events, state.phase, state.threshold, state.rate,
        state.norm1, state.norm2, state.norm3, state.size,
    )  # fmt: skip


@compiled
def run(
    rules: Constants,
    states: State,
    levels: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: Rows,
    stream: NDArray[np.float32],
    values: NDArray[np.float64],
    contexts: NDArray[np.float64],
    labels: NDArray[np.int8],
    pending: Pending,
    codes: NDArray[np.int8],
    phases: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    rates: NDArray[np.float64],
    norms: NDArray[np.float64],
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> tuple[int, int]:
    """Handle a stream of events and write its trace; return how many were handled, and why so far.

    Contexts and labels may be empty; the context of an event is then its value.

    The rows, and the parity of the levels, are left to be finished at the end of the stream.
    """
    rule, state, far = rules[0], states[0], is_far(vectors)
    for t in range(values.size):
        why = problem(rule, state, levels, stream[t], values[t])
        if why != 0:
            return t, why
        context = contexts[t] if contexts.size > 0 else values[t]
        event(
            rule, state, levels, vectors, rows, stream[t], values[t], context, stream, codes,
            t + 1, far,
        )  # fmt: skip
        if labels.size > 0:
            teach(rule, state, pending, state.events - 1, values[t], context, codes[t], labels[t])
        phases[t] = state.phase
        thresholds[t], rates[t] = state.threshold, state.rate
        norms[t, 0], norms[t, 1], norms[t, 2] = state.norm1, state.norm2, state.norm3
        sizes[t] = state.size
        counts[codes[t]] += 1
        counts[ASLEEP_EVENTS] += state.phase
    fence()
    return values.size, 0


@compiled
def run_filter(
    rules: Constants,
    states: State,
    values: NDArray[np.float64],
    contexts: NDArray[np.float64],
    labels: NDArray[np.int8],
    pending: Pending,
    codes: NDArray[np.int8],
    phases: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    rates: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> int:
    """Handle the values of a stream by the filter and the rhythm alone; return how many."""
    rule, state = rules[0], states[0]
    threshold, rate, phase, counter = state.threshold, state.rate, state.phase, state.counter
    refused = asleep = committed = t = 0
    while t < values.size and 0.0 <= values[t] <= 1.0:
        if rule.by_policy:
            context = contexts[t] if contexts.size > 0 else values[t]
            code = outcome(judge(rule, state, values[t], context), phase)
            if labels.size > 0:
                number = state.events + t
                teach(rule, state, pending, number, values[t], context, code, labels[t])
            threshold, rate = state.threshold, state.rate
        else:
            code, threshold, rate = decide(threshold, rate, phase, values[t], rule)
        phase, counter = tick(phase, counter, code, rule)
        codes[t], phases[t] = code, phase
        thresholds[t], rates[t] = threshold, rate
        refused += code == MORAL
        committed += code == COMMITTED
        asleep += phase == ASLEEP
        t += 1
    counts[MORAL] += refused
    counts[COMMITTED] += committed
    counts[SLEEP] += t - refused - committed
    counts[ASLEEP_EVENTS] += asleep
    state.threshold, state.rate, state.phase, state.counter = threshold, rate, phase, counter
    state.events += t
    return t


@compiled
def run_filters(
    rules: Constants,
    states: NDArray[Any],
    values: NDArray[np.float64],
    contexts: NDArray[np.float64],
    labels: NDArray[np.int8],
    pending: NDArray[Any],
    codes: NDArray[np.int8],
    phases: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    rates: NDArray[np.float64],
    counts: NDArray[np.int64],
    first: int,
    last: int,
) -> int:
    """Handle the streams of some runs of a fleet; return the first with a value refused, or `last`.

    All but rules and what is read of the events have a leading axis of runs; these have it, or one
    for all runs.
    """
    for i in range(first, last):
        own = i % rules.size
        done = run_filter(
            rules[own : own + 1], states[i],
            values[i % len(values)], contexts[i % len(contexts)], labels[i % len(labels)],
            pending[i], codes[i], phases[i], thresholds[i], rates[i], counts[i],
        )  # fmt: skip
        if done < values.shape[1]:
            return i
    return last
