"""The rules of retrieval: exact, though most rows are read in a compact form only.

Beside its vector v a row holds c, the nearest int8 multiples of its scale s (the largest magnitude
over 127). With v = s·c + e, and a query q = z·p + f in int16, the inner product is

    v·q = s·z·(c·p) + e·q + s·c·f,   |e·q| <= |e| |q|,   |s·c·f| <= (|v| + |e|) |f|

by Cauchy and Schwarz, and c·p is a sum of integers, exact in any order. So every row's cosine is
known to lie in an interval, from a quarter of the bytes; only a row whose interval reaches into the
best so far is read in full (our own choice; the idea: VA-file, Weber & Schek 1998).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.rules.bits import as_float, derived_check, peak_bits
from mlsdm.engine.rules.compiling import allocating, compiled
from mlsdm.engine.rules.lanes import dot, norm, residual
from mlsdm.engine.rules.layout import Rows

__all__ = ["derive", "finish", "row_norm", "row_norms", "scan", "sift"]

SMALLEST_NORM = 1e-9
CODES = 127
QUERY = 32767
SUM = 2**31 - 1
TINY = 1e-30  # one over less may not be a float32
ROUNDED = 1e-6  # more than the rounding of gain, slack and the cosines in between can add


@compiled
def encode(
    vector: NDArray[np.float32], norm_: float, codes: NDArray[np.int8]
) -> tuple[np.float32, np.float32]:
    """Write the compact form of a vector; return its scale and |e|, both over the row's norm."""
    peak = np.float64(as_float(peak_bits(vector)))
    scale = peak / CODES
    # Whatever the codes are, the residual is true of them: of the tiniest vectors they are 0.
    factor = np.float32(1.0 / scale if peak > TINY else 0.0)
    for i in range(vector.size):
        codes[i] = np.int8(np.rint(vector[i] * factor))
    slack = residual(vector, codes, scale) / norm_ * (1.0 + ROUNDED)
    return np.float32(scale / norm_), np.float32(slack)


@compiled
def row_norm(vector: NDArray[np.float32]) -> float:
    """Return what a row holds as its norm: that of the vector, at least 1e-9."""
    return max(norm(vector), SMALLEST_NORM)


@compiled
def derive(vector: NDArray[np.float32], row: Any, codes: NDArray[np.int8]) -> None:
    """Give a row what follows from its vector: norm and compact form, and their check."""
    row.norm = row_norm(vector)
    row.gain, row.slack = encode(vector, row.norm, codes)
    row.derived = derived_check(row, codes)


