"""Every policy in the engine: the same to the last bit however its events are given."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import assert_same, trace_bytes
from support import moral_params, policies, related_vectors, state_bytes
from telling import DIM, PARTS, Told, engines, lived, streams, told_by

from mlsdm import (
    CognitiveController,
    ContextualParams,
    EngineParams,
    MoralFilter,
    MoralParams,
    MoralPolicy,
    ParameterError,
    Result,
    RiskParams,
    simulate,
    simulate_many,
)
from mlsdm.engine import simulation


@given(engines(), streams(), st.lists(st.integers(0, 40), max_size=4))
def test_however_the_events_are_given(params: EngineParams, told: Told, cuts: list[int]) -> None:
    n = len(told.values)
    vectors = related_vectors(n, DIM, n)
    stored = simulate(params, vectors, told.values, **told.keywords)
    engine, trace = lived(params, vectors, told)
    assert told_by(stored) == trace
    assert state_bytes(stored.engine) == state_bytes(engine)
    filtered = simulate(params, None, told.values, **told.keywords)
    assert told_by(filtered) == trace

    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    for table, expected in ((vectors, stored), (None, filtered)):
        chunks = [
            (
                None if table is None else table[part],
                told.values[part],
                told.keywords["context"][part],
                told.labels[part],
            )
            for part in parts
        ]
        assert_same(simulate(params, chunks=chunks, delay=told.delay), expected)
        fleet = simulate_many([params] * 2, table, told.values, workers=2, **told.keywords)
        for run in range(2):
            assert trace_bytes(fleet.run(run)) == trace_bytes(expected)


@settings(max_examples=30)
@given(
    st.lists(engines(), min_size=1, max_size=5),
    st.lists(streams(), min_size=5, max_size=5),
    st.booleans(),
    st.integers(1, 3),
)
def test_fleets_of_any_policies(
    params: list[EngineParams], drawn: list[Told], stored: bool, workers: int
) -> None:
    """Values, contexts and labels of each run, as arrays and by a function of a seed."""
    n = min(len(told.values) for told in drawn)
    delay = drawn[0].delay
    runs = range(len(params))
    asked = any(one.moral.asks_context for one in params)
    known = asked or drawn[0].contexts is not None
    values = np.stack([drawn[run].values[:n] for run in runs])
    contexts = values[:, ::-1].copy() if known else None
    labels = np.stack([drawn[run].labels[:n] for run in runs])
    vectors = related_vectors(n, DIM, n) if stored else None

    def made(run: int) -> tuple[Any, ...]:
        return vectors, values[run], None if contexts is None else contexts[run], labels[run]

    fleet = simulate_many(
        params, vectors, values, context=contexts, labels=labels, delay=delay, workers=workers
    )
    seeded = simulate_many(params, stream=made, seeds=runs, delay=delay, workers=workers)
    for run, one in enumerate(params):
        table, numbers, context, truth = made(run)
        expected = simulate(one, table, numbers, context=context, labels=truth, delay=delay)
        assert trace_bytes(fleet.run(run)) == trace_bytes(expected)
        assert trace_bytes(seeded.run(run)) == trace_bytes(expected)
        assert fleet.run(run).summary() == expected.summary()


@given(policies(), streams())
def test_a_filter_by_itself(policy: Any, told: Told) -> None:
    """And accepting asks only: it changes nothing."""
    result = simulate(EngineParams(moral=policy), None, told.values, **told.keywords)
    moral, decided = MoralFilter(policy), []
    for t, value in enumerate(told.values):
        given_here = () if told.contexts is None else (told.contexts[t],)
        before = moral._states.tobytes()
        decided.append(moral.accept(value, *given_here))
        assert moral._states.tobytes() == before
        moral.adapt(decided[t], value, *given_here)
        due = t - told.delay
        if due >= 0 and told.labels[due] >= 0:
            context = None if told.contexts is None else told.contexts[due]
            moral.learn(decided[due], bool(told.labels[due]), told.values[due], context)
        assert (moral.threshold, moral.acceptance_rate) == (
            result.threshold[t],
            result.acceptance_rate[t],
        )
    assert decided == result.accepted.tolist()


def test_slices_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    params = EngineParams(moral=RiskParams(weight=0.5), **PARTS)
    told = Told(rng.random(500), rng.random(500), rng.integers(-1, 2, 500), 30)
    expected = simulate(params, None, told.values, **told.keywords)
    monkeypatch.setattr(simulation, "EVENTS", 7)
    assert_same(simulate(params, None, told.values, **told.keywords), expected)
    thinned = simulate(params, None, told.values, every=9, **told.keywords)
    assert thinned.threshold.tolist() == expected.threshold[::9].tolist()


def test_a_label_is_told_after_so_many_more_events() -> None:
    """By hand: gain 0.125 and α = 0, so that each toxic event that passed moves it by 0.125."""
    policy = RiskParams(max_toxic_passed=0.0, gain=0.125)
    for delay, course in (
        (0, [0.625, 0.625, 0.625, 0.75, 0.75]),
        (1, [0.5, 0.625, 0.625, 0.625, 0.75]),
        (3, [0.5, 0.5, 0.5, 0.625, 0.625]),
        (4, [0.5] * 4 + [0.625]),
        (5, [0.5] * 5),
        (2**24, [0.5] * 5),
    ):
        told = {"labels": [1, 0, 1, 1, -1], "delay": delay}
        values = [0.9, 0.9, 0.1, 0.9, 0.9]
        for engine in (policy, policy):
            result = simulate(EngineParams(moral=engine), None, values, **told)
            assert result.threshold.tolist() == course


@given(st.lists(st.integers(0, 1), min_size=1, max_size=20), st.integers(0, 25))
def test_labels_of_any_integer_type(labels: list[int], delay: int) -> None:
    """Unsigned ones were refused, and so was an empty list."""
    values, params = np.linspace(0, 1, len(labels)), EngineParams(moral=RiskParams())
    expected = simulate(params, None, values, labels=labels, delay=delay)
    for kind in (bool, np.uint8, np.int64, ">i2"):
        found = simulate(params, None, values, labels=np.array(labels, kind), delay=delay)
        assert trace_bytes(found) == trace_bytes(expected)
    for vectors in (None, np.ones((0, 384))):
        assert len(simulate(params, vectors, [], labels=[], context=[])) == 0
        assert len(simulate_many(params, vectors, [], labels=[], context=[])) == 0


# The contextual policy beside the homeostatic one.


@given(moral_params(), streams(), st.floats(0, 1), st.floats(-5, 5))
def test_the_contextual_policy_has_the_thresholds_of_the_homeostatic_one(
    values: dict[str, Any], told: Told, weight: float, caution: float
) -> None:
    def run(policy: Any, context: Any) -> Result:
        return simulate(EngineParams(moral=policy), None, told.values, context=context)

    alone = run(MoralParams(**values), None)
    pooling = ContextualParams(**values, weight=weight, caution=caution)
    assert run(pooling, told.keywords["context"]).threshold.tobytes() == alone.threshold.tobytes()
    for policy, context in (
        (ContextualParams(**values, weight=0.0), told.contexts),
        (ContextualParams(**values, weight=weight), told.values),
    ):
        same = run(policy, context)
        assert same.codes.tobytes() == alone.codes.tobytes()
        assert same.threshold.tobytes() == alone.threshold.tobytes()
        assert same.acceptance_rate.tobytes() == alone.acceptance_rate.tobytes()


@pytest.mark.parametrize("policy", [ContextualParams(), RiskParams(weight=0.1)])
def test_a_context_that_is_asked_for_must_be_given(policy: MoralPolicy) -> None:
    params, labels = EngineParams(moral=policy), [True, False]
    with pytest.raises(ParameterError, match=r"^simulate\.context: must be given, the policy"):
        simulate(params, None, [0.1, 0.2], labels=labels)
    with pytest.raises(ParameterError, match=r"^simulate_many\.context: must be given, the policy"):
        simulate_many(params, None, [0.1, 0.2], labels=labels)


def test_the_context_decides_where_it_has_a_weight() -> None:
    engine = CognitiveController(EngineParams(dim=1, moral=ContextualParams(weight=0.5)))
    assert not engine.process_event([1], 0.6, 0.2).accepted
    assert engine.process_event([1], 0.4, 0.8).accepted
    assert not engine.moral.accept(0.6, 0.2)
