"""What a fixed threshold and those of the relay guarantee, over 1,000 streams of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attacking import (
    BLIND,
    CHANCE,
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
from scipy.special import expit
from scipy.stats import binomtest, norm

from mlsdm import (
    ContextualParams,
    EngineParams,
    FixedParams,
    MoralParams,
    simulate_many,
)

# A fixed threshold.


@pytest.mark.parametrize("level", [0.05, 0.2, 0.5, 0.93])
@pytest.mark.parametrize("kind", ["independent", "ties", "one urn", "shifted together"])
def test_a_new_toxic_event_passes_with_at_most_its_probability(level: float, kind: str) -> None:
    """Over draws of what calibrates and of what comes, which may be exchangeable in any way."""
    rng = np.random.default_rng(int(100 * level))
    n = 39
    values = rng.beta(2, 3, (RUNS, n + 1))
    if kind == "ties":
        values = np.round(values, 1)
    elif kind == "one urn":
        values = rng.permuted(np.tile(np.linspace(0, 1, n + 1), (RUNS, 1)), axis=1)
    elif kind == "shifted together":
        values = np.clip(values + rng.normal(0, 0.3, (RUNS, 1)), 1e-6, 1.0 - 1e-6 * values)
    fixed = [FixedParams.calibrated(one[:n], level) for one in values]
    passed = int(sent(fixed, values[:, n:].copy()).accepted.sum())
    assert binomtest(passed, RUNS, level, alternative="greater").pvalue > CHANCE
    if kind in ("independent", "one urn"):  # no ties: not stricter than it must be either
        least = np.floor((n + 1) * level) / (n + 1)
        assert binomtest(passed, RUNS, least, alternative="less").pvalue > CHANCE


def test_a_fixed_threshold_decides_by_the_value_alone() -> None:
    rng = np.random.default_rng(8)
    fixed = [FixedParams(float(one)) for one in 2 * draws(rng)]
    labels = rng.integers(-1, 2, (RUNS, N))
    fleet = sent(fixed, mixed(RUNS, N, rng), labels, delay=3)
    assert np.array_equal(fleet.accepted, fleet.result.moral_values >= fleet.of("threshold"))


# The homeostatic filter, and the contextual one with its thresholds.


def relays(rng: np.random.Generator, kind: Any = MoralParams, **more: float) -> list[Any]:
    low, high = np.sort([draws(rng), draws(rng)], axis=0)
    steps = np.where(rng.random(RUNS) < 0.2, draws(rng), 10 ** rng.uniform(-3, -0.5, RUNS))
    columns = (draws(rng), low, high, draws(rng), draws(rng), draws(rng) / 4, steps, draws(rng))
    return [kind(*map(float, one), **more) for one in zip(*columns, strict=True)]


def assert_bounded(fleet: Fleet) -> None:
    after, values = fleet.result.threshold, fleet.result.moral_values
    low, high = fleet.of("min_threshold"), fleet.of("max_threshold")
    assert ((after >= low) & (after <= high)).all()
    assert (np.abs(after - fleet.met) <= fleet.of("step") + 1e-15).all()
    assert not fleet.accepted[values < low].any()
    assert fleet.accepted[values >= high].all()


@pytest.mark.parametrize("kind", [MoralParams, ContextualParams])
def test_the_threshold_stays_within_bounds_and_moves_a_step(kind: type[MoralParams]) -> None:
    rng = np.random.default_rng(9)
    policies = relays(rng, kind)
    assert_bounded(sent(policies, mixed(RUNS, N, rng)))
    assert_bounded(attacked(policies, wishes(RUNS, N, rng)))


@pytest.mark.long
@pytest.mark.parametrize("kind", BLIND)
def test_the_threshold_over_each_kind_of_stream(kind: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert_bounded(sent(relays(rng), blind(RUNS, N, rng)[kind]))


def test_who_sees_the_homeostatic_threshold_keeps_it_where_they_like() -> None:
    """Within its bounds: so the guarantee says no more than that."""
    relay = [MoralParams()] * 2
    fleet = attacked(relay, np.repeat([[1], [0]], N, axis=1))
    assert fleet.result.threshold[:, -1].tolist() == [0.9, 0.3]
    assert fleet.accepted[0, -1]  # at the upper bound all pass, so that it never comes down
    assert not fleet.accepted[1, -1]


LOCATION, SCALE = 2.5, 2.5  # log odds of a moral value: N(2.5, 2.5²) if safe, N(-2.5, 2.5²) if not


def test_where_the_pool_has_lower_errors_at_each_threshold_both_errors_are_lower() -> None:
    """Two scorers alike: their pool scatters by √2 less. Toxic shares change as they like."""
    rng = np.random.default_rng(10)
    at = np.log(np.linspace(0.3, 0.9, 61) / (1 - np.linspace(0.3, 0.9, 61)))
    for location in (LOCATION, -LOCATION):  # refused if safe; passed if toxic: lower everywhere
        wrong = norm.cdf if location > 0 else norm.sf
        assert (wrong(at, location, SCALE / np.sqrt(2)) < wrong(at, location, SCALE)).all()
    turns = rng.random((RUNS, N)) < 0.01
    shares = np.where(np.cumsum(turns, axis=1) % 2 == 1, *rng.random((2, RUNS, 1)))
    toxic = rng.random((RUNS, N)) < shares
    odds = np.where(toxic, -LOCATION, LOCATION)
    values, contexts = (expit(rng.normal(odds, SCALE)) for _ in range(2))
    told = {"context": contexts}
    alone = simulate_many(EngineParams(), None, values)
    both = simulate_many(EngineParams(moral=ContextualParams(weight=0.5)), None, values, **told)
    assert both.threshold.tobytes() == alone.threshold.tobytes()
    for of_class, of_pool, of_value in (
        (toxic, both.accepted, alone.accepted),
        (~toxic, ~both.accepted, ~alone.accepted),
    ):
        fewer = (of_value & of_class).sum(axis=1) - 1.0 * (of_pool & of_class).sum(axis=1)
        assert fewer.mean() > 5 * fewer.std(ddof=1) / np.sqrt(RUNS)
        rare = of_class.mean(axis=1)
        for tenth in np.array_split(np.argsort(rare), 10):  # at low shares as at high ones
            assert fewer[tenth].mean() > 0


def test_its_errors_are_the_means_over_its_thresholds() -> None:
    """As the proof has it: what is expected at the threshold that each event met."""
    rng = np.random.default_rng(11)
    toxic = rng.random((RUNS, N)) < 0.4
    odds = np.where(toxic, -LOCATION, LOCATION)
    values, contexts = (expit(rng.normal(odds, SCALE)) for _ in range(2))
    policy = ContextualParams(weight=0.5)
    told: dict[str, Any] = {"context": contexts}
    result = simulate_many(EngineParams(moral=policy), None, values, **told)
    met = np.hstack([np.full((RUNS, 1), 0.5), result.threshold[:, :-1]])
    at = np.log(met / (1 - met))
    passing = norm.sf(at, -LOCATION, SCALE / np.sqrt(2))
    off = (result.accepted - passing)[toxic]
    assert abs(off.mean()) < 4 * off.std() / np.sqrt(off.size)
