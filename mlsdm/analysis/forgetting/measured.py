"""What the engine's three levels hold of a stream, measured with the engine's own rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.forgetting.retention import Readout, Retention, as_ages, as_list
from mlsdm.checks import as_whole
from mlsdm.engine.inputs import as_dim, as_params, as_rows, check_fits
from mlsdm.engine.rules import layout
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError, nearest
from mlsdm.rng import generator

__all__ = ["KINDS", "Kind", "drawn", "lifetimes", "measure", "measure_seeds"]

Floats32 = NDArray[np.float32]

Kind = Literal["isotropic", "related", "repeated", "mixed"]
"""Unit vectors: of any direction; about three centroids in turn; of any direction, each 50 times in
a row; and each 10 times in a row, after 190 that come once.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)

LEVELS = 3
# Single vectors, then how often one comes in a row: the blocks that a stream is made of.
BLOCKS: dict[Kind, tuple[int, int]] = {
    "isotropic": (0, 1),
    "repeated": (0, 50),  # as in `mlsdm.audit.third_level`
    "mixed": (190, 10),
}
NOVEL = 1000  # vectors kept back to ask with
PROBES = 8  # of them after each event


@cache
def _driver() -> Any:
    """Compile the loop over a stream; not kept on disk, where a changed rule would not show."""
    from numba import njit

    from mlsdm.engine.rules.lanes import dot
    from mlsdm.engine.rules.synapse import update

    @njit(nogil=True, error_model="numpy")
    def drive(
        levels: Any, state: Any, rule: Any, vectors: Any, novel: Any, start: int, ages: Any,
        asked_for: Any, old: Any, counts: Any, new: Any,
    ) -> None:  # fmt: skip
        for t in range(len(vectors)):
            update(levels, state, vectors[t], rule)
            after = t - start
            if after < 0:
                continue
            for j in range(ages.size):
                i = t - ages[j]
                if asked_for[i]:
                    counts[j] += 1
                    for k in range(LEVELS):
                        old[j, k] += dot(levels[k], vectors[i])
            for probe in range(new.shape[1]):
                fresh = novel[(after * new.shape[1] + probe) % len(novel)]
                for k in range(LEVELS):
                    new[after, probe, k] = dot(levels[k], fresh)

    return drive


def measure(
    params: SynapseParams,
    vectors: ArrayLike,
    novel: ArrayLike,
    ages: ArrayLike,
    *,
    burn_in: int,
    asked_for: ArrayLike | None = None,
) -> Retention:
    """Run a stream through the three levels, and return the signal and the noise of its vectors.

    Both are means over time, so that gates which open now and then are averaged over.

    Parameters
    ----------
    params
        Parameters of the levels.
    vectors
        (n, dim) the stream, finite; every event is taken in.
    novel
        (probes, dim) vectors of the same kind that are never stored, asked in turn.
    ages
        (ages,) whole events from 0 on, rising.
    burn_in
        First events, that nothing is measured after; at least the largest age.
    asked_for
        (n,) bool, the events whose trace is measured; all where None.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    as_params("measure", params, SynapseParams)
    asked = as_ages("measure.ages", ages)
    dim = np.shape(vectors)[-1] if np.ndim(vectors) == 2 else 0
    as_dim("measure.vectors", dim)
    stored = _finite("measure.vectors", as_rows("measure", vectors, dim))
    fresh = _finite("measure.novel", as_rows("measure", novel, dim, "novel"))
    if not len(fresh):
        raise ParameterError("measure.novel: must hold at least one vector (got none)")
    as_whole("measure.burn_in", burn_in, int(asked[-1]), len(stored) - 1)
    after = len(stored) - burn_in
    marked = np.ones(len(stored), np.bool_) if asked_for is None else np.asarray(asked_for)
    if marked.shape != (len(stored),) or marked.dtype != np.bool_:
        raise ParameterError(
            f"measure.asked_for: must be ({len(stored)},) bool (got {marked.dtype} {marked.shape})"
        )
    old, counts = np.zeros((asked.size, LEVELS)), np.zeros(asked.size, np.int64)
    new = np.empty((after, PROBES, LEVELS))
    state, rule = layout.new_state()[0], layout.new_constants(**params.rule)[0]
    _driver()(
        layout.new_levels(dim), state, rule, stored, fresh, burn_in, asked, marked,
        old, counts, new,
    )  # fmt: skip
    if not counts.all():
        raise ParameterError(
            f"measure.asked_for: must hold an event of every age (got none of {asked[counts == 0]})"
        )
    check_fits("measure.vectors", bool(np.isfinite(old).all() and np.isfinite(new).all()))
    answers = new.reshape(-1, LEVELS)
    signal = old / counts[:, None] - answers.mean(axis=0)
    return Retention(asked, signal, np.cov(answers, rowvar=False))


def measure_seeds(
    params: SynapseParams,
    seeds: Sequence[int],
    ages: ArrayLike,
    *,
    kind: Kind = "isotropic",
    dim: int = 384,
    events: int = 10_000,
) -> list[Retention]:
    """Return what is measured of one stream for each seed, once the levels are stationary.

    Parameters
    ----------
    params
        Parameters of the levels.
    seeds
        Of the streams.
    ages
        (ages,) whole events from 0 on, rising.
    kind
        "isotropic": independent unit vectors; "related": `rhythm_stream`, about three centroids in
        turn; "repeated": independent ones, each 50 times in a row; "mixed": independent ones, each
        10 times in a row, after 190 that come once. Of a row the last is asked for, of "mixed" no
        single one.
    dim
        Dimension of the vectors.
    events
        Events to measure after; before them come three times the slowest decay's.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    if kind not in KINDS:
        raise ParameterError(f"measure_seeds.kind: {kind!r} is unknown{nearest(str(kind), KINDS)}")
    as_params("measure_seeds", params, SynapseParams)
    as_dim("measure_seeds", dim)
    asked = as_ages("measure_seeds.ages", ages)
    as_whole("measure_seeds.events", events, max(map(sum, BLOCKS.values())))
    burn_in = max(int(asked[-1]), round(3.0 / min(params.decay)))
    found = []
    for seed in as_list("measure_seeds.seeds", seeds):
        vectors, novel, asked_for = drawn(kind, burn_in + events, dim, seed)
        found.append(measure(params, vectors, novel, asked, burn_in=burn_in, asked_for=asked_for))
    return found


