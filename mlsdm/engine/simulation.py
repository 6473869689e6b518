"""The same engine over a whole stream, in compiled loops; the stream may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.inputs import (
    as_contexts,
    as_labels,
    as_params,
    as_rows,
    as_table,
    as_values,
    check_finite,
    check_fits,
    check_numbers,
)
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result, Totals
from mlsdm.engine.rules import copies, events, layout
from mlsdm.engine.rules.recall import finish
from mlsdm.engine.rules.synapse import keep_parity
from mlsdm.engine.trace import Kept, Trace, TraceFile
from mlsdm.engine.waiting import Deferred, Progress
from mlsdm.errors import ParameterError

__all__ = [
    "MOST_DELAY", "Engine", "Events", "Interrupted", "as_simulated", "check_told", "simulate",
    "slices",
]  # fmt: skip


class Events(NamedTuple):
    """A piece of a stream.

    Parameters
    ----------
    vectors
        (n, dim) of whatever real type, or None.
    values
        (n,) moral values of whatever real type.
    contexts, labels
        (n,) or (0,): none are known.
    """

    vectors: Any
    values: NDArray[Any]
    contexts: NDArray[np.float64]
    labels: NDArray[np.int8]


# At a time: short enough for Ctrl-C, the progress bar and the caches, long enough to cost nothing.
EVENTS, ELEMENTS = 2**17, 2**22
MOST_DELAY = 2**24  # as many events wait for their labels: 400 MB


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a simulation; `result` holds what was done until then."""

    def __init__(self, result: Result) -> None:
        self.result = result
        place = "this exception's `result`" if result.trace is None else str(result.trace)
        done = int(result.summary()["events"])
        super().__init__(f"simulate: interrupted after {done} events, which are in {place}")


class Engine:
    """A fresh engine that takes a stream slice by slice; without vectors, filter and rhythm only.

    Events are checked while they are run: the engine is of no use after a refusal.
    """

    def __init__(self, owner: str, params: EngineParams, stored: bool, delay: int) -> None:
        self.owner = owner
        self.params = params
        self.delay, self.pending = delay, layout.new_pending(delay)
        self.controller = CognitiveController(params) if stored else None
        self.rules, self.states = params.rules, params.initial_state
        self.totals = Totals(np.zeros(4, np.int64), float(self.states["threshold"][0]))

    def for_vectors(self, vectors: Any) -> Engine:
        """Return this engine, or the other kind where the first events ask for it."""
        if (vectors is not None) == (self.controller is not None):
            return self
        if self.totals.events:
            raise ParameterError(f"{self.owner}.chunks: must all hold vectors, or none of them")
        return Engine(self.owner, self.params, vectors is not None, self.delay)

    def take(self, first: int, given: Events, values: NDArray[np.float64], trace: Trace) -> None:
        """Handle the next events, the first of which has this number, and write their trace."""
        counts, vectors = self.totals.counts, given.vectors
        known = (values, given.contexts, given.labels, self.pending)
        if self.controller is None:
            done = events.run_filter(self.rules, self.states, *known, *trace[1:5], counts)
            check_numbers(self.owner, values, done, first)
        else:
            rows = as_rows(self.owner, vectors, self.params.dim)
            memory = self.controller._memory
            done, why = events.run(*memory[:5], rows, *known, *trace[1:], counts)
            name = f"{self.owner}.vectors"
            if why == events.BAD_VALUE:
                check_numbers(self.owner, values, done, first)
            if why == events.NOT_FINITE:
                check_finite(name, vectors, rows, first)
            check_fits(f"{name}[{first + done}]", why == 0)
        if len(values):
            self.totals.threshold = float(trace.threshold[-1])
            self.totals.rows = int(trace.lattice_size[-1])

    def finish(self) -> CognitiveController | None:
        """Give rows and levels what is left to the end; return the engine, to go on from."""
        if self.controller is not None:
            _, states, levels, vectors, rows, codes = self.controller._memory
            finish(vectors, rows, codes, 0, self.controller.lattice.size)
            keep_parity(levels)
            copies.keep(states)
        return self.controller


