"""The filter's theory held against simulation: laws, cycles, mixing, and random points."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from test_theory_threshold import TYPICAL, drawn, expected, run

import mlsdm
from mlsdm import EngineParams, MoralParams, ParameterError
from mlsdm.analysis.theory import (
    beside_simulation,
    labelled,
    longrun,
    random_filter,
    stationary,
    uniforms,
)  # fmt: skip
from mlsdm.streams import moral_stream


def test_the_law_of_the_threshold_its_cycle_and_its_mixing_are_those_of_simulation():
    found = stationary(MoralParams(), uniforms(*TYPICAL))
    result = run(MoralParams(), drawn(TYPICAL, np.random.default_rng(8), 4_000_000))
    seen = result.threshold
    for value, chance in zip(found.threshold_values, found.threshold_probabilities, strict=True):
        assert np.mean(np.abs(seen - value) < 1e-9) == pytest.approx(chance, abs=2e-3)
    upward = np.mean((seen[:-1] < seen.mean()) & (seen[1:] >= seen.mean()))
    assert found.period == pytest.approx(1 / upward, rel=0.01)
    assert found.amplitude == pytest.approx(np.ptp(np.quantile(seen, [0.05, 0.95])) / 2, abs=1e-9)
    moral = MoralParams(initial_threshold=0.9, initial_rate=0.9)
    slow = stationary(moral, uniforms(*TYPICAL))
    many = drawn(TYPICAL, np.random.default_rng(9), 40_000 * 60)
    runs = mlsdm.simulate_many(EngineParams(moral=moral), None, many.reshape(40_000, 60))
    before = np.hstack([np.full((40_000, 1), 0.9), runs.threshold])
    distance = [
        0.5
        * sum(
            abs(np.mean(np.abs(column - value) < 1e-9) - chance)
            for value, chance in zip(
                slow.threshold_values, slow.threshold_probabilities, strict=True
            )
        )
        for column in before.T
    ]
    first_close = 1 + max(n for n, far in enumerate(distance) if far > 0.25)
    assert abs(slow.mixing_time - first_close) <= 1


def compare(points, runs, n_events, seed):
    """Return theory beside simulation at random points, and the processor's seconds of each.

    A point that would take more than 5,000 events to mix cannot be simulated so, and is drawn
    again.
    """
    rng = np.random.default_rng(seed)
    tables, seconds = [], []
    while len(tables) < points:
        moral, stream = random_filter(rng)
        begun = time.process_time()
        found = stationary(moral, stream)
        if found.mixing_time <= 5000 or found.mixing_time == np.inf:
            seconds.append(time.process_time() - begun)
            tables.append(
                beside_simulation(
                    moral, stream, found, rng, runs=runs, n_events=n_events, tests=3 * points
                )
            )
    return pd.concat(tables, keys=range(points)), np.array(seconds)


def off(table):
    return (table["theory"] - table["mean"]).abs()


def test_theory_agrees_with_simulation_at_a_few_random_points():
    table, _ = compare(points=5, runs=10, n_events=20_000, seed=1)
    assert table["score"].max() <= 1
    assert table["score"].notna().sum() >= 10


def test_a_wrong_theory_is_found_out():
    moral, stream = MoralParams(), uniforms(*TYPICAL)
    other = stationary(MoralParams(dead_band=0.1), stream)
    table = beside_simulation(moral, stream, other, np.random.default_rng(2))
    assert table["score"].max() > 1


def test_what_mixes_too_slowly_cannot_be_simulated():
    found = stationary(MoralParams(), uniforms(*TYPICAL))
    with pytest.raises(ParameterError, match="at most 50000 events"):
        beside_simulation(
            MoralParams(),
            uniforms(*TYPICAL),
            replace(found, mixing_time=1e9),
            np.random.default_rng(0),
        )


def test_every_kind_of_stream_is_drawn_as_it_is_judged():
    rng = np.random.default_rng(4)
    streams = [
        moral_stream(500, 0.3),
        moral_stream(500, 0.3).moral_values,
        scipy.stats.beta(2, 2),
        labelled(0.4, [0.1, 0.6], scipy.stats.uniform(0.3, 0.7)),
    ]
    for stream in streams:
        found = stationary(MoralParams(), stream)
        table = beside_simulation(MoralParams(), stream, found, rng, tests=12)
        assert (off(table) <= table["limit"] + found.error_bound).all()


@pytest.mark.long
def test_theory_agrees_with_simulation_at_fifty_random_points():
    """Within Monte Carlo error alone: 30 runs of 10,000 events at each."""
    table, _ = compare(points=50, runs=30, n_events=10_000, seed=2)
    assert table["score"].max() <= 1


@pytest.mark.long
def test_three_digits_are_right_and_the_bound_holds_where_simulation_is_long():
    """30 runs of 200,000 events at each of 50 points: what is left is the bound."""
    table, seconds = compare(points=50, runs=30, n_events=200_000, seed=3)
    left = off(table)
    assert (left.isna() | (left <= table["limit"] + table["error_bound"])).all()
    assert table["error_bound"].max() <= 1e-3
    assert (table["error_bound"] <= 5e-4).mean() >= 0.9
    assert (seconds < 2).all()


@pytest.mark.long
def test_finer_grids_stay_within_the_bound(monkeypatch):
    """Against grids of up to 400,000 states, wherever the filter mixes."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        moral, stream = random_filter(rng)
        found = stationary(moral, stream)
        if found.mixing_time > 1e6:
            continue
        with monkeypatch.context() as finest:
            finest.setattr(longrun, "_BOUND", 0.0)
            finest.setattr(longrun, "_STATES", 400_000)
            exact = stationary(moral, stream)
        left = np.abs(np.subtract(expected(found), expected(exact)))
        assert np.nanmax(left) <= found.error_bound