def lifetimes(
    measured: Mapping[str, Sequence[Retention]], readouts: Sequence[Readout] = (0, 1, 2, "best")
) -> pd.DataFrame:
    """Return the initial ratio and the lifetime, in events, of each memory, seed and readout.

    Parameters
    ----------
    measured
        What was measured of a memory for each seed, by the memory's name.
    readouts
        Levels counted from 0, or "best".

    Returns
    -------
    Columns ``memory``, ``seed`` (its place), ``readout`` ("L1" … or "best"), ``initial`` and
    ``lifetime`` (at ratio 1).

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    if not isinstance(measured, Mapping):
        got = type(measured).__name__
        raise ParameterError(f"lifetimes.measured: must map names to Retentions (got {got})")
    rows = []
    wanted = as_list("lifetimes.readouts", readouts)
    for name, retentions in measured.items():
        for seed, retention in enumerate(as_list("lifetimes.measured", retentions, Retention)):
            for readout in wanted:
                curve = retention.snr(readout)
                rows.append(
                    {
                        "memory": name,
                        "seed": seed,
                        "readout": readout if isinstance(readout, str) else f"L{readout + 1}",
                        "initial": curve.initial,
                        "lifetime": curve.lifetime(),
                    }
                )
    return pd.DataFrame(rows)


def drawn(kind: Kind, n: int, dim: int, seed: int) -> tuple[Floats32, Floats32, NDArray[np.bool_]]:
    """Return a stream of n vectors, some of the same kind not in it, and which to ask for."""
    if kind == "related":
        from mlsdm.streams.published import rhythm_stream

        stored, novel = rhythm_stream(n + NOVEL, dim, seed).hold_out(NOVEL)
        return stored.need_vectors(), novel.need_vectors(), np.ones(n, np.bool_)
    singles, repeats = BLOCKS[kind]
    block = singles + repeats
    place = np.arange(n)
    row = place // block * (singles + 1) + np.minimum(place % block, singles)
    own = int(row[-1]) + 1
    vectors = generator(seed, "vectors").standard_normal((own + NOVEL, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors.astype(np.float32)
    return units[row], units[own:], place % block == block - 1


def _finite(name: str, vectors: Floats32) -> Floats32:
    if not np.isfinite(vectors).all():
        raise ParameterError(f"{name}: must be finite")
    return vectors
