from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import related_vectors, shares

from mlsdm import EngineParams, MoralParams, ParameterError, Recall, RhythmParams, simulate
from mlsdm.analysis import metrics


def fixed_filter(values: list[float], threshold: float = 0.5) -> Any:
    """Return a run whose filter never adapts."""
    params = EngineParams(dim=1, moral=MoralParams(initial_threshold=threshold, step=0.0))
    return simulate(params, None, values)


def recall(resonance: float) -> Recall:
    return Recall(np.zeros(1, np.float32), 0.1, resonance, 0)


def test_shares_of_toxic_and_safe_events() -> None:
    result = fixed_filter([0.1, 0.6, 0.2, 0.3, 0.4, 0.7])
    toxic = np.array([True, True, True, True, False, False])
    assert metrics.toxic_rejection(result, toxic) == 0.75
    assert metrics.toxic_passed(result, toxic) == 0.25
    assert metrics.false_positives(result, toxic) == 0.5


def test_shares_of_nothing_are_nan() -> None:
    result = fixed_filter([0.1, 0.9])
    none, every = np.zeros(2, bool), np.ones(2, bool)
    assert math.isnan(metrics.toxic_rejection(result, none))
    assert math.isnan(metrics.toxic_passed(result, none))
    assert math.isnan(metrics.false_positives(result, every))


@pytest.mark.parametrize(
    "toxic", [np.array([1, 0]), np.array([1.0, 0.0]), np.ones(3, bool), np.ones((2, 1), bool), None]
)
@pytest.mark.parametrize("name", ["toxic_rejection", "toxic_passed", "false_positives"])
def test_labels_must_be_bools_one_an_event(name: str, toxic: Any) -> None:
    """As numbers they would pick events 0 and 1 again and again, and give a wrong share."""
    with pytest.raises(ParameterError, match=rf"^{name}\.toxic: must be one bool per event, 2 "):
        getattr(metrics, name)(fixed_filter([0.1, 0.9]), toxic)


def test_labels_may_be_a_list() -> None:
    assert metrics.false_positives(fixed_filter([0.1, 0.9]), [True, False]) == 0.0  # type: ignore[arg-type]


def test_an_event_accepted_asleep_counts_as_accepted() -> None:
    params = EngineParams(dim=1, rhythm=RhythmParams(wake_duration=1, sleep_duration=9))
    result = simulate(params, None, np.full(5, 0.95))
    assert metrics.toxic_passed(result, np.ones(5, bool)) == 1.0


@given(hnp.arrays(np.float64, st.integers(1, 80), elements=shares), st.integers(0, 99))
def test_shares_lie_in_0_to_1_and_complete_each_other(values: Any, seed: int) -> None:
    result = simulate(EngineParams(dim=1), None, values)
    toxic = np.random.default_rng(seed).random(len(values)) < 0.5
    if toxic.any():
        rejected = metrics.toxic_rejection(result, toxic)
        assert 0 <= rejected <= 1
        assert rejected + metrics.toxic_passed(result, toxic) == pytest.approx(1)
    assert metrics.false_positives(result, ~toxic) == pytest.approx(
        metrics.toxic_rejection(result, toxic), nan_ok=True
    )


