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
from mlsdm.engine.inputs import as_values, check_numbers
from mlsdm.engine.params import EngineParams
from mlsdm.engine.result import Result, Totals
from mlsdm.engine.rules import events, layout
from mlsdm.engine.simulation import Engine, as_simulated, slices
from mlsdm.engine.trace import Trace
from mlsdm.errors import ParameterError

__all__ = ["simulate_many"]

_OWNER = "simulate_many"
_AT_ONCE = 2**22  # events of filters in one compiled call, which Ctrl-C waits for

Pair = tuple[Any, NDArray[np.float64]]
"""Vectors (n, dim) of whatever real type, or None, and moral values (n,)."""

T = TypeVar("T")


def simulate_many(
    params: EngineParams | Sequence[EngineParams],
    vectors: Any = None,
    moral_values: Any = None,
    *,
    stream: Callable[[Any], tuple[Any, Any]] | None = None,
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
    stream, seeds
        In place of both: ``stream(seed)`` returns the (vectors, moral_values) of one run, for each
        of the seeds, or for 0, 1, … where their count is given. It is
        called in this thread, one run after another; there are only as many streams with vectors at
        once as there are threads, and one more.
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
    if vectors is not None and stream is not None:
        raise ParameterError(
            f"{_OWNER}.vectors: must be None where a stream is given (got {type(vectors).__name__})"
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
    engines: list[Any] = list(params) if isinstance(params, (list, tuple)) else [params]
    held: NDArray[np.float64] | None = None
    if stream is not None and seeds is not None:
        given = list(seeds)
        runs = max(len(engines), len(given))
        source = _alike(map(stream, _each("seeds", given, runs)))
    else:
        held = np.atleast_2d(_numbers(as_values(_OWNER, moral_values, fleet=True)))
        tables = _tables(vectors)
        runs = max(len(engines), len(held), len(tables))
        values = _each("moral_values", held, runs)
        source = _alike(zip(_each("vectors", tables, runs), values, strict=True))
    each = _each("params", engines, runs)
    for run, one in enumerate(each):
        as_simulated(f"{_OWNER}.runs[{run}]", one)
    first = table, numbers = next(source)
    if table is not None:
        trace, totals = _engines(each, chain([first], source), held, len(numbers), threads)
    else:
        if held is None:
            held = np.stack([numbers, *(more for _, more in source)])
        trace, totals = _filters(engines, held, runs, threads)
    return Result(tuple(each), *trace, None, totals)


def _filters(
    engines: list[EngineParams], values: NDArray[np.float64], runs: int, threads: int
) -> tuple[Trace, tuple[Totals, ...]]:
    """Run filters and rhythms; engines and values are one for all runs, or one for each."""
    rules = np.empty(len(engines), layout.RULE)
    states = np.empty((runs, layout.COPIES), layout.STATE)
    for i, one in enumerate(engines):
        rules[i], states[i :: len(engines)] = one.rules[0], one.initial_state
    counts = np.zeros((runs, 4), np.int64)
    trace = Trace.empty((runs, values.shape[1]), False)
    step = max(1, min(-(-runs // (4 * threads)), _AT_ONCE // max(1, values.shape[1])))

    def run_some(first: int) -> None:
        last = min(first + step, runs)
        run = events.run_filters(rules, states, values, *trace[1:5], counts, first, last)
        if run < last:
            done = int(counts[run, :-1].sum())
            check_numbers(f"{_OWNER}.runs[{run}]", values[run % len(values)], done)

    _worked(run_some, ((first,) for first in range(0, runs, step)), threads, Event())
    thresholds = states["threshold"][:, 0].tolist()
    return _holding(values, trace), tuple(map(Totals, counts, thresholds))


def _engines(
    each: list[EngineParams],
    source: Iterable[Pair],
    held: NDArray[np.float64] | None,
    n_events: int,
    threads: int,
) -> tuple[Trace, tuple[Totals, ...]]:
    """Run whole engines, as many at once as there are threads."""
    trace = Trace.empty((len(each), n_events), True)
    stopped = Event()

    def run_one(run: int, pair: Pair) -> Totals:
        engine = Engine(f"{_OWNER}.runs[{run}]", each[run], True)
        for rows, values in slices(engine.owner, each[run], *pair):
            if not stopped.is_set():
                done = engine.totals.events
                engine.take(done, rows, values, trace.part((run, slice(done, done + len(values)))))
        if held is None:
            trace.moral_values[run] = pair[1]
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


def _alike(pairs: Iterable[Any]) -> Iterator[Pair]:
    """Return the streams of the runs as they come, if all are of one kind and length."""
    first: Pair | None = None
    for run, pair in enumerate(pairs):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ParameterError(
                f"{_OWNER}.stream: must return a pair (vectors, moral_values) "
                f"(got {type(pair).__name__})"
            )
        owner = f"{_OWNER}.runs[{run}]"
        vectors, values = pair[0], _numbers(as_values(owner, pair[1]))
        first = first or (vectors, values)
        if len(values) != len(first[1]):
            raise ParameterError(
                f"{owner}.moral_values: must hold {len(first[1])} events, as run 0 does "
                f"(got {len(values)})"
            )
        if (vectors is None) != (first[0] is None):
            raise ParameterError(f"{owner}.vectors: must be given for all runs, or for none")
        yield vectors, values


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
