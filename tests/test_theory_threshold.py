"""The filter's long-run averages: solvable cases, invariants, and long simulations beside them."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from support import moral_params

import mlsdm
from mlsdm import (
    POLICIES,
    ContextualParams,
    EngineParams,
    FixedParams,
    MoralParams,
    ParameterError,
    moral_policy,
)
from mlsdm.analysis.metrics import false_positives, period, toxic_passed
from mlsdm.analysis.theory import (
    labelled,
    stationary,
    uniforms,
)  # fmt: skip
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import moral as rules
from mlsdm.streams import moral_stream

TYPICAL = ((0.3, 0.1, 0.4), (0.7, 0.6, 0.95))  # as `moral_stream` draws them
SHARES = ("toxic_passed", "safe_refused", "acceptance")


def run(moral, values):
    return mlsdm.simulate(EngineParams(moral=moral), None, values, progress=False)


def drawn(parts, rng, n):
    """Return values of a mixture of uniforms."""
    weights, low, high = np.array(parts).T
    which = rng.choice(len(parts), n, p=weights / weights.sum())
    return low[which] + (high - low)[which] * rng.random(n)


def shares_of(result, toxic, safe):
    """Return what `stationary` expects, of a run."""
    return [
        toxic_passed(result, toxic), false_positives(result, ~safe), result.accepted.mean()
    ]  # fmt: skip


def expected(found):
    return [getattr(found, name) for name in SHARES]


# What can be solved by hand.


def test_a_constant_stream_has_the_cycle_of_its_simulation():
    for value in (0.35, 0.5, 0.65, 0.8):
        found = stationary(MoralParams(), [value])
        result = run(MoralParams(), np.full(4000, value))
        tail = result.threshold[2000:]
        assert found.period == pytest.approx(period(result.threshold))
        assert found.acceptance == pytest.approx(result.accepted[2000:].mean(), abs=1e-9)
        assert found.amplitude == pytest.approx(np.ptp(tail) / 2, abs=1e-9)
        assert found.threshold_values == pytest.approx(np.unique(tail), abs=1e-9)
        assert found.mixing_time == np.inf


def test_with_the_newest_decision_alone_it_is_a_birth_and_death_chain():
    """Detailed balance of a walk on 0.3, 0.35, … 0.9 that moves with every event."""
    moral = MoralParams(smoothing=1.0)
    found = stationary(moral, uniforms((1, 0, 1)))
    thresholds = np.linspace(0.3, 0.9, 13)
    weights = np.ones(13)
    for i in range(1, 13):
        weights[i] = weights[i - 1] * (1 - thresholds[i - 1]) / thresholds[i]
    weights /= weights.sum()
    assert found.threshold_values == pytest.approx(thresholds, abs=1e-9)
    assert found.threshold_probabilities == pytest.approx(weights, abs=1e-9)
    assert found.acceptance == pytest.approx(weights @ (1 - thresholds), abs=1e-9)
    assert found.error_bound < 1e-6


def test_a_smoothing_of_0_never_forgets_the_initial_rate():
    values = uniforms((1, 0, 1))
    for rate, threshold in ((0.5, 0.5), (0.9, 0.9), (0.1, 0.3), (0.54, 0.5)):
        found = stationary(MoralParams(smoothing=0.0, initial_rate=rate), values)
        assert found.threshold_values[found.threshold_probabilities > 0.5] == pytest.approx(
            [threshold]
        )
        assert found.acceptance == pytest.approx(1 - threshold, abs=1e-9)


@pytest.mark.parametrize(
    "resting",
    [
        {"step": 0.0},
        {"dead_band": 1.0},
        {"min_threshold": 0.5, "max_threshold": 0.5},
        {"dead_band": 0.5},
    ],
)
def test_a_threshold_that_cannot_move_decides_alone(resting):
    found = stationary(MoralParams(**resting), uniforms((1, 0, 1)), 0.6, 0.7)
    assert found.threshold_values == pytest.approx([0.5])
    assert expected(found) == pytest.approx([1 / 6, 0.0, 0.5], abs=1e-9)
    assert (found.period, found.amplitude, found.mixing_time) == (np.inf, 0, 0)


def test_targets_that_are_never_met_carry_the_threshold_to_its_bounds():
    values = uniforms((1, 0, 1))
    strict = stationary(MoralParams(target_rate=0.0, dead_band=0.0), values)
    free = stationary(MoralParams(target_rate=1.0, dead_band=0.0), values)
    assert strict.acceptance == pytest.approx(0.1, abs=1e-6)
    assert free.acceptance == pytest.approx(0.7, abs=1e-6)


def test_it_may_end_in_several_places_each_with_its_probability():
    """It only falls, and stays where it is once the average has come back into the dead band."""
    moral = MoralParams(
        target_rate=0.9, dead_band=0.15, min_threshold=0.0, smoothing=0.3, initial_rate=0.9
    )
    found = stationary(moral, [0.325, 0.8])
    rng = np.random.default_rng(3)
    values = rng.choice([0.325, 0.8], (20_000, 300))
    runs = mlsdm.simulate_many(EngineParams(moral=moral), None, values)
    ends, counts = np.unique(runs.threshold[:, -1].round(6), return_counts=True)
    assert len(ends) > 2
    for value, count in zip(ends, counts, strict=True):
        (chance,) = found.threshold_probabilities[np.abs(found.threshold_values - value) < 1e-6]
        assert scipy.stats.binomtest(int(count), 20_000, chance).pvalue > 1e-3
    assert found.acceptance == pytest.approx(1.0, abs=1e-9)


def test_chance_may_lead_to_cycles_without_chance():
    """No step from the lower bound on lies between the two values; the first threshold does."""
    moral = MoralParams(initial_threshold=0.355, smoothing=0.03)
    found = stationary(moral, [0.35, 0.36])
    values = np.random.default_rng(0).choice([0.35, 0.36], (100, 20_000))
    runs = mlsdm.simulate_many(EngineParams(moral=moral), None, values).threshold[:, 10_000:]
    upward = np.mean((runs[:, :-1] < runs.mean()) & (runs[:, 1:] >= runs.mean()))
    assert found.period == pytest.approx(1 / upward, rel=0.05)
    assert found.acceptance == pytest.approx(0.5)
    assert found.threshold_values @ found.threshold_probabilities == pytest.approx(
        runs.mean(), abs=1e-4
    )


def test_thresholds_that_rounding_alone_tells_apart_are_one():
    law = labelled(0.3, scipy.stats.beta(3, 5), scipy.stats.beta(5, 3))
    found = stationary(MoralParams(step=0.01, target_rate=0.3), law)
    assert found.threshold_values == pytest.approx(np.linspace(0.3, 0.9, 61))
    assert found.mixing_time < 100


def test_values_exactly_on_thresholds_pass_as_the_floats_of_the_rule_say():
    """0.5 + 0.05 + 0.05 is above 0.6, so 0.6 does not pass there."""
    values = np.array([0.3, 0.35, 0.45, 0.6, 0.6, 0.7, 0.75, 0.85])
    found = stationary(MoralParams(), values, 0.4, 0.6)
    draws = np.random.default_rng(5).choice(values, 4_000_000)
    result = run(MoralParams(), draws)
    observed = shares_of(result, draws < 0.4, draws > 0.6)
    assert expected(found) == pytest.approx(observed, abs=found.error_bound + 1.5e-3)
    law = dict(zip(found.threshold_values, found.threshold_probabilities, strict=True))
    assert len([t for t in law if abs(t - 0.6) < 1e-9]) > 1


def test_a_value_on_a_bound_is_neither_toxic_nor_safe():
    still = MoralParams(step=0.0, initial_threshold=0.5)
    found = stationary(still, [0.2, 0.4, 0.6, 0.8], 0.4, 0.6)
    assert expected(found) == pytest.approx([0.0, 0.0, 0.5])
    assert np.isnan(stationary(still, [0.4, 0.6]).toxic_passed)
    assert np.isnan(stationary(still, [0.4, 0.6]).safe_refused)


# Streams.


def test_one_law_said_in_several_ways_is_one_law():
    by_hand = stationary(MoralParams(), uniforms((3, 0.1, 0.4), (7, 0.6, 0.95)))
    by_label = stationary(
        MoralParams(),
        labelled(0.3, scipy.stats.uniform(0.1, 0.3), uniforms((1, 0.6, 0.95))),
    )
    assert expected(by_label) == pytest.approx(expected(by_hand), abs=1e-9)
    assert by_label.threshold_probabilities == pytest.approx(by_hand.threshold_probabilities)
    assert by_label.mixing_time == by_hand.mixing_time


def test_a_discrete_law_has_atoms():
    coin = scipy.stats.bernoulli(0.7)
    assert expected(stationary(MoralParams(), coin)) == pytest.approx(
        expected(stationary(MoralParams(), [0.0] * 3 + [1.0] * 7)), abs=1e-9
    )
    assert expected(stationary(MoralParams(), uniforms((3, 0, 0), (7, 1, 1)))) == pytest.approx(
        expected(stationary(MoralParams(), coin)), abs=1e-9
    )


def test_a_labelled_stream_is_judged_by_its_labels():
    stream = moral_stream(2000, 0.3)
    own = stationary(MoralParams(), stream)
    assert expected(own) == pytest.approx(
        expected(stationary(MoralParams(), stream.moral_values)), abs=1e-9
    )
    nothing_toxic = stationary(MoralParams(), moral_stream(2000, 0.0))
    assert np.isnan(nothing_toxic.toxic_passed)
    assert nothing_toxic.acceptance == pytest.approx(1 - nothing_toxic.safe_refused)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stationary(MoralParams(), [0.5, 1.5]), r"must be numbers in \[0, 1\] \(got 1.5\)"),
        (lambda: stationary(MoralParams(), [0.5, np.nan]), "got nan"),
        (lambda: stationary(MoralParams(), []), "at least one event"),
        (lambda: stationary(MoralParams(), scipy.stats.norm(0.5, 0.2)), "law of values in"),
        (lambda: stationary(MoralParams(), "text"), "moral_values"),
        (lambda: stationary(MoralParams(), [0.5], 0.7, 0.6), "toxic_below: must be at most"),
        (lambda: stationary(EngineParams(), [0.5]), "stationary.moral: must be a policy"),
        (lambda: stationary(MoralParams(step=1e-5), [0.5]), "at most 20000 thresholds"),
        (lambda: uniforms((1, 0.5)), r"parts\[0\]: must be"),
        (lambda: uniforms((1, 0.5, 0.4)), "low: must be at most high"),
        (lambda: uniforms((-1, 0.5, 0.6)), "weight: must be"),
        (lambda: uniforms(("a", 0.5, 0.6)), "weight: must be"),
        (lambda: uniforms(), "weights must sum"),
        (lambda: labelled(1.5, [0.1], [0.9]), "labelled.share"),
        (lambda: labelled(0.5, [], [0.9]), "labelled.toxic"),
    ],
)
def test_what_is_not_allowed_is_refused_in_a_sentence(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


# Invariants.


@given(moral_params(), st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=25)
def test_whatever_the_parameters_shares_are_shares_and_agree(given_params, values):
    moral = MoralParams.from_dict(given_params)
    found = stationary(moral, values, 0.5, 0.5)
    law, thresholds = found.threshold_probabilities, found.threshold_values
    assert law.sum() == pytest.approx(1.0)
    assert (law >= 0).all()
    assert (np.diff(thresholds) > 0).all()
    assert thresholds[0] >= moral.min_threshold
    assert thresholds[-1] <= moral.max_threshold
    passes = np.mean([np.array(values) >= t for t in thresholds], axis=1)
    assert found.acceptance == pytest.approx(law @ passes, abs=1e-9)
    toxic, safe = np.mean(np.array(values) < 0.5), np.mean(np.array(values) > 0.5)
    if toxic + safe == 1:
        parts = [toxic * found.toxic_passed if toxic else 0]
        parts += [safe * (1 - found.safe_refused) if safe else 0]
        assert found.acceptance == pytest.approx(sum(parts), abs=1e-9)
    assert found.period >= 2
    assert 0 <= found.amplitude <= 0.5
    assert found.mixing_time >= 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_rule_accepts_from_the_threshold_on(value, threshold):
    """What the chances of acceptance are made of."""
    rule = layout.new_constants(**MoralParams().rule)[0]
    at = min(max(threshold, 0.3), 0.9)
    assert rules.accept(value, at, rule) == (value >= at)


def test_it_says_what_it_found():
    found = stationary(MoralParams(), uniforms(*TYPICAL))
    assert "13 thresholds" in repr(found)
    assert "13, 0.3 to 0.9" in found._repr_html_()
    assert "toxic_passed" in found._repr_html_()


def test_only_the_homeostatic_rule_has_its_long_run(monkeypatch):
    monkeypatch.setattr(POLICIES, "_held", dict(POLICIES._held))

    @moral_policy("strict")
    class Strict(MoralParams):
        """The published rule with another target."""

        target_rate: float = 0.3

    values = np.array([0.2, 0.8])
    own, known = stationary(Strict(), values), stationary(MoralParams(target_rate=0.3), values)
    assert own.acceptance == known.acceptance
    said = r"^stationary\.moral: must be a policy that follows the homeostatic rule"
    for other in (ContextualParams(), FixedParams(), 3):
        with pytest.raises(ParameterError, match=said):
            stationary(other, values)
