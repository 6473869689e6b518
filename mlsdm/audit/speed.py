"""The claims about speed: measured on the machine that this runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mlsdm.audit.measured import Floats, Measured, Sample, repeated
from mlsdm.checks import as_whole
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.params import EngineParams
from mlsdm.evidence import claims
from mlsdm.rng import generator

__all__ = ["speed"]

COUNTED = 1000  # operations of one run of the original's
DISTINCT = 2000  # vectors


def speed(
    n_blocks: int = 20, calls: int = 100, params: EngineParams | None = None
) -> dict[str, Measured]:
    """Measure latency and throughput at full memory, in blocks of calls.

    Parameters
    ----------
    n_blocks
        Blocks, which take the place of seeds.
    calls
        Calls of each kind in a block.
    params
        Of the engine whose lattice is filled.

    Raises
    ------
    ParameterError
        When there is no block, or no call in it.
    """
    n_blocks = as_whole("speed.n_blocks", n_blocks, 1)
    calls = as_whole("speed.calls", calls, 1)
    params = EngineParams() if params is None else params
    rng = generator(0, "vectors")
    vectors = rng.standard_normal((DISTINCT, params.dim)).astype(np.float32)
    controller = CognitiveController(params)
    while controller.lattice.size < params.lattice.capacity:
        controller.process_event(vectors[controller.events % DISTINCT], 0.95)
    commits, retrievals = np.empty((2, n_blocks, calls))
    controller.retrieve_context(vectors[0])  # compiles
    for block in range(n_blocks):
        commits[block] = _commits(controller, vectors, calls)
        for i in range(calls):
            retrievals[block, i] = _milliseconds(controller.retrieve_context, vectors[i % DISTINCT])

    measured = {}
    for percent in (50, 95, 99):
        slower = max((commits, retrievals), key=lambda times: float(np.percentile(times, percent)))
        for id in (f"latency.p{percent}", f"latency.p{percent}.achieved"):
            limit = claims()[id].stated
            blocks = np.percentile(slower, percent, axis=1)
            samples = [Sample(value, limit - value, limit - value) for value in blocks]
            measured[id] = repeated(samples, float(np.percentile(slower, percent)))
    rates = [1e3 / times.mean(axis=1) for times in (commits, retrievals)]
    slowest = min(rates, key=lambda rate: float(rate.mean()))
    target = claims()["throughput.requests"].stated
    samples = [Sample(rate, rate - target, rate - target) for rate in slowest]
    measured["throughput.requests"] = repeated(samples, float(slowest.mean()))
    measured["throughput.achieved"] = _counting_refusals(vectors, n_blocks)
    return measured


def _milliseconds(call: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter_ns()
    call(*arguments)
    return (time.perf_counter_ns() - start) / 1e6


def _commits(controller: CognitiveController, vectors: Any, calls: int) -> Floats:
    """Return (calls,) the milliseconds of events that were committed; others are left out."""
    times = np.empty(calls)
    done = 0
    while done < calls:
        start = time.perf_counter_ns()
        outcome = controller.process_event(vectors[controller.events % DISTINCT], 0.95)
        times[done] = (time.perf_counter_ns() - start) / 1e6
        done += outcome.reason == "committed"
    return times


def _counting_refusals(vectors: Any, n_runs: int) -> Measured:
    """Measure operations a second as the original counts them: refused ones too."""
    params = EngineParams.published(vectors.shape[1])
    samples = []
    for _ in range(n_runs):
        controller = CognitiveController(params)
        start = time.perf_counter()
        outcomes = [controller.process_event(vectors[i % DISTINCT], 0.8) for i in range(COUNTED)]
        rate = COUNTED / (time.perf_counter() - start)
        committed = float(np.mean([outcome.reason == "committed" for outcome in outcomes]))
        samples.append(Sample(rate, committed, committed - 0.5))
    rates = [sample.figure for sample in samples]
    return repeated(samples, float(np.mean(rates)), {"committed": samples[0].control})