def simulate(
    params: EngineParams,
    vectors: Any = None,
    moral_values: Any = None,
    *,
    context: Any = None,
    labels: Any = None,
    delay: int = 0,
    chunks: Iterable[tuple[Any, ...]] | None = None,
    n_events: int | None = None,
    trace: str | Path | None = None,
    every: int = 1,
    progress: bool = True,
) -> Result:
    """Run a fresh engine over a stream of events; equal to the controller to the last bit.

    Parameters
    ----------
    params
        Parameters of the engine, without `max_process_bytes`: an emergency would depend on what
        else the process holds.
    vectors
        (n, dim) real numbers, finite in float32, a memory map too; or None for the filter and the
        rhythm alone: then nothing is stored, and norms and sizes stay 0.
    moral_values
        (n,) numbers in [0, 1]; 1 is harmless.
    context
        (n,) numbers in [0, 1]: what else is known of each event, such as a second scorer's moral
        value, for policies that ask for it; by default the moral values.
    labels
        (n,) what each event truly is, for policies that learn: bool, True for toxic, or 1, 0, and
        -1 where nobody will ever say.
    delay
        After how many more events a policy is told a label.
    chunks
        In place of all these but the delay: an iterable of tuples (vectors, moral_values) or
        (vectors, moral_values, context, labels) of any lengths, that are held one at a time, so
        that the stream may be larger than memory. The result does not depend on where they are cut.
    n_events
        Events that the chunks will hold, if it is known: the progress bar then estimates the time,
        and there is room for their entries from the start.
    trace
        Path of a Parquet file that the trace is written to as it is made, in place of the result's
        arrays; it takes its name, and the place of what had it, once it is whole.
    every
        Keep one entry of so many events: 0, every, 2 · every, …
    progress
        Show a progress bar if the run takes more than two seconds.

    Returns
    -------
    Result
        26 bytes for each entry, 58 with vectors (none with `trace`), and the engine. While it runs
        nothing is scrubbed: ask the engine to `verify` before and after what must be sure.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or when an event's vector would carry the synaptic levels
        out of float32; there is no result and no trace file then.
    DataError
        When the trace file cannot be written.
    Interrupted
        On Ctrl-C; its `result`, and the trace file, hold what was done until then.
    """
    owner = "simulate"
    params = as_simulated(owner, params)
    every = as_whole(f"{owner}.every", every, 1)
    delay = as_whole(f"{owner}.delay", delay, 0, MOST_DELAY)
    if n_events is not None:
        n_events = as_whole(f"{owner}.n_events", n_events, 0)
    if (chunks is None) == (moral_values is None):
        raise ParameterError(
            f"{owner}.moral_values: must be given, or chunks in place of it and the vectors "
            f"(got {'neither' if chunks is None else 'both'})"
        )
    if chunks is None:
        moral_values = as_values(owner, moral_values)
        source = slices(owner, params, vectors, moral_values, context, labels)
        n_events = len(moral_values)
        delay = min(delay, n_events)  # what is told after the end is not told
    elif any(given is not None for given in (vectors, context, labels)):
        raise ParameterError(
            f"{owner}.vectors: must be None where chunks are given, as context and labels must"
        )
    elif isinstance(chunks, Iterable):
        source = _from_chunks(params, chunks)
    else:
        raise ParameterError(f"{owner}.chunks: must be an iterable of tuples (got {chunks!r})")
    expected = -(-(n_events or 0) // every)
    kept = Kept(every, expected) if trace is None else TraceFile(trace, every)
    engine = Engine(owner, params, vectors is not None, delay)
    # A stream of one slice has no progress to show: what takes time then is the compiling.
    several = chunks is not None or (n_events or 0) > EVENTS
    with Deferred() as asked:
        with Progress(n_events, progress and several) as bar, kept:
            for given in asked.each(source):
                engine = engine.for_vectors(given.vectors)
                first, n = engine.totals.events, len(given.values)
                room = kept.room(n, given.vectors is not None)
                with np.errstate(over="ignore", invalid="ignore"):
                    room.moral_values[:] = given.values
                engine.take(first, given, room.moral_values, room)
                kept.add(first, n)
                bar.update(engine.totals.events)
        entries = kept.whole()
        result = Result(params, *entries, engine.finish(), engine.totals, every, kept.path)
    if asked.to_stop:
        raise Interrupted(result)
    return result


def as_simulated(owner: str, params: Any) -> EngineParams:
    """Return parameters that a simulation takes, or refuse them."""
    checked = as_params(owner, params, EngineParams)
    if checked.max_process_bytes is not None:
        raise ParameterError(
            f"{owner}.params.max_process_bytes: must be None, a simulation has no emergency "
            f"(got {checked.max_process_bytes})"
        )
    return checked


def check_told(owner: str, each: Iterable[EngineParams], context: bool, labels: bool) -> None:
    """Refuse a policy that is not told what it needs: a context, or labels to learn from."""
    for policy in (params.moral for params in each):
        if policy.learns and not labels:
            raise ParameterError(
                f"{owner}.labels: must be given, the policy {policy.policy!r} learns from them"
            )
        if policy.asks_context and not context:
            raise ParameterError(
                f"{owner}.context: must be given, the policy {policy.policy!r} asks for it"
            )


def slices(
    owner: str,
    params: EngineParams,
    vectors: Any,
    moral_values: Any,
    context: Any = None,
    labels: Any = None,
) -> Iterator[Events]:
    """Check types and shapes of whole arrays at once, and return them slice by slice."""
    values = as_values(owner, moral_values)
    contexts, known = as_contexts(owner, context, values), as_labels(owner, labels, values)
    check_told(owner, [params], context is not None, labels is not None)
    step = EVENTS
    if vectors is not None:
        vectors = as_table(owner, vectors, params.dim)
        step = min(step, max(1, ELEMENTS // params.dim))
        if len(vectors) != len(values):
            raise ParameterError(
                f"{owner}.vectors: must hold one row per moral value, {len(values)} "
                f"(got {len(vectors)})"
            )
    starts = range(0, max(1, len(values)), step)  # the one slice of no events tells the kind
    parts = (slice(i, i + step) for i in starts)
    return (
        Events(None if vectors is None else vectors[p], values[p], contexts[p], known[p])
        for p in parts
    )


def _from_chunks(params: EngineParams, chunks: Iterable[Any]) -> Iterator[Events]:
    """Return the slices of each chunk as it comes."""
    for number, chunk in enumerate(chunks):
        owner = f"simulate.chunks[{number}]"
        if not isinstance(chunk, tuple) or len(chunk) not in (2, 4):
            raise ParameterError(
                f"{owner}: must be a pair (vectors, moral_values), or with context and labels "
                f"(got {type(chunk).__name__})"
            )
        yield from slices(owner, params, *chunk)
