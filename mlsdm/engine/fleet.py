"""Whole fleets of engines at once, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.engine.inputs import as_contexts, as_labels, as_values, check_numbers
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result, Totals
from mlsdm.engine.rules import events, layout
from mlsdm.engine.simulation import (
    MOST_DELAY,
    Engine,
    Events,
    as_simulated,
    check_told,
    slices,
)
from mlsdm.engine.trace import Trace
from mlsdm.errors import ParameterError

__all__ = ["simulate_many"]

_OWNER = "simulate_many"
_AT_ONCE = 2**22  # events of filters in one compiled call, which Ctrl-C waits for

T = TypeVar("T")


def simulate_many(
    params: EngineParams | Sequence[EngineParams],
    vectors: Any = None,
    moral_values: Any = None,
    *,
    context: Any = None,
    labels: Any = None,
    delay: int = 0,
    stream: Callable[[Any], tuple[Any, ...]] | None = None,
    seeds: int | Iterable[Any] | None = None,
    workers: int | None = None,
) -> Result:
    """Run a fleet of fresh engines; each run equals `simulate` to the last bit.

    Parameters
    ----------
    params
        Parameters of all engines, or a list of those of each.
    vectors
        (n, dim) for all engines, or (runs, n, dim), or a list of tables; or None for the filter and
        the rhythm alone.
    moral_values
        (n,) for all engines, or (runs, n); the result holds the very array, if it is float64.
    context, labels
        (n,) for all engines, or (runs, n), as `simulate` takes them.
    delay
        After how many more events a policy is told a label.
    stream, seeds
        In place of all these but the delay: ``stream(seed)`` returns the (vectors, moral_values),
        or (vectors, moral_values, context, labels), of one run, for each of the seeds, or for
        0, 1, … where their count is given. It is called in this thread, one run after another;
        there are only as many streams with vectors at once as there are threads, and one more.
    workers
        Threads; by default as many as Numba may use (``NUMBA_NUM_THREADS``, else all cores). The
        result does not depend on it.

    Returns
    -------
    Result
        With a leading axis of runs, without engines. Its arrays take 18 bytes an event beside the
        moral values, and 50 where there are vectors. A fleet that is interrupted leaves nothing.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the numbers of runs or events differ.
    """
    if (stream is None) == (moral_values is None) or (stream is None) != (seeds is None):
        raise ParameterError(
            f"{_OWNER}.moral_values: must be given, or a stream and seeds in its place"
        )
    if stream is not None and any(given is not None for given in (vectors, context, labels)):
        raise ParameterError(
            f"{_OWNER}.vectors: must be None where a stream is given, as context and labels must"
        )
    if stream is not None and not callable(stream):
        raise ParameterError(f"{_OWNER}.stream: must be a function of a seed (got {stream!r})")
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        seeds = range(as_whole(f"{_OWNER}.seeds", seeds, 1))
    elif seeds is not None and not isinstance(seeds, Iterable):
        raise ParameterError(f"{_OWNER}.seeds: must be a count, or seeds (got {seeds!r})")
    if workers is None:
        workers = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    threads = as_whole(f"{_OWNER}.workers", workers, 1)
    delay = as_whole(f"{_OWNER}.delay", delay, 0, MOST_DELAY)
    engines: list[Any] = list(params) if isinstance(params, (list, tuple)) else [params]
    held: NDArray[np.float64] | None = None
    if stream is not None and seeds is not None:
        given = list(seeds)
        runs = max(len(engines), len(given))
        source = _alike(_checked(map(stream, _each("seeds", given, runs))))
    else:
        held = np.atleast_2d(_numbers(as_values(_OWNER, moral_values, fleet=True)))
        parts: tuple[Any, ...] = (
            _tables(vectors),
            held,
            np.atleast_2d(as_contexts(_OWNER, context, held)),
            np.atleast_2d(as_labels(_OWNER, labels, held)),
        )
        runs = max(len(engines), *(len(part) for part in parts))
        names = ("vectors", "moral_values", "context", "labels")
        each_part = [_each(name, part, runs) for name, part in zip(names, parts, strict=True)]
        source = _alike(map(Events, *each_part))
    each = _each("params", engines, runs)
    for run, one in enumerate(each):
        as_simulated(f"{_OWNER}.runs[{run}]", one)
    first = next(source)
    n = len(first.values)
    check_told(_OWNER, each, first.contexts.size == n, first.labels.size == n)
    delay = min(delay, len(first.values))  # what is told after the end is not told
    if first.vectors is not None:
        streams = chain([first], source)
        trace, totals = _engines(each, streams, held, len(first.values), delay, threads)
    else:
        if held is None:
            columns = zip(*[first[1:], *(more[1:] for more in source)], strict=True)
            values, contexts, known = (np.stack(column) for column in columns)
        else:
            values, contexts, known = parts[1:]
        trace, totals = _filters(engines, values, contexts, known, runs, delay, threads)
    return Result(tuple(each), *trace, None, totals)


def _filters(
    engines: list[EngineParams],
    values: NDArray[np.float64],
    contexts: NDArray[np.float64],
    labels: NDArray[np.int8],
    runs: int,
    delay: int,
    threads: int,
) -> tuple[Trace, tuple[Totals, ...]]:
    """Run filters and rhythms; engines and events are one for all runs, or one for each."""
    rules = np.empty(len(engines), layout.RULE)
    states = np.empty((runs, layout.COPIES), layout.STATE)
    for i, one in enumerate(engines):
        rules[i], states[i :: len(engines)] = one.rules[0], one.initial_state
    known = (values, contexts, labels, layout.new_pending(delay, runs))
    counts = np.zeros((runs, 4), np.int64)
    trace = Trace.empty((runs, values.shape[1]), False)
    step = max(1, min(-(-runs // (4 * threads)), _AT_ONCE // max(1, values.shape[1])))

    def run_some(first: int) -> None:
        last = min(first + step, runs)
        run = events.run_filters(rules, states, *known, *trace[1:5], counts, first, last)
        if run < last:
            done = int(counts[run, :-1].sum())
            check_numbers(f"{_OWNER}.runs[{run}]", values[run % len(values)], done)

    _worked(run_some, ((first,) for first in range(0, runs, step)), threads, Event())
    thresholds = states["threshold"][:, 0].tolist()
    return _holding(values, trace), tuple(map(Totals, counts, thresholds))


def _engines(
    each: list[EngineParams],
    source: Iterable[Events],
    held: NDArray[np.float64] | None,
    n_events: int,
    delay: int,
    threads: int,
) -> tuple[Trace, tuple[Totals, ...]]:
    """Run whole engines, as many at once as there are threads."""
    trace = Trace.empty((len(each), n_events), True)
    stopped = Event()

    def run_one(run: int, given: Events) -> Totals:
        engine = Engine(f"{_OWNER}.runs[{run}]", each[run], True, delay)
        known = (p if p.size == n_events else None for p in (given.contexts, given.labels))
        for piece in slices(engine.owner, each[run], given.vectors, given.values, *known):
            if not stopped.is_set():
                done = engine.totals.events
                room = trace.part((run, slice(done, done + len(piece.values))))
                engine.take(done, piece, piece.values, room)
        if held is None:
            trace.moral_values[run] = given.values
        return engine.totals

    totals = _worked(run_one, enumerate(source), threads, stopped)
    return trace if held is None else _holding(held, trace), tuple(totals)


def _holding(values: NDArray[np.float64], trace: Trace) -> Trace:
    """Return a trace with moral values that are one for all runs, or one for each; not copied."""
    return trace._replace(moral_values=np.broadcast_to(values, trace.codes.shape))


def _worked(
    work: Callable[..., T], jobs: Iterable[tuple[Any, ...]], threads: int, stopped: Event
) -> list[T]:
    """Return what the work on each job gives, in order; jobs are made as they are needed.

    After the first that fails, and on Ctrl-C, none is begun, and `stopped` says so to the others.
    """
    done: list[T] = []
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                if len(waiting) > threads:
                    done.append(waiting.popleft().result())
                waiting.append(pool.submit(work, *job))
            done.extend(future.result() for future in waiting)
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return done


def _checked(streams: Iterable[Any]) -> Iterator[Events]:
    """Return what a function of a seed returned, as events."""
    for run, given in enumerate(streams):
        if not isinstance(given, tuple) or len(given) not in (2, 4):
            raise ParameterError(
                f"{_OWNER}.stream: must return a pair (vectors, moral_values), or with context and "
                f"labels (got {type(given).__name__})"
            )
        owner, (vectors, values) = f"{_OWNER}.runs[{run}]", given[:2]
        context, labels = given[2:] or (None, None)
        values = _numbers(as_values(owner, values))
        yield Events(
            vectors, values, as_contexts(owner, context, values), as_labels(owner, labels, values)
        )


def _alike(streams: Iterable[Events]) -> Iterator[Events]:
    """Return the streams of the runs as they come, if all are of one kind and length."""
    first: Events | None = None
    for run, given in enumerate(streams):
        first, owner = first or given, f"{_OWNER}.runs[{run}]"
        if len(given.values) != len(first.values):
            raise ParameterError(
                f"{owner}.moral_values: must hold {len(first.values)} events, as run 0 does "
                f"(got {len(given.values)})"
            )
        given_here = (
            ("vectors", given.vectors is not None, first.vectors is not None),
            ("context", given.contexts.size, first.contexts.size),
            ("labels", given.labels.size, first.labels.size),
        )
        for name, here, there in given_here:
            if here != there:
                raise ParameterError(f"{owner}.{name}: must be given for all runs, or for none")
        yield given


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers in the one layout that the rules are compiled for."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.require(values, np.float64, ["C", "A", "W"])


def _tables(vectors: Any) -> list[Any]:
    """Return the vectors of each run, not copied, or the one table for all of them."""
    if isinstance(vectors, (list, tuple)):
        return list(vectors) if vectors and np.ndim(vectors[0]) > 1 else [vectors]
    return list(vectors) if np.ndim(vectors) > 2 else [vectors]


def _each(name: str, given: Sequence[Any] | NDArray[Any], runs: int) -> list[Any]:
    """Return one for each run of what may be one for all of them."""
    if len(given) not in (1, runs):
        raise ParameterError(
            f"{_OWNER}.{name}: must be one for all, or one for each of {runs} runs "
            f"(got {len(given)})"
        )
    return list(given) * (runs // len(given))
