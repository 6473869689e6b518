"""What each policy guarantees, over 1,000 streams of each kind that it is claimed for.

The parameters are drawn anew for each stream; where the claim is for any stream, there are also
some that are sent by who sees the threshold, and ends of the scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attacking import (
    BLIND,
    CHANCE,
    NEARLY,
    OWN,
    RUNS,
    Fleet,
    N,
    attacked,
    blind,
    draws,
    mixed,
    sent,
    wishes,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from support import policies

from mlsdm import (
    EngineParams,
    MoralFilter,
    MoralPolicy,
    ProportionalIntegralParams,
    QuantileParams,
    RiskParams,
    simulate,
)


def tracking(kind: str, rng: np.random.Generator) -> list[MoralPolicy]:
    """Return policies with any parameters, gains from slow to larger than the scale."""
    gains = 10 ** rng.uniform(-3, 0.5, RUNS)
    shares = zip(draws(rng), draws(rng), draws(rng), draws(rng), gains, strict=True)
    if kind == "quantile":
        return [QuantileParams(float(a), float(g), float(b)) for a, b, _, _, g in shares]
    return [
        ProportionalIntegralParams(float(a), float(p), float(g), float(s), float(b))
        for a, b, p, s, g in shares
    ]


def strays(fleet: Fleet) -> NDArray[np.float64]:
    """Return by how many events what is accepted so far is off the target, after each event."""
    counted: NDArray[np.float64] = np.cumsum(fleet.accepted - fleet.of("target_rate"), axis=1)
    return counted


def room(fleet: Fleet) -> NDArray[np.float64]:
    """Return the events that the bound leaves, which are as many whatever n is."""
    each: Any = fleet.policies
    return np.array([[one.bound(1)] for one in each])


def assert_tracked(fleet: Fleet) -> None:
    """After each event of each stream, not only at its end."""
    assert fleet.accepted.shape == (RUNS, N)
    assert (np.abs(strays(fleet)) <= room(fleet) + NEARLY).all()


@pytest.mark.parametrize("kind", ["quantile", "proportional-integral"])
def test_the_share_accepted_is_within_its_bound_of_any_stream(kind: str) -> None:
    rng = np.random.default_rng(1)
    policies = tracking(kind, rng)
    assert_tracked(sent(policies, mixed(RUNS, N, rng)))
    assert_tracked(attacked(policies, wishes(RUNS, N, rng)))
    first: Any = policies[0]
    assert first.bound(7) == pytest.approx(first.bound(1) / 7)


@pytest.mark.long
@pytest.mark.parametrize("policy", ["quantile", "proportional-integral"])
@pytest.mark.parametrize("kind", BLIND)
def test_the_share_accepted_over_each_kind_of_stream(policy: str, kind: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert_tracked(sent(tracking(policy, rng), blind(RUNS, N, rng)[kind]))


@pytest.mark.parametrize("gain", [0.02, 0.3])
def test_the_bound_of_quantile_tracking_is_met_to_one_event(gain: float) -> None:
    """By who has everything pass, or nothing: so it is not looser than it must be."""
    rng = np.random.default_rng(5)
    policies = [QuantileParams(t, gain, b) for t, b in rng.uniform(0.1, 0.9, (RUNS, 2)).tolist()]
    up, down = (
        np.abs(strays(attacked(policies, np.full((RUNS, N), wish)))).max(axis=1) for wish in (1, 0)
    )
    bounds = np.array([one.bound(1) for one in policies])
    worst = np.maximum(up, down)
    assert (worst <= bounds + NEARLY).all()
    assert (worst > bounds - 1).all()


def test_the_threshold_of_quantile_tracking_leaves_the_scale_by_its_gain() -> None:
    rng = np.random.default_rng(6)
    fleet = attacked(tracking("quantile", rng), wishes(RUNS, N, rng))
    gain, target = fleet.of("gain"), fleet.of("target_rate")
    assert (fleet.result.threshold <= 1 + gain * (1 - target) + NEARLY).all()
    assert (fleet.result.threshold >= -gain * target - NEARLY).all()
    assert (fleet.met > 1).any()
    assert (fleet.met < 0).any()


# The share of toxic events that pass.


def controlling(rng: np.random.Generator, weighted: bool = False) -> list[RiskParams]:
    weights = draws(rng) if weighted else np.zeros(RUNS)
    gains = 10 ** rng.uniform(-3, 0.5, RUNS)
    columns = (draws(rng), gains, draws(rng), weights)
    return [RiskParams(*map(float, one)) for one in zip(*columns, strict=True)]


def excess(fleet: Fleet) -> NDArray[np.float64]:
    """Return how many events beyond α passed so far of those labelled toxic, told or not."""
    beyond = fleet.accepted - fleet.of("max_toxic_passed")
    counted: NDArray[np.float64] = np.cumsum(np.where(fleet.labels == 1, beyond, 0.0), axis=1)
    return counted


def allowed(fleet: Fleet, pending: int) -> NDArray[np.float64]:
    each: Any = fleet.policies
    return np.array([[one.bound(1, pending)] for one in each])


def labelled(rng: np.random.Generator) -> NDArray[np.int8]:
    """Return labels that are all known or sparse, of any toxic share."""
    truth = rng.random((RUNS, N)) < rng.random((RUNS, 1))
    known = rng.random((RUNS, N)) < rng.choice([0.1, 0.5, 1.0], (RUNS, 1))
    return np.where(known, truth, -1).astype(np.int8)


def assert_controlled(fleet: Fleet, delay: int) -> None:
    assert fleet.accepted.shape == (RUNS, N)
    assert (excess(fleet) <= allowed(fleet, delay) + NEARLY).all()


def contexts(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.choice([0.0, 1.0, 0.3, 0.8], (RUNS, N))


@pytest.mark.parametrize("delay", [0, 1, 30])
def test_the_share_of_toxic_events_passed_is_within_its_bound(delay: int) -> None:
    """Of those that are labelled, whether they have been told or are among the last."""
    rng = np.random.default_rng(delay)
    weighted, policies = controlling(rng, weighted=True), controlling(rng)
    known = labelled(rng)
    fleet = sent(weighted, mixed(RUNS, N, rng), known, contexts(rng), delay)
    assert_controlled(fleet, delay)
    # The attacker's own are toxic and labelled; the others' are as they come.
    own = rng.random((RUNS, N)) < rng.choice([0.5, 1.0], (RUNS, 1))
    hopes = np.where(rng.random((RUNS, 1)) < 0.5, 1, wishes(RUNS, N, rng))
    values, labels = rng.random((RUNS, N)), np.where(own, 1, known)
    assert_controlled(attacked(policies, np.where(own, hopes, OWN), labels, values, delay), delay)


@pytest.mark.long
@pytest.mark.parametrize("delay", [0, 3, 100])
@pytest.mark.parametrize("kind", BLIND)
def test_the_share_of_toxic_events_passed_over_each_kind_of_stream(kind: str, delay: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values = blind(RUNS, N, rng)[kind]
        fleet = sent(controlling(rng, True), values, labelled(rng), contexts(rng), delay)
        assert_controlled(fleet, delay)


@pytest.mark.parametrize("delay", [0, 1, 7])
def test_the_bound_of_risk_control_is_met(delay: int) -> None:
    """From a threshold of 1 on, by the events that are decided before the first label comes."""
    policy = RiskParams(0.25, 0.125, 1.0)
    fleet = attacked([policy], np.ones((1, 60), int), np.ones((1, 60), int), delay=delay)
    assert excess(fleet).max() == policy.bound(1, delay) == 0.75 * (1 + delay)


@given(
    policies("risk"),
    st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.integers(0, 9)), max_size=80),
)
def test_labels_may_come_in_any_order(policy: Any, events: list[tuple[bool, float, int]]) -> None:
    """At most so many wait while an event is decided; some of them for good."""
    moral, waiting, most, beyond = MoralFilter(policy), [], 0, 0.0
    for seen, value, told in events:
        sent_value = min(max(moral.threshold, 0.0), 1.0) if seen else value
        context = 1.0 if seen else value
        most = max(most, len(waiting))
        accepted = moral.accept(sent_value, context)
        moral.adapt(accepted, sent_value, context)
        waiting.append((accepted, sent_value, context))
        beyond += accepted - policy.max_toxic_passed
        for place in range(told):
            if waiting:
                decided, *event = waiting.pop(place * 7 % len(waiting))
                moral.learn(decided, True, *event)
        assert beyond <= policy.bound(1, most) + NEARLY


@pytest.mark.parametrize(
    ("labelled", "failure", "delay"), [(0.1, 0.05, 0), (0.3, 0.5, 5), (0.9, 0.2, 0)]
)
@pytest.mark.parametrize("gain", [0.02, 0.5])
def test_the_bound_on_all_fails_as_rarely_as_it_says(
    labelled: float, failure: float, delay: int, gain: float
) -> None:
    """Of those without a label too: against who passes what can pass, and by chance."""
    rng = np.random.default_rng(int(100 * labelled))
    policy = RiskParams(0.2, gain, 0.5)
    bound = policy.bound_on_all(N, labelled, failure, delay)
    for hopes in (np.ones((RUNS, N), int), wishes(RUNS, N, rng)):
        known = np.where(rng.random((RUNS, N)) < labelled, 1, -1)
        fleet = attacked([policy] * RUNS, hopes, known, delay=delay)
        failed = int((fleet.accepted.mean(axis=1) > 0.2 + bound).sum())
        assert binomtest(failed, RUNS, failure, alternative="greater").pvalue > CHANCE


def test_the_bound_on_all_is_not_empty() -> None:
    """With few labels, half of the attacks pass more than the bound on those labelled allows."""
    rng = np.random.default_rng(1)
    policy = RiskParams(0.2, 0.5, 0.5)
    known = np.where(rng.random((RUNS, N)) < 0.1, 1, -1)
    fleet = attacked([policy] * RUNS, np.ones((RUNS, N), int), known)
    shares = fleet.accepted.mean(axis=1)
    assert (shares > 0.2 + policy.bound(N)).mean() > 0.2
    assert policy.bound_on_all(10**6, 0.1) < 0.02
    assert policy.bound_on_all(N, 1.0, 1.0) == policy.bound(N)


@pytest.mark.parametrize("kind", ["quantile", "proportional-integral"])
@given(st.data())
def test_the_share_accepted_of_streams_that_hypothesis_looks_for(kind: str, data: Any) -> None:
    policy = data.draw(policies(kind))
    values = data.draw(
        st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=80)
    )
    accepted = simulate(EngineParams(moral=policy), None, values).accepted
    counted = np.abs(np.cumsum(accepted - policy.target_rate))
    for n, off in enumerate(counted, 1):
        assert off / n <= policy.bound(n) + NEARLY
