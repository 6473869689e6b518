from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import isotropic_units

from mlsdm import MultiLevelSynapticMemory, ParameterError, SynapseParams

LARGEST = float(np.finfo(np.float32).max)


def levels_after(memory: MultiLevelSynapticMemory, *vectors: Any) -> Any:
    for vector in vectors:
        memory.update(vector)
    return memory.levels


def test_starts_at_zero_in_float32() -> None:
    levels = MultiLevelSynapticMemory(dim=5).levels
    assert levels.shape == (3, 5)
    assert levels.dtype == np.float32
    assert not levels.any()


def test_levels_are_a_copy() -> None:
    memory = MultiLevelSynapticMemory(dim=2)
    memory.levels[:] = 7
    assert not memory.levels.any()


def test_a_small_vector_stays_in_the_first_level_and_decays() -> None:
    memory = MultiLevelSynapticMemory(dim=2)
    assert levels_after(memory, [0.5, -0.5])[0].tolist() == [0.5, -0.5]
    assert levels_after(memory, [0, 0])[0].tolist() == [0.25, -0.25]
    assert not memory.levels[1:].any()


def test_element_gate_passes_single_elements_and_never_negative_ones() -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(gate="element"), 3)
    l1, l2, l3 = levels_after(memory, [2.0, -2.0, 1.0])
    g = np.float32(0.45)
    assert l1.tolist() == [np.float32(2) - g * np.float32(2), -2.0, 1.0]
    assert l2.tolist() == [g * np.float32(2), 0.0, 0.0]
    assert not l3.any()


def test_norm_gate_passes_the_whole_vector() -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(gate="norm"), 2)
    l1, l2, _ = levels_after(memory, [1.0, -1.0])  # norm 1.41, each element below 1.2
    assert l1 == pytest.approx([0.55, -0.55])
    assert l2 == pytest.approx([0.45, -0.45])


@pytest.mark.parametrize("gate", ["element", "norm"])
def test_a_gate_is_shut_at_its_very_threshold(gate: Any) -> None:
    params = SynapseParams(gate=gate, threshold=(1.25, 2.5))
    shut = MultiLevelSynapticMemory(params, 1)
    assert not levels_after(shut, [1.25])[1].any()
    opened = MultiLevelSynapticMemory(params, 1)
    assert levels_after(opened, [np.nextafter(np.float32(1.25), np.float32(2))])[1].any()


def test_element_gate_compares_in_float32() -> None:
    """1.2 in float32 is larger than 1.2: it must not open its own gate."""
    memory = MultiLevelSynapticMemory(SynapseParams(gate="element"), 1)
    assert float(np.float32(1.2)) > 1.2
    assert not levels_after(memory, [np.float32(1.2)])[1].any()


@pytest.mark.parametrize("gate", ["element", "norm"])
def test_one_update_can_reach_the_third_level(gate: Any) -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(gate=gate), 1)
    l1, l2, l3 = levels_after(memory, [100.0])
    assert (l1[0], l2[0], l3[0]) == pytest.approx((55.0, 31.5, 13.5))


def test_the_second_level_passes_on_what_it_has_just_been_given() -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(transfer=(1.0, 1.0)), 1)
    assert levels_after(memory, [3.0]).ravel().tolist() == [0.0, 0.0, 3.0]


@given(
    st.sampled_from(["element", "norm"]),
    st.integers(0, 1000),
    st.lists(st.floats(0, 50), min_size=1, max_size=20),
)
def test_what_leaves_a_level_reaches_the_next(gate: Any, seed: int, scales: list[float]) -> None:
    """Without decay the levels sum to all that came in, whatever the gates do."""
    params = SynapseParams(gate=gate, decay=(1e-9, 1e-9, 1e-9))
    memory = MultiLevelSynapticMemory(params, 6)
    total = np.zeros(6)
    for scale, vector in zip(scales, isotropic_units(len(scales), 6, seed), strict=True):
        total += scale * vector.astype(np.float64)
        memory.update(scale * vector)
        assert memory.norms == pytest.approx(np.linalg.norm(memory.levels, axis=1), rel=1e-5)
    bound = 1e-5 * (1 + sum(scales))
    assert memory.levels.astype(np.float64).sum(axis=0) == pytest.approx(total, abs=bound)


