from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsdm import ParameterError
from mlsdm.analysis import forgetting
from mlsdm.analysis.forgetting import best_gated_levels, best_open_levels, log_ages
from mlsdm.analysis.forgetting.optimum import _remembered
from mlsdm.engine.synapse import SynapseParams


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(
    st.tuples(*[st.floats(0.02, 0.9)] * 3),
    st.tuples(*[st.floats(0.05, 0.9)] * 2),
    st.integers(4, 500),
)
@settings(max_examples=40)
def test_only_what_each_level_keeps_matters(
    decay: tuple[float, float, float], transfer: tuple[float, float], dim: int
) -> None:
    """The engine's levels and the orthonormal memory of the same eigenvalues are one memory."""
    chain = forgetting.open_levels(SynapseParams(decay=decay, transfer=transfer))
    kept = np.diag(chain.transition)
    assert np.allclose(kept[:2], [(1 - d) * (1 - g) for d, g in zip(decay, transfer, strict=False)])
    ages = np.arange(40)
    ours = chain.retention(ages, dim).snr().snr
    theirs = forgetting.orthonormal(kept).retention(ages, dim).snr().snr
    np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=0.02)


@given(st.lists(st.floats(0.0, 0.999), min_size=3, max_size=3), st.integers(2, 200))
def test_lifetimes_found_bit_by_bit_are_those_of_the_curve(kept: list[float], dim: int) -> None:
    initial, lifetime = _remembered(np.array([kept]), dim)
    curve = forgetting.orthonormal(kept).retention(np.arange(3 * dim + 2), dim).snr()
    assert initial[0] == pytest.approx(curve.initial, rel=1e-6)
    if abs(initial[0] - 1.0) > 1e-6:
        assert lifetime[0] == pytest.approx(curve.lifetime(), rel=1e-5, abs=1e-5)
    assert lifetime[0] <= forgetting.longest_lifetime(dim, 3, initial[0]) + 1e-6


def test_the_best_open_levels_of_the_engine() -> None:
    best = best_open_levels(rng=rng())
    assert best.lifetime == pytest.approx(430.73, abs=0.05)
    assert best.initial == pytest.approx(4.055, abs=0.01)
    held = forgetting.open_levels(best.params).retention(log_ages(1152, 60), 384).snr()
    assert held.lifetime() == pytest.approx(best.lifetime, rel=0.005)
    # All three levels keep the same, like the stages of a Laguerre filter.
    kept = np.diag(forgetting.open_levels(best.params).transition)
    np.testing.assert_allclose(kept, kept.mean(), atol=2e-5)


def test_one_of_three_levels_pays_for_strength() -> None:
    strong = best_open_levels(384, 17.0, rng=rng())
    assert strong.initial >= 17.0
    assert 295 < strong.lifetime < 300
    assert strong.lifetime > 2.5 * 107.3  # the published decays and transfers with open gates


def test_the_front_only_falls_and_stays_below_the_bound() -> None:
    front = forgetting.front(64, [1.0, 4.0, 7.0], rng())
    assert np.all(np.diff(front["lifetime"]) <= 1e-6)
    assert np.all(front["lifetime"] < front["bound"])
    assert np.all(front["initial"].to_numpy() >= [1.0, 4.0, 7.0])


def test_the_search_measures_and_does_not_get_below_where_it_starts() -> None:
    start = best_open_levels(16, rng=rng()).params
    arguments = {"rng": rng(), "points": 4, "steps": 4, "starts": [start], "events": 800}
    found = best_gated_levels("norm", 16, **arguments)  # type: ignore[arg-type]
    assert found.params.gate == "norm"
    assert 10 < found.lifetime <= 3 * 16
    assert found.initial >= 1.0


def test_the_search_asks_for_the_strength_at_first() -> None:
    found = best_gated_levels(
        "element", 16, 3.0, rng=rng(), points=16, steps=20, events=500, seeds=[1]
    )
    assert found.params.gate == "element"
    assert found.initial >= 3.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_open_levels(1, rng=rng()), "best_open_levels.dim: must be a whole number"),
        (lambda: best_open_levels(16, 4.0, rng=rng()), r"least_initial: must lie in \(0, 4\)"),
        (lambda: best_open_levels(rng=0), "best_open_levels.rng: must be a numpy"),
        (lambda: best_gated_levels("nrm", rng=rng()), "did you mean 'norm'"),
        (lambda: best_gated_levels("norm", rng=rng(), points=3), "must be a power of two"),
        (lambda: best_open_levels(16, "x", rng=rng()), "least_initial: must be a finite number"),
        (lambda: best_gated_levels(["norm"], rng=rng()), "levels.gate: .* is unknown"),
        (lambda: best_gated_levels("norm", 0, rng=rng()), "best_gated_levels.dim: must be a whole"),
        (lambda: best_gated_levels("norm", 8, 0.0, rng=rng()), "least_initial: must be above 0"),
        (lambda: best_gated_levels("norm", 8, rng=rng(), starts=[3]), "sequence of SynapseParams"),
        (lambda: best_gated_levels("norm", 8, rng=rng(), seeds=3), "seeds: must be a sequence"),
        (
            lambda: best_gated_levels("norm", 8, rng=rng(), seeds=()),
            "seeds: must hold at least one",
        ),
        (lambda: forgetting.front(8, 2.0, rng()), "front.least_initial: must be a sequence"),
    ],
)
def test_bad_arguments_are_refused(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=message):
        call()


@pytest.mark.long
@pytest.mark.parametrize("least", [1.0, 17.0])
def test_no_gate_is_found_that_beats_open_ones(least: float) -> None:
    best = best_open_levels(384, least, rng=rng())
    ages = log_ages(1152, 20)
    for gate in ("norm", "element"):
        found = best_gated_levels(gate, 384, least, rng=rng(), points=128, steps=150)
        again = forgetting.measure_seeds(found.params, range(100, 105), ages)
        lives = [one.snr().lifetime() for one in again]
        assert math.isfinite(max(lives))
        assert np.mean(lives) < 1.02 * best.lifetime