@allocating
def row_norms(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the `row_norm` of each of many vectors."""
    norms = np.empty(vectors.shape[0], np.float64)
    for i in range(vectors.shape[0]):
        norms[i] = row_norm(vectors[i])
    return norms


@compiled
def finish(
    vectors: NDArray[np.float32], rows: Rows, codes: NDArray[np.int8], start: int, count: int
) -> None:
    """Give `count` rows from `start` on, around the ring, what follows from their vectors."""
    place = start
    for _ in range(count):
        derive(vectors[place], rows[place], codes[place])
        place = place + 1 if place + 1 < rows.size else 0


@compiled
def worse(a: float, place_a: int, b: float, place_b: int) -> bool:
    """Return whether a row comes after another: a smaller resonance, or the same further on."""
    return a < b or (a == b and place_a > place_b)


@compiled
def offer(
    resonances: NDArray[np.float64],
    places: NDArray[np.int64],
    found: int,
    resonance: float,
    place: int,
) -> int:
    """Put a row among the best so far, a heap with the worst on top; return how many there are.

    A damaged row may resonate with no number: it is none of them.
    """
    if not np.isfinite(resonance):
        return found
    if found < resonances.size:
        i = found
        while i > 0:
            above = (i - 1) // 2
            if not worse(resonance, place, resonances[above], places[above]):
                break
            resonances[i], places[i] = resonances[above], places[above]
            i = above
        resonances[i], places[i] = resonance, place
        return found + 1
    if not worse(resonances[0], places[0], resonance, place):
        return found
    i = 0
    while 2 * i + 1 < found:
        below = 2 * i + 1
        if below + 1 < found and worse(
            resonances[below + 1], places[below + 1], resonances[below], places[below]
        ):
            below += 1
        if not worse(resonances[below], places[below], resonance, place):
            break
        resonances[i], places[i] = resonances[below], places[below]
        i = below
    resonances[i], places[i] = resonance, place
    return found


@compiled
def shorten(query: NDArray[np.float32], short: NDArray[np.int16]) -> tuple[float, float]:
    """Write a query in int16; return its scale z and |f|."""
    peak = np.float64(as_float(peak_bits(query)))
    if peak == 0.0:
        short[:] = 0
        return 0.0, 0.0
    scale = peak / min(QUERY, SUM // (CODES * query.size))
    lost = 0.0
    for i in range(query.size):
        short[i] = np.int16(np.rint(np.float64(query[i]) / scale))
        lost += (np.float64(query[i]) - scale * np.float64(short[i])) ** 2
    return scale, math.sqrt(lost)


@compiled
def scan(
    size: int,
    vectors: NDArray[np.float32],
    rows: Rows,
    codes: NDArray[np.int8],
    query: NDArray[np.float32],
    short: NDArray[np.int16],
    phase: np.float32,
    tolerance: np.float32,
    resonances: NDArray[np.float64],
    places: NDArray[np.int64],
) -> int:
    """Write the best of the rows in phase and their cosines, a heap; return how many there are."""
    query_norm = row_norm(query)
    scale, lost = shorten(query, short)
    scale, lost = scale / query_norm, lost / query_norm
    found, floor = 0, -np.inf
    for place in range(size):
        row = rows[place]
        if not abs(row.phase - phase) <= tolerance:
            continue
        compact = codes[place]
        total = np.int32(0)
        for i in range(short.size):
            total = np.int32(total + np.int32(compact[i]) * np.int32(short[i]))
        error = row.slack + (1.0 + row.slack) * lost + ROUNDED * (1.0 + row.slack) * (1.0 + lost)
        if row.gain * scale * total + error >= floor:
            resonance = dot(vectors[place], query) / (row.norm * query_norm)
            found = offer(resonances, places, found, resonance, place)
            if found == resonances.size:
                floor = resonances[0]
    return found


GROUP = 32  # queries that are looked at together
LARGE = 1e38  # from this norm on, a product in float32 may overflow


@compiled
def reaches(
    product: NDArray[np.float32],
    inverse: np.float32,
    floors: NDArray[np.float32],
    start: int,
    stop: int,
) -> bool:
    """Return whether a row may be among the best of any query; without a branch, for speed."""
    hits = np.int32(0)
    for q in range(start, stop):
        hits = np.int32(hits + np.int32(not product[q] * inverse < floors[q]))
    return bool(hits > 0)


@compiled
def sift(
    products: NDArray[np.float32],
    places: NDArray[np.int64],
    vectors: NDArray[np.float32],
    rows: Rows,
    queries: NDArray[np.float32],
    query_norms: NDArray[np.float64],
    resonances: NDArray[np.float64],
    best: NDArray[np.int64],
    found: NDArray[np.int64],
    floors: NDArray[np.float32],
) -> None:
    """Put rows among the best of each query, by products in float32 that a BLAS has made.

    Parameters
    ----------
    products
        (rows, queries) inner products of the rows with the queries made unit vectors. Whatever the
        order of its sum, one is off by at most γ |v|, γ = d u / (1 - d u), u = 2^-24 (Higham 2002,
        doi:10.1137/1.9780898718027, section 3.1); so it tells which rows are to be read in full.
    places
        (rows,) ascending over all calls.
    floors
        (queries,) below which a product tells that the row is none of the best; at first -inf.
    """
    error = (vectors.shape[1] + 8) * 2.0**-24 * (1.0 + 1e-2)
    for j in range(places.size):
        place = places[j]
        product, norm_ = products[j], rows[place].norm
        inverse = np.float32(1.0 / norm_ if norm_ < LARGE else np.nan)  # NaN is below no floor
        if not reaches(product, inverse, floors, 0, floors.size):
            continue
        for start in range(0, floors.size, GROUP):
            stop = min(start + GROUP, floors.size)
            if not reaches(product, inverse, floors, start, stop):
                continue
            for q in range(start, stop):
                if product[q] * inverse < floors[q]:
                    continue
                resonance = dot(vectors[place], queries[q]) / (norm_ * query_norms[q])
                found[q] = offer(resonances[q], best[q], found[q], resonance, place)
                if found[q] == resonances.shape[1]:
                    floors[q] = np.float32(resonances[q, 0] - error)
