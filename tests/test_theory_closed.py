"""Closed forms beside the engine: means by simulation at a corrected level, laws as properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreeing import agrees
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import isotropic_units, shares

import mlsdm
from mlsdm.analysis import theory

Floats = NDArray[np.float64]
OPEN, SHUT = 1e-30, 1e30


def fixed(threshold: float, smoothing: float = 0.1, start: float = 0.5) -> mlsdm.EngineParams:
    """Return an engine whose filter accepts a share 1 - threshold of even values."""
    moral = {"initial_threshold": threshold, "min_threshold": 0.0, "max_threshold": 1.0}
    average = {"smoothing": smoothing, "initial_rate": start}
    return mlsdm.EngineParams(2).replace({"moral": {**moral, "step": 0.0, **average}})


@pytest.mark.parametrize(("p", "alpha"), [(0.5, 0.1), (0.9, 0.02), (0.25, 0.6), (0.5, 1.0)])
def test_the_acceptance_average_has_the_moments_of_the_closed_form(p: float, alpha: float) -> None:
    values = np.random.default_rng(5).random((3000, 400))
    rate = mlsdm.simulate_many(fixed(1 - p, alpha, 0.1), None, values).acceptance_rate
    after = [0, 4, 30, 399]
    expected = [theory.exponential_average(p, alpha, t + 1, 0.1) for t in after]
    means, variances = np.array(expected).T
    assert agrees(rate[:, after], means).all()
    assert agrees((rate[:, after] - means) ** 2, variances).all()
    assert expected[-1] == pytest.approx(theory.exponential_average(p, alpha), rel=1e-3)


def test_the_acceptance_average_forgets_at_the_rate_of_the_closed_form() -> None:
    values, alpha, p = np.random.default_rng(6).random((3000, 260)), 0.1, 0.7
    rate = mlsdm.simulate_many(fixed(1 - p, alpha), None, values).acceptance_rate
    mean, variance = theory.exponential_average(p, alpha)
    lags = [0, 1, 5, 20]
    products = np.stack([(rate[:, 200] - mean) * (rate[:, 200 + k] - mean) for k in lags], axis=1)
    assert agrees(products, [variance * theory.autocorrelation(alpha, k) for k in lags]).all()


@given(st.floats(0.001, 0.999))
def test_after_its_time_constant_a_decision_weighs_an_e_th(alpha: float) -> None:
    assert (1 - alpha) ** theory.time_constant(alpha) == pytest.approx(math.exp(-1))


@given(shares, shares, st.integers(0, 300), shares)
def test_the_moments_of_an_average_are_those_of_a_number_in_the_unit_interval(
    p: float, alpha: float, n: int, start: float
) -> None:
    mean, variance = theory.exponential_average(p, alpha, n, start)
    assert -1e-12 <= mean <= 1 + 1e-12
    assert 0 <= variance <= mean * (1 - mean) + 1e-12
    if n == 0:
        assert (mean, variance) == (pytest.approx(start), 0)


@st.composite
def synapses(draw: Any) -> mlsdm.SynapseParams:
    decay = draw(st.tuples(*[st.floats(0.02, 1)] * 3))
    return mlsdm.SynapseParams(decay=decay, transfer=draw(st.tuples(shares, shares)))


def memory(params: mlsdm.SynapseParams, gates: str, dim: int) -> mlsdm.MultiLevelSynapticMemory:
    threshold = OPEN if gates == "open" else SHUT
    always = params.replace({"threshold": [threshold, threshold], "gate": "norm"})
    return mlsdm.MultiLevelSynapticMemory(always, dim)


@given(synapses(), st.sampled_from(["open", "closed"]))
def test_one_event_decays_in_the_levels_as_the_closed_form_says(
    params: mlsdm.SynapseParams, gates: Any
) -> None:
    levels = memory(params, gates, 2)
    held = []
    for t in range(13):
        levels.update([1.0, 0.0] if t == 0 else [0.0, 0.0])
        held.append(levels.levels[:, 0])
    np.testing.assert_allclose(theory.level_decay(params, 12, gates), held, atol=3e-6)


@given(synapses(), st.sampled_from(["open", "closed"]))
def test_steady_levels_are_the_sum_of_all_that_decays(
    params: mlsdm.SynapseParams, gates: Any
) -> None:
    trace = theory.level_decay(params, 1500, gates)
    np.testing.assert_allclose(theory.level_steady(params, gates), trace.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        theory.level_power(params, gates), (trace**2).sum(axis=0), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("gates", ["open", "closed"])
def test_levels_settle_under_a_constant_input_and_spread_under_a_random_one(gates: Any) -> None:
    params, dim = mlsdm.SynapseParams(decay=(0.5, 0.1, 0.05)), 64
    constant = memory(params, gates, 1)
    for _ in range(600):
        constant.update([2.0])
    np.testing.assert_allclose(
        constant.levels[:, 0], 2 * theory.level_steady(params, gates), rtol=1e-5
    )
    random = memory(params, gates, dim)
    norms = []
    for t, vector in enumerate(isotropic_units(40_000, dim, seed=8)):
        random.update(vector)
        if t % 200 == 199:  # ten times as long as the slowest level remembers
            norms.append(np.square(random.norms))
    assert agrees(norms, theory.level_power(params, gates)).all()


def test_closed_gates_have_the_known_closed_forms() -> None:
    params = mlsdm.SynapseParams()
    assert theory.level_steady(params) == pytest.approx([2, 0, 0])
    assert theory.level_power(params) == pytest.approx([1 / (1 - 0.5**2), 0, 0])
    np.testing.assert_allclose(theory.level_decay(params, 3)[:, 0], 0.5 ** np.arange(4))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 60), st.integers(0, 9))
def test_the_event_clock_sleeps_exactly_that_share(
    wake: int, sleep: int, n: int, seed: int
) -> None:
    params = mlsdm.RhythmParams(wake_duration=wake, sleep_duration=sleep)
    rhythm = mlsdm.CognitiveRhythm(params)
    asleep = []
    for _ in range(n):
        rhythm.step()
        asleep.append(rhythm.phase == "sleep")
    assert theory.duty_cycle(params, n).asleep == pytest.approx(np.mean(asleep))
    assert theory.duty_cycle(params).asleep == pytest.approx(sleep / (wake + sleep))
    # A whole engine sleeps as much, whatever it accepts.
    values = np.random.default_rng(seed).random(n)
    result = mlsdm.simulate(fixed(0.5).replace({"rhythm": params.to_dict()}), None, values)
    assert (result.phase == "sleep").tolist() == asleep


@pytest.mark.parametrize("accepted", [0.2, 0.5, 1.0])
def test_the_commit_clock_falls_asleep_once_and_for_all(accepted: float) -> None:
    params = mlsdm.RhythmParams(clock="commit", wake_duration=8, sleep_duration=3)
    engine = fixed(1 - accepted).replace({"rhythm": params.to_dict()})
    values = np.random.default_rng(9).random((2000, 400))
    asleep = mlsdm.simulate_many(engine, None, values).phase_codes == 1
    for n in (5, 40, 400):
        expected = theory.duty_cycle(params, n, accepted).asleep
        assert agrees(asleep[:, :n].mean(axis=1), expected).all()
    first = asleep.argmax(axis=1)
    found = theory.duty_cycle(params, acceptance=accepted)
    assert agrees(first + 1, found.wake_events).all()
    assert (found.asleep, found.awake, found.sleep_events) == (1, 0, math.inf)
    assert asleep[:, -1].all()
    assert all(row[start:].all() for row, start in zip(asleep, first, strict=True))


def test_an_engine_that_accepts_nothing_never_sleeps_by_the_commit_clock() -> None:
    params = mlsdm.RhythmParams(clock="commit")
    found = theory.duty_cycle(params, acceptance=0)
    assert (found.asleep, found.wake_events) == (0, math.inf)
    assert theory.duty_cycle(params, 1000, acceptance=0).asleep == 0


BAD = [
    (theory.exponential_average, (1.5, 0.1), "exponential_average.probability"),
    (theory.exponential_average, (0.5, -1), "exponential_average.smoothing"),
    (theory.exponential_average, (0.5, 0.1, -1), "exponential_average.n_events"),
    (theory.autocorrelation, (0.0, 1), "autocorrelation.smoothing: must be above 0"),
    (theory.autocorrelation, (0.1, -1), "autocorrelation.lag"),
    (theory.time_constant, (0,), "time_constant.smoothing"),
    (theory.level_decay, (None, 3), "level_decay.params"),
    (theory.level_steady, (mlsdm.SynapseParams(), "opn"), "did you mean 'open'"),
    (theory.duty_cycle, (None,), "duty_cycle.params"),
    (theory.duty_cycle, (mlsdm.RhythmParams(), 0), "duty_cycle.n_events"),
    (theory.duty_cycle, (mlsdm.RhythmParams(), 9, 2), "duty_cycle.acceptance"),
]


@pytest.mark.parametrize(("function", "arguments", "match"), BAD)
def test_what_is_not_allowed_is_refused_by_name(function: Any, arguments: Any, match: str) -> None:
    with pytest.raises(mlsdm.ParameterError, match=match):
        function(*arguments)
