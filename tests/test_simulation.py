from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import engine_params, related_vectors, state_bytes

from mlsdm import CognitiveController, EngineParams, LatticeParams, ParameterError, simulate

COLUMNS = [
    "event", "moral_value", "accepted", "reason", "phase", "threshold", "acceptance_rate",
    "norm_l1", "norm_l2", "norm_l3", "lattice_size",
]  # fmt: skip
FILTER_COLUMNS = COLUMNS[:7]
PRESETS = [EngineParams(dim=16), EngineParams.published(16)]


def events(n: int, dim: int, seed: int) -> tuple[Any, Any]:
    return related_vectors(n, dim, seed), np.random.default_rng(seed).random(n)


def stepwise(controller: CognitiveController, vectors: Any, values: Any) -> pd.DataFrame:
    """Return the trace of events taken one at a time, as `Result.to_frame` has it."""
    rows = []
    for vector, value in zip(vectors, values, strict=True):
        outcome = controller.process_event(vector, value)
        event, *decided = outcome[:6]
        rows.append((event, value, *decided, *outcome.norms, outcome.lattice_size))
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("params", PRESETS, ids=["default", "published"])
def test_stepwise_is_simulated_to_the_last_bit(params: EngineParams) -> None:
    vectors, values = events(2500, 16, 3)
    controller = CognitiveController(params)
    frame = stepwise(controller, vectors, values)
    result = simulate(params, vectors, values)
    pd.testing.assert_frame_equal(result.to_frame(), frame, check_dtype=False, check_exact=True)
    assert state_bytes(result.engine) == state_bytes(controller)


@given(engine_params(), st.integers(0, 1000), st.integers(0, 60))
def test_any_engine_stepwise_simulated_and_continued(
    params: EngineParams, seed: int, cut: int
) -> None:
    vectors, values = events(60, params.dim, seed)
    controller = CognitiveController(params)
    frame = stepwise(controller, vectors, values)
    result = simulate(params, vectors, values)
    pd.testing.assert_frame_equal(result.to_frame(), frame, check_dtype=False, check_exact=True)
    assert state_bytes(result.engine) == state_bytes(controller)

    started = simulate(params, vectors[:cut], values[:cut])
    rest = stepwise(started.engine, vectors[cut:], values[cut:])
    whole = pd.concat([started.to_frame(), rest]) if cut else rest
    pd.testing.assert_frame_equal(
        whole.reset_index(drop=True), frame, check_dtype=False, check_exact=True
    )
    assert state_bytes(started.engine) == state_bytes(controller)


@given(engine_params(), st.integers(0, 1000))
def test_without_vectors_the_filter_and_the_rhythm_run_alike(
    params: EngineParams, seed: int
) -> None:
    vectors, values = events(80, params.dim, seed)
    whole = simulate(params, vectors, values).to_frame()
    alone = simulate(params, None, values)
    pd.testing.assert_frame_equal(alone.to_frame()[FILTER_COLUMNS], whole[FILTER_COLUMNS])
    assert not alone.norms.any()
    assert not alone.lattice_size.any()
    assert alone.controller is None
    with pytest.raises(ParameterError, match=r"^Result\.engine: needs a run with vectors"):
        _ = alone.engine


def test_the_same_events_give_the_same_bytes() -> None:
    vectors, values = events(300, 16, 8)
    first, second = (simulate(PRESETS[0], vectors, values) for _ in range(2))
    assert state_bytes(first.engine) == state_bytes(second.engine)
    for name in ("codes", "phase_codes", "threshold", "acceptance_rate", "norms", "lattice_size"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_later_events_never_change_earlier_ones() -> None:
    vectors, values = events(300, 16, 9)
    whole = simulate(PRESETS[0], vectors, values).to_frame()
    for n in (1, 8, 150):
        part = simulate(PRESETS[0], vectors[:n], values[:n]).to_frame()
        assert part.equals(whole[:n])


@pytest.mark.parametrize("vectors", [None, [], np.zeros((0, 16))], ids=["none", "list", "array"])
def test_streams_of_no_events(vectors: Any) -> None:
    result = simulate(PRESETS[0], vectors, [])
    assert len(result) == 0
    frame = result.to_frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0
    assert result.summary()["final threshold"] == 0.5
    assert "events=0" in repr(result)
    if vectors is not None:
        assert state_bytes(result.engine) == state_bytes(CognitiveController(PRESETS[0]))


def test_the_frame_holds_the_trace() -> None:
    result = simulate(PRESETS[0], *events(40, 16, 1))
    frame = result.to_frame()
    assert list(frame.columns) == COLUMNS
    assert frame["event"].to_list() == list(range(40))
    np.testing.assert_array_equal(frame["moral_value"], result.moral_values)
    assert frame["accepted"].dtype == bool
    assert set(frame["reason"]) == {"committed", "moral", "sleep"}
    assert set(frame["phase"]) == {"wake", "sleep"}
    np.testing.assert_array_equal(frame["reason"] == "committed", result.committed)
    np.testing.assert_array_equal(frame["reason"] != "moral", result.accepted)
    np.testing.assert_array_equal(frame[["norm_l1", "norm_l2", "norm_l3"]], result.norms)
    assert result.params is PRESETS[0]


def test_the_summary_counts() -> None:
    result = simulate(PRESETS[0], *events(200, 16, 2))
    frame, summary = result.to_frame(), result.summary()
    assert summary["events"] == 200
    for reason in ("committed", "moral", "sleep"):
        assert summary[reason] == (frame["reason"] == reason).sum()
    assert summary["share asleep"] == (frame["phase"] == "sleep").mean()
    assert summary["final threshold"] == frame["threshold"].iloc[-1]
    assert summary["rows"] == result.engine.lattice.size


def test_it_draws_itself() -> None:
    html = simulate(PRESETS[0], *events(40, 16, 1))._repr_html_()
    assert "<svg" in html
    assert "committed" in html
    assert "<svg" not in simulate(PRESETS[0], None, [0.5])._repr_html_()


@pytest.mark.parametrize("params", [None, {}, {"dim": 16}, 16])
def test_other_things_than_parameters_are_refused(params: Any) -> None:
    with pytest.raises(ParameterError, match=r"^simulate\.params: must be EngineParams"):
        simulate(params, None, [0.5])


def test_long_streams_stay_bounded() -> None:
    params = EngineParams(dim=2, lattice=LatticeParams(capacity=100))
    result = simulate(params, np.ones((200_000, 2), np.float32), np.full(200_000, 0.95))
    assert result.engine.lattice.size == 100
    assert np.isfinite(result.norms).all()
    assert result.to_frame()["lattice_size"].max() == 100


def test_a_simulation_takes_no_process_limit() -> None:
    params = EngineParams(dim=2, max_process_bytes=10**12)
    with pytest.raises(ParameterError, match=r"^simulate\.params\.max_process_bytes: must be None"):
        simulate(params, None, [0.5])
