from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError
from mlsdm.analysis import forgetting
from mlsdm.analysis.forgetting import LinearMemory, cascade, leaky, log_ages

decays = st.floats(0.001, 1.0)
memories = st.one_of(
    decays.map(leaky),
    st.integers(1, 6).map(cascade),
    st.lists(st.floats(0.0, 0.999), min_size=1, max_size=5).map(forgetting.orthonormal),
)


@given(decays, st.integers(1, 5000))
def test_a_leaky_integrator_has_its_closed_form(decay: float, dim: int) -> None:
    ages, kept = np.arange(30), 1.0 - decay
    found = leaky(decay).retention(ages, dim).snr(0)
    expected = math.sqrt(dim) * kept**ages * math.sqrt(1.0 - kept**2)
    np.testing.assert_allclose(found.snr, expected, rtol=1e-9)
    if expected[0] > 1.0 and kept > 0.0:
        lifetime = math.log(dim * (1.0 - kept**2)) / (-2.0 * math.log(kept))
        if lifetime < ages[-1]:
            assert found.lifetime() == pytest.approx(lifetime, rel=1e-9)


@given(memories)
def test_the_covariance_is_stationary_and_the_sum_of_the_responses(memory: LinearMemory) -> None:
    held = memory.covariance
    after = memory.transition @ held @ memory.transition.T + np.outer(memory.drive, memory.drive)
    np.testing.assert_allclose(after, held, rtol=1e-9, atol=1e-9)
    if memory.time_constants[-1] < 50:
        responses = memory.response(np.arange(1500))
        np.testing.assert_allclose(responses.T @ responses, held, rtol=1e-7, atol=1e-9)


@given(memories, st.integers(2, 2000))
def test_the_best_readout_is_at_least_as_good_as_any_and_never_rises(
    memory: LinearMemory, dim: int
) -> None:
    held = memory.retention(log_ages(300), dim)
    best = held.snr().snr
    assert np.all(np.diff(best) <= 1e-6 * best[0])
    for k in range(memory.drive.size):
        assert np.all(np.abs(held.snr(k).snr) <= best * (1 + 1e-6) + 1e-9)


@given(st.lists(st.floats(0.0, 0.9), min_size=1, max_size=4, unique_by=lambda x: round(x, 2)))
def test_over_all_ages_the_squares_sum_to_one_per_variable(kept: list[float]) -> None:
    memory = forgetting.orthonormal(kept)
    np.testing.assert_allclose(memory.covariance, np.eye(len(kept)), atol=1e-9)
    squares = memory.retention(np.arange(400), dim=1).snr().snr ** 2
    assert squares.sum() == pytest.approx(len(kept), rel=1e-6)


def test_patterns_of_the_simulation_leave_what_is_exact() -> None:
    ages, dim, events = log_ages(120, 6), 300, 3000
    for memory in (leaky(0.1), cascade(3)):
        exact = memory.retention(ages, dim)
        found = memory.simulate(ages, dim, events, np.random.default_rng(1))
        # Each of the events gives an overlap with a deviation of the noise's.
        reach = 5.0 * np.sqrt(np.diag(exact.noise) * 2.0 / events)
        assert np.all(np.abs(found.signal - exact.signal) < reach)
        np.testing.assert_allclose(np.diag(found.noise), np.diag(exact.noise), rtol=0.15)


def test_the_time_constants_are_those_of_the_modes() -> None:
    np.testing.assert_allclose(leaky(1 - math.exp(-0.25)).time_constants, [4.0])
    slow = cascade(8).time_constants
    assert np.all(np.diff(slow) > 0)
    # Two modes of a cascade differ by its ratio twice, one for capacity and one for coupling.
    np.testing.assert_allclose(slow[3:6] / slow[2:5], 4.0, rtol=0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: leaky(0.0), r"leaky.decay: must lie in \(0, 1\] \(got 0.0\)"),
        (lambda: cascade(0), "cascade.variables: must be a whole number of at least 1"),
        (lambda: cascade(2, ratio=1.0), "cascade.ratio: must be above 1 and finite"),
        (lambda: cascade(2, coupling=0.6), r"cascade.coupling: must lie in \(0, 0.5\]"),
        (lambda: LinearMemory(np.eye(2), np.ones(2)), "must have eigenvalues below 1"),
        (lambda: LinearMemory(np.eye(2), np.ones(3)), "must be .variables, variables."),
        (lambda: leaky(0.5).response([2, 1]), "must be whole ages from 0 on, in rising order"),
        (lambda: leaky(0.5).response([0.5]), "must be whole ages from 0 on, in rising order"),
        (lambda: leaky(0.5).retention([0], 0), "LinearMemory.retention.dim: must be a whole"),
        (lambda: leaky(0.5).simulate([0], 5, 5, 0), "LinearMemory.simulate.rng: must be a numpy"),
        (lambda: leaky("fast"), "leaky.decay: must be a finite number of at least 0"),
        (lambda: cascade(3, ratio=None), "cascade.ratio: must be a finite number"),
        (lambda: cascade(3, coupling="x"), "cascade.coupling: must be a finite number"),
        (lambda: cascade(5000), r"cascade.variables: must be fewer, .* \(got 5000\)"),
        (lambda: cascade(4, ratio=1e300), "cascade.variables: must be fewer"),
        (lambda: LinearMemory([[0.5]], np.ones(1)), "LinearMemory.transition: must be an array"),
        (lambda: LinearMemory(np.eye(1) / 2, np.array([np.nan])), "LinearMemory.drive: must be an"),
        (lambda: forgetting.open_levels(3), "open_levels.params: must be SynapseParams"),
        (lambda: forgetting.orthonormal("x"), "orthonormal.kept: must hold real numbers"),
        (lambda: forgetting.longest_lifetime(0, 1, 1.0), "longest_lifetime.dim: must be a whole"),
        (
            lambda: forgetting.longest_lifetime(8, 1, None),
            "longest_lifetime.initial: must be a fin",
        ),
        (lambda: forgetting.orthonormal([1.0]), r"orthonormal.kept: must be \(variables,\)"),
    ],
)
def test_what_cannot_be_a_memory_is_refused(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=message):
        call()