def test_isotropic_units_never_open_the_element_gate() -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(gate="element"), 384)
    largest = 0.0
    for vector in isotropic_units(4000, 384, 42):
        memory.update(vector)
        largest = max(largest, float(memory.levels[0].max()))
    assert 0.2 < largest < 0.4  # of the 1.2 needed
    assert memory.norms[1:] == (0.0, 0.0)


def test_isotropic_units_open_the_norm_gate_now_and_then() -> None:
    memory = MultiLevelSynapticMemory(SynapseParams(gate="norm"), 384)
    opened = 0
    for vector in isotropic_units(4000, 384, 42):
        before = memory.norms[1]
        memory.update(vector)
        opened += memory.norms[1] > 0.9 * before + 1e-6
        assert memory.norms[2] == 0.0
    assert 0.01 < opened / 4000 < 0.15


@pytest.mark.parametrize("vector", [[LARGEST, 0], [0, -LARGEST], [0.9 * LARGEST, 0]])
def test_what_would_leave_float32_is_refused_and_changes_nothing(vector: Any) -> None:
    memory = MultiLevelSynapticMemory(dim=2)
    memory.update(np.abs(vector) * 0.6)
    before = memory.levels
    with pytest.raises(ParameterError, match=r"MultiLevelSynapticMemory\.update\.vector: the syna"):
        memory.update(vector)
    np.testing.assert_array_equal(memory.levels, before)


def test_large_vectors_that_fit_are_taken() -> None:
    """Many large elements make a norm far beyond float32, but no element leaves it."""
    memory = MultiLevelSynapticMemory(dim=384)
    for _ in range(5):
        memory.update(np.full(384, 0.1 * LARGEST))
        assert np.isfinite(memory.levels).all()
    memory.update(np.zeros(384))
    assert np.isfinite(memory.levels).all()


@given(st.sampled_from(["element", "norm"]), st.integers(0, 500), st.floats(0.1, 1))
def test_levels_stay_finite(gate: Any, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    memory = MultiLevelSynapticMemory(SynapseParams(gate=gate, transfer=(1.0, 0.5)), 3)
    for _ in range(20):
        vector = share * LARGEST * rng.uniform(-1, 1, 3)
        try:
            memory.update(vector)
        except ParameterError:
            memory.update(np.zeros(3))  # nothing is ever refused for good
        assert np.isfinite(memory.levels).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decay", (0.0, 0.1, 0.1)), ("decay", (0.5, 1.1, 0.1)), ("decay", (0.5, 0.1)),
        ("decay", (0.5, 0.1, "0.1")), ("decay", (0.5, 0.1, True)), ("decay", 0.5),
        ("decay", {0.5, 0.1, 0.01}), ("decay", "abc"), ("threshold", (0.0, 1.0)),
        ("threshold", (1.0, float("inf"))), ("transfer", (-0.1, 0.5)), ("transfer", (0.1, 1.5)),
        ("gate", "both"), ("gate", None),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^SynapseParams\.{name}[.:].*got "):
        SynapseParams(**{name: value})


def test_other_things_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"MultiLevelSynapticMemory\.params: must be Syn"):
        MultiLevelSynapticMemory({})  # type: ignore[arg-type]
    for dim in (0, -1, 2.0, "3", True, None):
        with pytest.raises(ParameterError, match=r"MultiLevelSynapticMemory\.dim: .*got "):
            MultiLevelSynapticMemory(dim=dim)  # type: ignore[arg-type]


def test_repr_shows_the_norms() -> None:
    memory = MultiLevelSynapticMemory(dim=2)
    memory.update([1, 0])
    assert repr(memory) == "MultiLevelSynapticMemory(dim=2, norms=(1, 0, 0))"
