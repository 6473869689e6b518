"""The order of summation, which is part of the rules, for every length a vector may have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import inner_product

from mlsdm.engine.rules import lanes, recall

SIZES = [*range(1, 201), 255, 256, 257, 384, 1000, 1023, 1024, 1025, 4096, 100_003]


def vectors(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two vectors whose sums differ with every change of the order."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, n)) * np.exp(rng.standard_normal((2, n)))
    return first.astype(np.float32), second.astype(np.float32)


def lanes_of(terms: NDArray[np.float64]) -> float:
    """Sum by the rule, once more and otherwise than `reference` does: rows of 32, then halves."""
    table = np.zeros((-(-len(terms) // 32), 32))
    table.ravel()[: len(terms)] = terms
    sums = np.zeros(32)
    for row in table:
        sums += row
    for width in (16, 8, 4, 2, 1):
        sums = sums[:width] + sums[width : 2 * width]
    return float(sums[0])


@pytest.mark.parametrize("n", SIZES)
def test_the_order_of_summation(n: int) -> None:
    a, b = vectors(n, n)
    products = a.astype(np.float64) * b.astype(np.float64)
    assert lanes.dot(a, b) == lanes_of(products) == inner_product(a, b)
    assert lanes.norm(a) == math.sqrt(lanes_of(a.astype(np.float64) ** 2))
    assert recall.row_norm(a) == max(lanes.norm(a), 1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_the_order_of_summation_of_what_a_compact_form_leaves_out(n: int) -> None:
    a, _ = vectors(n, n)
    codes = np.random.default_rng(n).integers(-127, 128, n).astype(np.int8)
    scale = float(np.abs(a).max()) / 127
    differences = a.astype(np.float64) - scale * codes.astype(np.float64)
    assert lanes.residual(a, codes, scale) == math.sqrt(lanes_of(differences * differences))


def test_another_order_would_be_seen() -> None:
    """Else none of the above says anything."""
    differing = np.zeros(3, int)
    for seed in range(30):
        a, b = vectors(384, seed)
        products = a.astype(np.float64) * b.astype(np.float64)
        others = (sum(products.tolist()), float(products.sum()), lanes_of(products[::-1]))
        differing += [other != lanes.dot(a, b) for other in others]
    assert differing.min() > 5


def test_one_element_at_a_time_lands_in_its_own_place() -> None:
    """Every element counts once, wherever it is."""
    for n in (1, 31, 32, 33, 64, 95, 100):
        ones = np.ones(n, np.float32)
        for i in range(n):
            only = np.zeros(n, np.float32)
            only[i] = 3.0
            assert lanes.dot(only, ones) == 3.0
            assert lanes.norm(only) == 3.0


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=130)
)
def test_any_numbers(values: list[float]) -> None:
    a = np.array(values, np.float32)
    b = a[::-1].copy()
    assert lanes.dot(a, b) == inner_product(a, b)
    assert lanes.dot(a, b) == lanes.dot(b, a)
    assert lanes.norm(a) == math.sqrt(lanes.dot(a, a))


def test_it_does_not_look_beyond_the_vector() -> None:
    held = np.full(200, np.nan, np.float32)
    for n in (1, 7, 31, 33, 100):
        a = held[50 : 50 + n]
        a[:] = 2.0
        assert lanes.dot(a, a) == 4.0 * n
        a[:] = np.nan


def test_unit_vectors_have_a_norm_of_one_at_any_length() -> None:
    for n in SIZES[:-1]:
        a, _ = vectors(n, n)
        unit = (a / np.float64(lanes.norm(a))).astype(np.float32)
        assert lanes.norm(unit) == pytest.approx(1.0, abs=1e-6)
