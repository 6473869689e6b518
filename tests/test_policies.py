"""Our policies: parameters, how one is chosen by its name, and the numbers behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import policies, policy_values, shares

from mlsdm import (
    POLICIES,
    CognitiveController,
    ContextualParams,
    EngineParams,
    FixedParams,
    MoralFilter,
    MoralParams,
    MoralPolicy,
    ParameterError,
    ProportionalIntegralParams,
    QuantileParams,
    RiskParams,
    citations,
)
from mlsdm import citing as citing_module
from mlsdm.citing import references
from mlsdm.engine.policies.pooling import pooled
from mlsdm.engine.rules import layout
from mlsdm.engine.rules.policy import DEFAULT

OURS = {name: POLICIES[name] for name in list(POLICIES)}


def test_ours() -> None:
    assert {
        "contextual": ContextualParams,
        "fixed": FixedParams,
        "homeostatic": MoralParams,
        "proportional-integral": ProportionalIntegralParams,
        "quantile": QuantileParams,
        "risk": RiskParams,
    } == OURS
    assert EngineParams().moral == MoralParams()
    assert EngineParams.published().moral == MoralParams()


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_says_what_it_guarantees_and_where_it_is_from(name: str) -> None:
    """And has parameters to be drawn from, so that the tests of every policy hold it too."""
    policy = OURS[name]
    assert "Guarantee" in (policy.__doc__ or "")
    assert policy.papers
    assert set(policy.papers) <= references().keys()
    assert name in policy_values()
    assert policy().policy == name


@pytest.mark.parametrize("name", OURS)
def test_using_one_notes_its_papers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(citing_module, "_used", {})
    MoralFilter(OURS[name]())
    assert citations().keys == OURS[name].papers


@pytest.mark.parametrize("name", OURS)
def test_a_strategy_draws_every_parameter(name: str) -> None:
    drawn: set[str] = set()

    @given(policy_values()[name])
    def draw(values: dict[str, Any]) -> None:
        drawn.update(values)

    draw()
    assert drawn == set(OURS[name].field_names()) - {"policy"}


@given(policies())
def test_to_plain_dicts_and_back(policy: MoralPolicy) -> None:
    plain = json.loads(json.dumps(policy.to_dict()))
    assert plain["policy"] == policy.policy
    assert type(policy).from_dict(plain) == policy
    params = EngineParams(dim=3, moral=policy)
    again = EngineParams.from_dict(json.loads(json.dumps(params.to_dict())))
    assert again == params
    assert type(again.moral) is type(policy)
    assert hash(again) == hash(params)
    assert params.memory_bytes() == EngineParams(dim=3).memory_bytes()


@given(policies())
def test_what_the_rules_read_and_begin_from(policy: MoralPolicy) -> None:
    rule = layout.new_constants(**policy.rule)[0]
    state = layout.new_state(**policy.initial_state)[0]
    moral = MoralFilter(policy)
    assert (moral.threshold, moral.acceptance_rate) == (state["threshold"], state["rate"])
    assert set(moral.memory) == set(policy.memory)
    assert bool(rule["by_policy"]) == (policy.policy != "homeostatic")
    if rule["by_policy"]:
        held = [rule[f"setting{i}"] for i in range(len(policy.settings))]
        assert held == list(policy.settings.values())
        for name in ("accept", "adapt", "learn"):
            own = getattr(type(policy), name) is not getattr(MoralPolicy, name)
            assert (rule[name] != DEFAULT) == own


@pytest.mark.parametrize("name", OURS)
def test_one_is_chosen_by_its_name(name: str) -> None:
    params = EngineParams.from_dict({"moral": {"policy": name}})
    assert params.moral == OURS[name]()
    assert EngineParams.published(8, moral={"policy": name}).moral == OURS[name]()
    assert EngineParams.published(8, moral=OURS[name]()).moral == OURS[name]()
    plain = params.differing(EngineParams())
    assert (plain == {}) == (name == "homeostatic")
    assert plain.get("moral.policy", "homeostatic") == name


def test_the_published_preset_takes_a_policy_as_it_is() -> None:
    """It took what was given to it as parameters of the homeostatic one."""
    published = EngineParams.published(8, moral=QuantileParams(gain=0.3))
    assert published.moral == QuantileParams(gain=0.3)
    assert published.replace({"moral": {}}) == published
    assert published.synapse.gate == "element"


def test_another_policy_begins_from_its_own_defaults() -> None:
    first = EngineParams(moral=MoralParams(target_rate=0.3, smoothing=0.9))
    second = first.replace({"moral": {"policy": "quantile", "gain": 0.5}})
    assert second.moral == QuantileParams(gain=0.5)
    assert second.moral.given() == {"policy": "quantile", "gain": 0.5}
    third = second.replace({"moral": {"policy": "quantile", "target_rate": 0.1}})
    assert third.moral == QuantileParams(gain=0.5, target_rate=0.1)
    assert third.replace({"moral": {"policy": "homeostatic"}}).moral == MoralParams()
    assert second.replace({"moral": FixedParams()}).moral == FixedParams()
    assert MoralParams().replace({"policy": np.str_("risk")}) == RiskParams()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"policy": "quantil"},
            "MoralParams.policy: 'quantil' is not known; did you mean 'quantile'?",
        ),
        ({"policy": "homeostatik"}, "did you mean 'homeostatic'?"),
        ({"policy": "xyzzy"}, "MoralParams.policy: 'xyzzy' is not known; known are contextual, f"),
        ({"policy": 7}, "MoralParams.policy: 7 is not known; known are contextual, fixed, "),
        ({"policy": None}, "MoralParams.policy: None is not known"),
        ({"policy": ["risk"]}, "MoralParams.policy: ['risk'] is not known"),
        ({"gain": 1.0}, "MoralParams.gain: unknown parameter; known are dead_band, "),
        (
            {"policy": "quantile", "gian": 1.0},
            "QuantileParams.gian: unknown parameter; did you mean 'gain'?",
        ),
        ({"policy": "quantile", "gain": 0}, "QuantileParams.gain: should be greater than 0"),
        ({"policy": "fixed", "threshold": 2.1}, "FixedParams.threshold: should be less than or "),
        ({"policy": "risk", "gain": "big"}, "RiskParams.gain: should be a valid number (got 'big"),
        ({"policy": "risk", "weight": float("nan")}, "RiskParams.weight: "),
        ({"policy": "contextual", "weight": 1.5}, "ContextualParams.weight: should be less than"),
        ({"policy": "contextual", "min_threshold": 0.95}, ".min_threshold: must be at most max_th"),
        (
            {"policy": "proportional-integral", "proportional_gain": 2},
            "ams.proportional_gain: ",
        ),
        ({7: 1}, "MoralParams: names must be text (got 7)"),
        ([], "MoralParams: must be made from a mapping (got [])"),
    ],
)
def test_what_is_refused_in_a_sentence(values: Any, sentence: str) -> None:
    with pytest.raises(ParameterError) as refused:
        EngineParams.from_dict({"moral": values})
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_does_not_make_one_policy_of_another() -> None:
    with pytest.raises(ParameterError, match=r"^MoralParams\.policy: should be 'homeostatic' "):
        MoralParams(policy="quantile")
    with pytest.raises(ParameterError, match=r"^EngineParams\.moral: "):
        EngineParams(moral=0.5)


@pytest.mark.parametrize("name", OURS)
def test_one_is_shown(name: str) -> None:
    policy = OURS[name]()
    assert repr(policy).startswith(f"{type(policy).__name__}(")
    assert f"policy='{name}'" in repr(policy)
    html = EngineParams(moral=policy)._repr_html_()
    assert f"<td>moral.policy</td><td>&#x27;{name}&#x27;</td>" in html
    assert policy._repr_html_().count("<tr>") == 1 + len(policy.field_names())
    assert repr(MoralFilter(policy)).startswith(f"MoralFilter(policy='{name}', threshold=")
    assert "threshold" in CognitiveController(EngineParams(dim=1, moral=policy))._repr_html_()


# The numbers behind ours.


@given(shares, shares, shares)
def test_the_pool_lies_between_both(value: float, context: float, weight: float) -> None:
    both = pooled(value, context, weight, 0.0)
    assert min(value, context) - 1e-5 <= both <= max(value, context) + 1e-5
    assert pooled(value, value, weight, 0.0) == value
    assert pooled(value, context, 0.0, 0.0) == value
    assert pooled(value, context, weight, 1.0) <= both + 1e-5
    assert 0.0 <= pooled(value, context, weight, -900.0) <= 1.0
    assert 0.0 <= pooled(value, context, weight, 900.0) <= 1.0


def test_the_pool_by_hand() -> None:
    assert pooled(0.8, 0.5, 0.5, 0.0) == pytest.approx(1 / (1 + 0.5))  # odds 4 and 1: 2
    assert pooled(0.8, 0.5, 0.5, np.log(2)) == pytest.approx(0.5)
    assert pooled(0.0, 1.0, 0.5, 0.0) == pytest.approx(0.5)
    several = ContextualParams(weight=0.5).pooled([0.8, 0.5], [0.5, 0.5])
    assert several.tolist() == [pooled(0.8, 0.5, 0.5, 0.0), 0.5]


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0]), min_size=1, max_size=30),
    st.integers(0, 40),
)
def test_a_calibrated_threshold_is_the_lowest_that_keeps_the_level(
    values: list[float], parts: int
) -> None:
    """Of n + 1 exchangeable values, at most a share `level` passes what the others calibrate."""
    fixed = FixedParams.calibrated(values, parts / 40)
    allowed = (len(values) + 1) * parts // 40  # of n + 1, the new one among them
    if allowed in (0, len(values) + 1):
        assert fixed.threshold == (0.0 if allowed else 2.0)
    else:
        passing = sum(value >= fixed.threshold for value in values)
        lower = max(value for value in values if value < fixed.threshold)
        assert passing + 1 <= allowed
        assert sum(value >= lower for value in values) + 1 > allowed
        assert fixed.threshold == np.nextafter(lower, 2.0)


@pytest.mark.parametrize(("level", "rank"), [(0.1, 9), (0.3, 7), (0.7, 3), (0.9, 1)])
def test_a_level_that_is_a_tenth_is_met_exactly(level: float, rank: int) -> None:
    """Of 9 values; 0.7 was refused one more, by the rounding of 1 - 0.7."""
    values = np.arange(1, 10) / 10
    assert FixedParams.calibrated(values, level).threshold == np.nextafter(values[rank - 1], 2.0)
    assert FixedParams.calibrated(values, 0.05).threshold == 2.0
    assert FixedParams.calibrated(values, 1).threshold == 0.0
    assert FixedParams.calibrated(values, 0).threshold == 2.0


@pytest.mark.parametrize(
    ("values", "level", "sentence"),
    [
        ([], 0.1, "toxic_values: must hold at least one value (got none)"),
        ([0.1, np.nan], 0.1, "toxic_values[1]: must be a number in [0, 1] (got nan)"),
        ([5, 0], 0.1, "toxic_values[0]: must be a number in [0, 1] (got 5)"),
        ([[0.1]], 0.1, "toxic_values: must have one dimension, (events,) (got shape (1, 1))"),
        ([0.1], 1.5, "level: must be a number in [0, 1] (got 1.5)"),
        ([0.1], None, "level: must be a number in [0, 1] (got None)"),
    ],
)
def test_what_cannot_be_calibrated(values: Any, level: Any, sentence: str) -> None:
    with pytest.raises(ParameterError) as refused:
        FixedParams.calibrated(values, level)
    assert str(refused.value) == f"FixedParams.calibrated.{sentence}"


BOUNDS: list[tuple[Callable[[], Any], str]] = [
    (lambda: QuantileParams().bound(0), "QuantileParams.bound.n: must be a whole number of at"),
    (
        lambda: ProportionalIntegralParams().bound(1.5),
        "ProportionalIntegralParams.bound.n: must be a whole number",
    ),
    (lambda: RiskParams().bound(0), "RiskParams.bound.n: must be a whole number"),
    (lambda: RiskParams().bound(5, -1), "RiskParams.bound.pending: must be a whole number of at l"),
    (lambda: RiskParams().bound_on_all(0, 0.5), "RiskParams.bound_on_all.n: must be a whole"),
    (lambda: RiskParams().bound_on_all(9, 0.0), "RiskParams.bound_on_all.labelled: must be above"),
    (lambda: RiskParams().bound_on_all(9, 2.0), "RiskParams.bound_on_all.labelled: must be a num"),
    (lambda: RiskParams().bound_on_all(9, 1.0, 0), "RiskParams.bound_on_all.failure: must be abo"),
]


@pytest.mark.parametrize(("ask", "sentence"), BOUNDS)
def test_bounds_that_are_not_asked_for_rightly(ask: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ParameterError) as refused:
        ask()
    assert str(refused.value).startswith(sentence)


def test_a_policy_sees_its_own_part_of_the_records() -> None:
    """What `rules.policy` and `policies.compiling` take for granted of their layout."""
    state = ["threshold", "rate", *(f"memory{i}" for i in range(layout.MEMORY))]
    settings = [f"setting{i}" for i in range(layout.SETTINGS)]
    for record, names in ((layout.STATE, state), (layout.RULE, settings)):
        places = [record.fields[name][1] for name in names]  # type: ignore[index]
        assert places == [places[0] + 8 * i for i in range(len(names))]
    assert layout.STATE.fields["threshold"][1] == 0  # type: ignore[index]
