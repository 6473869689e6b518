from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlsdm.audit import Measured
from mlsdm.audit import speed as module
from mlsdm.audit.speed import speed
from mlsdm.audit.verdict import row_of
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.lattice import LatticeParams
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.errors import ParameterError
from mlsdm.evidence import claims

TINY = EngineParams(dim=8, lattice=LatticeParams(capacity=200))
LATENCIES = [f"latency.p{percent}{kind}" for percent in (50, 95, 99) for kind in ("", ".achieved")]


@pytest.fixture(scope="module")
def found() -> dict[str, Measured]:
    return speed(3, 10, TINY)


def test_every_claim_about_speed_is_measured(found: dict[str, Measured]) -> None:
    timed = {"throughput.requests", "throughput.achieved", *LATENCIES}
    assert set(found) == timed
    assert timed == {
        id
        for id, c in claims().items()
        if c.section == "A" and c.unit in ("ms", "requests/s", "ops/s")
    }


def test_numbers_are_positive_and_one_a_block(found: dict[str, Measured]) -> None:
    for id, measured in found.items():
        assert measured.regenerated > 0, id
        assert measured.values.shape == (3,)
        assert (measured.values > 0).all()


def test_later_percentiles_are_no_sooner(found: dict[str, Measured]) -> None:
    p50, p95, p99 = (found[f"latency.p{percent}"] for percent in (50, 95, 99))
    assert p50.regenerated <= p95.regenerated <= p99.regenerated


def test_the_margin_is_by_how_much_a_target_is_kept(found: dict[str, Measured]) -> None:
    for id in LATENCIES:
        np.testing.assert_allclose(found[id].margin, claims()[id].stated - found[id].values)
    rates = found["throughput.requests"]
    np.testing.assert_allclose(rates.margin, rates.values - 1000)
    assert rates.regenerated == pytest.approx(rates.values.mean())


def test_eight_of_a_thousand_counted_operations_commit(found: dict[str, Measured]) -> None:
    counted = found["throughput.achieved"]
    assert counted.control.tolist() == [0.008] * 3
    assert counted.facts == {"committed": 0.008}
    row = row_of(claims()["throughput.achieved"], counted, 0)
    assert row["control"].endswith("committed: 0.8 % [0.8 %, 0.8 %]")
    if row["verdict"] != "not reproduced":  # a machine so slow is no failure of the audit
        assert "only 0.8 % of the counted operations" in row["explanation"]


def test_only_committed_events_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Outcome] = []
    whole = CognitiveController.process_event

    def watched(self: CognitiveController, vector: Any, value: float) -> Outcome:
        seen.append(whole(self, vector, value))
        return seen[-1]

    monkeypatch.setattr(CognitiveController, "process_event", watched)
    monkeypatch.setattr(module, "_counting_refusals", lambda vectors, n: None)
    speed(2, 10, TINY)
    full = next(i for i, outcome in enumerate(seen) if outcome.lattice_size == 200)
    timed = seen[full + 1 :]
    assert sum(outcome.reason == "committed" for outcome in timed) == 20
    assert {outcome.reason for outcome in timed} == {"committed", "sleep"}


def test_more_calls_than_vectors_are_no_trouble() -> None:
    tiny = EngineParams(dim=2, lattice=LatticeParams(capacity=2))
    assert speed(1, module.DISTINCT + 1, tiny)["latency.p50"].values.shape == (1,)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^speed\.n_blocks: must be a whole number of at"):
        speed(0)
    with pytest.raises(ParameterError, match=r"^speed\.calls: must be a whole number of at least"):
        speed(2, 0)
