"""The worst case of the homeostatic filter: a bound that nothing exceeds, attained by an attack."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import moral_params

from mlsdm.analysis import plots, theory
from mlsdm.analysis.theory import attacks, cycles, worst_shares
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import POLICIES, ContextualParams, MoralParams, moral_policy
from mlsdm.engine.rules import moral as rules
from mlsdm.engine.simulation import simulate
from mlsdm.errors import ParameterError, RunError
from mlsdm.streams import adversary
from mlsdm.streams.stream import Stream

COARSE = {"cells": 2**11}


def true_states(options: attacks.Options) -> dict[Any, list[tuple[int, int, Any]]]:
    """Return every true state with its moves: threshold's number, outcome, next state."""
    known: dict[Any, list[tuple[int, int, Any]]] = {}
    new = [options.start]
    while new:
        state = new.pop()
        if state in known:
            continue
        i = int(np.searchsorted(options.thresholds, state[0]))
        known[state] = [
            (i, a, rules.adapt(*state, a == 1, options.rule))
            for a in (0, 1)
            if options.allowed[i, a]
        ]
        new += [after for *_, after in known[state]]
    return known


def simple_cycles(graph: dict[Any, list[tuple[int, int, Any]]]) -> list[list[tuple[int, int]]]:
    """Return all cycles that visit no state twice, by trying every way."""
    order = {state: n for n, state in enumerate(graph)}
    found = []

    def go(first: Any, state: Any, way: list[tuple[int, int]], seen: set[Any]) -> None:
        for i, a, after in graph[state]:
            if after == first:
                found.append([*way, (i, a)])
            elif after not in seen and order[after] > order[first]:
                go(first, after, [*way, (i, a)], seen | {after})

    for first in graph:
        go(first, first, [], {first})
    return found


@settings(max_examples=40)
@given(
    bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    step=st.sampled_from([0.2, 0.3, 0.5]),
    target=st.floats(0, 1),
    classes=st.tuples(st.floats(0.05, 1), st.floats(0, 1)),
    of=st.sampled_from(["events", "toxic"]),
)
def test_all_cycles_tried_where_the_average_is_the_last_decision(
    bounds: list[float], step: float, target: float, classes: tuple[float, float], of: Any
) -> None:
    moral = MoralParams(
        min_threshold=bounds[0], max_threshold=bounds[1], step=step, target_rate=target,
        smoothing=1.0,
    )  # fmt: skip
    options = attacks.Options(moral, *classes)
    best = Fraction(0)
    for cycle in simple_cycles(true_states(options)):
        passed = sum(int(options.passed[move]) for move in cycle)
        among = len(cycle) if of == "events" else sum(int(options.toxic[m]) for m in cycle)
        best = max(best, Fraction(passed, among) if among else Fraction(0))
    worst = theory.worst_case(moral, toxic_below=classes[0], safe_above=classes[1], of=of, **COARSE)
    assert worst.attained == worst.bound == best


@settings(max_examples=40)
@given(moral=moral_params(), word=st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_no_periodic_outcomes_exceed_the_bound(moral: dict[str, Any], word: list[int]) -> None:
    params = MoralParams(**moral)
    worst = theory.worst_case(params, cells=2**9)
    options = attacks.Options(params, 0.4, 0.6)
    gain = options.passed.astype(np.int64)
    _, words, total, paid = cycles.replay(
        options.thresholds, options.allowed, options.start, np.array(word), options.rule, gain,
        np.ones_like(gain), 2**16,
    )  # fmt: skip
    assert worst.attained <= worst.bound <= 1
    if words:
        assert Fraction(total, paid) <= worst.bound


def passed_after(worst: theory.WorstCase, n_cycles: int) -> tuple[Any, Any]:
    stream = worst.attack(n_cycles)
    result = simulate(EngineParams(moral=worst.moral), None, stream.moral_values)
    toxic = stream.need_toxic()
    return result, (toxic & result.accepted)[len(worst.approach) :]


@pytest.mark.parametrize("of", ["events", "toxic"])
@pytest.mark.parametrize("target", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("classes", [(0.4, 0.6), (0.39, 0.39), (0.7, 0.5)])
def test_the_attack_attains_what_it_says_in_simulation(
    of: Any, target: float, classes: tuple[float, float]
) -> None:
    worst = theory.worst_case(
        MoralParams(target_rate=target), toxic_below=classes[0], safe_above=classes[1], of=of,
        **COARSE,
    )  # fmt: skip
    n = 7
    result, passed = passed_after(worst, n)
    among = np.ones_like(passed) if of == "events" else worst.attack(n).need_toxic()[-len(passed) :]
    assert Fraction(int(passed.sum()), int(among.sum())) == worst.attained
    first = len(worst.approach) - 1
    for course in (result.threshold, result.acceptance_rate):
        assert len(set(course[first :: len(worst.cycle)])) == 1  # back to the last bit
    values, toxic = worst.cycle.moral_values, worst.cycle.need_toxic()
    assert (values[toxic] < classes[0]).all()
    assert (values[~toxic] > classes[1]).all()


def test_a_half_as_target_lets_an_attacker_pass_half_of_all_events() -> None:
    worst = theory.worst_case(MoralParams(), toxic_below=0.39)
    assert worst.attained == worst.bound == Fraction(1, 2)
    assert worst.exact
    assert repr(worst) == f"WorstCase(1/2 of events, by a cycle of {len(worst.cycle)} events)"


def test_steering_by_harmless_texts_of_any_score_passes_every_toxic_event() -> None:
    worst = theory.worst_case(MoralParams(), safe_above=0.4, of="toxic", **COARSE)
    assert worst.exact
    assert worst.lower == worst.upper == 1
    assert worst.cycle.need_toxic().mean() >= 0.25


@pytest.mark.long
@pytest.mark.parametrize(("of", "share"), [("events", (18, 35)), ("toxic", (7, 9))])
def test_the_published_filter_s_worst_case_is_known_exactly(
    of: Any, share: tuple[int, int]
) -> None:
    worst = theory.worst_case(MoralParams(), of=of)
    assert worst.attained == worst.bound == Fraction(*share)


def test_finer_cells_never_loosen_the_bound() -> None:
    bounds = [theory.worst_case(MoralParams(), cells=2**n) for n in (9, 11, 13)]
    assert all(a.upper >= b.upper and a.lower <= b.lower for a, b in pairwise(bounds))
    assert 0.5 <= bounds[-1].lower < bounds[-1].upper < 0.515


def test_what_can_never_pass_has_no_attack_and_what_always_does_needs_none() -> None:
    never = theory.worst_case(MoralParams(), toxic_below=0.3, **COARSE)
    assert (never.lower, never.upper, len(never.attack(3))) == (0, 0, 0)
    always = theory.worst_case(MoralParams(max_threshold=0.38), **COARSE)
    assert (always.lower, always.upper) == (1, 1)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.7])