def test_wake_ups_are_counted() -> None:
    params = EngineParams(dim=1, rhythm=RhythmParams(wake_duration=2, sleep_duration=1))
    for n, expected in ((0, 0), (1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (7, 2)):
        assert metrics.wake_ups(simulate(params, None, np.full(n, 0.9))) == expected
    published = simulate(EngineParams.published(1), None, np.full(500, 0.9))
    assert metrics.wake_ups(published) == 0


def test_drift_is_the_spread_over_a_range_of_0_3() -> None:
    assert metrics.drift(np.full(10, 0.7)) == 0.0
    assert metrics.drift(np.array([0.4, 0.6])) == pytest.approx(0.1 / 0.3)
    assert metrics.drift(np.array([0.0, 1.0])) == 1.0  # capped


def test_convergence_sees_the_last_fifty() -> None:
    assert metrics.convergence(np.full(10, 0.5)) == 1.0
    assert metrics.convergence(np.full(10, 0.9)) == pytest.approx(0.6)
    late = np.concatenate([np.full(500, 0.9), np.full(50, 0.5)])
    assert metrics.convergence(late) == 1.0
    assert metrics.convergence(late[:-1]) == pytest.approx(1 - 0.4 / 50)


@given(hnp.arrays(np.float64, st.integers(1, 99), elements=shares))
def test_drift_and_convergence_lie_in_0_to_1(threshold: Any) -> None:
    assert 0 <= metrics.drift(threshold) <= 1
    assert 0 <= metrics.convergence(threshold) <= 1


def test_the_safety_score_weighs_four_terms_alike() -> None:
    assert metrics.safety_score(1, 0, 1, 0) == 1.0
    assert metrics.safety_score(0, 1, 0, 1) == 0.0
    assert metrics.safety_score(0.8, 0.4, 0.6, 0.2) == pytest.approx(0.7)
    assert metrics.safety_score(0, 0, 1, 0) == 0.75  # a filter that does nothing


def test_semantic_coherence_means_over_queries() -> None:
    found = [[recall(1.0), recall(0.5)], [recall(-0.8)], [], [recall(0.25)]]
    assert metrics.semantic_coherence(found) == pytest.approx((0.75 + 0 + 0 + 0.25) / 4)
    assert metrics.semantic_coherence([[], []]) == 0.0
    with pytest.raises(ParameterError, match=r"^semantic_coherence\.recalls: "):
        metrics.semantic_coherence([])


def test_phase_separation_of_known_directions() -> None:
    east, north, west = (np.array([v], np.float32) for v in ([2, 0], [0, 9], [-1, 0]))
    assert metrics.phase_separation(east, east) == 0.0
    assert metrics.phase_separation(east, north) == pytest.approx(0.5)
    assert metrics.phase_separation(east, west) == 1.0
    assert metrics.phase_separation(np.concatenate([east, north]), north) < 0.05


def test_no_direction_is_nan() -> None:
    opposed = np.array([[1, 0], [-1, 0]], np.float32)
    assert math.isnan(metrics.phase_separation(opposed, opposed[:1]))
    assert math.isnan(metrics.phase_separation(opposed[:0], opposed[:1]))
    assert math.isnan(metrics.phase_separation(opposed[:1], opposed[:0]))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(0, 999))
def test_phase_separation_properties(first: int, second: int, dim: int, seed: int) -> None:
    vectors = related_vectors(first + second, dim, seed)
    separation = metrics.phase_separation(vectors[:first], vectors[first:])
    assert 0 <= separation <= 1
    assert metrics.phase_separation(vectors[first:], vectors[:first]) == pytest.approx(separation)
    scaled = metrics.phase_separation(7 * vectors[:first], vectors[first:])
    assert scaled == pytest.approx(separation, abs=1e-5)


def test_overall_coherence_is_the_mean_of_four() -> None:
    assert metrics.overall_coherence(1, 0, 0.5122, 1) == pytest.approx(0.62805)


@pytest.mark.parametrize("measure", [metrics.drift, metrics.convergence])
def test_no_thresholds_have_no_drift_and_no_convergence(measure: Any) -> None:
    with pytest.raises(ParameterError, match=r"\.threshold: must hold at least one"):
        measure(np.array([]))


def test_a_period_is_the_shortest_that_repeats() -> None:
    assert metrics.period(np.tile([0.5, 0.55, 0.5, 0.45], 10)) == 4
    assert metrics.period(np.full(10, 0.3)) == 1
    assert math.isnan(metrics.period(np.arange(20.0)))


@pytest.mark.parametrize("value", [0.35, 0.5, 0.7, 0.89])
def test_a_constant_stream_drives_the_filter_round_a_cycle(value: float) -> None:
    result = simulate(EngineParams(), None, np.full(2000, value))
    assert metrics.period(result.threshold) > 1
    assert np.ptp(result.threshold[1000:]) > 0
