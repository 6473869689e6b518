"""The figures in small: is each measured, and does its yardstick do the same work?"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from mlsdm.bench import engine, retrieval
from mlsdm.bench.cases import CASES, Case, Figure, Target, chosen, measured
from mlsdm.bench.engine import events
from mlsdm.bench.measure import Costs, Size
from mlsdm.bench.transcription import Transcription
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.params import EngineParams
from mlsdm.engine.simulation import simulate
from mlsdm.errors import ParameterError

TINY = Size(
    dim=16, rows=200, repetitions=6, events=440, rounds=2, stepped=44, transcribed=22, queries=3,
    many=8, filtered=50,
)  # fmt: skip
ON_FAISS = ("retrieve_flat", "retrieve_hnsw")
NEEDS = "needs faiss-cpu: the extra `bench`"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_figure_is_finite_and_positive(case: Case) -> None:
    if case.name in ON_FAISS:
        pytest.importorskip("faiss", reason=NEEDS)
    (figure,) = measured([case], TINY)
    assert figure.lacks == ""
    assert figure.costs is not None
    assert figure.ratio is not None
    for costs in (figure.costs.ours, figure.costs.yardstick):
        assert np.isfinite(costs).all()
        assert (costs > 0).all()
    assert 0 < figure.ratio.low <= figure.ratio.mean <= figure.ratio.high or figure.ratio.n == 1
    assert (figure.reached == "") == (case.target is None)


def test_every_22_events_make_the_same_work() -> None:
    params = EngineParams.from_dict({"dim": 4, "lattice": {"capacity": 50}})
    vectors, values = events(440, 4)
    controller, transcription = CognitiveController(params), Transcription(params)
    reasons = []
    for vector, value in zip(vectors, values.tolist(), strict=True):
        outcome = controller.process_event(vector, value)
        assert transcription.process_event(vector, value).reason == outcome.reason
        reasons.append(outcome.reason)
    turns = np.array(reasons).reshape(-1, 22)
    for reason, count in (("committed", 8), ("sleep", 3), ("moral", 11)):
        assert ((turns == reason).sum(1) == count).all()
    assert len({*map(tuple, turns.tolist())}) > 10  # in ever another order


def test_the_bytes_of_a_simulation_are_those_of_its_events_and_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = []
    monkeypatch.setattr(engine, "interleaved", lambda *given: sides.extend(given[:2]))
    engine.simulating(TINY)
    ours, copy = sides
    params = EngineParams.from_dict({"dim": TINY.dim, "lattice": {"capacity": 2000}})
    vectors, values = (np.concatenate([part] * 2) for part in events(TINY.events, TINY.dim))
    rows = simulate(params, vectors, values).engine.lattice.size
    assert rows == 2 * 440 * 16 // 22
    assert ours.units == (len(vectors) + rows) * 4 * TINY.dim
    assert copy.units == 2 * vectors.nbytes


@pytest.mark.parametrize(
    "measure", [retrieval.against_numpy, retrieval.half_in_phase, retrieval.against_flat]
)
def test_the_exact_yardsticks_find_the_same_rows(measure: Callable[[Size], Costs]) -> None:
    if measure is retrieval.against_flat:
        pytest.importorskip("faiss", reason=NEEDS)
    assert measure(TINY).note == "same rows"


def test_rows_that_differ_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_best", lambda scores: np.argsort(-scores)[1:6])
    assert retrieval.against_numpy(TINY).note == "80% of the rows the same"


def test_the_graphs_recall_is_told() -> None:
    pytest.importorskip("faiss", reason=NEEDS)
    assert retrieval.against_hnsw(TINY).note == "recall@5 1.00"  # of 200 rows it misses none


def test_a_figure_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    flat, hnsw, many = measured(chosen([*ON_FAISS, "retrieve_many"]), TINY)
    for figure in (flat, hnsw):
        assert figure.lacks == "faiss: is not installed; pip install mlsdm[bench]"
        assert (figure.ratio, figure.sides, figure.reached) == (None, None, "")
    assert many.ratio is not None


def test_what_is_held_is_what_the_parameters_say() -> None:
    (figure,) = measured(chosen(["memory"]), Size(dim=64, rows=4000))
    params = EngineParams.from_dict({"dim": 64, "lattice": {"capacity": 4000}})
    assert figure.costs is not None
    assert figure.costs.ours[0] == pytest.approx(params.memory_bytes(), rel=0.02)
    assert figure.costs.yardstick[0] == 4000 * 64 * 4


def figure(case: Case, ours: list[float], yardstick: list[float]) -> Figure:
    return Figure(case, Costs(np.array(ours), np.array(yardstick)))


def case(means: str, target: Target | None) -> Case:
    return Case("x", "it", "other", "million events/s", means, lambda size: None, target)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("means", "target", "reached"),
    [
        ("times as fast", Target("≥", 2.9), "met"),
        ("times as fast", Target("≥", 3.5), "undecided"),
        ("times as fast", Target("≥", 5.1), "not met"),
        ("times as long", Target("≤", 0.4), "met"),
        ("times as long", Target("≤", 0.3), "undecided"),
        ("times as long", Target("≤", 0.1), "not met"),
        ("times as fast", Target("≥", 1, "rate"), "met"),
        ("times as fast", Target("≥", 1.1, "rate"), "not met"),
        ("times as fast", None, ""),
    ],
)
def test_a_target_is_held_against_the_whole_interval(
    means: str, target: Target | None, reached: str
) -> None:
    found = figure(case(means, target), [1e-6] * 6, [3e-6, 3e-6, 4e-6, 4e-6, 5e-6, 5e-6])
    assert found.reached == reached
    assert found.ratio is not None
    assert found.ratio.mean == pytest.approx(4.0 if means == "times as fast" else 0.25)
    assert found.sides == pytest.approx((1.0, 0.25))


def test_without_an_interval_the_median_decides() -> None:
    found = figure(case("times as fast", Target("≥", 2)), [1.0, 1.0], [1.0, 4.0])
    assert found.reached == "met"


def test_cases_are_chosen_by_name_in_their_own_order() -> None:
    assert chosen([]) == list(CASES)
    assert [case.name for case in chosen(["verify", "simulate"])] == ["simulate", "verify"]
    with pytest.raises(ParameterError, match="'retreive'; did you mean 'retrieve'"):
        chosen(["retreive"])