def test_no_adversary_of_ours_exceeds_the_bound(target: float) -> None:
    moral, n = MoralParams(target_rate=target), 3000
    upper = theory.worst_case(moral, **COARSE).upper
    rng = np.random.default_rng(5)
    streams = {
        "frog": adversary.boiling_frog(n, rng, moral),
        "seeing": adversary.seeing(n, rng, moral),
        "bursts": adversary.bursts(n, rng),
    }
    for name, stream in streams.items():
        result = simulate(EngineParams(moral=moral), None, stream.moral_values)
        share = (result.accepted & stream.need_toxic()).mean()
        assert 0 < share <= upper + 40 / n, name


def test_the_bound_by_share_holds_its_own_attacks_and_both_worst_cases() -> None:
    moral = MoralParams()
    shares = theory.worst_by_share(moral, **COARSE)
    bounds = shares.upper(shares.attacks["toxic_share"].tolist())
    assert (shares.attacks["toxic_passed"] <= bounds["toxic_passed"] + 1e-12).all()
    at = dict(shares.upper([0.01, 0.3, 0.6, 1.0]).itertuples(index=False))
    assert list(at.values()) == sorted(at.values(), reverse=True)
    assert at[0.01] == theory.worst_case(moral, of="toxic", **COARSE).upper
    assert theory.worst_case(moral, **COARSE).lower <= at[1.0] < 0.53
    assert np.isnan(shares.upper([0.0])["toxic_passed"][0])


def test_nothing_toxic_passes_at_any_share_above_the_lower_bound() -> None:
    shares = theory.worst_by_share(MoralParams(), toxic_below=0.2, **COARSE)
    assert shares.attacks.empty
    assert (shares.upper([0.1, 0.5, 1.0])["toxic_passed"] == 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"moral": ContextualParams()},
            "worst_case.moral: must be a policy that follows the homeo",
        ),
        ({"toxic_below": 0}, "worst_case.toxic_below: must be above 0"),
        ({"safe_above": 1.5}, r"worst_case.safe_above: must be a number in \[0, 1\] \(got 1.5\)"),
        ({"of": "toxi"}, "worst_case.of: 'toxi' is unknown; did you mean 'toxic'?"),
        ({"cells": 1000}, r"worst_case.cells: must be a power of two \(got 1000\)"),
        ({"cells": 16}, "worst_case.cells: must be a whole number of at least 512"),
        ({"moral": MoralParams(step=1e-5)}, "MoralParams.step: must leave at most 2048 thresholds"),
    ],
)
def test_what_is_not_allowed_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        theory.worst_case(**{"moral": MoralParams(), **change})


def test_the_pictures_show_what_they_are_given() -> None:
    worst = theory.worst_case(MoralParams(), toxic_below=0.39, **COARSE)
    result, _ = passed_after(worst, 3)
    course = plots.attack_course(result, worst.attack(3), start=10)
    assert {"toxic, passed", "toxic, refused"} <= set(course.axes[0].get_legend_handles_labels()[1])
    with pytest.raises(ParameterError, match="must be a run over the stream"):
        plots.attack_course(result, worst.attack(4))
    with pytest.raises(ParameterError, match="must leave an event"):
        plots.attack_course(result, worst.attack(3), start=10**6)
    shares = theory.worst_by_share(MoralParams(), **COARSE)
    bound = shares.upper([0.1, 0.5, 1.0])
    figure = plots.worst_by_share(bound, shares.attacks, {"independent": bound})
    assert len(figure.axes[0].lines) == 3
    table = bound.assign(target_rate=[0.1, 0.2, 0.3], lower=0.1, upper=0.2)
    assert plots.worst_by_target(table, "title").axes[0].get_title("left") == "title"


