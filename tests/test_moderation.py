"""Policies side by side: errors, fronts, regret, and what nobody can do with one value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import (
    ContextualParams,
    DataError,
    EngineParams,
    FixedParams,
    MoralParams,
    ParameterError,
    RiskParams,
    Stream,
    simulate,
)
from mlsdm.analysis import metrics, moderation, plots, theory
from mlsdm.engine.policies.pooling import log_odds
from mlsdm.streams import follow, matched, resample
from mlsdm.streams.matched import _log_odds as log_odds_of_all

values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def made(n: int = 300, seed: int = 0, contexts: bool = True) -> Stream:
    """Return a labelled stream whose classes overlap."""
    rng = np.random.default_rng(seed)
    toxic = rng.random(n) < 0.4
    scores = [np.where(toxic, rng.beta(2, 4, n), rng.beta(4, 2, n)) for _ in range(2)]
    return Stream(scores[0], toxic=toxic, context=scores[1] if contexts else None)


def test_errors_are_those_of_each_run_alone() -> None:
    streams = [made(seed=seed) for seed in range(4)]
    policies = {"published": MoralParams(), "pooled": ContextualParams()}
    table = moderation.errors(policies, streams, np.random.default_rng(0))
    assert len(table) == 8
    for row in table.itertuples():
        stream = streams[row.seed]
        params = EngineParams(moral=policies[row.policy])
        alone = simulate(params, None, stream.moral_values, context=stream.context)
        assert row.toxic_passed == metrics.toxic_passed(alone, stream.need_toxic())
        assert row.safe_refused == metrics.false_positives(alone, stream.need_toxic())
        assert row.accepted == alone.accepted.mean()


def test_all_policies_are_told_the_same_labels_and_only_so_many() -> None:
    streams = [made(2000, seed) for seed in range(3)]
    both = {"one": RiskParams(), "other": RiskParams()}
    table = moderation.errors(both, streams, np.random.default_rng(1), labelled=0.3, delay=20)
    one, other = (rows.drop(columns="policy") for _, rows in table.groupby("policy"))
    assert one.reset_index(drop=True).equals(other.reset_index(drop=True))
    untold = moderation.decisions(RiskParams(), streams, np.random.default_rng(1), labelled=0.0)
    assert np.ptp(untold.threshold) == 0.0


def test_streams_must_go_together() -> None:
    rng = np.random.default_rng(0)
    for streams in ([made(10), made(11)], [made(10), made(10, contexts=False)]):
        with pytest.raises(ParameterError, match=r"^decisions\.streams: must be of one length"):
            moderation.decisions(MoralParams(), streams, rng)


def test_errors_at_thresholds_are_counted() -> None:
    stream, policy = made(500), ContextualParams(weight=0.3, caution=0.2)
    table = moderation.errors_at_thresholds(policy, stream, [0.4, 0.6])
    pooled = policy.pooled(stream.moral_values, stream.context)
    row = table[(table.threshold == 0.6) & (table.measure == "safe_refused")].iloc[0]
    safe = ~stream.need_toxic()
    assert row.alone == (stream.moral_values[safe] < 0.6).mean()
    assert row.pooled == (pooled[safe] < 0.6).mean()
    assert row["mean"] == pytest.approx(row.pooled - row.alone)
    assert row.low < row["mean"] < row.high
    with pytest.raises(DataError, match="needs contexts"):
        moderation.errors_at_thresholds(policy, made(contexts=False), [0.5])


def test_without_weight_and_caution_the_pool_is_the_value() -> None:
    same = ContextualParams(weight=0.0).pooled([0.0, 0.3, 1.0], [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(same, [0.0, 0.3, 1.0])
    half = ContextualParams(weight=0.5).pooled([0.2, 0.5], [0.8, 0.5])
    np.testing.assert_allclose(half, 0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_regret_ends_at_what_the_best_threshold_would_have_saved(
    events: list[tuple[float, bool]],
) -> None:
    scores = np.array([value for value, _ in events])
    toxic = np.array([label for _, label in events])
    result = simulate(EngineParams(moral=FixedParams(threshold=0.5)), None, scores)
    costs = [
        int(((scores >= threshold) & toxic).sum() + ((scores < threshold) & ~toxic).sum())
        for threshold in [*scores, 2.0]
    ]
    mine = int(((scores >= 0.5) == toxic).sum())
    regret = moderation.regret(result, toxic)
    assert len(regret) == len(events)
    assert regret.iloc[-1] == mine - min(costs)


def test_regret_is_the_mean_over_a_fleet_and_refuses_other_shapes() -> None:
    streams = [made(seed=seed) for seed in range(3)]
    fleet = moderation.decisions(MoralParams(), streams, np.random.default_rng(0))
    labels = np.stack([stream.need_toxic() for stream in streams])
    each = [moderation.regret(fleet.run(i), labels[i]) for i in range(3)]
    np.testing.assert_allclose(moderation.regret(fleet, labels), np.mean(each, axis=0))
    with pytest.raises(ParameterError, match=r"^regret\.toxic: must be of the shape"):
        moderation.regret(fleet, labels[:2])


def test_the_front_holds_what_nothing_is_better_than() -> None:
    table = pd.DataFrame(
        {"toxic_passed": [0.1, 0.2, 0.3, 0.1], "safe_refused": [0.4, 0.2, 0.2, 0.5]}
    )
    assert moderation.pareto(table).tolist() == [True, True, False, False]
    with pytest.raises(ParameterError, match=r"^pareto\.table: has no column 'safe_refused'"):
        moderation.pareto(table[["toxic_passed"]])


@given(values, values, st.lists(st.floats(0, 1), min_size=1, max_size=5), st.data())
def test_no_mixture_of_thresholds_is_below_the_frontier(
    toxic: list[float], safe: list[float], thresholds: list[float], data: st.DataObject
) -> None:
    line = theory.frontier(toxic, safe)
    weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=5, max_size=5)))
    weights = weights[: len(thresholds)] / weights[: len(thresholds)].sum()
    passed = sum(
        w * np.mean(np.array(toxic) >= t) for w, t in zip(weights, thresholds, strict=True)
    )
    refused = sum(w * np.mean(np.array(safe) < t) for w, t in zip(weights, thresholds, strict=True))
    assert line.room(min(passed, 1.0), min(refused, 1.0)) >= -1e-12


def test_the_frontier_is_the_convex_hull_of_the_fixed_thresholds() -> None:
    line = theory.frontier([0.1, 0.2, 0.6], [0.4, 0.7, 0.9])
    np.testing.assert_allclose(line.safe_refused, [0, 1 / 3, 1])
    np.testing.assert_allclose(line.toxic_passed, [1 / 3, 0, 0])
    assert line.room(1 / 3, 1 / 3) == pytest.approx(1 / 6)
    assert line.room(1 / 3, 0.0) == pytest.approx(0.0)
    with pytest.raises(ParameterError, match=r"^frontier\.safe: must hold at least one value"):
        theory.frontier([0.1], [])


def test_the_published_filter_stays_on_its_side_of_the_frontier() -> None:
    stream = made(4000)
    toxic = stream.need_toxic()
    line = theory.frontier(stream.moral_values[toxic], stream.moral_values[~toxic])
    drawn = [resample(stream, 5000, 0.4, np.random.default_rng(seed)) for seed in range(20)]
    table = moderation.errors({"it": MoralParams()}, drawn, np.random.default_rng(0))
    passed, refused = table[["toxic_passed", "safe_refused"]].mean()
    assert line.room(passed, refused) > 0.01


def test_follow_keeps_the_labels_and_draws_of_their_class() -> None:
    stream = made()
    labels = np.random.default_rng(3).random(500) < 0.7
    got = follow(stream, labels, np.random.default_rng(4))
    np.testing.assert_array_equal(got.toxic, labels)
    for wanted in (True, False):
        among = set(stream.moral_values[stream.need_toxic() == wanted])
        assert set(got.moral_values[labels == wanted]) <= among
    pairs = set(zip(stream.moral_values, stream.context, strict=True))  # type: ignore[arg-type]
    assert set(zip(got.moral_values, got.context, strict=True)) <= pairs  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"^follow\.toxic: must be bools"):
        follow(stream, [0, 1], np.random.default_rng(0))
    with pytest.raises(DataError, match="no toxic event to draw from"):
        follow(Stream(np.ones(2), toxic=np.zeros(2, bool)), [True], np.random.default_rng(0))


def test_a_matched_stream_overlaps_as_its_model_does() -> None:
    stream = made(20_000)
    got = matched(stream, 40_000, 0.25, np.random.default_rng(5))
    assert got.need_toxic().mean() == 0.25
    for wanted in (True, False):
        for name in ("moral_values", "context"):
            theirs = getattr(stream, name)[stream.need_toxic() == wanted]
            ours = getattr(got, name)[got.need_toxic() == wanted]
            odds = [np.log(one / (1 - one)) for one in (theirs, ours)]
            assert np.mean(odds[1]) == pytest.approx(np.mean(odds[0]), abs=0.05)
            assert np.std(odds[1]) == pytest.approx(np.std(odds[0]), abs=0.05)
    assert matched(made(contexts=False), 5, 0.5, np.random.default_rng(0)).context is None
    with pytest.raises(DataError, match="needs two toxic events"):
        matched(Stream(np.ones(9), toxic=np.arange(9) < 1), 5, 0.5, np.random.default_rng(0))


@given(st.floats(0, 1))
def test_a_sure_value_counts_as_nearly_so_in_pools_and_in_matched_streams(value: float) -> None:
    (odds,) = log_odds_of_all(np.array([value]))
    assert odds == pytest.approx(log_odds(value), rel=1e-12)


def test_the_pictures_show_every_policy_and_stream() -> None:
    rng, streams = np.random.default_rng(0), [made(seed=seed) for seed in range(3)]
    policies = {"published": MoralParams(), "fixed": FixedParams()}
    rows = [
        {"stream": s, "policy": p, "measure": m, "mean": 0.1, "low": 0.05, "high": 0.2}
        for s in ("a", "b")
        for p in policies
        for m in ("toxic_passed", "safe_refused")
    ]
    planes = plots.policy_planes(pd.DataFrame(rows), "title")
    assert [axis.get_title("left") for axis in planes.axes] == ["a", "b"]
    assert [text.get_text() for text in planes.legends[0].texts] == list(policies)
    shares = [{**row, "toxic_share": share} for row in rows[:2] for share in (0.2, 0.6)]
    (panel,) = plots.margins(pd.DataFrame(shares)).axes
    assert [line.get_label() for line in panel.get_lines()[1:]] == ["toxic passed", "safe refused"]
    labels = np.stack([stream.need_toxic() for stream in streams])
    curves = {
        name: moderation.regret(moderation.decisions(policy, streams, rng), labels)
        for name, policy in policies.items()
    }
    (panel,) = plots.regret_curves({"steady": curves}).axes
    assert panel.get_lines()[0].get_ydata()[-1] == curves["published"].iloc[-1]
    with pytest.raises(ParameterError, match="at least one stream"):
        plots.regret_curves({})


@pytest.mark.parametrize(
    ("policies", "streams", "said"),
    [
        ({}, [made(9)], r"^errors\.policies: must map names to policies \(got \{\}\)$"),
        ([MoralParams()], [made(9)], r"^errors\.policies: must map names to policies"),
        (
            {"it": MoralParams()},
            [],
            r"^errors\.streams: must be Streams, at least one \(got \[\]\)$",
        ),
        (
            {"it": MoralParams()},
            [3],
            r"^errors\.streams: must be Streams, at least one \(got \[3\]\)",
        ),
        (
            {"it": MoralParams()},
            [made(9), made(8)],
            r"^errors\.streams: .* \(got lengths \[8, 9\]\)",
        ),
    ],
)
def test_what_errors_cannot_be_counted_of_is_said(policies: Any, streams: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        moderation.errors(policies, streams, np.random.default_rng(0))


def test_no_event_has_no_error() -> None:
    empty = Stream(np.ones(0), toxic=np.ones(0, bool))
    table = moderation.errors({"it": MoralParams()}, [empty], np.random.default_rng(0))
    assert table[["toxic_passed", "safe_refused", "accepted"]].isna().all(axis=None)


@pytest.mark.parametrize("absent", ["toxic_passed", "safe_refused"])
def test_where_a_class_is_absent_its_errors_at_thresholds_are_nan(absent: str) -> None:
    both = made(50)
    labels = np.full(50, absent == "safe_refused")
    stream = Stream(both.moral_values, toxic=labels, context=both.context)
    table = moderation.errors_at_thresholds(ContextualParams(), stream, [0.3, 0.6])
    missing = table[["alone", "pooled", "mean", "low", "high"]].isna()
    assert missing.all(axis=1).tolist() == (table["measure"] == absent).tolist()
    assert missing.any(axis=1).tolist() == (table["measure"] == absent).tolist()


def test_only_what_pools_has_errors_at_numbers_as_thresholds() -> None:
    with pytest.raises(ParameterError, match=r"^errors_at_thresholds\.params: must be Contextual"):
        moderation.errors_at_thresholds(MoralParams(), made(), [0.5])  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"^errors_at_thresholds\.thresholds: must have one"):
        moderation.errors_at_thresholds(ContextualParams(), made(), 0.5)
