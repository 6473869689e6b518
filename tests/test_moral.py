from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import moral_params, shares

from mlsdm import MoralFilter, MoralParams, ParameterError


def test_starts_as_stated() -> None:
    moral = MoralFilter()
    assert (moral.threshold, moral.acceptance_rate) == (0.5, 0.5)


@pytest.mark.parametrize(("initial", "start"), [(0.1, 0.3), (0.95, 0.9), (0.3, 0.3), (0.77, 0.77)])
def test_start_is_clipped_to_the_bounds(initial: float, start: float) -> None:
    assert MoralFilter(MoralParams(initial_threshold=initial)).threshold == start


@pytest.mark.parametrize(
    ("value", "accepted"),
    [(0.0, False), (0.299, False), (0.499999, False), (0.5, True), (0.9, True), (1.0, True)],
)
def test_accepts_from_the_threshold_on(value: float, accepted: bool) -> None:
    assert MoralFilter().accept(value) is accepted


def test_the_bounds_decide_before_the_threshold() -> None:
    equal = MoralFilter(MoralParams(min_threshold=0.4, max_threshold=0.4))
    assert equal.accept(0.4)
    assert not equal.accept(0.39)


def test_accept_changes_nothing() -> None:
    moral = MoralFilter()
    moral.accept(0.2)
    moral.accept(0.95)
    assert (moral.threshold, moral.acceptance_rate) == (0.5, 0.5)


def test_first_decisions_by_hand() -> None:
    moral = MoralFilter()
    moral.adapt(True)  # r = 0.55: error 0.05 and its rounding, just over the dead band
    assert moral.acceptance_rate == 0.1 * 1 + 0.9 * 0.5
    assert moral.threshold == 0.55
    moral.adapt(False)  # r = 0.495: inside the dead band
    assert moral.acceptance_rate == pytest.approx(0.495)
    assert moral.threshold == 0.55
    moral.adapt(False)  # r = 0.4455
    assert moral.threshold == 0.5


def test_the_dead_band_is_open() -> None:
    """An error of exactly the dead band, exact in binary, leaves the threshold alone."""
    still = MoralFilter(MoralParams(smoothing=0.5, dead_band=0.25))
    still.adapt(True)
    assert (still.acceptance_rate, still.threshold) == (0.75, 0.5)
    moved = MoralFilter(MoralParams(smoothing=0.5, dead_band=0.249))
    moved.adapt(True)
    assert moved.threshold == 0.55


def test_no_error_is_no_move_even_without_a_dead_band() -> None:
    moral = MoralFilter(MoralParams(smoothing=0.0, dead_band=0.0))
    moral.adapt(True)
    assert moral.threshold == 0.5


@pytest.mark.parametrize(("decision", "end"), [(True, 0.9), (False, 0.3)])
def test_one_sided_decisions_drive_it_to_a_bound(decision: bool, end: float) -> None:
    moral = MoralFilter()
    for _ in range(30):
        moral.adapt(decision)
    assert moral.threshold == end


@given(moral_params(), st.lists(st.one_of(shares, st.sampled_from([0.0, 1.0])), max_size=60))
def test_invariants(values: dict[str, Any], events: list[float]) -> None:
    params = MoralParams(**values)
    moral = MoralFilter(params)
    for value in events:
        before, rate = moral.threshold, moral.acceptance_rate
        accepted = moral.accept(value)
        assert accepted == (
            value >= params.max_threshold or (value >= params.min_threshold and value >= before)
        )
        moral.adapt(accepted)
        assert params.min_threshold <= moral.threshold <= params.max_threshold
        assert abs(moral.threshold - before) <= params.step * (1 + 1e-12) + 1e-15
        assert 0.0 <= moral.acceptance_rate <= 1.0
        error = moral.acceptance_rate - params.target_rate
        if abs(error) <= params.dead_band:
            assert moral.threshold == before
        else:
            assert (moral.threshold - before) * error >= 0  # towards the target
        assert (moral.acceptance_rate >= rate) == accepted or moral.acceptance_rate == rate


@pytest.mark.parametrize(
    ("threshold", "toxic_rejected", "safe_rejected"),
    [(0.3, 4, 0), (0.4, 5, 0), (0.5, 6, 1), (0.6, 6, 2), (0.7, 6, 3)],
)
def test_fixed_thresholds_give_the_stated_calibration_table(
    threshold: float, toxic_rejected: int, safe_rejected: int
) -> None:
    moral = MoralFilter(MoralParams(initial_threshold=threshold, step=0.0))

    def rejected(values: list[float]) -> int:
        return sum(not moral.accept(value) for value in values)

    assert rejected([0.1, 0.15, 0.2, 0.25, 0.35, 0.4]) == toxic_rejected
    assert rejected([0.45, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95]) == safe_rejected


BAD_VALUES = [
    -0.1, 1.1, float("nan"), float("inf"), "0.5", None, True, np.True_, 0.5 + 0j, [0.5],
    np.array(0.5), 10**400, Fraction(2**60 + 1, 2**60), b"0.5",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda value: repr(value)[:20])
def test_bad_moral_values_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"MoralFilter\.accept\.moral_value: must be a number"):
        MoralFilter().accept(value)


def test_the_error_states_the_value_and_what_is_allowed() -> None:
    sentence = "MoralFilter.accept.moral_value: must be a number in [0, 1] (got 1.5)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        MoralFilter().accept(1.5)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, Fraction])
def test_any_real_number_is_a_moral_value(kind: Any) -> None:
    assert MoralFilter().accept(kind(0.5))
    assert not MoralFilter().accept(kind(0.25))


@pytest.mark.parametrize("kind", [int, np.int8, np.uint64])
def test_integers_are_moral_values(kind: Any) -> None:
    assert MoralFilter().accept(kind(1))
    assert not MoralFilter().accept(kind(0))


@pytest.mark.parametrize("decision", [True, 1, np.True_, np.int8(1)])
def test_decisions_of_any_kind_count_alike(decision: Any) -> None:
    moral = MoralFilter()
    moral.adapt(decision)
    assert moral.acceptance_rate == 0.55


@pytest.mark.parametrize("decision", [2, -1, 0.5, 1.0, None, "yes"])
def test_bad_decisions_are_refused_and_change_nothing(decision: Any) -> None:
    moral = MoralFilter()
    with pytest.raises(ParameterError, match=r"MoralFilter\.adapt\.accepted: must be True or Fals"):
        moral.adapt(decision)
    assert (moral.threshold, moral.acceptance_rate) == (0.5, 0.5)


@pytest.mark.parametrize("params", [{}, {"step": 0.1}, 0, "MoralParams"])
def test_other_things_than_parameters_are_refused(params: Any) -> None:
    with pytest.raises(ParameterError, match=r"MoralFilter\.params: must be MoralPolicy"):
        MoralFilter(params)


def test_repr_shows_the_state() -> None:
    assert repr(MoralFilter()) == (
        "MoralFilter(policy='homeostatic', threshold=0.50, acceptance_rate=0.500)"
    )
