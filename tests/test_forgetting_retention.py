from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError
from mlsdm.analysis.forgetting import Curve, Retention, log_ages, pooled


def curve(*snr: float) -> Curve:
    return Curve(np.arange(len(snr)), np.array(snr))


@given(st.integers(1, 10**6), st.integers(1, 30))
def test_ages_are_whole_rising_and_reach_from_0_to_the_last(last: int, per_decade: int) -> None:
    ages = log_ages(last, per_decade)
    assert (ages[0], ages[-1]) == (0, last)
    assert np.all(np.diff(ages) >= 1)
    assert ages.size <= 2 + per_decade * math.log10(last) + 1


def test_a_lifetime_lies_where_the_logarithm_crosses_1() -> None:
    assert curve(4.0, 2.0, 0.5, 0.1).lifetime() == pytest.approx(1.5)
    assert curve(4.0, 2.0, 0.5).lifetime(level=2.0) == pytest.approx(1.0)
    assert curve(0.9, 2.0).lifetime() == 0.0
    assert curve(3.0, 2.0).lifetime() == math.inf
    assert 1.0 < curve(3.0, 2.0, 0.0).lifetime() < 1.01


def test_it_is_the_first_time_that_counts() -> None:
    assert curve(2.0, 0.5, 3.0, 0.1).lifetime() < 1.0


@given(st.floats(-3.0, -0.1))
def test_the_exponent_of_a_power_law_is_its_exponent(power: float) -> None:
    ages = log_ages(10_000)
    snr = np.append(1.0, ages[1:] ** power)
    assert Curve(ages, snr).exponent(1, 10_000) == pytest.approx(power)
    with pytest.raises(ParameterError, match=r"Curve.exponent: needs two ages .* \(got 1\)"):
        Curve(ages, snr).exponent(1, 1)


def test_the_best_readout_takes_away_what_levels_have_in_common() -> None:
    signal = np.array([[1.0, 0.5]])
    common = np.array([[2.0, 1.0], [1.0, 1.0]])
    held = Retention(np.array([0]), signal, common)
    expected = math.sqrt(float(signal[0] @ np.linalg.inv(common) @ signal[0]))
    assert held.snr().initial == pytest.approx(expected)
    assert held.snr(0).initial == pytest.approx(1.0 / math.sqrt(2.0))


def test_a_level_that_holds_nothing_counts_for_nothing() -> None:
    held = Retention(np.array([0]), np.array([[1.0, 0.0]]), np.diag([4.0, 0.0]))
    assert held.snr(1).initial == 0.0
    assert held.snr().initial == held.snr(0).initial == 0.5


def test_two_levels_that_hold_the_same_are_as_good_as_one() -> None:
    held = Retention(np.array([0]), np.array([[3.0, 6.0]]), np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert held.snr().initial == pytest.approx(3.0)


@pytest.mark.parametrize("readout", [2, -1, True, "worst"])
def test_an_unknown_readout_is_refused(readout: object) -> None:
    held = Retention(np.array([0]), np.ones((1, 2)), np.eye(2))
    with pytest.raises(ParameterError, match=r"Retention\.snr\.readout: must be a"):
        held.snr(readout)  # type: ignore[arg-type]


def test_pooling_takes_means_at_the_same_ages() -> None:
    one = Retention(np.array([0]), np.array([[1.0]]), np.array([[1.0]]))
    two = Retention(np.array([0]), np.array([[2.0]]), np.array([[3.0]]))
    both = pooled([one, two])
    assert (both.signal.item(), both.noise.item()) == (1.5, 2.0)
    other = Retention(np.array([1]), np.array([[2.0]]), np.array([[3.0]]))
    with pytest.raises(ParameterError, match=r"pooled\.retentions: must have the same ages"):
        pooled([one, other])
    with pytest.raises(ParameterError, match=r"pooled\.retentions: must hold at least one"):
        pooled([])


def test_what_has_no_lifetime_or_mean_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^Curve\.lifetime\.level: must be a finite number"):
        curve(2.0, 1.0).lifetime("1")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"^Curve\.exponent\.first: must be a finite number"):
        curve(2.0, 1.0).exponent("1", 2)  # type: ignore[arg-type]
    with pytest.raises(
        ParameterError, match=r"^pooled\.retentions: must be a sequence of Retention"
    ):
        pooled([3])  # type: ignore[list-item]
    ages = np.array([0, 1])
    both = [Retention(ages, np.ones((2, m)), np.eye(m)) for m in (1, 2)]
    with pytest.raises(ParameterError, match=r"^pooled\.retentions: must have as many variables"):
        pooled(both)
