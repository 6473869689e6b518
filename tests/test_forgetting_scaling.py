"""What is known of the memories of the literature comes out of ours: the check of the method."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mlsdm
from mlsdm import ParameterError
from mlsdm.analysis import forgetting
from mlsdm.analysis.forgetting import by_size, cascade, growth, leaky, log_ages, variables_for


@pytest.mark.parametrize("variables", [4, 6, 8, 10, 12])
def test_the_cascade_forgets_as_one_over_the_root_of_the_age(variables: int) -> None:
    """Benna & Fusi 2016: the exponent is -1/2 between the first and the last time constant."""
    memory = cascade(variables)
    first, last = memory.time_constants[[0, -1]]
    assert math.log10(last / first) > 2  # decades
    curve = memory.retention(log_ages(int(last), 20), 1000).snr(0)
    assert curve.exponent(first, last) == pytest.approx(-0.5, abs=0.01)


def test_its_local_exponent_is_the_same_all_the_way() -> None:
    memory = cascade(10)
    curve = memory.retention(log_ages(10**6, 40), 1000).snr(0)
    for first in (30, 100, 1000, 10**4):
        assert curve.exponent(first, 100 * first) == pytest.approx(-0.5, abs=0.02)


def test_a_leaky_integrator_has_no_such_law() -> None:
    curve = leaky(0.02).retention(log_ages(150, 20), 1000).snr(0)
    assert curve.exponent(50, 150) < curve.exponent(5, 50) - 0.5


def test_the_simulated_cascade_has_the_exponent_too() -> None:
    memory = cascade(4)
    first, last = memory.time_constants[[0, -1]]
    ages = log_ages(int(last), 8)
    seeds = [memory.simulate(ages, 400, 4000, np.random.default_rng(seed)) for seed in range(3)]
    found = forgetting.pooled(seeds).snr(0)
    assert found.exponent(first, last) == pytest.approx(-0.5, abs=0.05)
    np.testing.assert_allclose(found.snr, memory.retention(ages, 400).snr(0).snr, atol=0.06)


def test_lifetimes_grow_as_they_should() -> None:
    table = by_size([10**k for k in range(3, 9)])
    slope = growth(table)
    assert 0.85 < slope["cascade, variables ~ log N"] < 1.0
    assert 0.5 < slope["leaky, decay 1/√N"] < 0.65
    lives = {name: group["lifetime"].to_numpy() for name, group in table.groupby("memory")}
    # Each factor of 10 in size adds the same to the leaky integrator, log 10 / (2 log 2).
    steps = np.diff(lives["leaky, decay 1/2"])
    np.testing.assert_allclose(steps, math.log(10) / (2 * math.log(2)), rtol=1e-6)
    # A cascade that is not made longer ends up in its last exponential.
    steps = np.diff(lives["cascade of 3"])[2:]
    expected = cascade(3).time_constants[-1] * math.log(10) / 2
    np.testing.assert_allclose(steps, expected, rtol=0.01)


def test_the_cascade_loses_a_factor_of_its_variables_only() -> None:
    """The noise sums 1/t over the ages, so that the lifetime tends to N / (m · log 4)."""
    table = by_size([10**9, 10**11])
    rows = table[table["memory"] == "cascade, variables ~ log N"]
    share = rows["lifetime"] * rows["variables"] / rows["synapses"]
    assert share.is_monotonic_increasing
    assert share.between(0.65, 1 / math.log(4)).all()
    assert rows["variables"].tolist() == [variables_for(10**9), variables_for(10**11)]


@pytest.mark.parametrize("synapses", [1, 50, 10**4, 10**7])
def test_there_are_as_many_variables_as_needed_and_no_more(synapses: int) -> None:
    m = variables_for(synapses)
    assert cascade(m).time_constants[-1] >= synapses
    assert m == 1 or cascade(m - 1).time_constants[-1] < synapses


def test_growth_needs_two_sizes_of_each_memory() -> None:
    table = forgetting.by_size([16, 64])
    for other in (3, table.drop(columns="memory"), forgetting.by_size([])):
        with pytest.raises(ParameterError, match=r"^growth\.table: must have the columns lifetime"):
            forgetting.growth(other)
    with pytest.raises(ParameterError, match=r"^growth\.table: must hold two sizes of 'leaky"):
        forgetting.growth(table[table["synapses"] == 16])
    with pytest.raises(
        ParameterError, match=r"^by_size\.synapses: must be a sequence \(got int\)$"
    ):
        forgetting.by_size(16)  # type: ignore[arg-type]


def test_the_paper_is_cited() -> None:
    cascade(3)
    assert "benna2016" in mlsdm.citations().keys


@pytest.mark.long
def test_a_long_cascade_simulated_agrees_within_its_error() -> None:
    memory, dim, events = cascade(5), 1000, 20_000
    ages = log_ages(int(memory.time_constants[-1]), 8)
    found = memory.simulate(ages, dim, events, np.random.default_rng(7))
    exact = memory.retention(ages, dim)
    reach = 5.0 * np.sqrt(exact.noise[0, 0] * 2.0 / events)
    assert np.all(np.abs(found.signal[:, 0] - exact.signal[:, 0]) < reach)
    first, last = memory.time_constants[[0, -1]]
    assert found.snr(0).exponent(first, last) == pytest.approx(-0.5, abs=0.05)
