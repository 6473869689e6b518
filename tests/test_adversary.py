"""Adversarial streams: what they promise of their labels and values, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.engine.moral import MoralFilter
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import (
    FixedParams,
    MoralParams,
    MoralPolicy,
    ProportionalIntegralParams,
    QuantileParams,
    RiskParams,
)
from mlsdm.engine.simulation import simulate
from mlsdm.errors import ParameterError
from mlsdm.streams import Stream, adversary

POLICIES: list[MoralPolicy] = [
    MoralParams(), FixedParams(), ProportionalIntegralParams(), QuantileParams(), RiskParams(),
]  # fmt: skip
MADE: dict[str, Callable[..., Stream]] = {
    "share_shift": adversary.share_shift,
    "slow_drift": adversary.slow_drift,
    "bursts": adversary.bursts,
    "boiling_frog": lambda n, rng, **k: adversary.boiling_frog(n, rng, MoralParams(), **k),
    "seeing": lambda n, rng, **k: adversary.seeing(n, rng, MoralParams(), **k),
}
SCORES = {"toxic": np.array([0.1, 0.3, 0.55, 0.7]), "safe": np.array([0.35, 0.6, 0.9])}


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", MADE)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 80))
def test_values_are_of_their_class_and_a_seed_gives_one_stream(
    name: str, seed: int, n: int
) -> None:
    stream, again = (MADE[name](n, rng(seed)) for _ in range(2))
    values, toxic = stream.moral_values, stream.need_toxic()
    assert len(stream) == n
    assert np.array_equal(values, again.moral_values)
    assert np.array_equal(toxic, again.need_toxic())
    assert ((values[toxic] >= 0.1) & (values[toxic] < 0.4)).all()
    assert ((values[~toxic] >= 0.6) & (values[~toxic] < 0.95)).all()
    assert stream.source.startswith(name)


@pytest.mark.parametrize("name", MADE)
def test_values_may_be_seen_ones(name: str) -> None:
    stream = MADE[name](300, rng(), **SCORES)
    for label, values in ((True, SCORES["toxic"]), (False, SCORES["safe"])):
        assert set(stream.moral_values[stream.need_toxic() == label]) <= set(values)


def test_the_share_shifts_where_it_is_told_to() -> None:
    toxic = adversary.share_shift(300, rng(), shares=(0, 1, 0), at=(40, 90)).need_toxic()
    assert np.flatnonzero(toxic).tolist() == list(range(40, 90))
    toxic = adversary.share_shift(300, rng(), shares=(1, 0)).need_toxic()
    assert np.flatnonzero(toxic).tolist() == list(range(150))


def test_share_and_classes_drift_from_the_first_to_the_last() -> None:
    stream = adversary.slow_drift(
        40_000, rng(), shares=(0.2, 0.6), safe=(0.9, 0.9), later_safe=np.array([0.5])
    )
    toxic = stream.need_toxic()
    tenths = toxic.reshape(10, -1).mean(axis=1)
    assert tenths == pytest.approx(np.linspace(0.22, 0.58, 10), abs=0.03)
    moved = stream.moral_values == 0.5
    moving = [moved[part][~toxic[part]].mean() for part in np.split(np.arange(40_000), 10)]
    assert moving == pytest.approx(np.linspace(0.05, 0.95, 10), abs=0.05)


def test_bursts_have_their_shares_and_lengths() -> None:
    toxic = adversary.bursts(200_000, rng(), shares=(0, 1), lengths=(30, 10)).need_toxic()
    assert not toxic[0]
    ends = np.flatnonzero(np.diff(toxic.astype(int)))
    lengths = np.diff(ends)
    assert lengths[1::2].mean() == pytest.approx(30, rel=0.05)
    assert lengths[::2].mean() == pytest.approx(10, rel=0.05)
    assert lengths[::2].std() == pytest.approx(np.sqrt(90), rel=0.05)  # geometric


def passed(policy: MoralPolicy, stream: Stream, **told: Any) -> Any:
    result = simulate(EngineParams(moral=policy), None, stream.moral_values, **told)
    return result, result.accepted & stream.need_toxic()


def test_the_frog_walks_the_threshold_down_and_passes_half() -> None:
    stream = adversary.boiling_frog(500, rng(), MoralParams())
    result, hits = passed(MoralParams(), stream)
    assert stream.need_toxic().all()
    assert np.flatnonzero(hits)[0] == 4  # events that it takes from 0.5 to below 0.4
    assert hits[100:].mean() == pytest.approx(0.5, abs=0.02)
    assert result.threshold[100:].max() < 0.4
    # at the threshold that each event met, or just below it
    met = np.concatenate([[0.5], result.threshold[:-1]])
    near = np.minimum(met, np.nextafter(0.4, 0))
    assert np.abs(stream.moral_values - near).max() < 1e-12


def test_the_frog_does_not_reckon_with_others() -> None:
    stream = adversary.boiling_frog(2000, rng(), MoralParams(), control=0.5)
    assert stream.need_toxic().mean() == pytest.approx(0.5, abs=0.05)
    assert passed(MoralParams(), stream)[1].mean() < 0.1


@pytest.mark.parametrize(
    ("policy", "delay"),
    [
        (one, delay)
        for one in POLICIES
        for delay in (None, 0, 3)
        if delay is not None or not one.learns
    ],
)
def test_who_sees_the_threshold_knows_what_will_pass(
    policy: MoralPolicy, delay: int | None
) -> None:
    stream = adversary.seeing(300, rng(), policy, delay=delay, **SCORES)
    told = {} if delay is None else {"labels": stream.need_toxic(), "delay": delay}
    result, hits = passed(policy, stream, **told)
    met = np.concatenate([[MoralFilter(policy).threshold], result.threshold[:-1]])
    assert hits.any()
    assert np.array_equal(hits, met <= 0.7)  # its highest toxic value, whenever that passes
    assert (stream.moral_values[hits] == 0.7).all()


def test_a_fixed_threshold_between_the_classes_passes_nothing_toxic() -> None:
    stream = adversary.seeing(200, rng(), FixedParams(threshold=0.5))
    assert not passed(FixedParams(threshold=0.5), stream)[1].any()


def test_who_sees_the_threshold_passes_more_than_chance() -> None:
    policy = MoralParams()
    seen = adversary.seeing(2000, rng(), policy)
    chance = adversary.share_shift(2000, rng(), shares=(seen.need_toxic().mean(),))
    assert passed(policy, seen)[1].mean() > 1.3 * passed(policy, chance)[1].mean()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: adversary.bursts(-1, rng()), r"bursts.n: must be a whole number"),
        (lambda: adversary.bursts(5, 3), r"bursts.rng: must be a numpy.random.Generator"),
        (lambda: adversary.bursts(5, rng(), lengths=(0.5, 2)), r"bursts.lengths: must be at least"),
        (lambda: adversary.bursts(5, rng(), shares=(0.5,)), r"bursts.shares: must be two"),
        (lambda: adversary.share_shift(5, rng(), shares=()), r"share_shift.shares: must hold"),
        (lambda: adversary.share_shift(5, rng(), at=(3, 4)), r"share_shift.at: must be 1 events"),
        (lambda: adversary.share_shift(5, rng(), at=(9,)), r"share_shift.at: must be a whole"),
        (lambda: adversary.slow_drift(5, rng(), shares=(1,)), r"slow_drift.shares: must be two"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), toxic=(0.4, 0.1)), "seeing.toxic: must"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), toxic=(0.4,)), "seeing.toxic: must be"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), safe=np.array([])), "seeing.safe: must"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), safe=np.array([2.0])), "seeing.safe: m"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), control=2), "seeing.control: must be a"),
        (lambda: adversary.seeing(5, rng(), MoralParams(), delay=-1), "seeing.delay: must be a"),
        (lambda: adversary.boiling_frog(5, rng(), 3), "boiling_frog.params: must be MoralPolicy"),
    ],
)
def test_what_is_not_allowed_is_said(made: Callable[[], Stream], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        made()