def test_a_stream_of_no_cycles_is_the_approach() -> None:
    worst = theory.worst_case(MoralParams(), toxic_below=0.39, **COARSE)
    assert isinstance(worst.attack(0), Stream)
    assert np.array_equal(worst.attack(0).moral_values, worst.approach.moral_values)
    with pytest.raises(ParameterError, match="n_cycles"):
        worst.attack(-1)


@settings(max_examples=30)
@given(moral=moral_params(), seed=st.integers(0, 2**32))
def test_the_graph_has_every_true_move(moral: dict[str, Any], seed: int) -> None:
    options = attacks.Options(MoralParams(**moral), 0.4, 0.6)
    graph = attacks.Graph(options, 2**9)
    rng = np.random.default_rng(seed)
    rates = [*rng.random(50), *rng.integers(0, 512, 50) / 512, 1.0]
    for rate in rates:
        i, a = int(rng.integers(len(options.thresholds))), int(rng.integers(2))
        threshold, after = rules.adapt(options.thresholds[i], rate, a == 1, options.rule)
        true = np.searchsorted(options.thresholds, threshold) * 512 + min(int(after * 512), 511)
        node = i * 512 + min(int(rate * 512), 511)
        assert (true in graph.follows[node, a]) == options.allowed[i, a]


def test_a_preset_of_the_same_rule_has_the_same_worst_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POLICIES, "_held", dict(POLICIES._held))

    @moral_policy("strict")
    class Strict(MoralParams):
        """The published rule with another target."""

        target_rate: float = 0.3

    own, known = (theory.worst_case(m, **COARSE) for m in (Strict(), MoralParams(target_rate=0.3)))
    assert (own.attained, own.bound) == (known.attained, known.bound)
    assert own.attained > 0


def test_shares_have_fewer_cells_where_there_are_more_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = theory.worst_by_share(MoralParams(), cells=2**9)
    n = len(attacks.Options(MoralParams(), 0.4, 0.6).thresholds)
    monkeypatch.setattr(worst_shares, "MOST_STATES", n * 2**10 - 1)
    got = theory.worst_by_share(MoralParams(), cells=2**12)
    assert got.lines == wanted.lines
    monkeypatch.undo()
    assert theory.worst_by_share(MoralParams(), cells=2**12).lines != wanted.lines


def objective(options: attacks.Options, scale: int) -> attacks.Objective:
    gain = options.passed.astype(np.int64) * scale
    return attacks.Objective(gain, np.ones_like(gain))


def test_numbers_that_64_bits_may_not_hold_are_refused_before_they_are_made() -> None:
    options = attacks.Options(MoralParams(), 0.4, 0.6)
    graph = attacks.Graph(options, 2**9)
    (*_, (plain, _)) = graph.better(objective(options, 1), Fraction(0))
    (*_, (scaled, _)) = graph.better(objective(options, 2**28), Fraction(0))
    assert scaled == plain * 2**28
    for scale in (2**41, 2**62):
        with pytest.raises(RunError, match=r"must stay below 2\^62 \(got up to [0-9]+\)"):
            next(graph.better(objective(options, scale), Fraction(0)))
    with pytest.raises(RunError, match=r"must stay below 2\^62"):
        next(graph.better(objective(options, 1), Fraction(2**63, 3)))
    hull, known = worst_shares._Hull(graph), worst_shares._Point(Fraction(1, 2), Fraction(1, 3))
    with pytest.raises(RunError, match=r"must stay below 2\^62"):
        hull._at_price(Fraction(2**64, 3), known)


def test_a_move_to_more_states_than_there_is_room_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options, cells = attacks.Options(MoralParams(), 0.4, 0.6), 2**9
    n = len(options.thresholds) * cells
    follows = np.full((n + 1, 2, cycles.MOVES), -1, np.int32)
    wide = np.ones(cells)  # no cell is as wide
    fixed = (options.thresholds, wide, options.allowed, options.rule)
    assert not cycles.successors(*fixed, follows[:n])
    assert (follows[1:] == -1).all()
    monkeypatch.setattr(cycles, "successors", lambda *arguments: False)
    with pytest.raises(RunError, match=r"^MoralParams\.smoothing: must move a cell"):
        attacks.Graph(options, cells)


def test_it_shows_what_passes_at_most_and_by_the_attack() -> None:
    found = theory.worst_case(MoralParams(smoothing=1.0), toxic_below=0.39)
    assert found.exact
    html = found._repr_html_()
    assert html.count(f"{found.bound} = {found.upper:.4f}") == 2
    assert f"{len(found.approach)}, {len(found.cycle)}" in html
